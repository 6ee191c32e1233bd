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
	check(not "token" in str(result.data).to_lower().replace("token_type", ""), "no token in data")
	check(await client.get_access_token() != "", "an access token")
