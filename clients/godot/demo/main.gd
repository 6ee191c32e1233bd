extends Control
## The demo: the login form, and behind it a lobby in which players chat. A guest in the lobby can
## save the progress.

const Form = preload("res://addons/game_login/ui/login_form.gd")
const Result = preload("res://addons/game_login/result.gd")
const Lobby = preload("res://demo/lobby.gd")

@onready var _form: Form = $LoginForm as Form
@onready var _lobby: Lobby = $Lobby as Lobby


## With `-- --profile=two`, two copies of the game on one machine are two players.
func _init() -> void:
	for argument: String in OS.get_cmdline_user_args():
		if argument.begins_with("--profile="):
			GameLogin.profile = argument.trim_prefix("--profile=")


func _ready() -> void:
	@warning_ignore("return_value_discarded")
	GameLogin.session_ended.connect(_on_session_ended)


func _on_signed_in() -> void:
	await _lobby.enter()


func _on_save_wanted() -> void:
	_lobby.hide()
	_form.ask_to_save()


func _on_save_closed(is_saved: bool) -> void:
	if is_saved:
		_lobby.leave()  # to come back with the new name
		await _lobby.enter()
	else:
		_lobby.show()


func _on_session_ended(reason: int) -> void:
	_lobby.leave()
	if reason == GameLogin.Reason.REVOKED:
		var text: String = "You have been signed out from somewhere else. Sign in again."
		_form.show_result(Result.of(Result.Kind.DENIED, "session_ended", text))
