extends RefCounted
## Addresses that passwords and tokens may be sent to: encrypted ones, and this machine.

const HOST: String = "([A-Za-z0-9.-]+|\\[[0-9A-Fa-f:.]+\\])"
const LOOPBACK: String = "(localhost|127\\.0\\.0\\.1|\\[::1\\])"
const SHORTEST_HOST: int = 4  # the engine's HTTPClient accepts no shorter one
const BAD_SERVER: String = "The server's address must be https:// and a host."
const BAD_HOST: String = "Godot takes no host shorter than 4 characters. Write 127.0.0.1 for [::1]."
const BAD_PATH: String = "The path must begin with / and have no spaces."


## Tells whether a URL is `https` or `wss`, or an unencrypted one on this machine.
static func is_safe(url: String, scheme: String) -> bool:
	return _match(url, scheme) != null


## Returns the reason not to send a request to a path of a server, or "".
static func problem(server: String, path: String) -> String:
	var found: RegExMatch = _match(server, "http")
	if found == null:
		return BAD_SERVER
	var host: String = (found.get_string(2) + found.get_string(3)).lstrip("[").rstrip("]")
	if host.length() < SHORTEST_HOST:
		return BAD_HOST
	return "" if path.begins_with("/") and is_safe(server + path, "http") else BAD_PATH


static func _match(url: String, scheme: String) -> RegExMatch:
	var start: String = "(%ss://%s|%s://%s)" % [scheme, HOST, scheme, LOOPBACK]
	return RegEx.create_from_string("(?i)^%s(:[0-9]{1,5})?(/[!-~]*)?$" % start).search(url)
