extends "res://tests/case.gd"
## HTTPS, with a certificate made by the test.

var secure_url: String = OS.get_environment("GAME_LOGIN_TEST_SECURE_URL")


func test_an_untrusted_certificate() -> void:
	var client: Client = new_client()
	client.base_url = secure_url
	var result: GameLoginResult = await client.register(new_name(), PASSWORD)
	equal(result.kind, GameLoginResult.Kind.OFFLINE, "kind")
	equal(await count("/v1/register"), 0, "nothing was sent")


func test_a_trusted_certificate() -> void:
	var client: Client = new_client()
	client.base_url = secure_url
	client.tls_options = trust()
	check((await client.register(new_name(), PASSWORD)).ok, "registered")
	check((await client.fetch("/v1/me")).ok, "asked")
	check((await client.auto_login()).ok, "refreshed")
	check((await client.logout()).ok, "signed out")
