class_name GameLoginResult
extends RefCounted
## The result of one call. Printing it shows no token and no ticket.

enum Kind {
	OK,  ## done
	INVALID,  ## the input is invalid; [member fields] names the fields and the reasons
	DENIED,  ## wrong name or password, no session, a suspended account
	CONFLICT,  ## the name is taken
	RATE_LIMITED,  ## too many attempts; try again after [member retry_after] seconds
	OFFLINE,  ## the server could not be reached
	TIMEOUT,  ## no answer in time: the server may have done it or not
	SERVER,  ## the server is unavailable; try again after [member retry_after] seconds
	PROTOCOL,  ## not an answer of the server: a hotel's login page, half a body
	CANCELLED,  ## replaced by another call, or the game is ending
}

const MESSAGES: Dictionary[Kind, String] = {
	Kind.OK: "",
	Kind.INVALID: "The server does not accept this.",
	Kind.DENIED: "The server does not allow this.",
	Kind.CONFLICT: "This is taken.",
	Kind.RATE_LIMITED: "Too many attempts. Wait a little.",
	Kind.OFFLINE: "The server cannot be reached. Check your connection.",
	Kind.TIMEOUT: "The server takes too long. Try again.",
	Kind.SERVER: "The server is busy. Try again in a moment.",
	Kind.PROTOCOL: "This is not the answer of the game's server. Check your connection.",
	Kind.CANCELLED: "Cancelled.",
}

var kind: Kind = Kind.OK
var status: int = 0  ## HTTP status; 0 without an answer
var code: String = ""  ## error code of the HTTP API, such as "username_taken"
var message: String = ""  ## for the player, in English
var fields: Dictionary[String, String] = {}  ## field -> reason
var retry_after: float = 0.0  ## seconds
var data: Dictionary = {}  ## the body; for an error its details
var ticket: String = ""  ## from [code]get_ticket[/code]
var ok: bool:
	get:
		return kind == Kind.OK


## Returns a result without an answer of the server.
static func of(new_kind: Kind, new_code: String = "", text: String = "") -> GameLoginResult:
	var result: GameLoginResult = new()
	result.kind = new_kind
	result.code = new_code
	result.message = text if text != "" else MESSAGES[new_kind]
	return result


## Reads an answer; by its status if it has no error of ours, since gateways and proxies answer too.
static func of_answer(
	new_status: int, headers: PackedStringArray, body: PackedByteArray
) -> GameLoginResult:
	var json: JSON = JSON.new()
	var parsed: bool = json.parse(body.get_string_from_utf8()) == OK and json.data is Dictionary
	var content: Dictionary = json.data if parsed else {}
	var new_kind: Kind = _kind_of(new_status)
	if new_kind == Kind.OK and not parsed:
		new_kind = Kind.PROTOCOL
	var result: GameLoginResult = of(new_kind)
	result.status = new_status
	if new_kind == Kind.OK:
		result.data = content
	elif content.get("error") is Dictionary:
		var error: Dictionary = content["error"]
		result._read_error(error)
	if result.retry_after == 0.0:
		result.retry_after = _seconds(_header(headers, "retry-after").to_float())
	return result


## Tells whether the same call may succeed a little later.
func is_passing() -> bool:
	return kind in [Kind.OFFLINE, Kind.TIMEOUT, Kind.SERVER, Kind.PROTOCOL]


func _to_string() -> String:
	return "GameLoginResult(%s, %d, %s)" % [Kind.find_key(kind), status, code]


func _read_error(error: Dictionary) -> void:
	code = str(error.get("code", ""))
	message = str(error.get("message", message))
	data = error
	retry_after = _seconds(str(error.get("retry_after", "")).to_float())
	if error.get("fields") is Dictionary:
		var reasons: Dictionary = error["fields"]
		for field: Variant in reasons:
			fields[str(field)] = str(reasons[field])


static func _kind_of(new_status: int) -> Kind:
	match new_status:
		200, 201:
			return Kind.OK
		401, 403:
			return Kind.DENIED
		409:
			return Kind.CONFLICT
		429:
			return Kind.RATE_LIMITED
	if new_status >= 500:
		return Kind.SERVER
	return Kind.INVALID if new_status >= 400 else Kind.PROTOCOL


static func _header(headers: PackedStringArray, name: String) -> String:
	for line: String in headers:
		if line.get_slice(":", 0).strip_edges().to_lower() == name:
			return line.substr(line.find(":") + 1).strip_edges()
	return ""


static func _seconds(value: float) -> float:
	return clampf(value, 0.0, 86400.0) if is_finite(value) else 0.0
