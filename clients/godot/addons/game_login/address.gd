extends RefCounted
## Which addresses a password or a token may be sent to: encrypted ones, and this machine.

const HOST: String = "([A-Za-z0-9.-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?"
const LOOPBACK: String = "(localhost|127\\.0\\.0\\.1|\\[::1\\])(:[0-9]{1,5})?"
const REST: String = "(/[!-~]*)?$"


## Tells whether it is `https` or `wss`, or the unencrypted one of this machine.
static func is_safe(url: String, scheme: String) -> bool:
	return (
		RegEx.create_from_string("^%ss://%s%s" % [scheme, HOST, REST]).search(url) != null
		or RegEx.create_from_string("^%s://%s%s" % [scheme, LOOPBACK, REST]).search(url) != null
	)
