extends "res://tests/case.gd"
## Shared by the tests of the demo and its lobby.

const MAIN: PackedScene = preload("res://demo/main.tscn")
const Lobby = preload("res://demo/lobby.gd")

var socket_url: String = OS.get_environment("GAME_LOGIN_TEST_SOCKET")
var server: String = socket_url.trim_prefix("ws://")


func enter_lobby(renew_seconds: float = 240.0, status: String = "Connected") -> Node:
	ProjectSettings.set_setting("game_login/socket_url", socket_url)
	GameLogin.profile = new_name()
	check((await GameLogin.register(new_name(), PASSWORD)).ok, "registered")
	var demo: Node = MAIN.instantiate()
	(demo.get_node("Lobby") as Lobby).renew_seconds = renew_seconds
	add_child(demo)
	await until(func() -> bool: return text_of(demo, "%Status") == status)
	check("Hello, " + GameLogin.account_name == text_of(demo, "%Greeting"), "greeted")
	return demo


func leave_lobby(demo: Node) -> void:
	(demo.get_node("Lobby").get_node("%Leave") as Button).pressed.emit()
	await until(func() -> bool: return (demo.get_node("LoginForm") as Control).visible)
	check(not (demo.get_node("Lobby") as Control).visible, "the lobby is left")
	await seconds(0.3)
	demo.queue_free()


## Says a line in the lobby, and waits until it is shown.
func say(demo: Node, line: String) -> void:
	(demo.get_node("Lobby").get_node("%Input") as LineEdit).text_submitted.emit(line)
	var said: String = "%s  %s" % [GameLogin.account_name, line]
	await until(func() -> bool: return said in text_of(demo, "%Log"))


func text_of(demo: Node, path: String) -> String:
	var node: Node = demo.get_node("Lobby").get_node(path)
	return node.get_parsed_text() if node is RichTextLabel else node.text


func until(is_so: Callable) -> void:
	for _tick: int in 200:
		if await is_so.call():
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
