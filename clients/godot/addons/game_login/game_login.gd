extends Node
## The autoload GameLogin: registration, login, guests, staying signed in, and tickets for game
## servers.
##
## Await calls that ask the server; each returns exactly once. Signing in takes at most 26 seconds.

## The value of [member state] has changed.
signal state_changed(new_state: State)
## The player is no longer signed in. A lost connection or a failing server never causes this.
signal session_ended(reason: Reason)
## A refresh has finished; only for the addon's own use.
signal refreshed(result: Result)

enum State { SIGNED_OUT, SIGNING_IN, SIGNED_IN, OFFLINE }
enum Reason {
	LOGOUT,  ## the player signed out
	EXPIRED,  ## the session was too old, or was ended while the game was not running
	REVOKED,  ## the session was ended elsewhere, while the game was running
}

const Address = preload("address.gd")
const Caller = preload("caller.gd")
const Guest = preload("guest.gd")
const Recovery = preload("recovery.gd")
const Result = preload("result.gd")
const Session = preload("session.gd")
const Store = preload("store.gd")

const OVERTAKEN: String = "overtaken"  # a refresh during which the session changed

## The address of the backend: the project setting `game_login/base_url`, unless set from code.
## A new address never gets the old one's tokens: the session is forgotten, but stays stored.
var base_url: String = ProjectSettings.get_setting("game_login/base_url", "http://127.0.0.1:3000"):
	set(value):
		if value != base_url:
			base_url = value
			_forget()
## The local profile, if several players of this machine are to be remembered.
var profile: String = "":
	set(value):
		if value != profile:
			profile = value
			_store = Store.new(value)
			_forget()
## Certificates to trust instead of the system's, for a test server with its own CA.
var tls_options: TLSOptions = null
## The time-out of one request; longer than the gateway's 12 seconds.
var request_seconds: float = 13.0
## If true, a socket sends its ticket as the first message: browsers cannot set headers.
var is_ticket_in_message: bool = OS.has_feature("web")

var state: State = State.SIGNED_OUT
var account_name: String:
	get:
		return _session.username
var account_id: String:
	get:
		return _session.account_id

var _caller: Caller = Caller.new()
var _recovery: Recovery = Recovery.new(_sign_in)
var _session: Session = Session.new()
var _store: Store = Store.new("")
var _generation: int = 0  # of the session; answers to an earlier one are ignored
var _is_signing_in: bool = false:
	set(value):
		_is_signing_in = value
		_update_state()
var _is_refreshing: bool = false
var _is_leaving: bool = false  # the player is signing out or deleting the account
var _is_reachable: bool = true:
	set(value):
		_is_reachable = value
		_update_state()


func _init() -> void:
	process_mode = Node.PROCESS_MODE_ALWAYS
	add_child(_caller)


## Creates an account and signs in. The Idempotency-Key stays the same for the same name and
## password, so that a retry after a lost answer does not find the name taken.
func register(username: String, password: String, remember: bool = true) -> Result:
	var key: String = _session.key_for("register\n%s\n%s" % [username, password])
	return await _sign_in("/v1/register", _credentials(username, password), key, true, remember)


## Signs in with name and password.
func login(username: String, password: String, remember: bool = true) -> Result:
	var body: Dictionary = _credentials(username, password)
	var record: Dictionary = _store.read()
	if record.get("server") == base_url and remembered_name().to_lower() == username.to_lower():
		body["refresh_token"] = str(record.get("refresh_token", ""))  # a known device
	return await _sign_in("/v1/login", body, "", false, remember)


## Signs in the guest of this device, and creates it on the first start. If the code is
## [code]unknown_guest[/code], ask the player before you call it again with [param start_anew]: that
## creates another guest.
func play_as_guest(start_anew: bool = false) -> Result:
	if _is_signing_in:
		return Result.of(Result.Kind.CANCELLED, "busy", "Signing in is under way.")
	var guest: Guest = Guest.new(base_url, profile)
	var moved: Result = await _recovery.find_moved(guest)
	if moved != null:
		return moved
	var problem: Result = guest.prepare(start_anew)
	if problem != null:
		return problem
	var body: Dictionary = {"guest_secret": guest.secret(), "create": not guest.is_known()}
	body["device"] = OS.get_name()
	var result: Result = await _sign_in("/v1/guest", body, "", true, true)
	if result.ok:
		guest.note_known(str(result.data["account"]["id"]))
	return result


## Gives a guest a name and a password. This device stays signed in, all others are signed out.
## After a lost answer, call it again with the same name and password, or sign in with them.
func upgrade(username: String, password: String) -> Result:
	var guest: Guest = Guest.new(base_url, profile)
	var problem: Result = guest.problem()
	if is_guest() and problem != null:
		return problem
	var was_guest: bool = is_guest()
	var body: Dictionary = {"username": username, "password": password}
	body["guest_secret"] = guest.secret()
	var result: Result = await _renew(HTTPClient.METHOD_POST, "/v1/me/upgrade", body)
	if result.ok:
		guest.forget(str(result.data["account"]["id"]), was_guest)
	return result


## Changes the name. The proof is the password; a guest needs none.
func rename(username: String, proof: String = "") -> Result:
	var generation: int = _generation
	var body: Dictionary = _proof(proof).merged({"username": username})
	var method: HTTPClient.Method = HTTPClient.METHOD_PUT
	var result: Result = await _ask_as_player(method, "/v1/me/username", body, true)
	if result.ok and not result.data.get("account") is Dictionary:
		return Result.of(Result.Kind.PROTOCOL)
	if result.ok and generation == _generation:
		var account: Dictionary = result.data["account"]
		_session.take_account(account)
		_session.access_until = Session.now()  # the token has the previous name
		_keep(_session.refresh_token)
	return result


## Makes a recovery code in place of the previous one: [code]data["recovery_code"][/code] has it,
## and nothing can show it again. The proof is the password; a guest needs none.
func make_recovery_code(proof: String = "") -> Result:
	var method: HTTPClient.Method = HTTPClient.METHOD_POST
	var result: Result = await _ask_as_player(method, "/v1/me/recovery-code", _proof(proof), true)
	if result.ok and not result.data.get("recovery_code") is String:
		return Result.of(Result.Kind.PROTOCOL)
	return result


## Signs in by a recovery code and gives the account a new password; or, without one, moves a guest
## to this device. All other devices are signed out. [code]data["recovery_code"][/code] has the next
## code. After a lost answer, call it again with the same values.
func recover(username: String, code: String, new_password: String = "") -> Result:
	if _is_signing_in:
		return Result.of(Result.Kind.CANCELLED, "busy", "Signing in is under way.")
	var guest: Guest = Guest.new(base_url, profile)
	var result: Result = await _recovery.recover(username, code, new_password, guest)
	if result.ok and not result.data.has("recovery_code"):  # lost with its answer
		var made: Result = await make_recovery_code(new_password)
		if made.ok:
			result.data["recovery_code"] = made.data["recovery_code"]
	return result


## Tells whether the signed-in player is a guest, who has no password.
func is_guest() -> bool:
	return _session.is_guest


## Signs in again with the session stored by the last run of the game. If the server cannot be
## reached, the session stays stored for a later call.
func auto_login() -> Result:
	if not _session.is_open():
		var record: Dictionary = _store.read()
		if record.get("server") != base_url or not _session.take_record(record):
			return Result.of(Result.Kind.DENIED, "no_session", "Nobody is signed in.")
	if _is_signing_in and not _is_refreshing:
		return Result.of(Result.Kind.CANCELLED, "busy", "Signing in is under way.")
	_is_signing_in = true
	var result: Result = await _refresh()
	_is_signing_in = false
	return result


## Returns the name of the last player to sign in, if they wished to be remembered. Guests do not
## sign in by name.
func remembered_name() -> String:
	var record: Dictionary = _store.read()
	return "" if record.get("is_guest", false) == true else str(record.get("username", ""))


## Tells whether there is a session, even if the server cannot be reached.
func has_session() -> bool:
	return _session.is_open()


## Signs out, optionally on all devices. Not [code]ok[/code] if the server did not confirm it. On
## this device alone it takes one request, however old the access token is.
func logout(everywhere: bool = false) -> Result:
	if not _session.is_open():
		return Result.of(Result.Kind.OK)
	var generation: int = _generation
	_is_leaving = true
	var result: Result
	if everywhere:
		# With the access token: after a lost answer to a refresh, the refresh token is outdated and
		# cannot end other sessions.
		result = await fetch("/v1/logout", {"everywhere": true})
	else:
		var body: Dictionary = {"refresh_token": _session.refresh_token}
		result = await _ask(HTTPClient.METHOD_POST, "/v1/logout", "", body, false)
	_is_leaving = false
	if generation == _generation:
		_end_session(Reason.LOGOUT, result.ok)
	return Result.of(Result.Kind.OK) if result.code == "session_ended" else result


## Changes the password. This device stays signed in; all others are signed out. After a lost
## answer, call it again with the same two passwords before any other call.
func change_password(current_password: String, new_password: String) -> Result:
	var body: Dictionary = {"current_password": current_password, "new_password": new_password}
	return await _renew(HTTPClient.METHOD_PUT, "/v1/me/password", body)


## Deletes the account, signs the player out, and forgets the account on this device. The proof is
## the password; a guest needs none.
func delete_account(proof: String = "") -> Result:
	var generation: int = _generation
	var store: Store = _store
	var guest: Guest = Guest.new(base_url, profile)
	var was_guest: bool = is_guest()
	var account: Array = [base_url, account_id]
	_is_leaving = true
	var result: Result = await fetch("/v1/me/delete", _proof(proof))
	_is_leaving = false
	if result.ok:
		guest.forget(str(account[1]), was_guest)
		var record: Dictionary = store.read()
		if [record.get("server"), record.get("account_id")] == account:
			store.clear()
		if generation == _generation:
			_end_session(Reason.LOGOUT, true)
	return result


## Returns an access token that is valid for some more seconds, or "" if there is none: for HTTP
## services of your own. [method fetch] sends it itself, and a game server gets a ticket instead.
func get_access_token(min_valid: float = 60.0) -> String:
	var result: Result = await _ensure_access(min_valid)
	return _session.access_token(0.0) if result.ok else ""


## Gets a ticket for one game server, by the name that the server gives itself, such as
## [code]eu-1:7777[/code]. [member GameLoginResult.ticket] has it; send it to that server alone.
func get_ticket(server: String) -> Result:
	var problem: String = Address.server_problem(server)
	if problem != "":
		var refused: Result = Result.of(Result.Kind.INVALID, "invalid_request", problem)
		refused.fields["server"] = problem
		return refused
	var generation: int = _generation
	var body: Dictionary = {"server": server}
	var result: Result = await _ask_as_player(HTTPClient.METHOD_POST, "/v1/tickets", body, true)
	if not result.ok:
		return result
	if generation != _generation:
		return Result.of(Result.Kind.CANCELLED)  # the ticket is for a player who has signed out
	if not result.data.get("ticket") is String or result.data["ticket"] == "":
		return Result.of(Result.Kind.PROTOCOL)
	result.ticket = result.data["ticket"]
	result.data["ticket"] = ""  # so that no log shows it
	return result


## Calls the backend as the signed-in player. With a body the default method is POST.
func fetch(
	path: String, body: Variant = null, method: HTTPClient.Method = HTTPClient.METHOD_GET
) -> Result:
	if body != null and method == HTTPClient.METHOD_GET:
		method = HTTPClient.METHOD_POST
	return await _ask_as_player(method, path, body, false)


## Connects to a game server and sends it a ticket. Poll the peer as usual. Without [param server]
## the server's name is the host and port of the URL.
func connect_socket(peer: WebSocketPeer, url: String, server: String = "") -> Error:
	if not Address.is_safe(url, "ws"):
		return ERR_INVALID_PARAMETER
	var result: Result = await get_ticket(server if server != "" else Address.server_at(url))
	match result.kind:
		Result.Kind.OK:
			pass
		Result.Kind.INVALID:
			push_error("Game Login: no ticket: " + result.message)
			return ERR_INVALID_PARAMETER
		Result.Kind.DENIED, Result.Kind.CANCELLED:
			return ERR_UNAUTHORIZED
		_:
			return ERR_CANT_CONNECT
	_caller.request_seconds = request_seconds
	if not is_ticket_in_message:
		peer.handshake_headers = ["Authorization: Bearer " + result.ticket]
	var error: Error = peer.connect_to_url(url, tls_options)
	if error == OK and is_ticket_in_message:
		return await _caller.send_first(peer, result.ticket)
	return error


func _credentials(username: String, password: String) -> Dictionary:
	return {"username": username, "password": password, "device": OS.get_name()}


## Returns what confirms a call: the password, or the secret of a guest.
func _proof(password: String) -> Dictionary:
	if is_guest():
		return {"guest_secret": Guest.new(base_url, profile).secret()}
	return {"password": password}


## Makes a call that signs in. `finish` gets the account before its session is stored, so that a
## killed game never has a session that does not fit the rest.
func _sign_in(
	path: String,
	body: Dictionary,
	key: String,
	is_repeatable: bool,
	remember: bool,
	finish: Callable = Callable()
) -> Result:
	if _is_signing_in:
		return Result.of(Result.Kind.CANCELLED, "busy", "Signing in is under way.")
	_is_signing_in = true
	var asker: Array = [base_url, _store]
	var asked_at: float = Session.now()
	var session: Session = Session.new()
	var header: String = "Idempotency-Key: " + key if key != "" else ""
	var result: Result = await _ask(HTTPClient.METHOD_POST, path, header, body, is_repeatable)
	if result.ok and not session.take(result.data, asked_at):
		result = Result.of(Result.Kind.PROTOCOL)
	if result.ok and asker != [base_url, _store]:
		result = Result.of(Result.Kind.CANCELLED)  # its tokens are for another server or store
	if result.ok:
		_generation += 1
		_session = session
		_session.is_remembered = remember
		if not is_guest():
			Guest.new(base_url, profile).forget(account_id)
		if finish.is_valid():
			finish.call(account_id)
		_keep("")
		_is_reachable = true
	_is_signing_in = false
	return result


## Makes a call that gives the session new tokens; it is safe to repeat.
func _renew(method: HTTPClient.Method, path: String, body: Dictionary) -> Result:
	var result: Result = await _ask_as_player(method, path, body, true)
	if result.ok and result.data.get("refresh_token") != "":  # not the server's answer: no tokens
		return Result.of(Result.Kind.PROTOCOL)
	return result


## Calls with the access token, and once more with a new one if the server refuses it.
func _ask_as_player(
	method: HTTPClient.Method, path: String, body: Variant, is_repeatable: bool
) -> Result:
	var generation: int = _generation
	var result: Result
	for _try: int in 2:
		result = await _ensure_access(0.0)
		if not result.ok:
			break
		var token: String = _session.access_token(0.0)
		var header: String = "Authorization: Bearer " + token
		result = await _ask(method, path, header, body, is_repeatable)
		if result.status > 0 or result.kind in [Result.Kind.OFFLINE, Result.Kind.TIMEOUT]:
			_is_reachable = result.status > 0
		if result.code != "invalid_token" or generation != _generation:
			break
		if token == _session.access_token(0.0):
			_session.access_until = Session.now()
	# If the answer brings new tokens of this account, the previous ones may be invalid.
	var session: Session = _session if generation == _generation else Session.new()
	var sent: String = session.refresh_token
	if result.ok and session.take(result.data, Session.now()) and session == _session:
		_keep(sent)
	return result


func _ensure_access(min_valid: float) -> Result:
	if not _session.is_open():
		return Result.of(Result.Kind.DENIED, "no_session", "Nobody is signed in.")
	if _session.access_token(min_valid) != "":
		return Result.of(Result.Kind.OK)
	return await _refresh()


## Refreshes the session; calls during a refresh share its result.
func _refresh() -> Result:
	var generation: int = _generation
	while _is_refreshing:
		var shared: Result = await refreshed
		if shared.code != OVERTAKEN or generation != _generation:
			return shared
	_is_refreshing = true
	var result: Result = await _refresh_alone()
	_is_refreshing = false
	_update_state()
	refreshed.emit(result)
	return result


func _refresh_alone() -> Result:
	var generation: int = _generation
	while true:
		@warning_ignore("return_value_discarded")
		_take_newer()
		var sent: String = _session.refresh_token
		var key: String = "Idempotency-Key: " + _session.key_for("refresh\n" + sent)
		var body: Dictionary = {"refresh_token": sent}
		var asked_at: float = Session.now()
		var result: Result = await _ask(HTTPClient.METHOD_POST, "/v1/refresh", key, body, true)
		if generation != _generation:
			return Result.of(Result.Kind.CANCELLED, OVERTAKEN)
		if result.ok and not _session.take(result.data, asked_at):
			result = Result.of(Result.Kind.PROTOCOL)
		_is_reachable = result.ok or result.code == "session_ended"
		if result.ok:
			_keep(sent)
		elif result.code == "session_ended":
			if _take_newer():
				continue
			var was_open: bool = _session.access_until > 0.0  # in this run of the game
			_end_session(Reason.REVOKED if was_open else Reason.EXPIRED, true)
		return result
	return null


## Takes a newer refresh token that another copy of the game has stored; returns true if it did.
func _take_newer() -> bool:
	var record: Dictionary = _store.read() if _session.is_remembered else {}
	if record.get("server") != base_url or record.get("account_id") != _session.account_id:
		return false
	return record.get("refresh_token") != _session.refresh_token and _session.take_record(record)


## Stores the session that replaces the one with token `sent`, unless another copy was faster.
func _keep(sent: String) -> void:
	if not _session.is_remembered:
		if sent == "":
			_store.clear()  # an unremembered player replaces the remembered one
		return
	var record: Dictionary = _store.read()
	if sent != "" and record.get("is_open") == true:
		if record.get("account_id") != _session.account_id:
			return  # another player has signed in with another copy
		if record.get("refresh_token") != sent and _take_newer():
			return
	if not _store.write(_session.to_record(base_url)):
		push_warning("Game Login: cannot write %s: the player will have to sign in." % _store.path)


## Forgets the session. If the server confirmed its end, the token stays stored, only to mark this
## device as known at the next login.
func _end_session(reason: Reason, is_confirmed: bool) -> void:
	if _session.is_remembered:
		var record: Dictionary = _store.read()
		if record.get("secret") == _session.to_record(base_url)["secret"]:  # not another copy's
			record["is_open"] = false
			if not is_confirmed or not _store.write(record):
				_store.clear()
	_forget()
	# Deferred: a handler may sign in again, and by then no call is running.
	session_ended.emit.call_deferred(Reason.LOGOUT if _is_leaving else reason)


func _forget() -> void:
	_generation += 1
	_session = Session.new()
	_update_state()


func _update_state() -> void:
	var new_state: State = State.SIGNED_IN if _is_reachable else State.OFFLINE
	if _is_signing_in or not _session.is_open():
		new_state = State.SIGNING_IN if _is_signing_in else State.SIGNED_OUT
	if new_state != state:
		state = new_state
		state_changed.emit(state)


## Sends a request; see [code]caller.gd[/code].
func _ask(
	method: HTTPClient.Method, path: String, header: String, body: Variant, is_repeatable: bool
) -> Result:
	var server: String = base_url.trim_suffix("/")
	var problem: String = Address.problem(server, path)
	if problem != "":
		return Result.of(Result.Kind.INVALID, "unsafe_address", problem)
	_caller.tls_options = tls_options
	_caller.request_seconds = request_seconds
	return await _caller.ask(server + path, method, header, body, is_repeatable)
