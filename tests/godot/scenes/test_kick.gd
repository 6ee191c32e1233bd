extends "res://tests/lobby_case.gd"
## The demo with a game server that has a server key: players who are put out read why.

const REASON: String = "Spam in the chat."
const RESET: Dictionary = {
	"events": [], "cursor": "reset", "more": false, "poll_after": 1, "reset": true
}

var kicking_url: String = OS.get_environment("GAME_LOGIN_TEST_KICKING")


func test_a_suspended_player_is_out() -> void:
	var demo: Node = await enter_lobby()
	var player: String = GameLogin.account_name
	var other: Client = await new_player()
	var peer: WebSocketPeer = WebSocketPeer.new()
	equal(await other.connect_socket(peer, socket_url), OK, "another player")
	equal((await message_from(peer)).get("type"), "welcome", "type")
	await until(func() -> bool: return other.account_name in text_of(demo, "%Players"))
	var connection: WebSocketPeer = (demo.get_node("Lobby") as Lobby)._peer
	var tickets: int = await count("/v1/tickets")
	var refreshes: int = await count("/v1/refresh")
	await suspend(player)
	var since: int = Time.get_ticks_msec()
	await until(func() -> bool: return form_of(demo).visible)
	print(
		"TIME %.1f s until a suspended player was out" % ((Time.get_ticks_msec() - since) / 1000.0)
	)
	equal(connection.get_close_code(), 4403, "close code")
	check(not (demo.get_node("Lobby") as Control).visible, "the lobby is left")
	var words: String = words_in(demo)
	check(words.begins_with("Suspended until "), "until when: " + words)
	check(words.ends_with(" Reason: " + REASON), "the reason: " + words)
	await seconds(Lobby.RECONNECT_SECONDS + 1.0)
	equal(await count("/v1/tickets"), tickets, "tickets")
	equal(await count("/v1/refresh"), refreshes + 1, "refreshes")
	check(not GameLogin.has_session(), "signed out here, too")
	check(not control(demo, "Resume").visible, "no session to return to")
	equal((await GameLogin.auto_login()).code, "no_session", "at the next start")
	equal(peer.send_text('{"type": "chat", "text": "Still here"}'), OK, "the other one stays")
	var heard: Array[String] = []
	while not "chat " + other.account_name in heard and problems.is_empty():
		var message: Dictionary = await message_from(peer)
		heard.append("%s %s" % [message.get("type"), message.get("name", "")])
	var seen: Array = heard.filter(func(line: String) -> bool: return player in line)
	equal(seen, ["left " + player], "what the other one has seen")
	await sign_in(demo, player)
	equal(words_in(demo), words, "signing in says the same")
	peer.close()
	await close(demo)


func test_a_guest_who_is_suspended_for_good_while_saving() -> void:
	ProjectSettings.set_setting("game_login/socket_url", socket_url)
	GameLogin.profile = new_name()
	check((await GameLogin.play_as_guest()).ok, "a guest")
	var demo: Node = MAIN.instantiate()
	add_child(demo)
	await until(func() -> bool: return text_of(demo, "%Status") == "Connected")
	(demo.get_node("Lobby").get_node("%Save") as Button).pressed.emit()
	check(form_of(demo).visible, "the form takes the place of the lobby")
	await suspend(GameLogin.account_name, {"for_good": true})
	await until(func() -> bool: return control(demo, "Remember").is_visible_in_tree())
	equal(words_in(demo), "Suspended for good. Reason: " + REASON, "words in the form to sign in")
	check(not GameLogin.has_session(), "signed out")
	await close(demo)


func test_a_suspension_while_the_backend_cannot_be_reached() -> void:
	var demo: Node = await enter_lobby()
	await fault("/v1/refresh", "drop", {"times": 10})
	await suspend(GameLogin.account_name)
	await until(func() -> bool: return form_of(demo).visible)
	check(words_in(demo).ends_with(" Reason: " + REASON), "the reason")
	check(control(demo, "Resume").visible, "the session is still stored")
	await until(func() -> bool: return GameLogin.state == Client.State.OFFLINE)
	@warning_ignore("return_value_discarded")
	await command("reset")
	(control(demo, "Resume") as Button).pressed.emit()
	await until(func() -> bool: return not GameLogin.has_session())
	await seconds(0.3)
	check(words_in(demo).ends_with(" Reason: " + REASON), "still the reason")
	check(not control(demo, "Resume").visible, "the session has ended")
	await close(demo)


func test_a_session_that_ends_elsewhere() -> void:
	for words: String in ["signed out from somewhere", "password was changed", "was deleted"]:
		var demo: Node = await enter_lobby()
		var device: Client = new_client()
		check((await device.login(GameLogin.account_name, PASSWORD)).ok, "signed in elsewhere")
		check((await end_sessions(device, words)).ok, words)
		await until(func() -> bool: return form_of(demo).visible)
		check(words in words_in(demo), "%s: %s" % [words, words_in(demo)])
		check(not (demo.get_node("Lobby") as Control).visible, "the lobby is left")
		check(not GameLogin.has_session(), "signed out")
		await close(demo)


func test_everybody_is_signed_out() -> void:
	var demo: Node = await enter_lobby()
	await operate("sign-out everybody", {"reason": "restored a backup"})
	await until(func() -> bool: return form_of(demo).visible)  # the server asks for a new ticket
	check("signed out" in words_in(demo), "why: " + words_in(demo))
	await close(demo)


func test_a_new_ticket_when_the_server_asks() -> void:
	var demo: Node = await enter_lobby()
	var connection: WebSocketPeer = (demo.get_node("Lobby") as Lobby)._peer
	var tickets: int = await count("/v1/tickets")
	var now: String = Time.get_datetime_string_from_system(true) + "Z"
	var body: String = JSON.stringify(RESET.merged({"server_time": now}))
	var answer: Dictionary = {"status": 200, "body": body}
	await fault("/v1/server/events", "answer", answer)
	await until(func() -> bool: return await count("/v1/tickets") == tickets + 1)
	await say(demo, "Still here")
	check((demo.get_node("Lobby") as Lobby)._peer == connection, "on the same connection")
	await leave_lobby(demo)


func test_played_elsewhere() -> void:
	var demo: Node = await enter_lobby()
	var device: Client = new_client()
	check((await device.login(GameLogin.account_name, PASSWORD)).ok, "signed in elsewhere")
	var peer: WebSocketPeer = WebSocketPeer.new()
	equal(await device.connect_socket(peer, socket_url), OK, "and playing there")
	equal((await message_from(peer)).get("type"), "welcome", "type")
	await until(func() -> bool: return "somewhere else" in text_of(demo, "%Status"))
	var tickets: int = await count("/v1/tickets")
	await seconds(Lobby.RECONNECT_SECONDS + 1.0)
	equal(await count("/v1/tickets"), tickets, "tickets")
	check(GameLogin.has_session(), "still signed in")
	peer.close()
	await leave_lobby(demo)


func test_a_server_that_calls_a_good_account_suspended() -> void:
	var demo: Node = await enter_lobby()
	ProjectSettings.set_setting("game_login/socket_url", kicking_url + "/4403")
	(demo.get_node("Lobby") as Lobby)._peer.close()
	await until(func() -> bool: return form_of(demo).visible)
	await until(func() -> bool: return GameLogin.state == Client.State.SIGNED_IN)
	equal(words_in(demo), "This account is suspended.", "words without a message")
	check(GameLogin.has_session(), "the session lasts")
	ProjectSettings.set_setting("game_login/socket_url", socket_url)
	(control(demo, "Resume") as Button).pressed.emit()
	await until(func() -> bool: return text_of(demo, "%Status") == "Connected")
	await leave_lobby(demo)


func test_a_server_that_puts_players_out_again_and_again() -> void:
	var demo: Node = await enter_lobby()
	ProjectSettings.set_setting("game_login/socket_url", kicking_url + "/4401")
	var tickets: int = await count("/v1/tickets")
	(demo.get_node("Lobby") as Lobby)._peer.close()
	await until(func() -> bool: return await count("/v1/tickets") > tickets)
	await seconds(Lobby.RECONNECT_SECONDS - 1.0)
	equal(await count("/v1/tickets"), tickets + 2, "tickets: it tries once, and then waits")
	ProjectSettings.set_setting("game_login/socket_url", socket_url)
	await until(func() -> bool: return text_of(demo, "%Status") == "Connected")
	await leave_lobby(demo)


func end_sessions(device: Client, how: String) -> GameLoginResult:
	if "signed out" in how:
		return await device.logout(true)
	if "password" in how:
		return await device.change_password(PASSWORD, PASSWORD + "!")
	return await device.delete_account(PASSWORD)


func suspend(player: String, more: Dictionary = {"for_": "7d"}) -> void:
	await operate("suspend", {"account": player, "player_reason": REASON}.merged(more))


func operate(command_name: String, arguments: Dictionary) -> void:
	@warning_ignore("return_value_discarded")
	await command("operate", {"command": command_name}.merged(arguments))


func sign_in(demo: Node, player: String) -> void:
	(control(demo, "Name") as LineEdit).text = player
	(control(demo, "Password") as LineEdit).text = PASSWORD
	(control(demo, "Submit") as Button).pressed.emit()
	check(control(demo, "Spinner").visible, "signing in")
	await until(func() -> bool: return not control(demo, "Spinner").visible)


func close(demo: Node) -> void:
	await seconds(0.3)
	demo.queue_free()


func form_of(demo: Node) -> Control:
	return demo.get_node("LoginForm")


func control(demo: Node, title: String) -> Control:
	return form_of(demo).get_node("%" + title)


## Returns the message in the form, or nothing if the player does not see one.
func words_in(demo: Node) -> String:
	var label: Label = control(demo, "MessageText") as Label
	return label.text if label.is_visible_in_tree() else ""
