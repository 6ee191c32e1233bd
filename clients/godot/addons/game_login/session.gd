extends RefCounted
## The signed-in player and the tokens. Expiry is counted from the request for them, because a
## player's clock may be wrong.

var account_id: String = ""
var username: String = ""
var is_guest: bool = false
var refresh_token: String = ""
var is_remembered: bool = false
var access_until: float = 0.0  ## in seconds since the game was started; 0 before the first token

var _secret: PackedByteArray = Crypto.new().generate_random_bytes(32)
var _access_token: String = ""


static func now() -> float:
	return Time.get_ticks_msec() / 1000.0


## Tells whether a player is signed in.
func is_open() -> bool:
	return refresh_token != ""


## Takes the tokens from an answer to a request sent at a time; returns false if any is missing, or
## if they belong to another account than before.
func take(body: Dictionary, asked_at: float) -> bool:
	var account: Dictionary = body["account"] if body.get("account") is Dictionary else {}
	var texts: Array = [account.get("id"), account.get("username")]
	texts.append_array([body.get("access_token"), body.get("refresh_token")])
	for text: Variant in texts:
		if not text is String or str(text) == "":
			return false
	if not body.get("expires_in") is float or not account_id in ["", texts[0]]:
		return false
	var expires_in: float = body["expires_in"]
	account_id = texts[0]
	take_account(account)
	_access_token = texts[2]
	refresh_token = texts[3]
	access_until = asked_at + expires_in
	body.merge({"access_token": "", "refresh_token": ""}, true)  # so that no log shows them
	return true


## Takes the name from an answer, and whether the account is a guest's: a server from before guests
## does not say, and may answer for a while after a roll-back.
func take_account(account: Dictionary) -> void:
	username = str(account.get("username", username))
	is_guest = account.get("guest", is_guest) == true


## Returns the access token if it is valid for some more seconds, or "".
func access_token(min_valid: float) -> String:
	return _access_token if now() + min_valid < access_until else ""


## Returns the Idempotency-Key for a call: the same key for the same call, even after a restart or
## in another copy of the game that shares the store; it cannot be guessed.
func key_for(what: String) -> String:
	var bytes: PackedByteArray = what.to_utf8_buffer()
	return Crypto.new().hmac_digest(HashingContext.HASH_SHA256, _secret, bytes).hex_encode()


## Returns the record for the store.
func to_record(server: String) -> Dictionary:
	return {
		"server": server,
		"account_id": account_id,
		"username": username,
		"is_guest": is_guest,
		"refresh_token": refresh_token,
		"secret": Marshalls.raw_to_base64(_secret),
		"is_open": true,
	}


## Takes a record from the store; returns true if it was a session that may be open.
func take_record(record: Dictionary) -> bool:
	for name: String in ["account_id", "username", "refresh_token", "secret"]:
		if not record.get(name) is String or record[name] == "":
			return false
	if record.get("is_open") != true:
		return false
	account_id = record["account_id"]
	username = record["username"]
	is_guest = record.get("is_guest", false) == true
	refresh_token = record["refresh_token"]
	_secret = Marshalls.base64_to_raw(str(record["secret"]))
	is_remembered = true
	return true
