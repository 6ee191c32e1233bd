extends RefCounted
## The way back in with a recovery code: a new password, or a guest that moves to this device. If
## the answer is lost, signing in with what was sent tells whether the server has done it.

const Guest = preload("guest.gd")
const RecoveryCode = preload("recovery_code.gd")
const Result = preload("result.gd")

const REFUSALS: Array[Result.Kind] = [
	Result.Kind.INVALID, Result.Kind.DENIED, Result.Kind.CONFLICT, Result.Kind.RATE_LIMITED
]
const EARLIER: String = "An earlier try may have worked: sign in with the password you chose then."

var _sign_in: Callable
# Hashes of calls that the server may have done, with the hashes of their codes.
var _unanswered: Dictionary[String, String] = {}


## `sign_in` makes a call that signs in.
func _init(sign_in: Callable) -> void:
	_sign_in = sign_in


## Sets a new password, or moves a guest to this device if there is none. A typing error in the code
## sends nothing.
func recover(username: String, code: String, new_password: String, guest: Guest) -> Result:
	var reason: String = RecoveryCode.problem(code)
	if reason != "":
		var result: Result = Result.of(Result.Kind.INVALID, "invalid_request", reason)
		result.fields["recovery_code"] = reason
		return result
	if new_password != "":
		return await _set_password(username, code, new_password)
	return await _move_guest(username, code, guest)


## Signs in a guest whose move to this device had no answer. Returns null if there is none.
func find_moved(guest: Guest) -> Result:
	var secret: String = guest.moving_secret()
	if secret == "":
		return null
	var was_over: bool = guest.is_move_over()  # before the server is asked
	var result: Result = await _ask_for_moved(guest, secret)
	if result.code != "unknown_guest":
		return result
	if was_over and guest.is_move_over():
		guest.drop_move(secret)
	return null


## Signs in by the secret of a guest that may have moved here.
func _ask_for_moved(guest: Guest, secret: String) -> Result:
	var body: Dictionary = {"guest_secret": secret, "create": false, "device": OS.get_name()}
	var finish: Callable = guest.finish_move.bind(secret)
	return await _sign_in.call("/v1/guest", body, "", true, true, finish)


## Gives an account a new password. If a call without an answer is made again and its code is
## refused, the first call may have used it: the new password tells.
func _set_password(username: String, code: String, new_password: String) -> Result:
	var body: Dictionary = _body(username, code)
	var code_hash: String = JSON.stringify(body).sha256_text()
	body["new_password"] = new_password
	var call_hash: String = JSON.stringify(body).sha256_text()
	var result: Result = await _sign_in.call("/v1/recover", body, "", false, true)
	if result.is_passing():
		_unanswered[call_hash] = code_hash
	elif result.code == "invalid_credentials" and call_hash in _unanswered:
		body = {"username": username, "password": new_password, "device": OS.get_name()}
		var again: Result = await _sign_in.call("/v1/login", body, "", false, true)
		if again.code != "invalid_credentials":
			result = again
	if result.ok:
		_unanswered.clear()
	elif result.code == "invalid_credentials" and _has_another(call_hash, code_hash):
		result.message = EARLIER
	return result


## Tells whether another call with the same code had no answer.
func _has_another(call_hash: String, code_hash: String) -> bool:
	for unanswered: String in _unanswered:
		if unanswered != call_hash and _unanswered[unanswered] == code_hash:
			return true
	return false


## Moves a guest to this device. The guest that the device had stays in force until the server has
## agreed.
func _move_guest(username: String, code: String, guest: Guest) -> Result:
	var found: Result = await find_moved(guest)
	if found != null and (not found.ok or _name_in(found) == username.to_lower()):
		return found
	var is_first_try: bool = guest.moving_secret() == ""
	var problem: Result = guest.prepare_move()
	if problem != null:
		return problem
	var secret: String = guest.moving_secret()
	var sends: int = guest.note_send()
	if sends == 0:
		return Result.of(Result.Kind.DENIED, "guest_not_stored", Guest.NOT_STORED)
	var body: Dictionary = _body(username, code).merged({"guest_secret": secret})
	var finish: Callable = guest.finish_move.bind(secret)
	var result: Result = await _sign_in.call("/v1/recover", body, "", false, true, finish)
	if not is_first_try or result.code == "" or not result.kind in REFUSALS:
		return result
	# Another copy of the game may have moved the guest by the same secret.
	found = await _ask_for_moved(guest, secret)
	if found.code == "unknown_guest":
		guest.drop_move(secret, sends)
	return found if found.ok and _name_in(found) == username.to_lower() else result


func _body(username: String, code: String) -> Dictionary:
	var symbols: String = RecoveryCode.symbols(code)
	return {"username": username, "recovery_code": symbols, "device": OS.get_name()}


func _name_in(result: Result) -> String:
	return str(result.data["account"]["username"]).to_lower()
