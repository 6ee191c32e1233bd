extends Node
## The demo of a fresh clone: the folder was never imported, so no class has a global name.

const MAIN: PackedScene = preload("res://demo/main.tscn")


func run(_phase: String) -> bool:
	var is_good: bool = await test_register_and_enter_the_lobby()
	print("CASE %s test_register_and_enter_the_lobby" % ("ok" if is_good else "failed"))
	return is_good


func test_register_and_enter_the_lobby() -> bool:
	ProjectSettings.set_setting(
		"game_login/socket_url", OS.get_environment("GAME_LOGIN_TEST_SOCKET")
	)
	GameLogin.base_url = OS.get_environment("GAME_LOGIN_TEST_URL")
	var demo: Node = MAIN.instantiate()
	add_child(demo)
	await get_tree().process_frame
	var form: Control = demo.get_node("LoginForm")
	var lobby: Control = demo.get_node("Lobby")
	(form.get_node("%Switch") as Button).pressed.emit()
	(form.get_node("%Name") as LineEdit).text = "Fresh%d" % randi()
	(form.get_node("%Password") as LineEdit).text = "correct horse battery staple"
	(form.get_node("%Submit") as Button).pressed.emit()
	var screen: Control = form.get_node("%CodeScreen")
	var is_good: bool = await _until(func() -> bool: return screen.visible)
	(screen.get_node("%CloseCode") as Button).pressed.emit()
	is_good = (
		is_good
		and await _until(
			func() -> bool: return (lobby.get_node("%Status") as Label).text == "Connected"
		)
	)
	is_good = is_good and lobby.visible and not form.visible
	(lobby.get_node("%Leave") as Button).pressed.emit()
	is_good = await _until(func() -> bool: return form.visible and not lobby.visible) and is_good
	await get_tree().create_timer(0.3).timeout
	demo.queue_free()
	return is_good


func _until(is_so: Callable) -> bool:
	for _tick: int in 200:
		if is_so.call():
			return true
		await get_tree().create_timer(0.05).timeout
	return false
