extends VBoxContainer
## Shows a recovery code, once: the player copies it, saves it as a file, or writes it down.

signal closed
## The player wants the code that could not be made.
signal asked_again

const Store = preload("../store.gd")
const NEW: Dictionary[String, String] = {
	"title": "Save your recovery code",
	"hint": "If you forget your password, this code lets you choose a new one. Keep it secret.",
	"close": "Continue without a code",
}
const NEXT: Dictionary[String, String] = {
	"title": "Save your next recovery code",
	"hint": "The code that you have typed is used up. This one takes its place. Keep it secret.",
	"close": "Continue without a code",
}
const TRANSFER: Dictionary[String, String] = {
	"title": "Your transfer code",
	"hint":
	(
		'On the other device, choose "Forgot password?", then "My guest from another device". Enter'
		+ " this name and this code there. Keep the code secret."
	),
	"close": "Close",
}
const NEXT_TRANSFER: Dictionary[String, String] = {
	"title": "Save your next code",
	"hint":
	(
		"Your guest is on this device now. If you lose the device, this code brings your guest back."
		+ " Keep it secret."
	),
	"close": "Continue without a code",
}
const MISSING: Dictionary[String, String] = {
	"title": "Your next code is missing",
	"hint":
	(
		"You are signed in. The code that you have typed is used up, and the next one could not be"
		+ " made."
	),
	"close": "Continue without a code",
}
const IN_FILE: String = "Name: {name}\nCode: {code}\n\nKeep this file secret."
const MAY_BREAK: String = "-\u200b"  # a narrow screen breaks the code after a hyphen

var _code: String = ""
var _has_dialog: bool = DisplayServer.has_feature(DisplayServer.FEATURE_NATIVE_DIALOG_FILE)
var _is_by_gamepad: bool = false  # which no dialog of the system can be used by

@onready var _title: Label = %CodeTitle
@onready var _hint: Label = %CodeHint
@onready var _name: Label = %CodeName
@onready var _shown: Label = %Code
@onready var _pane: Control = %CodePane
@onready var _note_line: Label = %CodeNote
@onready var _copy: Button = %Copy
@onready var _save: Button = %SaveFile
@onready var _again: Button = %CodeAgain
@onready var _close: Button = %CloseCode


func _input(event: InputEvent) -> void:
	if event is InputEventJoypadButton:
		_is_by_gamepad = true
	elif event is InputEventKey or event is InputEventMouseButton:
		_is_by_gamepad = false


## Shows a code of an account, or offers to make it if it is "".
func open(texts: Dictionary[String, String], username: String, code: String) -> void:
	_code = code
	_title.text = texts["title"]
	_hint.text = texts["hint"]
	_name.text = username
	_shown.text = code.replace("-", MAY_BREAK)
	_copy.text = "Copy"
	_close.text = texts["close"]
	_note_line.hide()
	_pane.visible = code != ""
	_copy.visible = code != "" and DisplayServer.has_feature(DisplayServer.FEATURE_CLIPBOARD)
	_save.visible = code != "" and not OS.has_feature("ios")  # nobody finds a file there
	_again.visible = code == ""
	_again.disabled = false
	show()
	focus()


## Hides the screen and forgets the code.
func clear() -> void:
	_code = ""
	_shown.text = ""
	hide()


## Does so as the player wishes.
func close() -> void:
	clear()
	closed.emit()


## Says why there is no code.
func show_problem(text: String) -> void:
	_again.disabled = false
	_note(true, tr(text))
	focus()


## Focuses the first button.
func focus() -> void:
	for button: Button in [_copy, _save, _again, _close]:
		if button.visible:
			button.grab_focus()
			return


func _on_copy_pressed() -> void:
	DisplayServer.clipboard_set(_code)
	_copy.text = "Copied"
	_close.text = "Continue"


func _on_again_pressed() -> void:
	_note_line.hide()
	_again.disabled = true
	asked_again.emit()


func _on_save_pressed() -> void:
	if OS.has_feature("web"):
		JavaScriptBridge.download_buffer(_content(), _file_name(), "text/plain")
		_close.text = "Continue"
	elif _has_dialog and not _is_by_gamepad:
		var mode: DisplayServer.FileDialogMode = DisplayServer.FILE_DIALOG_MODE_SAVE_FILE
		var error: Error = DisplayServer.file_dialog_show(
			tr("Save as file"), _folder(), _file_name(), false, mode, [], _on_dialog_closed
		)
		_note(error == OK, "")
	else:
		_write(_free_path())


func _on_dialog_closed(is_chosen: bool, paths: PackedStringArray, _filter: int) -> void:
	if is_chosen and not paths.is_empty() and _code != "":
		_write(paths[0])


func _write(path: String) -> void:
	var file: FileAccess = FileAccess.open(path, FileAccess.WRITE)
	@warning_ignore("return_value_discarded")
	FileAccess.set_unix_permissions(path, Store.OWNER_ONLY)  # if this place has such rights
	var is_written: bool = file != null and file.store_buffer(_content())
	_note(is_written, tr("Saved: %s") % path)
	if is_written:
		_close.text = "Continue"


func _note(is_good: bool, text: String) -> void:
	_note_line.text = text if is_good else tr("The file cannot be saved. Write the code down.")
	_note_line.visible = _note_line.text != ""


func _content() -> PackedByteArray:
	return tr(IN_FILE).format({"name": _name.text, "code": _code}).to_utf8_buffer()


func _folder() -> String:
	return OS.get_system_dir(OS.SYSTEM_DIR_DOCUMENTS)


## Returns a path without a file, because nobody is asked.
func _free_path() -> String:
	var path: String = _folder().path_join(_file_name())
	var number: int = 1
	while FileAccess.file_exists(path):
		number += 1
		path = _folder().path_join(_file_name().replace(".txt", " %d.txt" % number))
	return path


func _file_name() -> String:
	var game: String = str(ProjectSettings.get_setting("application/config/name", ""))
	return ("%s - %s - %s.txt" % [game, _name.text, tr("recovery code")]).validate_filename()
