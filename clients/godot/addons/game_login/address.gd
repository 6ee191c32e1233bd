extends RefCounted
## Which addresses a password or a token may be sent to: encrypted ones, and this machine.

const HOST: String = "([A-Za-z0-9.-]+|\\[[0-9A-Fa-f:.]+\\])"
const LOOPBACK: String = "(localhost|127\\.0\\.0\\.1|\\[::1\\])"


## Tells whether it is `https` or `wss`, or the unencrypted one of this machine.
static func is_safe(url: String, scheme: String) -> bool:
	var start: String = "(%ss://%s|%s://%s)" % [scheme, HOST, scheme, LOOPBACK]
	return RegEx.create_from_string("^%s(:[0-9]{1,5})?(/[!-~]*)?$" % start).search(url) != null
