extends Node
## One HTTP request with exactly one answer, even if the game is paused or frozen, the node leaves
## the tree, or the server never answers.

signal answered(result: Result)

const Result = preload("result.gd")
const MAX_FRAME_SECONDS: float = 0.25  # while frozen, the game did not wait for the network

var _http: HTTPRequest = HTTPRequest.new()
var _limit: float = 0.0
var _waited: float = 0.0
var _last_tick: int = 0
var _is_done: bool = false


func _init(tls_options: TLSOptions = null) -> void:
	_http.timeout = 0.0  # the engine's own time-out fires wrongly after the game was frozen
	_http.max_redirects = 0  # a redirect would take the token to another host
	_http.body_size_limit = 1048576  # bytes
	_http.accept_gzip = not OS.has_feature("web")
	if tls_options != null:
		_http.set_tls_options(tls_options)
	add_child(_http)


func _process(_delta: float) -> void:
	var tick: int = Time.get_ticks_usec()  # the frame's own delta follows the game's time scale
	_waited += minf((tick - _last_tick) / 1000000.0, MAX_FRAME_SECONDS)
	_last_tick = tick
	if _waited >= _limit:
		_finish(Result.of(Result.Kind.TIMEOUT))


func _exit_tree() -> void:
	_finish(Result.of(Result.Kind.CANCELLED))


## Sends the request and waits for its answer, at most `seconds`.
func send(
	url: String, method: HTTPClient.Method, headers: PackedStringArray, body: String, seconds: float
) -> Result:
	for line: String in headers:
		if RegEx.create_from_string("[\\x00-\\x1f\\x7f]").search(line) != null:
			return Result.of(Result.Kind.INVALID, "invalid_header")
	@warning_ignore("return_value_discarded")
	_http.request_completed.connect(_on_completed)
	if is_inside_tree() and _http.request(url, headers, method, body) != OK:
		_is_done = true
		return Result.of(Result.Kind.OFFLINE)
	return await wait(seconds)


## Waits for the answer to a request, if one was sent: TIMEOUT after `seconds`.
func wait(seconds: float) -> Result:
	if not is_inside_tree():
		return Result.of(Result.Kind.CANCELLED)
	_limit = seconds
	_last_tick = Time.get_ticks_usec()
	return await answered


func _finish(result: Result) -> void:
	set_process(false)
	if not _is_done:
		_is_done = true
		_http.cancel_request()
		answered.emit(result)


func _on_completed(
	outcome: int, status: int, headers: PackedStringArray, body: PackedByteArray
) -> void:
	if outcome == HTTPRequest.RESULT_SUCCESS:
		_finish(Result.of_answer(status, headers, body))
	else:
		_finish(Result.of(Result.Kind.OFFLINE if status == 0 else Result.Kind.PROTOCOL))
