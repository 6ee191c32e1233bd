extends "res://tests/case.gd"
## Registering, signing in and out, against the real backend.


func test_register() -> void:
	var client: Client = new_client()
	var username: String = new_name()
	var result: GameLoginResult = await client.register(username, PASSWORD)
	check(result.ok, "ok: %s" % result)
	equal(result.status, 201, "status")
	equal(client.state, Client.State.SIGNED_IN, "state")
	equal(client.account_name, username, "name")
	equal(result.data["access_token"], "", "no access token in the result")
	equal(result.data["refresh_token"], "", "no refresh token in the result")
	check(await client.get_access_token() != "", "an access token")
	var me: GameLoginResult = await client.fetch("/v1/me")
	var account: Dictionary = me.data["account"]
	equal(account["username"], username, "the backend's name")
	equal(account["id"], client.account_id, "the backend's id")


func test_login() -> void:
	var first: Client = await new_player()
	var second: Client = new_client()
	var result: GameLoginResult = await second.login(first.account_name.to_upper(), PASSWORD)
	check(result.ok, "ok: %s" % result)
	equal(second.account_name, first.account_name, "the name as it was registered")


func test_wrong_password() -> void:
	var player: Client = await new_player()
	var client: Client = new_client()
	var result: GameLoginResult = await client.login(player.account_name, "something else")
	equal(result.kind, GameLoginResult.Kind.DENIED, "kind")
	equal(result.code, "invalid_credentials", "code")
	equal(client.state, Client.State.SIGNED_OUT, "state")
	equal(await count("/v1/login"), 1, "not repeated")
	check(result.message != "", "a message")


func test_taken_name() -> void:
	var player: Client = await new_player()
	var result: GameLoginResult = await new_client().register(player.account_name, PASSWORD + "!")
	equal(result.kind, GameLoginResult.Kind.CONFLICT, "kind")
	equal(result.code, "username_taken", "code")


func test_weak_password_and_bad_name() -> void:
	var client: Client = new_client()
	var result: GameLoginResult = await client.register(new_name(), "password")
	equal(result.kind, GameLoginResult.Kind.INVALID, "kind")
	equal(result.code, "weak_password", "code")
	check(result.fields.get("password", "") != "", "a reason")
	result = await client.register("a b", PASSWORD)
	equal(result.code, "invalid_username", "code")
	check(result.fields.get("username", "") != "", "a reason")


func test_guessing_is_limited() -> void:
	var player: Client = await new_player()
	var client: Client = new_client()
	var result: GameLoginResult
	for _guess: int in 40:
		result = await client.login(player.account_name, "something else")
		if result.kind != GameLoginResult.Kind.DENIED:
			break
	equal(result.kind, GameLoginResult.Kind.RATE_LIMITED, "kind")
	equal(result.code, "too_many_attempts", "code")
	check(result.retry_after > 0.0, "a time to wait")
	var requests: int = await count("/v1/login")
	equal((await client.login(player.account_name, "other")).status, 429, "still limited")
	equal(await count("/v1/login"), requests + 1, "not repeated by itself")


func test_known_device_is_not_locked_out() -> void:
	var profile: String = new_name()
	var player: Client = await new_player(profile)
	var username: String = player.account_name
	check((await player.logout()).ok, "signed out")
	var stranger: Client = new_client()
	for _guess: int in 40:
		var guess: GameLoginResult = await stranger.login(username, "something else")
		if guess.kind == GameLoginResult.Kind.RATE_LIMITED:
			break
	var result: GameLoginResult = await player.login(username, PASSWORD)
	check(result.ok, "signed in again from the known device: %s" % result)


func test_logout() -> void:
	var player: Client = await new_player()
	var reasons: Array = []
	@warning_ignore("return_value_discarded")
	player.session_ended.connect(func(reason: int) -> void: reasons.append(reason))
	check((await player.logout()).ok, "ok")
	await get_tree().process_frame
	equal(reasons, [Client.Reason.LOGOUT], "reasons")
	equal(player.state, Client.State.SIGNED_OUT, "state")
	equal(await player.get_access_token(), "", "no token")
	equal((await player.auto_login()).code, "no_session", "nothing is stored")
	equal((await player.fetch("/v1/me")).code, "no_session", "no player to ask as")
	check((await player.logout()).ok, "twice is no problem")


func test_logout_after_a_night() -> void:
	for everywhere: bool in [false, true]:
		var player: Client = await new_player()
		var other: Client = new_client()
		check((await other.login(player.account_name, PASSWORD)).ok, "signed in twice")
		var token: String = player._session.refresh_token
		await command("reset")
		await command("advance", {"seconds": 9.0 * 3600.0})
		player._session.access_until = Client.Session.now()  # the machine's clock has advanced too
		check((await player.logout(everywhere)).ok, "signed out")
		var requests: Array = await command("requests")
		var paths: Array = requests.map(func(one: Dictionary) -> String: return one["path"])
		equal(paths, ["/v1/refresh", "/v1/logout"] if everywhere else ["/v1/logout"], "requests")
		equal(await refresh_code(token), "session_ended", "the session is over at the server, too")
		var is_other_signed_in: bool = (await other.auto_login()).ok
		equal(is_other_signed_in, not everywhere, "the other device is signed in")
		await command("advance", {"seconds": -9.0 * 3600.0})


func test_logout_while_another_copy_has_refreshed() -> void:
	var profile: String = new_name()
	var player: Client = await new_player(profile)
	var copy: Client = new_client(profile)
	check((await copy.auto_login()).ok, "the copy has the next token")
	check((await player.logout()).ok, "signed out with the one before")
	equal((await copy.fetch("/v1/me")).code, "session_ended", "and so is the copy")


func test_logout_everywhere_after_a_lost_answer() -> void:
	var player: Client = await new_player()
	var other: Client = new_client()
	check((await other.login(player.account_name, PASSWORD)).ok, "signed in twice")
	await fault("/v1/refresh", "lose", {"times": 3})
	equal((await player.auto_login()).kind, GameLoginResult.Kind.OFFLINE, "the answer is lost")
	player._session.access_until = Client.Session.now()
	check((await player.logout(true)).ok, "signed out everywhere")
	equal((await other.fetch("/v1/me")).code, "session_ended", "on the other device, too")


func test_logout_everywhere_reaches_the_other_client() -> void:
	var first: Client = await new_player()
	var second: Client = new_client()
	check((await second.login(first.account_name, PASSWORD)).ok, "signed in twice")
	var reasons: Array = []
	@warning_ignore("return_value_discarded")
	second.session_ended.connect(func(reason: int) -> void: reasons.append(reason))
	check((await first.logout(true)).ok, "signed out everywhere")
	var result: GameLoginResult = await second.fetch("/v1/me")
	equal(result.code, "session_ended", "code")
	equal(result.kind, GameLoginResult.Kind.DENIED, "kind")
	equal(second.state, Client.State.SIGNED_OUT, "state")
	await get_tree().process_frame
	equal(reasons, [Client.Reason.REVOKED], "reasons")


func test_logout_of_an_ended_session() -> void:
	var first: Client = await new_player()
	var second: Client = new_client()
	check((await second.login(first.account_name, PASSWORD)).ok, "signed in twice")
	check((await first.logout(true)).ok, "signed out everywhere")
	var reasons: Array = []
	@warning_ignore("return_value_discarded")
	second.session_ended.connect(func(reason: int) -> void: reasons.append(reason))
	check((await second.logout()).ok, "already signed out, as wanted")
	await get_tree().process_frame
	equal(reasons, [Client.Reason.LOGOUT], "reasons")


func test_logout_without_a_network() -> void:
	var profile: String = new_name()
	var player: Client = await new_player(profile)
	await fault("/v1/logout", "drop", {"times": 9})
	var result: GameLoginResult = await player.logout()
	equal(result.kind, GameLoginResult.Kind.OFFLINE, "the server has not heard of it")
	equal(player.state, Client.State.SIGNED_OUT, "but here it is done")
	equal((await new_client(profile).auto_login()).code, "no_session", "for good")


func test_not_to_be_remembered() -> void:
	var profile: String = new_name()
	var first: Client = await new_player(profile)
	check((await first.login(first.account_name, PASSWORD, false)).ok, "signed in")
	check((await first.fetch("/v1/me")).ok, "of use")
	equal((await new_client(profile).auto_login()).code, "no_session", "not stored")
	equal(first.remembered_name(), "", "nor the name")


func test_one_at_a_time() -> void:
	var client: Client = new_client()
	var results: Array = []
	var register: Callable = func() -> void:
		results.append(await client.register(new_name(), PASSWORD))
	register.call()
	register.call()
	while results.size() < 2:
		await seconds(0.05)
	equal(results[0].code, "busy", "the second")
	check(results[1].ok, "the first")
	equal(await count("/v1/register"), 1, "requests")


func test_states() -> void:
	var client: Client = new_client()
	var states: Array = []
	@warning_ignore("return_value_discarded")
	client.state_changed.connect(func(state: int) -> void: states.append(state))
	check((await client.register(new_name(), PASSWORD)).ok, "registered")
	check((await client.auto_login()).ok, "signed in again")
	check((await client.logout()).ok, "signed out")
	var expected: Array = [
		Client.State.SIGNING_IN,
		Client.State.SIGNED_IN,
		Client.State.SIGNING_IN,
		Client.State.SIGNED_IN,
		Client.State.SIGNED_OUT,
	]
	equal(states, expected, "states")


func test_printing_shows_no_secret() -> void:
	var client: Client = new_client()
	var username: String = new_name()
	var result: GameLoginResult = await client.register(username, PASSWORD)
	print(result, result.data, client, result.message)
	result = await client.login(username, PASSWORD + "?")
	print(result, result.data, result.message, result.fields)
	check(str(result) == "GameLoginResult(DENIED, 401, invalid_credentials)", str(result))


## Returns the answer to a refresh with a token.
func refresh_code(token: String) -> String:
	var exchange: Client.Caller.Exchange = Client.Caller.Exchange.new(
		trust() if url.begins_with("https:") else null
	)
	add_child(exchange)
	var headers: PackedStringArray = ["Content-Type: application/json"]
	var body: String = JSON.stringify({"refresh_token": token})
	var result: GameLoginResult = await exchange.send(
		url + "/v1/refresh", HTTPClient.METHOD_POST, headers, body, 5.0
	)
	exchange.queue_free()
	return result.code
