extends MarginContainer
## A chat for all connected players, over the WebSocket server in `clients/game_server/`.

## A guest wants to save the progress.
signal save_wanted
## The account was suspended: the game server has disconnected the player, and the lobby stays so.
signal suspended

const Address = preload("res://addons/game_login/address.gd")
const Result = preload("res://addons/game_login/result.gd")
const DEFAULT_URL: String = "ws://127.0.0.1:8765"
const RECONNECT_SECONDS: float = 3.0
const BAD_TICKET: int = 4401
const SUSPENDED: int = 4403
const REPLACED: int = 4409
const NAME_COLOR: Color = Color("9db8ff")
const OWN_COLOR: Color = Color("7fd8b4")
const NOTE_COLOR: Color = Color("98a1b5")

## The interval of new tickets: the server disconnects a player ten minutes after the last one.
var renew_seconds: float = 240.0
## The interval of pings: a dead network reports no error.
var heartbeat_seconds: float = 20.0
## The time-out for opening a connection.
var connect_seconds: float = 13.0
## The game server's last message [code]kicked[/code]; empty once the player is welcome again.
var kicked: Dictionary = {}

var _peer: WebSocketPeer = null
var _server: String = ""  # the name for which the tickets are
var _visit: int = 0  # changes whenever a player enters or leaves
var _was_welcome: bool = false  # on this connection
var _players: PackedStringArray = []

@onready var _greeting: Label = %Greeting
@onready var _status: Label = %Status
@onready var _list: Label = %Players
@onready var _log: RichTextLabel = %Log
@onready var _input: LineEdit = %Input
@onready var _guest: Control = %Guest
@onready var _leave: Button = %Leave


## Shows the lobby and stays connected until the player leaves.
func enter() -> void:
	_visit += 1
	var visit: int = _visit
	var retry_from: int = 0
	kicked = {}
	_log.clear()
	_greeting.text = tr("Hello, %s") % GameLogin.account_name
	_guest.visible = GameLogin.is_guest()
	show()
	_input.grab_focus()
	_status.text = tr("Connecting ...")
	while visit == _visit:
		_was_welcome = false
		var code: int = await _chat_until_closed()
		if visit != _visit or not GameLogin.has_session():
			break
		if code == BAD_TICKET and _was_welcome and Time.get_ticks_msec() >= retry_from:
			# For example after a long sleep of the machine: once, with a new ticket and without
			# delay, so that the player does not notice.
			retry_from = Time.get_ticks_msec() + int(RECONNECT_SECONDS * 1000.0)
			continue
		_show_players([])
		if code == SUSPENDED:
			_status.text = tr("Disconnected")
			kicked["code"] = "suspended"
			suspended.emit()
			break
		if code == REPLACED:
			_status.text = tr("You have joined from somewhere else.")
			break
		_status.text = tr("The game server cannot be reached. Trying again ...")
		await get_tree().create_timer(RECONNECT_SECONDS).timeout


## Hides the lobby and disconnects.
func leave() -> void:
	_visit += 1
	hide()
	_disconnect()


func _disconnect() -> void:
	if _peer != null:
		_peer.close()
		_peer = null


## Connects and shows the messages; returns the close code, or -1.
func _chat_until_closed() -> int:
	_disconnect()
	var peer: WebSocketPeer = WebSocketPeer.new()
	var url: String = ProjectSettings.get_setting("game_login/socket_url", DEFAULT_URL)
	_peer = peer
	_server = Address.server_at(url)
	peer.heartbeat_interval = heartbeat_seconds
	if await GameLogin.connect_socket(peer, url) != OK:
		return -1
	if peer != _peer:
		peer.close()  # the player has left meanwhile
	var give_up_at: int = Time.get_ticks_msec() + int(connect_seconds * 1000.0)
	var renew_at: int = Time.get_ticks_msec() + int(renew_seconds * 1000.0)
	while peer.get_ready_state() != WebSocketPeer.STATE_CLOSED:
		peer.poll()
		if peer.get_ready_state() == WebSocketPeer.STATE_CONNECTING:
			if Time.get_ticks_msec() > give_up_at:
				peer.close()
		if Time.get_ticks_msec() > renew_at and peer == _peer:
			renew_at += int(renew_seconds * 1000.0)
			# Not awaited: a peer must be polled to answer the server's pings.
			@warning_ignore("missing_await")
			_renew(peer)
		while peer.get_available_packet_count() > 0 and peer == _peer:
			_read(peer.get_packet().get_string_from_utf8())
		await get_tree().process_frame
	return peer.get_close_code()


## Sends a new ticket to keep the connection open.
func _renew(peer: WebSocketPeer) -> void:
	var result: Result = await GameLogin.get_ticket(_server)
	var message: Dictionary = {"type": "authenticate", "ticket": result.ticket}
	if result.ok and peer.get_ready_state() == WebSocketPeer.STATE_OPEN:
		if peer.send_text(JSON.stringify(message)) != OK:
			peer.close()


func _read(text: String) -> void:
	var json: JSON = JSON.new()
	if json.parse(text) != OK or not json.data is Dictionary:
		return
	var message: Dictionary = json.data
	var player: String = str(message.get("name", ""))
	match message.get("type"):
		"welcome":
			var names: Array = message["players"] if message.get("players") is Array else []
			_show_players(names)
			_was_welcome = true
			kicked = {}
			if _status.text != tr("Connected"):
				_note(tr("Welcome, %s!") % player)
			_status.text = tr("Connected")
		"joined":
			_show_players(Array(_players) + [player])
			_note(tr("%s has come.") % player)
		"left":
			_show_players(
				Array(_players).filter(func(other: String) -> bool: return other != player)
			)
			_note(tr("%s has gone.") % player)
		"chat":
			_say(player, str(message.get("text", "")))
		"renew":
			@warning_ignore("missing_await")
			_renew(_peer)
		"kicked":
			kicked = message


## Adds a player's line; as plain text, because it is untrusted.
func _say(player: String, text: String) -> void:
	_log.push_color(OWN_COLOR if player == GameLogin.account_name else NAME_COLOR)
	_log.add_text(player + "  ")
	_log.pop()
	_log.add_text(text + "\n")


func _note(line: String) -> void:
	_log.push_color(NOTE_COLOR)
	_log.add_text(line + "\n")
	_log.pop()


func _show_players(names: Array) -> void:
	_players = []
	for player: Variant in names:
		if not str(player) in _players:
			_players = _players + PackedStringArray([str(player)])
	_list.text = "\n".join(_players)


func _is_open() -> bool:
	return _peer != null and _peer.get_ready_state() == WebSocketPeer.STATE_OPEN


func _on_input_submitted(text: String) -> void:
	if text.strip_edges() == "" or not _is_open():
		return
	var message: Dictionary = {"type": "chat", "text": text}
	if _peer.send_text(JSON.stringify(message)) == OK:
		_input.clear()


func _on_leave_pressed() -> void:
	_leave.disabled = true
	var result: Result = await GameLogin.logout()
	_leave.disabled = false
	if not result.ok:
		push_warning("Signed out here; the server has not heard of it (%s)." % result)


func _on_save_pressed() -> void:
	save_wanted.emit()
