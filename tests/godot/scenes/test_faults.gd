# gdlint:ignore = max-public-methods
extends "res://tests/case.gd"
## Failures of the network, of the server, and of the game itself.

const NOWHERE: String = "http://127.0.0.1:1"
const BUSY: Dictionary = {
	"status": 503,
	"headers": {"Retry-After": "1", "Content-Type": "application/json"},
	"body": '{"error": {"code": "unavailable", "message": "Try again.", "retry_after": 1}}',
}
const HTML: Dictionary = {
	"status": 200,
	"headers": {"Content-Type": "text/html"},
	"body": "<html><body>Welcome to the hotel's network</body></html>",
}


func test_server_unreachable() -> void:
	var profile: String = new_name()
	var player: Client = await new_player(profile)
	var later: Client = new_client(profile)
	await fault("/v1/refresh", "drop", {"times": 3})
	var result: GameLoginResult = await later.auto_login()
	equal(result.kind, GameLoginResult.Kind.OFFLINE, "kind")
	equal(later.state, Client.State.OFFLINE, "state")
	check(later.has_session(), "still there")
	check((await later.auto_login()).ok, "signed in when the server is back")
	equal(later.state, Client.State.SIGNED_IN, "state")
	equal(later.account_id, player.account_id, "account")


func test_refused_connection() -> void:
	var client: Client = new_client()
	client.base_url = NOWHERE
	var began: int = Time.get_ticks_msec()
	var result: GameLoginResult = await client.login(new_name(), PASSWORD)
	equal(result.kind, GameLoginResult.Kind.OFFLINE, "kind")
	check(Time.get_ticks_msec() - began < 5000, "at once")
	client.base_url = "https://%s.invalid" % "x".repeat(64)  # fails without a name server
	result = await client.login(new_name(), PASSWORD)
	equal(result.kind, GameLoginResult.Kind.OFFLINE, "kind")


func test_slow_server() -> void:
	var client: Client = new_client()
	equal(client.request_seconds, 13.0, "seconds for one request")
	client.request_seconds = 1.0
	await fault("/v1/login", "slow", {"seconds": 3.0})
	var began: int = Time.get_ticks_msec()
	var result: GameLoginResult = await client.login(new_name(), PASSWORD)
	equal(result.kind, GameLoginResult.Kind.TIMEOUT, "kind")
	var took: int = Time.get_ticks_msec() - began
	check(took > 900 and took < 2500, "in time: %d ms" % took)
	equal(client.state, Client.State.SIGNED_OUT, "state")


func test_a_busy_server_says_when_to_come_back() -> void:
	var player: Client = await new_player()
	await fault("/v1/refresh", "answer", BUSY)
	var began: int = Time.get_ticks_msec()
	check((await player.auto_login()).ok, "it went well the second time")
	check(Time.get_ticks_msec() - began >= 1000, "after the time it asked for")
	equal(await count("/v1/refresh"), 2, "requests")


func test_a_login_is_not_repeated() -> void:
	await fault("/v1/login", "answer", BUSY)
	var result: GameLoginResult = await new_client().login(new_name(), PASSWORD)
	equal(result.kind, GameLoginResult.Kind.SERVER, "kind")
	equal(result.retry_after, 1.0, "the time to wait")
	equal(await count("/v1/login"), 1, "requests")


func test_a_gateway_says_when_to_come_back() -> void:
	var kinds: Dictionary = {
		429: GameLoginResult.Kind.RATE_LIMITED, 503: GameLoginResult.Kind.SERVER
	}
	for status: int in kinds:
		var answer: Dictionary = {"status": status, "headers": {"retry-after": "7"}}
		await fault("/v1/login", "answer", answer.merged({"body": '{"message": "Later"}'}))
		var result: GameLoginResult = await new_client().login(new_name(), PASSWORD)
		equal(result.kind, kinds[status], "kind")
		equal(result.retry_after, 7.0, "the time to wait, which only the header says")
		check(result.message.length() > 10, "words of our own: " + result.message)


func test_a_long_wait_is_left_to_the_player() -> void:
	var player: Client = await new_player()
	var later: Dictionary = BUSY.duplicate(true)
	later["body"] = later["body"].replace("1}", "300}")
	await fault("/v1/refresh", "answer", later)
	var result: GameLoginResult = await player.auto_login()
	equal(result.kind, GameLoginResult.Kind.SERVER, "kind")
	equal(result.retry_after, 300.0, "the time to wait")
	equal(player.state, Client.State.OFFLINE, "state")


func test_a_failing_server_signs_no_player_out() -> void:
	var player: Client = await new_player()
	var ended: Array = []
	@warning_ignore("return_value_discarded")
	player.session_ended.connect(func(reason: int) -> void: ended.append(reason))
	for status: int in [400, 401, 403, 404, 409, 429, 500, 502, 503, 504]:
		var answer: Dictionary = {"status": status, "times": 9, "body": '{"message": "gateway"}'}
		await command("reset")
		await fault("/v1/refresh", "answer", answer)
		player.request_seconds = 0.4  # no time for a second try
		check(not (await player.auto_login()).ok, "%d is not ok" % status)
		equal(player.state, Client.State.OFFLINE, "state after %d" % status)
	player.request_seconds = 13.0
	await command("reset")
	check((await player.auto_login()).ok, "still signed in")
	await get_tree().process_frame
	equal(ended, [], "ended")


func test_half_an_answer() -> void:
	var player: Client = await new_player()
	await fault("/v1/refresh", "truncate")
	check((await player.auto_login()).ok, "the second try got the same tokens")
	var requests: Array = await command("requests")
	equal(requests[-1]["key"], requests[-2]["key"], "the same key")
	check((await player.auto_login()).ok, "and they are good")
	await fault("/v1/login", "truncate")
	var result: GameLoginResult = await new_client().login(player.account_name, PASSWORD)
	check(
		result.kind in [GameLoginResult.Kind.PROTOCOL, GameLoginResult.Kind.OFFLINE],
		"half a body is no answer: %s" % result
	)


func test_html_instead_of_json() -> void:
	var player: Client = await new_player()
	await fault("/v1/me", "answer", HTML)
	equal((await player.fetch("/v1/me")).kind, GameLoginResult.Kind.PROTOCOL, "kind")
	await fault("/v1/refresh", "answer", HTML.merged({"times": 3}))
	var result: GameLoginResult = await player.auto_login()
	equal(result.kind, GameLoginResult.Kind.PROTOCOL, "kind")
	equal(player.state, Client.State.OFFLINE, "state")
	check((await player.auto_login()).ok, "behind the hotel's page the session is still there")


func test_json_that_is_not_ours() -> void:
	for body: String in ["{}", "[]", "null", '{"access_token": 7}', '{"account": {"id": "x"}}']:
		await fault("/v1/login", "answer", {"body": body})
		var result: GameLoginResult = await new_client().login(new_name(), PASSWORD)
		equal(result.kind, GameLoginResult.Kind.PROTOCOL, body)


func test_a_redirect_is_not_followed() -> void:
	var player: Client = await new_player()
	var elsewhere: String = url.replace("localhost", "127.0.0.1") + "/elsewhere"
	for status: int in [301, 302, 303, 307, 308]:
		var answer: Dictionary = {"status": status, "headers": {"Location": elsewhere}}
		await fault("/v1/me", "answer", answer)
		equal((await player.fetch("/v1/me")).kind, GameLoginResult.Kind.PROTOCOL, str(status))
	equal(await count("/elsewhere"), 0, "requests to the other host")


func test_a_lost_answer_to_a_registration() -> void:
	var client: Client = new_client()
	var username: String = new_name()
	await fault("/v1/register", "lose")
	check((await client.register(username, PASSWORD)).ok, "the second try found its own account")
	var requests: Array = await command("requests")
	equal(requests.map(func(one: Dictionary) -> int: return one["status"]), [201, 201], "answers")
	equal(requests[0]["key"], requests[1]["key"], "the same key")
	check(requests[0]["key"].length() >= 16, "a long key")
	equal((await client.fetch("/v1/me")).data["account"]["username"], username, "one account")


func test_a_lost_answer_and_a_retry_by_the_player() -> void:
	var client: Client = new_client()
	var username: String = new_name()
	await fault("/v1/register", "lose", {"times": 3})
	var result: GameLoginResult = await client.register(username, PASSWORD)
	equal(result.kind, GameLoginResult.Kind.OFFLINE, "kind")
	check((await client.register(username, PASSWORD)).ok, "the button once more")


func test_a_lost_answer_to_a_refresh() -> void:
	var profile: String = new_name()
	var player: Client = await new_player(profile)
	await fault("/v1/refresh", "lose", {"times": 3})
	equal((await player.auto_login()).kind, GameLoginResult.Kind.OFFLINE, "kind")
	await command("advance", {"seconds": 90000.0})  # past the 60 s in which any key works
	var later: Client = new_client(profile)
	check((await later.auto_login()).ok, "a copy started tomorrow carries on, by the same key")
	await command("advance", {"seconds": -90000.0})


func test_a_paused_game() -> void:
	get_tree().paused = true
	Engine.time_scale = 0.0
	check((await GameLogin.register(new_name(), PASSWORD)).ok, "registered while paused")
	check((await GameLogin.fetch("/v1/me")).ok, "asked while paused")
	await fault("/v1/refresh", "drop")
	check((await GameLogin.auto_login()).ok, "tried again while paused")
	GameLogin.request_seconds = 0.5
	await fault("/v1/me", "slow", {"seconds": 2.0})
	var result: GameLoginResult = await GameLogin.fetch("/v1/me")
	equal(result.kind, GameLoginResult.Kind.TIMEOUT, "ends while paused")
	GameLogin.request_seconds = 13.0


func test_a_game_that_stands_still() -> void:
	var player: Client = await new_player()
	player.request_seconds = 1.5
	await fault("/v1/me", "slow", {"seconds": 0.5})
	var results: Array = []
	var ask: Callable = func() -> void: results.append(await player.fetch("/v1/me"))
	ask.call()
	await seconds(0.1)
	OS.delay_msec(3000)  # such as while loading a level
	while results.is_empty():
		await get_tree().process_frame
	check(results[0].ok, "the answer was there all the time: %s" % results[0])


func test_a_client_that_leaves_the_tree() -> void:
	var player: Client = await new_player()
	await fault("/v1/me", "slow", {"seconds": 2.0})
	var results: Array = []
	var ask: Callable = func() -> void: results.append(await player.fetch("/v1/me"))
	ask.call()
	await seconds(0.2)
	remove_child(player)
	equal(results.size(), 1, "one answer")
	equal(results[0].kind, GameLoginResult.Kind.CANCELLED, "kind")
	equal((await player.fetch("/v1/me")).kind, GameLoginResult.Kind.CANCELLED, "outside")
	await seconds(2.2)
	equal(results.size(), 1, "no second answer")
	add_child(player)
	check((await player.fetch("/v1/me")).ok, "of use again")


func test_a_caller_that_is_freed() -> void:
	var player: Client = await new_player()
	await fault("/v1/me", "slow", {"seconds": 0.5})
	var caller: Node = preload("res://tests/caller.gd").new()
	add_child(caller)
	caller.call("ask", player)
	await seconds(0.1)
	caller.free()
	await seconds(0.8)
	check((await player.fetch("/v1/me")).ok, "nothing broke")


func test_only_encrypted_addresses() -> void:
	var client: Client = new_client()
	for address: String in [
		"http://game.example.com",
		"http://localhost.example.com",
		"http://localhost@example.com",
		"http://127.0.0.1:80@example.com",
		"http://127.0.0.1.example.com",
		"HTTPS//example.com",
		"ftp://localhost",
		"https://user@example.com",
		"https://example.com\\@localhost",
		"https://example.com/\nX: y",
		"",
	]:
		client.base_url = address
		var result: GameLoginResult = await client.login(new_name(), PASSWORD)
		equal(result.code, "unsafe_address", address)
		equal(result.message, "The server's address must be https:// and a host.", address)
	client.base_url = url
	check((await client.register(new_name(), PASSWORD)).ok, "this machine")
	for path: String in ["v1/me", "@example.com/", "/v1/me\r\nX: y", "/a b", ""]:
		var refused: GameLoginResult = await client.fetch(path)
		equal(refused.code, "unsafe_address", path)
		check("path" in refused.message, refused.message)
	var peer: WebSocketPeer = WebSocketPeer.new()
	equal(await client.connect_socket(peer, "ws://example.com"), ERR_INVALID_PARAMETER, "socket")


func test_scheme_and_host_in_capitals() -> void:
	var client: Client = new_client()
	client.base_url = url.replace("http", "HTTP").replace("localhost", "LOCALHOST")
	var result: GameLoginResult = await client.register(new_name(), PASSWORD)
	check(result.ok, "registered at %s: %s" % [client.base_url, result.message])
	var peer: WebSocketPeer = WebSocketPeer.new()
	equal(await client.connect_socket(peer, "WS://LOCALHOST:1"), OK, "a socket in capitals")
	peer.close()


func test_a_host_that_the_engine_cannot_reach() -> void:
	var client: Client = new_client()
	for address: String in [
		"http://[::1]", "http://[::1]:3000/", "https://[::1]:3000", "https://foo"
	]:
		client.base_url = address
		var result: GameLoginResult = await client.login(new_name(), PASSWORD)
		equal(result.code, "unsafe_address", address)
		check("shorter than 4 characters" in result.message, result.message)


func test_header_lines() -> void:
	var exchange: Client.Caller.Exchange = Client.Caller.Exchange.new()
	add_child(exchange)
	for header: String in ["A: b\r\nC: d", "A: b\nC: d", "A: b%c" % 0x7f]:
		var result: GameLoginResult = await exchange.send(
			url + "/v1/health", HTTPClient.METHOD_GET, [header], "", 5.0
		)
		equal(result.code, "invalid_header", "a header of two lines")
	exchange.queue_free()


func test_a_sign_in_that_is_answered_too_late() -> void:
	for setting: String in ["base_url", "profile"]:
		var client: Client = new_client()
		await fault("/v1/register", "slow", {"seconds": 0.5})
		var results: Array = []
		var ask: Callable = func() -> void:
			results.append(await client.register(new_name(), PASSWORD))
		ask.call()
		await seconds(0.1)
		client.set(setting, NOWHERE if setting == "base_url" else new_name())
		while results.is_empty():
			await seconds(0.05)
		equal(results[0].kind, GameLoginResult.Kind.CANCELLED, "kind after another " + setting)
		equal(results[0].data, {}, "no data in the result")
		check(not client.has_session(), "no session for another " + setting)
		equal(client.remembered_name(), "", "nothing is stored for another " + setting)
		equal(client.state, Client.State.SIGNED_OUT, "state")


func test_a_second_try_goes_where_the_first_went() -> void:
	var player: Client = await new_player()
	await fault("/v1/refresh", "drop")
	var results: Array = []
	var ask: Callable = func() -> void: results.append(await player.auto_login())
	ask.call()
	await seconds(0.3)  # the first try is over
	player.base_url = url + "/elsewhere"
	while results.is_empty():
		await seconds(0.05)
	equal(results[0].kind, GameLoginResult.Kind.CANCELLED, "kind")
	equal(await count("/elsewhere/v1/refresh"), 0, "requests to another server")
	equal(await count("/v1/refresh"), 2, "requests")


func test_a_client_that_is_freed_between_two_tries() -> void:
	var client: Client = Client.new()
	client.base_url = url
	add_child(client)
	await fault("/v1/register", "drop")
	var results: Array = []
	var ask: Callable = func() -> void: results.append(await client.register(new_name(), PASSWORD))
	ask.call()
	await seconds(0.3)
	equal(results.size(), 0, "it waits for the second try")
	client.free()
	equal(results.size(), 1, "one answer")
	equal(results[0].kind, GameLoginResult.Kind.CANCELLED, "kind")
