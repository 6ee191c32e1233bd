extends "res://tests/case.gd"
## Takes the pictures of the documentation: the form and the lobby as players see them.

const FORM: PackedScene = preload("res://addons/game_login/ui/login_form.tscn")
const MAIN: PackedScene = preload("res://demo/main.tscn")

var socket_url: String = OS.get_environment("GAME_LOGIN_TEST_SOCKET")
var keyed_url: String = OS.get_environment("GAME_LOGIN_TEST_KEYED")

var _form: Control


func test_form() -> void:
	await _open()
	await _save("form")


func test_error() -> void:
	await _open()
	_edit("Name").text = "Ada"
	_edit("Password").text = "wrong password"
	await _press("Submit")
	await _until(func() -> bool: return (_form.get_node("%Message") as Control).visible)
	await _save("form-error")


func test_register() -> void:
	await _open()
	_button("Switch").pressed.emit()
	_edit("Name").text = "Grace"
	_edit("Password").text = "password1"
	_edit("Password").caret_column = 9
	await _press("Submit")
	await _until(func() -> bool: return (_form.get_node("%PasswordReason") as Control).visible)
	await _save("form-register")


func test_busy() -> void:
	await fault("/v1/login", "slow", {"seconds": 2.0})
	await _open()
	_edit("Name").text = "Ada"
	_edit("Password").text = PASSWORD
	await _press("Submit")
	await seconds(0.3)
	await _save("form-busy")
	await _until(func() -> bool: return not _button("Submit").disabled)


func test_save() -> void:
	GameLogin.profile = new_name()
	await _open()
	await _press("Guest")
	await _until(func() -> bool: return not _form.visible)
	_form.call("ask_to_save")
	_edit("Name").text = "Ada"
	_edit("Password").text = PASSWORD
	_edit("Password").grab_focus()
	_edit("Password").caret_column = 99
	await _save("form-save")


func test_code() -> void:
	GameLogin.profile = new_name()
	await _open()
	await _press("Switch")
	_edit("Name").text = "Hedy" + new_name().right(3)
	_edit("Password").text = PASSWORD
	await _press("Submit")
	await _until(func() -> bool: return _screen().visible)
	await _save("form-code")
	var code: String = _screen().get("_code")
	(_screen().get_node("%Copy") as Button).pressed.emit()
	equal(DisplayServer.clipboard_get(), code, "copied")
	equal((_screen().get_node("%Copy") as Button).text, "Copied", "says so")


func test_forgot() -> void:
	await _open()
	_edit("Name").text = "Ada"
	await _press("Forgot")
	_edit("RecoveryCode").text = "7QF2-MXD9-K4TB-W8H8"
	_edit("Password").text = PASSWORD
	await _press("Submit")
	await _until(func() -> bool: return (_form.get_node("%CodeReason") as Control).visible)
	_edit("RecoveryCode").caret_column = 99
	await _save("form-forgot")


func test_transfer() -> void:
	GameLogin.profile = new_name()
	await _open()
	await _press("Guest")
	await _until(func() -> bool: return not _form.visible)
	_form.call("ask_to_save")
	await _press("Other")
	await _until(func() -> bool: return _screen().visible)
	await _save("form-transfer")


func test_move() -> void:
	await _open()
	await _press("Forgot")
	await _press("Other")
	_edit("Name").text = "player-7K3M9QXD"
	_edit("RecoveryCode").text = "7QF2-MXD9-K4TB-W8H3"
	_edit("RecoveryCode").grab_focus()
	_edit("RecoveryCode").caret_column = 99
	await _save("form-move")


func test_guest_is_gone() -> void:
	GameLogin.profile = new_name()
	check((await GameLogin.play_as_guest()).ok, "signed in")
	check((await GameLogin.delete_account()).ok, "deleted")
	await _open()
	await _press("Guest")
	await _until(func() -> bool: return (_form.get_node("%Anew") as Control).visible)
	await _save("form-guest")


func test_guest_lobby() -> void:
	ProjectSettings.set_setting("game_login/socket_url", socket_url)
	GameLogin.profile = new_name()
	check((await GameLogin.play_as_guest()).ok, "signed in")
	if _form != null:
		_form.queue_free()
		_form = null
	var demo: Node = MAIN.instantiate()
	add_child(demo)
	await _until(func() -> bool: return _lobby(demo, "%Status").text == "Connected")
	var peers: Array = []
	await _say("Grace", "Welcome! The fountain is to your left.", peers)
	await _save("lobby-guest")
	check((await GameLogin.logout()).ok, "signed out")
	await seconds(0.5)
	demo.queue_free()


func test_suspended() -> void:
	ProjectSettings.set_setting("game_login/socket_url", keyed_url)
	GameLogin.profile = new_name()
	var mallory: String = "Mallory"
	await _sign_in(GameLogin, mallory)
	if _form != null:
		_form.queue_free()
		_form = null
	var demo: Node = MAIN.instantiate()
	add_child(demo)
	await _until(func() -> bool: return _lobby(demo, "%Status").text == "Connected")
	var reason: String = "Spam in the chat. You can appeal at support@example.com."
	var how: Dictionary = {"account": mallory, "for_": "4w", "player_reason": reason}
	@warning_ignore("return_value_discarded")
	await command("operate", how.merged({"command": "suspend"}))
	await _until(func() -> bool: return not GameLogin.has_session())
	await _save("form-suspended")
	@warning_ignore("return_value_discarded")
	await command("operate", {"command": "lift", "account": mallory})
	demo.queue_free()


func test_lobby() -> void:
	var ada: String = "Ada"
	ProjectSettings.set_setting("game_login/socket_url", socket_url)
	GameLogin.profile = new_name()
	await _sign_in(GameLogin, ada)
	if _form != null:
		_form.queue_free()
	var demo: Node = MAIN.instantiate()
	add_child(demo)
	await _until(func() -> bool: return _lobby(demo, "%Status").text == "Connected")
	var peers: Array = []
	for line: Array in [
		["Grace", "Hello Ada! Is the new map up already?"],
		["Alan", "It is. I have been lost in the east wing for ten minutes."],
		["Grace", "Wait for us at the fountain."],
	]:
		await _say(line[0], line[1], peers)
	_lobby(demo, "%Input").text_submitted.emit("On my way")
	await seconds(0.5)
	_lobby(demo, "%Input").text = "Who takes the lantern?"
	_lobby(demo, "%Input").caret_column = 99
	await _save("lobby")
	check((await GameLogin.logout()).ok, "signed out")
	await seconds(0.5)
	demo.queue_free()


func _say(username: String, text: String, peers: Array) -> void:
	var client: Client = new_client()
	await _sign_in(client, username)
	var peer: WebSocketPeer = WebSocketPeer.new()
	for known: Array in peers:
		if known[0] == username:
			peer = known[1]
	if peer.get_ready_state() == WebSocketPeer.STATE_CLOSED:
		equal(await client.connect_socket(peer, socket_url), OK, "connected")
		peers.append([username, peer])
	await _until(
		func() -> bool:
			peer.poll()
			return peer.get_ready_state() == WebSocketPeer.STATE_OPEN
	)
	await seconds(0.2)
	equal(peer.send_text(JSON.stringify({"type": "chat", "text": text})), OK, "said")
	peer.poll()
	await seconds(0.2)
	peer.poll()


func _sign_in(client: Client, username: String) -> void:
	if not (await client.register(username, PASSWORD)).ok:
		check((await client.login(username, PASSWORD)).ok, "signed in as " + username)


func _lobby(demo: Node, path: String) -> Node:
	return demo.get_node("Lobby").get_node(path)


func _open() -> void:
	if _form != null:
		_form.queue_free()
	_form = FORM.instantiate()
	add_child(_form)
	await seconds(0.2)


func _screen() -> Control:
	return _form.get_node("%CodeScreen") as Control


func _edit(title: String) -> LineEdit:
	return _form.get_node("%" + title) as LineEdit


func _button(title: String) -> Button:
	return _form.get_node("%" + title) as Button


func _press(title: String) -> void:
	_button(title).pressed.emit()
	await get_tree().process_frame


func _until(is_so: Callable) -> void:
	for _frame: int in 600:
		if is_so.call():
			return
		await get_tree().process_frame
	check(false, "it did not happen in time")


func _save(title: String) -> void:
	await seconds(0.3)
	await RenderingServer.frame_post_draw
	var image: Image = get_viewport().get_texture().get_image()
	image.convert(Image.FORMAT_RGB8)
	var folder: String = OS.get_environment("GAME_LOGIN_TEST_PICTURES")
	var suffix: String = OS.get_environment("GAME_LOGIN_TEST_SUFFIX")
	var error: Error = image.save_png("%s/%s%s.png" % [folder, title, suffix])
	equal(error, OK, "saved")
