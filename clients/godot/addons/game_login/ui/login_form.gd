extends Control
## A form to sign in or to create an account: add it to a scene and connect [signal signed_in].
## It hides itself after signing in, and reappears when the session has ended. All texts go through
## tr(), the server's reasons too; you can replace its theme.

signal signed_in

const Client = preload("../game_login.gd")
const Result = preload("../result.gd")
const Session = preload("../session.gd")
const Suspension = preload("suspension.gd")
const MARGIN: float = 40.0
const WIDTH: float = 460.0
const TURNS_PER_SECOND: float = 1.2
const SPACE: String = "[\\h\\v]"  # Unicode white space, which String.strip_edges keeps

## Sign in with the session stored by the last run of the game, as soon as the form is ready.
@export var is_automatic: bool = true
## Hide when the player is signed in, and show again when the session has ended.
@export var hides_itself: bool = true

var _is_new: bool = false
var _is_busy: bool = false
var _wait_until: float = 0.0

@onready var _client: Client = get_node("/root/GameLogin") as Client
@onready var _card: Control = %Card
@onready var _title: Label = %Title
@onready var _hint: Label = %Hint
@onready var _name: LineEdit = %Name
@onready var _password: LineEdit = %Password
@onready var _show: Button = %Show
@onready var _remember: CheckBox = %Remember
@onready var _message: Control = %Message
@onready var _message_text: Label = %MessageText
@onready var _resume: Button = %Resume
@onready var _submit: Button = %Submit
@onready var _spinner: Control = %Spinner
@onready var _switch: Button = %Switch
@onready var _reasons: Dictionary[String, Label] = {
	"username": %NameReason as Label,
	"password": %PasswordReason as Label,
}


func _ready() -> void:
	_name.text = _client.remembered_name()
	_update_texts()
	focus()
	@warning_ignore("return_value_discarded")
	_client.session_ended.connect(_on_session_ended)
	if is_automatic:
		await _resume_session()


func _notification(what: int) -> void:
	if what == NOTIFICATION_VISIBILITY_CHANGED and is_node_ready():
		focus()
	if what in [NOTIFICATION_TRANSLATION_CHANGED, NOTIFICATION_RESIZED] and is_node_ready():
		_update_texts()


func _process(delta: float) -> void:
	_spinner.rotation += delta * TAU * TURNS_PER_SECOND
	if _wait_until > 0.0 and not _is_busy:
		_update_texts()


## Lets a gamepad's lower button press or edit the focused control; Godot's own actions do not.
func _input(event: InputEvent) -> void:
	var press: InputEventJoypadButton = event as InputEventJoypadButton
	var focused: Control = get_viewport().gui_get_focus_owner()
	if press == null or press.button_index != JOY_BUTTON_A:
		return
	if focused is LineEdit and is_ancestor_of(focused) and press.pressed:
		(focused as LineEdit).edit()
		get_viewport().set_input_as_handled()
	elif focused is BaseButton and is_ancestor_of(focused) and not event.is_action("ui_accept"):
		var accept: InputEventAction = InputEventAction.new()
		accept.action = "ui_accept"
		accept.pressed = press.pressed
		get_viewport().set_input_as_handled()
		get_viewport().push_input(accept)


func _resume_session() -> void:
	_clear_reasons()
	_set_busy(true)
	var result: Result = await _client.auto_login()
	_set_busy(false)
	if result.ok:
		_finish()
	elif result.code != "no_session":
		show_result(result)


func _on_submitted(_text: String = "") -> void:
	if _is_busy or _submit.disabled:
		return
	_clear_reasons()
	_name.text = _trimmed(_name.text)
	for field: String in _reasons:
		if (_name if field == "username" else _password).text == "":
			_show_reason(field, "Enter your name." if field == "username" else "Enter a password.")
			return
	_set_busy(true)
	var way: Callable = _client.register if _is_new else _client.login
	var result: Result = await way.call(_name.text, _password.text, _remember.button_pressed)
	_set_busy(false)
	if result.ok:
		_password.clear()
		_show.button_pressed = false
		_finish()
	else:
		show_result(result)


func _finish() -> void:
	if hides_itself:
		hide()
	signed_in.emit()


func _on_session_ended(_reason: Client.Reason) -> void:
	if hides_itself:
		show()


## Returns a name without surrounding white space, which phone keyboards add.
func _trimmed(text: String) -> String:
	return RegEx.create_from_string("^%s+|%s+$" % [SPACE, SPACE]).sub(text, "", true)


## Shows the result of a call: beside the fields, or above the button.
func show_result(result: Result) -> void:
	_clear_reasons()
	var is_said: bool = false
	for field: String in result.fields:
		if field in _reasons:
			_show_reason(field, result.fields[field])
			is_said = true
	if result.code == "username_taken":
		_show_reason("username", result.message)
	elif not is_said:
		_message_text.text = tr(result.message)
		if result.code == "account_suspended":
			_message_text.text = Suspension.text(result.data)
		_message.show()
		_password.select_all()
		focus()
	_wait_until = Session.now() + result.retry_after if result.retry_after > 0.0 else 0.0
	_resume.visible = _client.has_session()
	_update_texts()


func _show_reason(field: String, reason: String) -> void:
	_reasons[field].text = tr(reason)
	_reasons[field].show()
	(_name if field == "username" else _password).grab_focus()


func _clear_reasons() -> void:
	_message.hide()
	_resume.hide()
	for field: String in _reasons:
		_reasons[field].hide()


func _set_busy(is_busy: bool) -> void:
	_is_busy = is_busy
	_name.editable = not is_busy
	_password.editable = not is_busy
	for button: BaseButton in [_show, _remember, _resume, _switch]:
		button.disabled = is_busy
	_spinner.visible = is_busy
	_update_texts()
	if is_busy:
		_submit.grab_focus()
	else:
		focus()


func _update_texts() -> void:
	_card.custom_minimum_size.x = minf(WIDTH, size.x - MARGIN)
	_title.text = tr("Create an account") if _is_new else tr("Sign in")
	_hint.text = tr("A name and a password are enough." if _is_new else "Good to see you again.")
	_show.text = tr("Show") if _password.secret else tr("Hide")
	_switch.text = tr("I have an account: sign in" if _is_new else "New here? Create an account")
	var seconds: int = ceili(_wait_until - Session.now()) if _wait_until > 0.0 else 0
	if seconds <= 0:
		_wait_until = 0.0
	_submit.disabled = _is_busy or seconds > 0
	_submit.text = tr("Create account") if _is_new else tr("Sign in")
	if _is_busy:
		_submit.text = tr("One moment ...")
	elif seconds > 0:
		_submit.text = tr("Try again in %d s") % seconds


## Focuses the field to type in next.
func focus() -> void:
	if is_visible_in_tree():
		(_name if _name.text == "" else _password).grab_focus()


func _on_show_toggled(is_shown: bool) -> void:
	_password.secret = not is_shown
	_update_texts()


func _on_switch_pressed() -> void:
	_is_new = not _is_new
	_wait_until = 0.0  # the wait was for the other call
	_clear_reasons()
	_update_texts()
	focus()
