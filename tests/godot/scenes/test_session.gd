extends "res://tests/case.gd"
## Staying signed in: refreshing, expiry, wrong clocks.

const DAY: float = 86400.0


func test_ten_callers_share_one_refresh() -> void:
	var player: Client = await new_player()
	var tokens: Array = []
	var ask: Callable = func() -> void: tokens.append(await player.get_access_token(INF))
	for _caller: int in 10:
		ask.call()
	while tokens.size() < 10:
		await seconds(0.02)
	equal(await count("/v1/refresh"), 1, "requests on the wire")
	check(tokens[0] != "", "a token")
	check(tokens.all(func(token: String) -> bool: return token == tokens[0]), "the same for all")


func test_an_expired_access_token() -> void:
	var player: Client = await new_player()
	check((await player.fetch("/v1/me")).ok, "good at first")
	await command("advance", {"seconds": 660.0})
	check((await player.fetch("/v1/me")).ok, "and later")
	var requests: Array = await command("requests")
	var seen: Array = requests.slice(-3).map(
		func(request: Dictionary) -> String: return _line(request)
	)
	equal(seen, ["/v1/me 401", "/v1/refresh 200", "/v1/me 200"], "one refresh, one repetition")


func test_a_token_is_refreshed_before_it_expires() -> void:
	var player: Client = await new_player()
	var first: String = await player.get_access_token()
	equal(await player.get_access_token(), first, "kept while it is good")
	equal(await count("/v1/refresh"), 0, "without asking")
	check(await player.get_access_token(1000.0) != first, "renewed when it must last longer")
	equal(await count("/v1/refresh"), 1, "by one request")


func test_a_clock_that_is_wrong_by_a_day() -> void:
	for ahead: float in [DAY, -DAY]:
		await command("advance", {"seconds": ahead})
		var player: Client = await new_player()
		check((await player.fetch("/v1/me")).ok, "signed in, server ahead by %d s" % ahead)
		equal(await count("/v1/refresh"), 0, "without refreshing")
		check((await player.auto_login()).ok, "signed in again, server ahead by %d s" % ahead)
		equal(player.state, Client.State.SIGNED_IN, "state")
		await command("advance", {"seconds": -ahead})
		await command("reset")


func test_a_session_that_ended_elsewhere_is_found_by_a_refresh() -> void:
	var first: Client = await new_player()
	var second: Client = new_client()
	check((await second.login(first.account_name, PASSWORD)).ok, "signed in twice")
	check((await first.logout(true)).ok, "signed out everywhere")
	var reasons: Array = []
	@warning_ignore("return_value_discarded")
	second.session_ended.connect(func(reason: int) -> void: reasons.append(reason))
	equal(await second.get_access_token(INF), "", "no token")
	await get_tree().process_frame
	equal(reasons, [Client.Reason.REVOKED], "reasons")


func test_a_session_that_is_too_old() -> void:
	var profile: String = new_name()
	var player: Client = await new_player(profile)
	await command("advance", {"seconds": 31.0 * DAY})
	var later: Client = new_client(profile)
	var reasons: Array = []
	@warning_ignore("return_value_discarded")
	later.session_ended.connect(func(reason: int) -> void: reasons.append(reason))
	var result: GameLoginResult = await later.auto_login()
	equal(result.code, "session_ended", "code")
	await get_tree().process_frame
	equal(reasons, [Client.Reason.EXPIRED], "reasons")
	equal(later.state, Client.State.SIGNED_OUT, "state")
	equal((await later.auto_login()).code, "no_session", "not asked for again")
	equal(later.remembered_name(), player.account_name, "the name is still filled in")
	await command("advance", {"seconds": -31.0 * DAY})


func test_signing_in_again_on_session_ended() -> void:
	var profile: String = new_name()
	var player: Client = await new_player(profile)
	check((await player.fetch("/v1/logout", {})).ok, "ended, and still stored")
	var later: Client = new_client(profile)
	var results: Array = []
	@warning_ignore("return_value_discarded")
	later.session_ended.connect(
		func(_reason: int) -> void: results.append(await later.register(new_name(), PASSWORD))
	)
	equal((await later.auto_login()).code, "session_ended", "code")
	while results.is_empty():
		await seconds(0.05)
	check(results[0].ok, "registered: %s" % results[0])
	equal(later.state, Client.State.SIGNED_IN, "state")


func test_a_setting_that_stays_as_it_is() -> void:
	var player: Client = await new_player()
	player.base_url = player.base_url
	player.profile = player.profile
	check(player.has_session(), "no session is forgotten")


func test_another_profile_while_refreshing() -> void:
	var profiles: Array[String] = [new_name(), new_name()]
	var second: Client = await new_player(profiles[1])
	var player: Client = await new_player(profiles[0])
	await fault("/v1/refresh", "slow", {"seconds": 0.5})
	var results: Array = []
	var ask: Callable = func() -> void: results.append(await player.auto_login())
	ask.call()
	await seconds(0.1)
	player.profile = profiles[1]
	var result: GameLoginResult = await player.auto_login()
	check(result.ok, "signed in as the other one: %s" % result)
	equal(player.account_id, second.account_id, "account")
	check(await player.get_access_token() != "", "with a token")
	equal(results[0].kind, GameLoginResult.Kind.CANCELLED, "the refresh for the first one")
	equal(await count("/v1/refresh"), 2, "one refresh each")


func test_signing_out_while_refreshing() -> void:
	var player: Client = await new_player()
	await fault("/v1/refresh", "slow", {"seconds": 1.0})
	var tokens: Array = []
	var ask: Callable = func() -> void: tokens.append(await player.get_access_token(INF))
	ask.call()
	check((await player.logout()).ok, "signed out")
	while tokens.is_empty():
		await seconds(0.05)
	equal(tokens, [""], "no token after signing out")
	equal(player.state, Client.State.SIGNED_OUT, "state")
	check(not player.has_session(), "no session came back")


func test_a_call_is_not_repeated_as_another_player() -> void:
	var player: Client = await new_player()
	var first: String = player.account_name
	await fault("/v1/me", "slow", {"seconds": 1.0})
	var results: Array = []
	var ask: Callable = func() -> void: results.append(await player.fetch("/v1/me"))
	ask.call()
	await seconds(0.1)
	check((await player.logout()).ok, "signed out")
	check((await player.register(new_name(), PASSWORD)).ok, "another player")
	while results.is_empty():
		await seconds(0.05)
	equal(results[0].code, "invalid_token", "the answer for " + first)
	equal(await count("/v1/me"), 1, "requests")
	check((await player.fetch("/v1/me")).ok, "the new one goes on")


func _line(request: Dictionary) -> String:
	return "%s %d" % [request["path"], request["status"]]
