extends RefCounted
## The secret that a server knows this device's guest by. Without it the guest is lost: so it is
## stored before it is sent, never overwritten, and each new guest gets a folder of its own.

const Result = preload("result.gd")
const Store = preload("store.gd")

const SECRET_BYTES: int = 32
const SECRET_LENGTH: int = 43  # in base64url, without padding
const MOVING: String = "moving"
const MOVE_SECONDS: float = 60.0  # more than the longest request
const UNKNOWN: String = "This device has no guest any more."
const UNREADABLE: String = "The guest of this device cannot be read. Start the game again."
const NOT_STORED: String = "This device cannot store a guest. Create an account instead."

var _profile: String
var _server: String
var _number: int = 0  # of the newest guest; 0 if there was none


func _init(server: String, profile: String) -> void:
	_profile = profile
	_server = server.trim_suffix("/")
	_count()


## Stores a secret if this device needs one: on the first start, or for another guest. Returns the
## reason why there is none, or null.
func prepare(start_anew: bool) -> Result:
	var has_none: bool = not _has_guests_elsewhere()
	_count()  # after that, so that a copy that has just made a guest is not taken for elsewhere
	var is_first: bool = _number == 0 and has_none
	var is_unanswered: bool = secret() != "" and not is_known()
	if is_first or (start_anew and not is_unanswered):
		if not _publish(str(_number + 1), _new_secret()):
			return Result.of(Result.Kind.DENIED, "guest_not_stored", NOT_STORED)
		_number += 1
	return problem()


## Returns the reason why there is no secret, or null.
func problem() -> Result:
	if _number == 0 and _is_move_unreadable():
		return Result.of(Result.Kind.DENIED, "guest_unreadable", UNREADABLE)
	if _number == 0 or FileAccess.file_exists(_file("over").path):
		return Result.of(Result.Kind.INVALID, "unknown_guest", UNKNOWN)
	if secret() != "":
		return null
	return Result.of(Result.Kind.DENIED, "guest_unreadable", UNREADABLE)


## Returns the secret, or "" if there is none.
func secret() -> String:
	return _secret_in(str(_number))


## Tells whether the server has signed the guest in; from then on only the player may ask for
## another one.
func is_known() -> bool:
	return FileAccess.file_exists(_file("known").path)


## Notes that the server has signed the guest in. If that cannot be written, the next sign-in by the
## secret tries again; until then, a guest whose account has vanished would be created anew unasked.
func note_known(account_id: String) -> void:
	if _number > 0 and not is_known():
		if not _file("known").write({"account_id": account_id}):
			push_warning("Game Login: cannot write %s." % _file("known").path)


## Deletes the secret of an account that is deleted, or no guest any more. A secret that the server
## took as proof for the account belongs to it even if that could not be noted.
func forget(account_id: String, is_proven: bool = false) -> void:
	var unnoted: String = account_id if is_proven else ""
	var owner: String = str(_file("known").read().get("account_id", unnoted))
	if _number == 0 or owner != account_id:
		return
	if not _file("over").write({}):
		push_warning("Game Login: cannot write %s." % _file("over").path)
	_file("secret").clear()


## Stores a secret for a guest that moves to this device, unless an earlier try left one. Returns
## the reason why there is none, or null.
func prepare_move() -> Result:
	if _is_move_unreadable():
		return Result.of(Result.Kind.DENIED, "guest_unreadable", UNREADABLE)
	if moving_secret() == "":
		@warning_ignore("return_value_discarded")
		DirAccess.remove_absolute(_folder(MOVING))  # what a killed game has left
		@warning_ignore("return_value_discarded")
		_publish(MOVING, _new_secret())
	if moving_secret() == "":
		return Result.of(Result.Kind.DENIED, "guest_not_stored", NOT_STORED)
	return null


## Returns the secret of a guest of which the server has not said yet that it has moved here, or "".
func moving_secret() -> String:
	return _secret_in(MOVING)


## Notes that the moving secret is about to be sent; returns how often it was sent, or 0 if that
## cannot be noted. A space at the end of the file counts, whichever copy of the game sends.
func note_send() -> int:
	var file: FileAccess = FileAccess.open(_moving_path(), FileAccess.READ_WRITE)
	if file == null:
		return 0
	file.seek_end()
	return file.get_length() if file.store_string(" ") else 0


## Tells whether a guest that has not moved will not do so any more: no request is under way.
func is_move_over() -> bool:
	var sent_at: int = FileAccess.get_modified_time(_moving_path())
	return Time.get_unix_time_from_system() - sent_at > MOVE_SECONDS


## Makes the guest that has moved the one of this device. If it cannot be stored, it stays the
## moving one, which the next sign-in finds.
func finish_move(account_id: String, moved: String) -> void:
	_count()
	if secret() != moved:
		var next: String = str(_number + 1)
		if not _publish(next, moved) or _secret_in(next) != moved:
			push_warning("Game Login: cannot write %s." % _folder(next))
			return
		_number += 1
	note_known(account_id)
	drop_move(moved)


## Forgets the secret of a guest that has not moved here, unless it is not the moving one any more,
## or was sent again since.
func drop_move(dropped: String, sends: int = 0) -> void:
	if moving_secret() != dropped or sends > 0 and _sends() != sends:
		return
	_store(_name(MOVING), "secret.json").clear()
	@warning_ignore("return_value_discarded")
	DirAccess.remove_absolute(_folder(MOVING))


func _sends() -> int:
	var file: FileAccess = FileAccess.open(_moving_path(), FileAccess.READ)
	return 0 if file == null else file.get_length()


func _moving_path() -> String:
	return _store(_name(MOVING), "secret.json").path


func _is_move_unreadable() -> bool:
	return moving_secret() == "" and FileAccess.file_exists(_moving_path())


func _has_guests_elsewhere() -> bool:
	var place: String = _folder("1").get_base_dir()
	if not DirAccess.dir_exists_absolute(place):
		return false
	for folder: String in DirAccess.get_directories_at(place):
		if folder.ends_with(".tmp"):
			continue  # another copy of the game moves it away, perhaps now
		var opened: DirAccess = DirAccess.open(place.path_join(folder))
		if opened != null and not opened.get_files().is_empty():
			return true
	return false


## Stores a secret and moves its folder to its place. Only one copy of the game can do that, because
## no folder replaces one with files in it; the others use its secret. Even if the game is killed,
## the place has a whole secret or does not exist.
func _publish(name: String, text: String) -> bool:
	var record: Dictionary = {"server": _server, "secret": text}
	var temporary: Store = _store("%d.tmp" % OS.get_process_id(), "secret.json")
	var folder: String = temporary.path.get_base_dir()
	if not temporary.write(record) or DirAccess.rename_absolute(folder, _folder(name)) != OK:
		temporary.clear()
		@warning_ignore("return_value_discarded")
		DirAccess.remove_absolute(folder)
	return DirAccess.dir_exists_absolute(_folder(name))


func _new_secret() -> String:
	var bytes: PackedByteArray = Crypto.new().generate_random_bytes(SECRET_BYTES)
	var text: String = Marshalls.raw_to_base64(bytes).replace("+", "-").replace("/", "_")
	return text.trim_suffix("=")


func _secret_in(name: String) -> String:
	var found: String = str(_store(_name(name), "secret.json").read().get("secret", ""))
	return found if found.length() == SECRET_LENGTH else ""


## Finds the newest guest.
func _count() -> void:
	while DirAccess.dir_exists_absolute(_folder(str(_number + 1))):
		_number += 1


func _folder(name: String) -> String:
	return _store(_name(name), "").path.trim_suffix("/")


func _file(file: String) -> Store:
	return _store(_name(str(_number)), file + ".json")


func _name(name: String) -> String:
	return "%s-%s" % [_server.sha256_text().left(32), name]


func _store(folder: String, file: String) -> Store:
	return Store.new(_profile, "guests%s/" + folder + "/" + file)
