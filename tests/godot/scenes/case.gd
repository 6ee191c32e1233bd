extends Node
## Shared by the test scenes: clients, checks, and commands to the backend's server.

const Client = preload("res://addons/game_login/game_login.gd")
const PASSWORD: String = "correct horse battery staple"

var url: String = OS.get_environment("GAME_LOGIN_TEST_URL")
var problems: PackedStringArray = []

var _clients: Array[Client] = []


## Runs the methods named `test_*`, or those of one phase, and prints the result of each.
func run(phase: String) -> bool:
	var is_good: bool = true
	for method: Dictionary in get_method_list():
		var title: String = method["name"]
		if not title.begins_with("test_" + phase):
			continue
		problems = []
		@warning_ignore("return_value_discarded")
		await command("reset")
		GameLogin.base_url = url
		await call(title)
		if GameLogin.has_session():
			@warning_ignore("return_value_discarded")
			await GameLogin.logout()
		for client: Client in _clients:
			client.queue_free()
		_clients = []
		get_tree().paused = false
		Engine.time_scale = 1.0
		print("CASE %s %s" % ["failed" if problems else "ok", title])
		for problem: String in problems:
			print("CASE problem %s" % problem)
		is_good = is_good and problems.is_empty()
	return is_good


## Notes a problem unless a condition is true.
func check(is_so: bool, what: String) -> void:
	if not is_so:
		@warning_ignore("return_value_discarded")
		problems.append(what)


## Notes a problem unless two values are equal.
func equal(actual: Variant, expected: Variant, what: String) -> void:
	var is_equal: bool = actual == expected
	check(is_equal, "%s: %s instead of %s" % [what, actual, expected])


## Returns a new client with its own store.
func new_client(profile: String = "") -> Client:
	var client: Client = Client.new()
	client.base_url = url
	if url.begins_with("https:"):
		client.tls_options = trust()
	client.profile = profile if profile != "" else new_name()
	_clients.append(client)
	add_child(client)
	return client


## Returns TLS options that trust the test server's own certificate.
func trust() -> TLSOptions:
	var authority: X509Certificate = X509Certificate.new()
	equal(authority.load(OS.get_environment("GAME_LOGIN_TEST_CA")), OK, "certificate loaded")
	return TLSOptions.client(authority)


## Returns a newly registered client.
func new_player(profile: String = "") -> Client:
	var client: Client = new_client(profile)
	var result: GameLoginResult = await client.register(new_name(), PASSWORD)
	check(result.ok, "registered: %s" % result)
	return client


func new_name() -> String:
	return "P" + Crypto.new().generate_random_bytes(6).hex_encode()


## Sends a command to the backend's server; returns the requests since the last reset.
func command(command_name: String, body: Dictionary = {}) -> Array:
	var http: HTTPRequest = HTTPRequest.new()
	http.process_mode = Node.PROCESS_MODE_ALWAYS
	add_child(http)
	var error: Error = http.request(
		OS.get_environment("GAME_LOGIN_TEST_CONTROL") + "/_test/" + command_name,
		[],
		HTTPClient.METHOD_POST,
		JSON.stringify(body)
	)
	assert(error == OK, "the test server is not there")
	var answer: Array = await http.request_completed
	http.queue_free()
	var bytes: PackedByteArray = answer[3]
	var content: Dictionary = JSON.parse_string(bytes.get_string_from_utf8())
	return content["requests"]


## Sets a fault for the next requests to a path.
func fault(path: String, kind: String, more: Dictionary = {}) -> void:
	@warning_ignore("return_value_discarded")
	await command("fault", more.merged({"path": path, "kind": kind}))


## Returns the number of requests to a path.
func count(path: String) -> int:
	var requests: Array = await command("requests")
	return requests.filter(func(request: Dictionary) -> bool: return request["path"] == path).size()


func seconds(length: float) -> void:
	await get_tree().create_timer(length, true, false, true).timeout
