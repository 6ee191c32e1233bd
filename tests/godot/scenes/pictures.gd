extends "res://tests/case.gd"
## Takes the pictures of the documentation: the form and the lobby as players see them.

const FORM: PackedScene = preload("res://addons/game_login/ui/login_form.tscn")

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


func _open() -> void:
	if _form != null:
		_form.queue_free()
	_form = FORM.instantiate()
	add_child(_form)
	await seconds(0.2)


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
