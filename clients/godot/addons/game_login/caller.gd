extends Node
## Sends requests to the backend, repeats those that are safe to repeat, and sends the first message
## to a game server.

const Exchange = preload("exchange.gd")
const Result = preload("result.gd")
const Session = preload("session.gd")

const TRIES: int = 3  # for calls that are safe to repeat
const BACK_OFF_SECONDS: float = 0.5
const NOT_CLOSED_BY_SERVER: Array[int] = [-1, 1006]  # "failed" in the engine and in a browser

var tls_options: TLSOptions = null
var request_seconds: float = 0.0


## Sends a request. A repeatable one is retried if that may help, but not after the time-out of one
## request.
func ask(
	url: String, method: HTTPClient.Method, header: String, body: Variant, is_repeatable: bool
) -> Result:
	var headers: PackedStringArray = [] if header == "" else [header]
	var content: String = ""
	if body != null:
		headers += PackedStringArray(["Content-Type: application/json"])
		content = JSON.stringify(body)
	var began: float = Session.now()
	var attempt: int = 0
	while true:
		var exchange: Exchange = Exchange.new(tls_options)
		add_child(exchange)
		var result: Result = await exchange.send(url, method, headers, content, request_seconds)
		exchange.queue_free()
		attempt += 1
		if not is_repeatable or not result.is_passing() or attempt == TRIES:
			return result
		var length: float = maxf(BACK_OFF_SECONDS * 2 ** attempt, result.retry_after)
		length *= randf_range(1.0, 1.25)  # so that not all players retry at once
		if Session.now() + length > began + request_seconds:
			return result
		if not await pause(length):
			return Result.of(Result.Kind.CANCELLED)
	return null


## Sends a ticket as the first message to a game server, when it has been reached.
func send_first(peer: WebSocketPeer, ticket: String) -> Error:
	var end: float = Session.now() + request_seconds
	while true:
		peer.poll()
		if peer.get_ready_state() == WebSocketPeer.STATE_OPEN:
			var hello: Dictionary = {"type": "authenticate", "ticket": ticket}
			return peer.send_text(JSON.stringify(hello))
		if peer.get_ready_state() != WebSocketPeer.STATE_CONNECTING or Session.now() > end:
			peer.close()
			return ERR_CANT_CONNECT if peer.get_close_code() in NOT_CLOSED_BY_SERVER else OK
		if not await pause(0.05):
			break
	return ERR_CANT_CONNECT


## Waits; returns false if the node left the tree before the end.
func pause(seconds: float) -> bool:
	var exchange: Exchange = Exchange.new()
	add_child(exchange)
	var result: Result = await exchange.wait(seconds)
	exchange.queue_free()
	return result.kind == Result.Kind.TIMEOUT
