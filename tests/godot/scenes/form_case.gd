extends "res://tests/case.gd"
## Shared by the tests of the form: opening it, and what a player does with it.

const FORM: PackedScene = preload("res://addons/game_login/ui/login_form.tscn")

var form: Control
var signed_in: int
var closed: Array = []


func open_as_guest() -> void:
	GameLogin.profile = new_name()
	await open()
	closed = []
	form.connect("save_closed", func(is_saved: bool) -> void: closed.append(is_saved))
	await press("Guest")
	await until(func() -> bool: return signed_in == 1)


func open() -> void:
	if is_instance_valid(form):
		form.queue_free()
		await get_tree().process_frame
	signed_in = 0
	form = FORM.instantiate()
	form.connect("signed_in", func() -> void: signed_in += 1)
	add_child(form)
	await get_tree().process_frame
	await until(func() -> bool: return not node("Spinner").visible or signed_in > 0)


## Returns a control of the form or of its screen with the code.
func node(title: String) -> Control:
	var screen: Control = form.get_node("%CodeScreen")
	return (
		form.get_node("%" + title) if form.has_node("%" + title) else screen.get_node("%" + title)
	)


func edit(title: String) -> LineEdit:
	return node(title)


func button(title: String) -> BaseButton:
	return node(title)


func text_of(title: String) -> String:
	return (node(title) as Button).text


func focused() -> String:
	var holder: Control = get_viewport().gui_get_focus_owner()
	return "" if holder == null else str(holder.name)


func press(title: String) -> void:
	if button(title).toggle_mode:
		button(title).button_pressed = not button(title).button_pressed
	else:
		button(title).pressed.emit()
	await get_tree().process_frame


func submit(username: String, password: String) -> void:
	edit("Name").text = username
	edit("Password").text = password
	button("Submit").pressed.emit()
	await until(func() -> bool: return not node("Spinner").visible)


func until(is_so: Callable) -> void:
	for _tick: int in 200:
		if is_so.call():
			return
		await seconds(0.05)
	check(false, "it did not happen in time")


func key(code: Key) -> void:
	for is_pressed: bool in [true, false]:
		var event: InputEventKey = InputEventKey.new()
		event.keycode = code
		event.physical_keycode = code
		event.pressed = is_pressed
		get_viewport().push_input(event)
		await get_tree().process_frame


func type(text: String) -> void:
	for character: String in text:
		var event: InputEventKey = InputEventKey.new()
		event.unicode = character.unicode_at(0)
		event.pressed = true
		get_viewport().push_input(event)
		await get_tree().process_frame


func pad(code: JoyButton) -> void:
	for is_pressed: bool in [true, false]:
		var event: InputEventJoypadButton = InputEventJoypadButton.new()
		event.button_index = code
		event.pressed = is_pressed
		get_viewport().push_input(event)
		await get_tree().process_frame
