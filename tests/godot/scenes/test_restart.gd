extends "res://tests/case.gd"
## The second start of the game. Each phase is a separate process.

const Guest = preload("res://addons/game_login/guest.gd")


func test_1_first_start() -> void:
	var client: Client = new_client("restart")
	equal((await client.auto_login()).code, "no_session", "nothing yet")
	check((await client.register(new_name(), PASSWORD)).ok, "registered")


func test_2_second_start() -> void:
	var client: Client = new_client("restart")
	equal(client.state, Client.State.SIGNED_OUT, "before")
	var result: GameLoginResult = await client.auto_login()
	check(result.ok, "signed in without a password: %s" % result)
	check(client.account_name.begins_with("P"), "as the same player")
	check((await client.fetch("/v1/me")).ok, "of use")


func test_3_copies() -> void:
	var client: Client = new_client("restart")
	check((await client.auto_login()).ok, "signed in")
	check((await client.fetch("/v1/me")).ok, "of use")
	check((await client.get_access_token(INF)) != "", "refreshed")
	check((await client.fetch("/v1/me")).ok, "still of use")


func test_4_answer_lost() -> void:
	var client: Client = new_client("restart")
	await fault("/v1/refresh", "lose", {"times": 3})
	equal((await client.auto_login()).kind, GameLoginResult.Kind.OFFLINE, "kind")


## Two copies do this in the same millisecond.
func test_5_guest_at_once() -> void:
	var client: Client = new_client("restart")
	var start_at: float = OS.get_environment("GAME_LOGIN_TEST_START_AT").to_float()
	while Time.get_unix_time_from_system() < start_at:
		pass
	var result: GameLoginResult = await client.play_as_guest()
	check(result.ok, "signed in: %s" % result)
	print("GUEST %d %s" % [result.status, client.account_id])


func test_6_guest_killed_before_the_call() -> void:
	var client: Client = new_client("restart")
	@warning_ignore("missing_await")
	client.play_as_guest()  # the request leaves in a later frame
	check(Guest.new(url, "restart").secret() != "", "the secret is stored")
	kill()


func test_7_guest_killed_before_the_answer() -> void:
	var client: Client = new_client("restart")
	await fault("/v1/guest", "lose", {"times": 9})
	@warning_ignore("missing_await")
	client.play_as_guest()
	while await count("/v1/guest") == 0:
		await seconds(0.05)
	kill()


func test_8_upgrade_killed_before_the_answer() -> void:
	var client: Client = new_client("restart")
	check((await client.play_as_guest()).ok, "signed in")
	print("GUEST 200 %s" % client.account_id)
	await fault("/v1/me/upgrade", "lose", {"times": 9})
	@warning_ignore("missing_await")
	client.upgrade(OS.get_environment("GAME_LOGIN_TEST_NAME"), PASSWORD)
	while await count("/v1/me/upgrade") == 0:
		await seconds(0.05)
	kill()


func test_9_upgraded() -> void:
	var client: Client = new_client("restart")
	check(not (await client.auto_login()).ok, "the stored token is dead")
	equal((await client.play_as_guest()).code, "unknown_guest", "and so is the secret")
	var username: String = OS.get_environment("GAME_LOGIN_TEST_NAME")
	check((await client.login(username, PASSWORD)).ok, "signed in with the name and the password")
	equal(Guest.new(url, "restart").secret(), "", "the secret is deleted")
	print("GUEST 200 %s" % client.account_id)


func kill() -> void:
	equal(OS.kill(OS.get_process_id()), OK, "killed")
