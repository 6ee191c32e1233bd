class_name GameLoginResult
extends RefCounted
## What became of one call. Never holds a token, so that printing one shows none.

enum Kind {
	OK,  ## done
	INVALID,  ## what was sent is at fault; [member fields] says which field, and why
	DENIED,  ## wrong name or password, no session, a suspended account
	CONFLICT,  ## the name is taken
	RATE_LIMITED,  ## too many attempts; try again after [member retry_after] seconds
	OFFLINE,  ## the server could not be reached
	TIMEOUT,  ## no answer in time: nobody knows whether it was done
	SERVER,  ## the server cannot do it now; try again after [member retry_after] seconds
	PROTOCOL,  ## an answer that is not the server's: a login page of a hotel, half a body
	CANCELLED,  ## overtaken by another call, or the game is ending
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
var status: int = 0  ## of HTTP; 0 where no answer came
var code: String = ""  ## of the HTTP API, such as "username_taken"
var message: String = ""  ## for the player, in English
var fields: Dictionary[String, String] = {}  ## field -> what is wrong with it
var retry_after: float = 0.0  ## seconds
var data: Dictionary = {}  ## the body; of an error its details
var ok: bool:
	get:
		return kind == Kind.OK


## Returns a result that no server had a part in.
static func of(new_kind: Kind, new_code: String = "", text: String = "") -> GameLoginResult:
	var result: GameLoginResult = new()
	result.kind = new_kind
	result.code = new_code
	result.message = text if text != "" else MESSAGES[new_kind]
	return result


## Reads an answer. By its status where it has no error of ours: gateways and proxies answer too.
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


## Tells whether the same call may go well a little later.
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
