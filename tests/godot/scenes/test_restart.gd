extends "res://tests/case.gd"
## The second start of the game. Each phase is a separate process.


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
