# gdlint:ignore = max-public-methods
extends "res://tests/case.gd"
## The game server: good tokens, bad tokens, and the demo's lobby.

const MAIN: PackedScene = preload("res://demo/main.tscn")
const Lobby = preload("res://demo/lobby.gd")
const BAD_TOKEN: int = 4401
const GREETED: int = -2
const LIFETIME: float = 600.0  # of an access token, in seconds

var socket_url: String = OS.get_environment("GAME_LOGIN_TEST_SOCKET")


func test_greeted_by_name() -> void:
	var player: Client = await new_player()
	var peer: WebSocketPeer = WebSocketPeer.new()
	equal(await player.connect_socket(peer, socket_url), OK, "connected")
	var welcome: Dictionary = await message_from(peer)
	equal(welcome.get("type"), "welcome", "type")
	equal(welcome.get("name"), player.account_name, "name")
	peer.close()


func test_token_in_the_first_message() -> void:
	var player: Client = await new_player()
	player.is_token_in_message = true  # as in a browser
	var peer: WebSocketPeer = WebSocketPeer.new()
	equal(await player.connect_socket(peer, socket_url), OK, "connected")
	equal(peer.handshake_headers.size(), 0, "headers, which a browser does not let us set")
	equal((await message_from(peer)).get("name"), player.account_name, "name")
	peer.close()


func test_connecting_without_a_server_or_a_player() -> void:
	var player: Client = await new_player()
	player.is_token_in_message = true
	var peer: WebSocketPeer = WebSocketPeer.new()
	equal(await player.connect_socket(peer, "ws://127.0.0.1:1"), ERR_CANT_CONNECT, "no server")
	equal(await new_client().connect_socket(peer, socket_url), ERR_UNAUTHORIZED, "no player")


func test_bad_tokens() -> void:
	var player: Client = await new_player()
	var token: String = await player.get_access_token()
	var parts: PackedStringArray = token.split(".")
	var other: PackedStringArray = (await (await new_player()).get_access_token()).split(".")
	var bad: Dictionary = {
		"forged": "%s.%s.%s" % [parts[0], other[1], parts[2]],
		"unsigned": "%s.%s." % ["eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0", parts[1]],
		"of another audience": OS.get_environment("GAME_LOGIN_TEST_OTHER_AUDIENCE"),
		"expired": OS.get_environment("GAME_LOGIN_TEST_EXPIRED"),
		"garbled": "x",
	}
	for what: String in bad:
		check(bad[what] != "", "there is a token " + what)
		equal(await close_code_for(bad[what]), BAD_TOKEN, what)
	equal(await close_code_for(token), GREETED, "and the good one is let in")


func test_closed_at_once() -> void:
	for how: String in ["together", "hang-up", "split"]:
		var url_at_once: String = "%s/%s" % [OS.get_environment("GAME_LOGIN_TEST_AT_ONCE"), how]
		for _time: int in 20:
			equal(await close_code_for("x", url_at_once), BAD_TOKEN, how)
		var player: Client = await new_player()
		player.is_token_in_message = true
		var peer: WebSocketPeer = WebSocketPeer.new()
		equal(await player.connect_socket(peer, url_at_once), OK, "in a browser too, " + how)
		equal(await code_of(peer), BAD_TOKEN, "the code in a browser, " + how)


func test_lobby_renews_its_token() -> void:
	await command("advance", {"seconds": 12.0 - LIFETIME})
	var demo: Node = await enter_lobby(4.0)
	await command("advance", {"seconds": LIFETIME - 12.0})
	var lobby: Lobby = demo.get_node("Lobby")
	var peer: WebSocketPeer = lobby._peer
	GameLogin._session.access_until = Client.Session.now() + 6.0  # only half of the true time
	var log_before: String = text_of(demo, "%Log")
	var refreshes: int = await count("/v1/refresh")
	await seconds(14.0)
	check(lobby._peer == peer, "on the same connection")
	equal(text_of(demo, "%Status"), "Connected", "status")
	equal(text_of(demo, "%Log"), log_before, "the player has seen nothing")
	check(await count("/v1/refresh") > refreshes, "a new token was fetched")
	await leave_lobby(demo)


func test_lobby_when_the_token_expires() -> void:
	await command("advance", {"seconds": 6.0 - LIFETIME})
	var demo: Node = await enter_lobby()
	await command("advance", {"seconds": LIFETIME - 6.0})
	var lobby: Lobby = demo.get_node("Lobby")
	var peer: WebSocketPeer = lobby._peer
	var log_before: String = text_of(demo, "%Log")
	var refreshes: int = await count("/v1/refresh")
	var seen: Dictionary = {}
	await until(
		func() -> bool:
			seen[text_of(demo, "%Status")] = true
			return lobby._peer != peer and lobby._was_welcome
	)
	equal(peer.get_close_code(), BAD_TOKEN, "closed by the server")
	equal(seen.keys(), ["Connected"], "what the status said meanwhile")
	equal(text_of(demo, "%Players"), GameLogin.account_name, "players")
	equal(text_of(demo, "%Log"), log_before, "the player has seen nothing")
	equal(await count("/v1/refresh"), refreshes + 1, "refreshes")
	await leave_lobby(demo)


func test_two_players_chat() -> void:
	var first: Node = await enter_lobby()
	var second: Client = await new_player()
	var peer: WebSocketPeer = WebSocketPeer.new()
	equal(await second.connect_socket(peer, socket_url), OK, "connected")
	equal((await message_from(peer)).get("type"), "welcome", "type")
	await until(func() -> bool: return second.account_name in text_of(first, "%Players"))
	var hello: Dictionary = {"type": "chat", "text": "[b]hello[/b]"}
	equal(peer.send_text(JSON.stringify(hello)), OK, "sent")
	var line: String = "%s  [b]hello[/b]" % second.account_name
	await until(func() -> bool: return line in text_of(first, "%Log"))
	var input: LineEdit = first.get_node("Lobby").get_node("%Input")
	input.text_submitted.emit("welcome here")
	var heard: Dictionary = {}
	while heard.get("text") != "welcome here" and problems.is_empty():
		heard = await message_from(peer)
	equal(heard.get("name"), GameLogin.account_name, "who said it")
	peer.close()
	while peer.get_ready_state() != WebSocketPeer.STATE_CLOSED:
		peer.poll()
		await get_tree().process_frame
	await until(func() -> bool: return "has gone" in text_of(first, "%Log"))
	await leave_lobby(first)


func test_lobby_by_keyboard_alone() -> void:
	var demo: Node = await enter_lobby()
	for line: String in ["first line", "second line", "third line"]:
		for character: String in line:
			await press_key(KEY_NONE, character.unicode_at(0))
		await press_key(KEY_ENTER)
		var said: String = "%s  %s" % [GameLogin.account_name, line]
		await until(func() -> bool: return said in text_of(demo, "%Log"))
	await leave_lobby(demo)


func test_lobby_after_a_connection_from_elsewhere() -> void:
	var demo: Node = await enter_lobby()
	var peer: WebSocketPeer = WebSocketPeer.new()
	equal(await GameLogin.connect_socket(peer, socket_url), OK, "the same player again")
	equal((await message_from(peer)).get("type"), "welcome", "type")
	await until(func() -> bool: return "somewhere else" in text_of(demo, "%Status"))
	peer.close()
	await leave_lobby(demo)


func test_a_guest_saves_the_progress_in_the_demo() -> void:
	ProjectSettings.set_setting("game_login/socket_url", socket_url)
	GameLogin.profile = new_name()
	var demo: Node = MAIN.instantiate()
	add_child(demo)
	var form: Control = demo.get_node("LoginForm")
	await until(func() -> bool: return not (form.get_node("%Spinner") as Control).visible)
	(form.get_node("%Guest") as Button).pressed.emit()
	await until(func() -> bool: return text_of(demo, "%Status") == "Connected")
	check("Hello, player-" in text_of(demo, "%Greeting"), "greeted as a guest")
	var save: Button = demo.get_node("Lobby").get_node("%Save")
	var account: String = GameLogin.account_id
	check(save.is_visible_in_tree(), "something to save")
	save.pressed.emit()
	var lobby: Control = demo.get_node("Lobby")
	check(form.visible and not lobby.visible, "the form takes the place of the lobby")
	(form.get_node("%Switch") as Button).pressed.emit()
	check(lobby.visible and not form.visible, "later")
	equal(text_of(demo, "%Status"), "Connected", "still in the lobby")
	save.pressed.emit()
	var username: String = new_name()
	(form.get_node("%Name") as LineEdit).text = username
	(form.get_node("%Password") as LineEdit).text = PASSWORD
	(form.get_node("%Submit") as Button).pressed.emit()
	var screen: Control = form.get_node("%CodeScreen")
	await until(func() -> bool: return screen.visible)
	(screen.get_node("%CloseCode") as Button).pressed.emit()
	await until(func() -> bool: return text_of(demo, "%Greeting") == "Hello, " + username)
	await until(func() -> bool: return text_of(demo, "%Players") == username)
	check(not save.is_visible_in_tree(), "nothing left to save")
	equal(GameLogin.account_id, account, "account")
	await leave_lobby(demo)


func test_the_demo_says_why_a_player_is_out() -> void:
	var demo: Node = await enter_lobby()
	var elsewhere: Client = new_client()
	check((await elsewhere.login(GameLogin.account_name, PASSWORD)).ok, "signed in elsewhere")
	check((await elsewhere.logout(true)).ok, "signed out everywhere")
	equal(await GameLogin.get_access_token(INF), "", "no token")
	await get_tree().process_frame
	var form: Control = demo.get_node("LoginForm")
	check(form.visible and not (demo.get_node("Lobby") as Control).visible, "back at the form")
	var message: Label = form.get_node("%MessageText")
	check(message.is_visible_in_tree() and "signed out" in message.text, "and why")
	await seconds(0.3)
	demo.queue_free()


func test_lobby_notices_a_dead_connection() -> void:
	var demo: Node = await enter_lobby()
	var lobby: Lobby = demo.get_node("Lobby")
	lobby.heartbeat_seconds = 1.0
	lobby.connect_seconds = 1.0
	for how: String in ["mute", "silent"]:  # after the handshake, and before it
		var url_of_nobody: String = "%s/%s" % [OS.get_environment("GAME_LOGIN_TEST_AT_ONCE"), how]
		ProjectSettings.set_setting("game_login/socket_url", url_of_nobody)
		lobby._peer.close()
		await until(func() -> bool: return "Trying again" in text_of(demo, "%Status"))
		var peer: WebSocketPeer = lobby._peer
		await until(func() -> bool: return lobby._peer != peer)
		peer = lobby._peer
		await until(func() -> bool: return peer.get_ready_state() == WebSocketPeer.STATE_CLOSED)
	ProjectSettings.set_setting("game_login/socket_url", socket_url)
	await until(func() -> bool: return text_of(demo, "%Status") == "Connected")
	await leave_lobby(demo)


func enter_lobby(renew_seconds: float = 240.0) -> Node:
	ProjectSettings.set_setting("game_login/socket_url", socket_url)
	GameLogin.profile = new_name()
	check((await GameLogin.register(new_name(), PASSWORD)).ok, "registered")
	var demo: Node = MAIN.instantiate()
	(demo.get_node("Lobby") as Lobby).renew_seconds = renew_seconds
	add_child(demo)
	await until(func() -> bool: return text_of(demo, "%Status") == "Connected")
	check("Hello, " + GameLogin.account_name == text_of(demo, "%Greeting"), "greeted")
	return demo


func leave_lobby(demo: Node) -> void:
	(demo.get_node("Lobby").get_node("%Leave") as Button).pressed.emit()
	await until(func() -> bool: return (demo.get_node("LoginForm") as Control).visible)
	check(not (demo.get_node("Lobby") as Control).visible, "the lobby is left")
	await seconds(0.3)
	demo.queue_free()


## Presses a key through the input system.
func press_key(code: Key, unicode: int = 0) -> void:
	for is_pressed: bool in [true, false]:
		var event: InputEventKey = InputEventKey.new()
		event.keycode = code
		event.physical_keycode = code
		event.unicode = unicode
		event.pressed = is_pressed
		Input.parse_input_event(event)
		await get_tree().process_frame


func text_of(demo: Node, path: String) -> String:
	var node: Node = demo.get_node("Lobby").get_node(path)
	return node.get_parsed_text() if node is RichTextLabel else node.text


func until(is_so: Callable) -> void:
	for _tick: int in 200:
		if is_so.call():
			return
		await seconds(0.05)
	check(false, "it did not happen in time")


func message_from(peer: WebSocketPeer) -> Dictionary:
	for _tick: int in 200:
		peer.poll()
		if peer.get_available_packet_count() > 0:
			return JSON.parse_string(peer.get_packet().get_string_from_utf8())
		await seconds(0.05)
	check(false, "no message came; closed with %d" % peer.get_close_code())
	return {}


## Returns the close code from a server, or that it sends a welcome.
func close_code_for(token: String, where: String = socket_url) -> int:
	var peer: WebSocketPeer = WebSocketPeer.new()
	peer.handshake_headers = ["Authorization: Bearer " + token]
	equal(peer.connect_to_url(where), OK, "connects")
	return await code_of(peer)


func code_of(peer: WebSocketPeer) -> int:
	for _tick: int in 200:
		peer.poll()
		if peer.get_available_packet_count() > 0:
			peer.close()
			return GREETED
		if peer.get_ready_state() == WebSocketPeer.STATE_CLOSED:
			return peer.get_close_code()
		await seconds(0.05)
	return 0
