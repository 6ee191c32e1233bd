extends RefCounted
## Addresses that passwords and tokens may be sent to: encrypted ones, and this machine; and the
## names of game servers.

const HOST: String = "([A-Za-z0-9.-]+|\\[[0-9A-Fa-f:.]+\\])"
const LOOPBACK: String = "(localhost|127\\.0\\.0\\.1|\\[::1\\])"
const SHORTEST_HOST: int = 4  # the engine's HTTPClient accepts no shorter one
const BAD_SERVER: String = "The server's address must be https:// and a host."
const BAD_HOST: String = "Godot takes no host shorter than 4 characters. Write 127.0.0.1 for [::1]."
const BAD_PATH: String = "The path must begin with / and have no spaces."
const SERVER_NAME: String = "^[a-z0-9.:_-]{1,64}\\z"
const BAD_SERVER_NAME: String = "A server's name has 1 to 64 characters of a-z, 0-9 and . : _ -"
const DEFAULT_PORTS: Dictionary[String, String] = {"ws": ":80", "wss": ":443"}


## Tells whether a URL is `https` or `wss`, or an unencrypted one on this machine.
static func is_safe(url: String, scheme: String) -> bool:
	return _match(url, scheme) != null


## Returns the reason not to send a request to a path of a server, or "".
static func problem(server: String, path: String) -> String:
	var found: RegExMatch = _match(server, "http")
	if found == null:
		return BAD_SERVER
	if _host(found).length() < SHORTEST_HOST:
		return BAD_HOST
	return "" if path.begins_with("/") and is_safe(server + path, "http") else BAD_PATH


## Returns the name of the game server at a URL, unless it has another one: the host and the port.
static func server_at(url: String) -> String:
	var found: RegExMatch = _match(url.to_lower(), "ws")
	if found == null:
		return ""
	var port: String = found.get_string(4)
	return _host(found) + (port if port != "" else DEFAULT_PORTS[url.get_slice(":", 0).to_lower()])


## Returns the reason why this cannot be the name of a game server, or "".
static func server_problem(server: String) -> String:
	var found: RegExMatch = RegEx.create_from_string(SERVER_NAME).search(server)
	return BAD_SERVER_NAME if found == null else ""


## Returns the host, without the brackets of IPv6.
static func _host(found: RegExMatch) -> String:
	return (found.get_string(2) + found.get_string(3)).lstrip("[").rstrip("]")


static func _match(url: String, scheme: String) -> RegExMatch:
	var start: String = "(%ss://%s|%s://%s)" % [scheme, HOST, scheme, LOOPBACK]
	return RegEx.create_from_string("(?i)^%s(:[0-9]{1,5})?(/[!-~]*)?$" % start).search(url)
