extends Control
## The demo: the login form, and behind it a lobby in which players chat. A guest in the lobby can
## save the progress. A player who is suspended or signed out reads the reason in the form.

const Form = preload("res://addons/game_login/ui/login_form.gd")
const Result = preload("res://addons/game_login/result.gd")
const Lobby = preload("res://demo/lobby.gd")
const SIGNED_OUT: String = "You have been signed out from somewhere else. Sign in again."
const KICKED: Dictionary[String, String] = {
	"account_deleted": "This account was deleted.",
	"credentials_changed":
	"The password was changed, or the account recovered, on another device. Sign in again.",
}

var _is_out: bool = false  # suspended while the backend could not say so

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
	_is_out = false
	await _lobby.enter()


func _on_save_wanted() -> void:
	_lobby.hide()
	_form.ask_to_save()


func _on_save_closed(is_saved: bool) -> void:
	if is_saved or _is_out:
		_lobby.leave()  # to come back with the new name, or after a kick
		_is_out = false
		await _lobby.enter()
	else:
		_lobby.show()


func _on_suspended() -> void:
	_lobby.leave()
	_is_out = true
	_form.show()
	_say_why()
	# The backend decides whether the session has ended: then it ends here too.
	@warning_ignore("return_value_discarded")
	await GameLogin.auto_login()


func _on_session_ended(reason: int) -> void:
	_lobby.leave()
	if reason == GameLogin.Reason.REVOKED:
		_say_why()


## Shows in the form why the player is out, as far as the game server has told.
func _say_why() -> void:
	var code: String = str(_lobby.kicked.get("code", ""))
	var text: String = KICKED[code] if code in KICKED else SIGNED_OUT
	var result: Result = Result.of(Result.Kind.DENIED, "session_ended", text)
	if code == "suspended":  # in the words of a refused sign-in
		result.code = "account_suspended"
		var until: Variant = _lobby.kicked.get("until", "")
		result.data = {"until": until, "reason": _lobby.kicked.get("message")}
	_form.show_result(result)
