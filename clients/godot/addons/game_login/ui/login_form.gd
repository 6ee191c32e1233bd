extends Control
## A form to sign in, to create an account or to play as a guest: add it to a scene and connect
## [signal signed_in]. It hides itself after signing in, and reappears when the session has ended.
## All texts go through tr(), the server's reasons too; you can replace its theme.

signal signed_in
## The form opened by [method ask_to_save] is closed.
signal save_closed(is_saved: bool)

const Client = preload("../game_login.gd")
const CodeScreen = preload("code_screen.gd")
const Guest = preload("../guest.gd")
const Mode = preload("mode.gd")
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
## Offer to play as a guest, without a name and a password.
@export var offers_guest: bool = true:
	set(value):
		offers_guest = value
		if is_node_ready():
			_update_texts()
## Offer recovery codes: after a registration, for a forgotten password, and to move a guest.
@export var offers_recovery: bool = true:
	set(value):
		offers_recovery = value
		if is_node_ready():
			_update_texts()

var _mode: int = Mode.SIGN_IN
var _is_busy: bool = false
var _is_warned: bool = false  # that the guest of this device will be lost
var _wait_until: float = 0.0

@onready var _client: Client = get_node("/root/GameLogin") as Client
@onready var _card: Control = %Card
@onready var _rows: Control = %Rows
@onready var _code_screen: CodeScreen = %CodeScreen as CodeScreen
@onready var _title: Label = %Title
@onready var _hint: Label = %Hint
@onready var _name: LineEdit = %Name
@onready var _code: LineEdit = %RecoveryCode
@onready var _password: LineEdit = %Password
@onready var _code_field: Control = %CodeField
@onready var _code_label: Label = %CodeLabel
@onready var _password_field: Control = %PasswordField
@onready var _password_label: Label = %PasswordLabel
@onready var _show: Button = %Show
@onready var _remember: CheckBox = %Remember
@onready var _message: Control = %Message
@onready var _message_text: Label = %MessageText
@onready var _resume: Button = %Resume
@onready var _anew: Button = %Anew
@onready var _submit: Button = %Submit
@onready var _spinner: Control = %Spinner
@onready var _switch: Button = %Switch
@onready var _forgot: Button = %Forgot
@onready var _other: Button = %Other
@onready var _guest: Button = %Guest
@onready var _fields: Dictionary[String, LineEdit] = {
	"username": _name,
	"recovery_code": _code,
	"password": _password,
	"new_password": _password,
}
@onready var _reasons: Dictionary[String, Label] = {
	"username": %NameReason as Label,
	"recovery_code": %CodeReason as Label,
	"password": %PasswordReason as Label,
	"new_password": %PasswordReason as Label,
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
	_code.text = _trimmed(_code.text)
	for field: String in Mode.MISSING:
		if _fields[field] in _asked() and _fields[field].text == "":
			_show_reason(field, Mode.MISSING[field])
			return
	if _mode == Mode.MOVE and not _is_warned and _has_guest():
		_warn()
		return
	_set_busy(true)
	var result: Result = await _send()
	_set_busy(false)
	var has_code: bool = result.data.get("recovery_code") is String
	if not result.ok:
		show_result(result)
	elif offers_recovery and (has_code or _mode in [Mode.RECOVER, Mode.MOVE]):
		_show_code(result)
	else:
		_finish()


func _send() -> Result:
	if _mode == Mode.RECOVER:
		return await _client.recover(_name.text, _code.text, _password.text)
	if _mode == Mode.MOVE:
		return await _client.recover(_name.text, _code.text)
	var result: Result
	if _mode == Mode.SAVE:
		result = await _client.upgrade(_name.text, _password.text)
	else:
		var way: Callable = _client.register if _mode == Mode.REGISTER else _client.login
		result = await way.call(_name.text, _password.text, _remember.button_pressed)
	if result.ok and offers_recovery and _mode != Mode.SIGN_IN:
		var made: Result = await _client.make_recovery_code(_password.text)
		result.data["recovery_code"] = made.data.get("recovery_code")
	return result


func _has_guest() -> bool:
	return Guest.new(_client.base_url, _client.profile).secret() != ""


## Lets the player confirm a move that replaces the guest of this device.
func _warn() -> void:
	_is_warned = true
	_message_text.text = tr(Mode.GUEST_IS_LOST)
	_message.show()
	_update_texts()
	_submit.grab_focus()


## Shows a guest the code that moves it to another device; or leads there on the other device.
func _on_other_pressed() -> void:
	if _mode == Mode.RECOVER:
		_switch_to(Mode.MOVE)
		return
	_clear_reasons()
	_set_busy(true)
	var result: Result = await _client.make_recovery_code()
	_set_busy(false)
	if result.ok:
		_show_code(result)
	else:
		show_result(result)


func _show_code(result: Result) -> void:
	var texts: Dictionary[String, String] = CodeScreen.NEW
	if _mode in [Mode.RECOVER, Mode.MOVE]:
		texts = CodeScreen.NEXT if _mode == Mode.RECOVER else CodeScreen.NEXT_TRANSFER
	elif _client.is_guest():
		texts = CodeScreen.TRANSFER
	var code: String = str(result.data.get("recovery_code", ""))
	if code != "":
		_hide_password()  # until then it is needed to ask again
	_rows.hide()
	_code_screen.open(texts if code != "" else CodeScreen.MISSING, _client.account_name, code)


func _on_code_asked_again() -> void:
	var result: Result = await _client.make_recovery_code(_password.text)
	if not _code_screen.visible:
		return
	if result.ok:
		_show_code(result)
	else:
		_code_screen.show_problem(result.message)


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
	_rows.show()
	if _mode == Mode.SAVE:
		_close_save(not _client.is_guest())
		return
	_hide_password()
	if _mode in [Mode.RECOVER, Mode.MOVE]:
		_switch_to(Mode.SIGN_IN)
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
	if _code_screen.visible or _mode == Mode.SAVE:
		_code_screen.clear()
		_rows.show()
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
		var advice: String = Mode.advice(_mode, result.code)
		_message_text.text = tr(advice if advice != "" else result.message)
		if result.code == "account_suspended":
			_message_text.text = Suspension.text(result.data)
		_message.show()
		_password.select_all()
		focus()
		if result.code == "invalid_credentials" and _code.is_visible_in_tree():
			_code.select_all()
			_code.grab_focus()
	_wait_until = Session.now() + result.retry_after if result.retry_after > 0.0 else 0.0
	_resume.visible = _client.has_session() and _mode in [Mode.SIGN_IN, Mode.REGISTER]
	_anew.visible = result.code == "unknown_guest"
	_update_texts()


func _show_reason(field: String, reason: String) -> void:
	_reasons[field].text = tr(reason)
	_reasons[field].show()
	_fields[field].grab_focus()


func _clear_reasons() -> void:
	_message.hide()
	_resume.hide()
	_anew.hide()
	for field: String in _reasons:
		_reasons[field].hide()


func _set_busy(is_busy: bool) -> void:
	_is_busy = is_busy
	for field: String in _fields:
		_fields[field].editable = not is_busy
	for button: BaseButton in [_show, _remember, _resume, _anew, _guest, _switch, _forgot, _other]:
		button.disabled = is_busy
	_spinner.visible = is_busy
	_update_texts()
	if is_busy:
		_submit.grab_focus()
	else:
		focus()


func _update_texts() -> void:
	_card.custom_minimum_size.x = minf(WIDTH, size.x - MARGIN)
	var texts: Dictionary = Mode.TEXTS[_mode]
	var is_new: bool = _mode in [Mode.SIGN_IN, Mode.REGISTER]
	_title.text = tr(str(texts["title"]))
	_hint.text = tr(str(texts["hint"]))
	_show.text = tr("Show") if _password.secret else tr("Hide")
	_switch.text = tr(str(texts["switch"]))
	_remember.visible = is_new
	_show.focus_neighbor_bottom = _show.get_path_to(_remember if is_new else _submit)
	_forgot.visible = offers_recovery and _mode == Mode.SIGN_IN
	(_remember.get_parent() as Control).visible = is_new
	_code_field.visible = _mode in [Mode.RECOVER, Mode.MOVE]
	_code_label.text = tr("Transfer code" if _mode == Mode.MOVE else "Recovery code")
	_password_field.visible = _mode != Mode.MOVE
	_password_label.text = tr("New password" if _mode == Mode.RECOVER else "Password")
	_guest.visible = offers_guest and is_new and not _anew.visible
	_other.text = tr(str(texts.get("other", "")))
	_other.visible = _other.text != "" and offers_recovery and (offers_guest or _mode == Mode.SAVE)
	var seconds: int = ceili(_wait_until - Session.now()) if _wait_until > 0.0 else 0
	if seconds <= 0:
		_wait_until = 0.0
	_submit.disabled = _is_busy or seconds > 0
	_submit.text = tr("Move here anyway" if _is_warned else str(texts["submit"]))
	if _is_busy:
		_submit.text = tr("One moment ...")
	elif seconds > 0:
		_submit.text = tr("Try again in %d s") % seconds


## Focuses the field to type in next.
func focus() -> void:
	if not is_visible_in_tree():
		return
	if _code_screen.visible:
		_code_screen.focus()
		return
	for field: LineEdit in _asked():
		if field.text == "":
			field.grab_focus()
			return
	_asked()[-1].grab_focus()


## Returns the fields of this mode.
func _asked() -> Array[LineEdit]:
	var fields: Array[LineEdit] = [_name]
	if _code_field.visible:
		fields.append(_code)
	if _password_field.visible:
		fields.append(_password)
	return fields


func _on_name_entered(_text: String) -> void:
	(_code if _code_field.visible else _password).grab_focus()


func _on_code_entered(_text: String) -> void:
	if _password_field.visible:
		_password.grab_focus()
	else:
		await _on_submitted()


func _on_show_toggled(is_shown: bool) -> void:
	_password.secret = not is_shown
	_update_texts()


func _on_switch_pressed() -> void:
	if _mode == Mode.SAVE:
		_close_save(false)
	elif _mode == Mode.MOVE:
		_switch_to(Mode.RECOVER)
	else:
		_switch_to(Mode.REGISTER if _mode == Mode.SIGN_IN else Mode.SIGN_IN)


func _on_forgot_pressed() -> void:
	_switch_to(Mode.RECOVER)


## Goes one screen back, as Escape and a gamepad's right button do. Returns false if the form is at
## its first screen.
func go_back() -> bool:
	if not is_visible_in_tree() or (_mode in [Mode.SIGN_IN, Mode.REGISTER] and _rows.visible):
		return false
	if not _rows.visible:
		_code_screen.close()
	elif not _is_busy:
		_on_switch_pressed()
	return true


func _switch_to(mode: int) -> void:
	if Mode.SAVE in [mode, _mode]:
		_name.text = _client.remembered_name() if mode != Mode.SAVE else ""
	if not (mode in [Mode.SIGN_IN, Mode.REGISTER] and _mode in [Mode.SIGN_IN, Mode.REGISTER]):
		_hide_password()
	if not mode in [Mode.RECOVER, Mode.MOVE]:
		_code.clear()
	_mode = mode
	_is_warned = false
	_wait_until = 0.0  # the wait was for the other call
	_clear_reasons()
	_update_texts()
	focus()
