extends Node
## Lets a gamepad use the form: its lower button presses or edits the focused control, which Godot's
## own actions do not, and its right button goes back, as Escape does.


func _input(event: InputEvent) -> void:
	var form: Control = get_parent()
	var press: InputEventJoypadButton = event as InputEventJoypadButton
	var is_right: bool = press != null and press.button_index == JOY_BUTTON_B
	if event.is_action_pressed("ui_cancel") or (is_right and press.pressed):
		if form.call("go_back"):
			get_viewport().set_input_as_handled()
	elif press != null and press.button_index == JOY_BUTTON_A:
		_use(form, press)


func _use(form: Control, press: InputEventJoypadButton) -> void:
	var focused: Control = get_viewport().gui_get_focus_owner()
	if focused is LineEdit and form.is_ancestor_of(focused) and press.pressed:
		(focused as LineEdit).edit()
		get_viewport().set_input_as_handled()
	elif (
		focused is BaseButton and form.is_ancestor_of(focused) and not press.is_action("ui_accept")
	):
		var accept: InputEventAction = InputEventAction.new()
		accept.action = "ui_accept"
		accept.pressed = press.pressed
		get_viewport().set_input_as_handled()
		get_viewport().push_input(accept)
