extends "res://tests/case.gd"
## Changing the password and deleting the account.

const Store = preload("res://addons/game_login/store.gd")
const NEW_PASSWORD: String = PASSWORD + " 2"


func test_changing_the_password() -> void:
	var player: Client = await new_player()
	var result: GameLoginResult = await player.change_password(PASSWORD, NEW_PASSWORD)
	check(result.ok, "changed: %s" % result)
	equal(result.data["refresh_token"], "", "no refresh token in the result")
	equal(result.data["access_token"], "", "no access token in the result")
	equal(player.state, Client.State.SIGNED_IN, "state")
	var other: Client = new_client()
	var old: GameLoginResult = await other.login(player.account_name, PASSWORD)
	equal(old.code, "invalid_credentials", "the previous password")
	check((await other.login(player.account_name, NEW_PASSWORD)).ok, "the new password")


func test_a_password_change_signs_out_other_devices() -> void:
	var profile: String = new_name()
	var first: Client = await new_player(profile)
	var second: Client = new_client()
	check((await second.login(first.account_name, PASSWORD)).ok, "signed in twice")
	var result: GameLoginResult = await first.change_password(PASSWORD, NEW_PASSWORD)
	check(result.ok, "changed: %s" % result)
	equal((await second.fetch("/v1/me")).code, "session_ended", "the other device")
	check((await first.fetch("/v1/me")).ok, "this device")
	check((await first.auto_login()).ok, "and it stays signed in")
	check((await new_client(profile).auto_login()).ok, "after a restart, too")


func test_a_password_change_with_a_wrong_password() -> void:
	var player: Client = await new_player()
	var result: GameLoginResult = await player.change_password("something else", NEW_PASSWORD)
	equal(result.kind, GameLoginResult.Kind.DENIED, "kind")
	equal(result.code, "invalid_credentials", "code")
	equal(await count("/v1/me/password"), 1, "not repeated")
	equal(player.state, Client.State.SIGNED_IN, "state")
	check((await player.auto_login()).ok, "this device stays signed in")
	check((await player.login(player.account_name, PASSWORD)).ok, "by the same password")


func test_a_weak_new_password() -> void:
	var player: Client = await new_player()
	var result: GameLoginResult = await player.change_password(PASSWORD, "password")
	equal(result.code, "weak_password", "code")
	check(result.fields.get("new_password", "") != "", "a reason")


func test_a_lost_answer_to_a_password_change() -> void:
	var player: Client = await new_player()
	await fault("/v1/me/password", "lose")
	var result: GameLoginResult = await player.change_password(PASSWORD, NEW_PASSWORD)
	check(result.ok, "sent again, and done: %s" % result)
	equal(await count("/v1/me/password"), 2, "requests")
	check((await player.auto_login()).ok, "this device stays signed in")


func test_a_lost_password_change_and_a_retry_by_the_player() -> void:
	var player: Client = await new_player()
	await fault("/v1/me/password", "lose", {"times": 3})
	var result: GameLoginResult = await player.change_password(PASSWORD, NEW_PASSWORD)
	equal(result.kind, GameLoginResult.Kind.OFFLINE, "kind")
	check(player.has_session(), "still signed in")
	result = await player.change_password(PASSWORD, NEW_PASSWORD)
	check(result.ok, "the button once more: %s" % result)
	check((await player.auto_login()).ok, "this device stays signed in")


func test_a_password_change_without_a_server() -> void:
	var player: Client = await new_player()
	await fault("/v1/me/password", "drop", {"times": 3})
	var result: GameLoginResult = await player.change_password(PASSWORD, NEW_PASSWORD)
	equal(result.kind, GameLoginResult.Kind.OFFLINE, "kind")
	equal(await count("/v1/me/password"), 3, "requests")
	equal(player.state, Client.State.OFFLINE, "state")
	check((await player.auto_login()).ok, "signed in when the server is back")
	check((await player.login(player.account_name, PASSWORD)).ok, "by the same password")


func test_a_password_change_with_a_foreign_answer() -> void:
	var player: Client = await new_player()
	await fault("/v1/me/password", "answer", {"body": "{}"})
	var result: GameLoginResult = await player.change_password(PASSWORD, NEW_PASSWORD)
	equal(result.kind, GameLoginResult.Kind.PROTOCOL, "kind")
	check((await player.auto_login()).ok, "the session is still there")


func test_a_password_change_that_is_answered_too_late() -> void:
	var player: Client = await new_player()
	await fault("/v1/me/password", "slow", {"seconds": 0.5})
	var results: Array = []
	var ask: Callable = func() -> void:
		results.append(await player.change_password(PASSWORD, NEW_PASSWORD))
	ask.call()
	await seconds(0.1)
	player.profile = new_name()  # another player's turn
	while results.is_empty():
		await seconds(0.05)
	check(results[0].ok, "changed: %s" % results[0])
	equal(results[0].data["refresh_token"], "", "no refresh token in the result")
	equal(results[0].data["access_token"], "", "no access token in the result")
	check(not player.has_session(), "nor a session for another player")


func test_deleting_the_account() -> void:
	var profile: String = new_name()
	var player: Client = await new_player(profile)
	var username: String = player.account_name
	var reasons: Array = reasons_of(player)
	check((await player.delete_account(PASSWORD)).ok, "deleted")
	equal(player.state, Client.State.SIGNED_OUT, "state")
	await get_tree().process_frame
	equal(reasons, [Client.Reason.LOGOUT], "reasons")
	equal(Store.new(profile).read(), {}, "the store")
	check((await player.logout()).ok, "nothing is left to sign out of")
	equal((await new_client(profile).auto_login()).code, "no_session", "nor to come back to")
	check((await new_client().register(username, PASSWORD)).ok, "the name is free")


func test_a_deletion_with_a_wrong_password() -> void:
	var profile: String = new_name()
	var player: Client = await new_player(profile)
	var reasons: Array = reasons_of(player)
	var result: GameLoginResult = await player.delete_account("something else")
	equal(result.kind, GameLoginResult.Kind.DENIED, "kind")
	equal(result.code, "invalid_credentials", "code")
	equal(player.state, Client.State.SIGNED_IN, "state")
	await get_tree().process_frame
	equal(reasons, [], "reasons")
	check((await new_client(profile).auto_login()).ok, "the session is still stored")


func test_a_lost_answer_to_a_deletion() -> void:
	var player: Client = await new_player()
	var reasons: Array = reasons_of(player)
	await fault("/v1/me/delete", "lose")
	var result: GameLoginResult = await player.delete_account(PASSWORD)
	equal(result.kind, GameLoginResult.Kind.OFFLINE, "kind")
	equal(await count("/v1/me/delete"), 1, "not repeated by itself")
	check(player.has_session(), "not signed out without an answer")
	result = await player.delete_account(PASSWORD)
	equal(result.code, "session_ended", "the button once more")
	equal(player.state, Client.State.SIGNED_OUT, "state")
	await get_tree().process_frame
	equal(reasons, [Client.Reason.LOGOUT], "reasons")


func test_a_deletion_without_a_server() -> void:
	var profile: String = new_name()
	var player: Client = await new_player(profile)
	await fault("/v1/me/delete", "drop")
	var result: GameLoginResult = await player.delete_account(PASSWORD)
	equal(result.kind, GameLoginResult.Kind.OFFLINE, "kind")
	equal(player.state, Client.State.OFFLINE, "state")
	check((await new_client(profile).auto_login()).ok, "the session is still stored")
	check((await player.delete_account(PASSWORD)).ok, "deleted when the server is back")


func test_a_deletion_that_is_answered_too_late() -> void:
	var profiles: Array[String] = [new_name(), new_name()]
	var grace: Client = await new_player(profiles[1])
	var player: Client = await new_player(profiles[0])
	var reasons: Array = reasons_of(player)
	await fault("/v1/me/delete", "slow", {"seconds": 0.5})
	var results: Array = []
	var ask: Callable = func() -> void: results.append(await player.delete_account(PASSWORD))
	ask.call()
	await seconds(0.1)
	player.profile = profiles[1]
	check((await player.auto_login()).ok, "signed in as another player")
	while results.is_empty():
		await seconds(0.05)
	check(results[0].ok, "deleted: %s" % results[0])
	await get_tree().process_frame
	equal(reasons, [], "reasons")
	equal(player.account_id, grace.account_id, "the signed-in account")
	equal(Store.new(profiles[0]).read(), {}, "the store of the deleted account")
	check((await new_client(profiles[1]).auto_login()).ok, "the other session is still stored")


func test_a_deletion_forgets_the_session_of_another_copy() -> void:
	var profile: String = new_name()
	var first: Client = await new_player(profile)
	var second: Client = new_client(profile)
	check((await second.login(first.account_name, PASSWORD)).ok, "a session of its own")
	check((await first.delete_account(PASSWORD)).ok, "deleted")
	equal(Store.new(profile).read(), {}, "the store")
	equal((await second.fetch("/v1/me")).code, "session_ended", "the other copy")


func test_no_player_is_signed_in() -> void:
	var client: Client = new_client()
	equal((await client.change_password(PASSWORD, NEW_PASSWORD)).code, "no_session", "code")
	equal((await client.delete_account(PASSWORD)).code, "no_session", "code")


func test_a_game_that_still_uses_fetch() -> void:
	var profile: String = new_name()
	var player: Client = await new_player(profile)
	var change: Dictionary = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
	var result: GameLoginResult = await player.fetch(
		"/v1/me/password", change, HTTPClient.METHOD_PUT
	)
	check(result.ok, "changed: %s" % result)
	equal(result.data["refresh_token"], "", "no refresh token in the result")
	check((await player.auto_login()).ok, "this device stays signed in")
	check((await new_client(profile).auto_login()).ok, "after a restart, too")
	check((await player.fetch("/v1/me/delete", {"password": NEW_PASSWORD})).ok, "deleted")
	check((await player.logout()).ok, "signed out")
	equal((await new_client(profile).auto_login()).code, "no_session", "nothing is stored")


func test_fetch_takes_no_tokens_of_another_account() -> void:
	var profile: String = new_name()
	var player: Client = await new_player(profile)
	var account_id: String = player.account_id
	var other: Dictionary = {"username": new_name(), "password": PASSWORD}
	check((await player.fetch("/v1/register", other)).ok, "registered by hand")
	equal(player.account_id, account_id, "the signed-in account")
	check((await player.auto_login()).ok, "this device stays signed in")
	equal(player.account_id, account_id, "the signed-in account")


## Returns a list that collects the reasons for the ends of a client's session.
func reasons_of(client: Client) -> Array:
	var reasons: Array = []
	@warning_ignore("return_value_discarded")
	client.session_ended.connect(func(reason: int) -> void: reasons.append(reason))
	return reasons
