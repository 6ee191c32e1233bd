extends Control
## A form to sign in, to create an account or to play as a guest: add it to a scene and connect
## [signal signed_in]. It hides itself after signing in, and reappears when the session has ended.
## All texts go through tr(), the server's reasons too; you can replace its theme.

signal signed_in
## The form opened by [method ask_to_save] is closed.
signal save_closed(is_saved: bool)

enum Mode { SIGN_IN, REGISTER, SAVE }

const Client = preload("../game_login.gd")
const Result = preload("../result.gd")
const Session = preload("../session.gd")
const Suspension = preload("suspension.gd")
const MARGIN: float = 40.0
const WIDTH: float = 460.0
const TURNS_PER_SECOND: float = 1.2
const SPACE: String = "[\\h\\v]"  # Unicode white space, which String.strip_edges keeps
const TEXTS: Dictionary[Mode, Dictionary] = {
	Mode.SIGN_IN:
	{
		"title": "Sign in",
		"hint": "Good to see you again.",
		"submit": "Sign in",
		"switch": "New here? Create an account",
	},
	Mode.REGISTER:
	{
		"title": "Create an account",
		"hint": "A name and a password are enough.",
		"submit": "Create account",
		"switch": "I have an account: sign in",
	},
	Mode.SAVE:
	{
		"title": "Save your progress",
		"hint": "With a name and a password you can sign in again, on any device.",
		"submit": "Save",
		"switch": "Later",
	},
}
const GUEST_IS_GONE: String = (
	"The guest of this device is gone. If you have saved its progress, sign in. A new guest starts"
	+ " from the beginning."
)

## Sign in with the session stored by the last run of the game, as soon as the form is ready.
@export var is_automatic: bool = true
## Hide when the player is signed in, and show again when the session has ended.
@export var hides_itself: bool = true
## Offer to play as a guest, without a name and a password.
@export var offers_guest: bool = true:
	set(value):
		offers_guest = value
		if is_node_ready():
			_update_texts()

var _mode: Mode = Mode.SIGN_IN
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
@onready var _anew: Button = %Anew
@onready var _submit: Button = %Submit
@onready var _spinner: Control = %Spinner
@onready var _switch: Button = %Switch
@onready var _guest: Button = %Guest
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
	var result: Result = await _send()
	_set_busy(false)
	if not result.ok:
		show_result(result)
	elif _mode == Mode.SAVE:
		_close_save(true)
	else:
		_finish()


func _send() -> Result:
	if _mode == Mode.SAVE:
		return await _client.upgrade(_name.text, _password.text)
	var way: Callable = _client.register if _mode == Mode.REGISTER else _client.login
	return await way.call(_name.text, _password.text, _remember.button_pressed)


func _on_guest_pressed(start_anew: bool) -> void:
	_clear_reasons()
	_set_busy(true)
	var result: Result = await _client.play_as_guest(start_anew)
	_set_busy(false)
	if result.ok:
		_finish()
	else:
		show_result(result)


func _finish() -> void:
	_hide_password()
	if hides_itself:
		hide()
	signed_in.emit()


## Lets a guest save its progress by choosing a name and a password. [signal save_closed] tells when
## the form is closed again.
func ask_to_save() -> void:
	_switch_to(Mode.SAVE)
	show()


func _close_save(is_saved: bool) -> void:
	_switch_to(Mode.SIGN_IN)
	if hides_itself:
		hide()
	save_closed.emit(is_saved)


func _on_session_ended(_reason: Client.Reason) -> void:
	if _mode == Mode.SAVE:
		_switch_to(Mode.SIGN_IN)
	if hides_itself:
		show()


func _hide_password() -> void:
	_password.clear()
	_show.button_pressed = false


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
		elif result.code == "unknown_guest":
			_message_text.text = tr(GUEST_IS_GONE)
		_message.show()
		_password.select_all()
		focus()
	_wait_until = Session.now() + result.retry_after if result.retry_after > 0.0 else 0.0
	_resume.visible = _client.has_session() and _mode != Mode.SAVE
	_anew.visible = result.code == "unknown_guest"
	_update_texts()


func _show_reason(field: String, reason: String) -> void:
	_reasons[field].text = tr(reason)
	_reasons[field].show()
	(_name if field == "username" else _password).grab_focus()


func _clear_reasons() -> void:
	_message.hide()
	_resume.hide()
	_anew.hide()
	for field: String in _reasons:
		_reasons[field].hide()


func _set_busy(is_busy: bool) -> void:
	_is_busy = is_busy
	_name.editable = not is_busy
	_password.editable = not is_busy
	for button: BaseButton in [_show, _remember, _resume, _anew, _guest, _switch]:
		button.disabled = is_busy
	_spinner.visible = is_busy
	_update_texts()
	if is_busy:
		_submit.grab_focus()
	else:
		focus()


func _update_texts() -> void:
	_card.custom_minimum_size.x = minf(WIDTH, size.x - MARGIN)
	var texts: Dictionary = TEXTS[_mode]
	_title.text = tr(str(texts["title"]))
	_hint.text = tr(str(texts["hint"]))
	_show.text = tr("Show") if _password.secret else tr("Hide")
	_switch.text = tr(str(texts["switch"]))
	_remember.visible = _mode != Mode.SAVE
	_guest.visible = offers_guest and _mode != Mode.SAVE and not _anew.visible
	var seconds: int = ceili(_wait_until - Session.now()) if _wait_until > 0.0 else 0
	if seconds <= 0:
		_wait_until = 0.0
	_submit.disabled = _is_busy or seconds > 0
	_submit.text = tr(str(texts["submit"]))
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
	if _mode == Mode.SAVE:
		_close_save(false)
	else:
		_switch_to(Mode.REGISTER if _mode == Mode.SIGN_IN else Mode.SIGN_IN)


func _switch_to(mode: Mode) -> void:
	if Mode.SAVE in [mode, _mode]:
		_hide_password()
		_name.text = _client.remembered_name() if mode != Mode.SAVE else ""
	_mode = mode
	_wait_until = 0.0  # the wait was for the other call
	_clear_reasons()
	_update_texts()
	focus()
