extends RefCounted
## The secret that a server knows this device's guest by. Without it the guest is lost: so it is
## stored before it is sent, never overwritten, and each new guest gets a folder of its own.

const Result = preload("result.gd")
const Store = preload("store.gd")

const SECRET_BYTES: int = 32
const SECRET_LENGTH: int = 43  # in base64url, without padding
const UNKNOWN: String = "This device has no guest any more."
const UNREADABLE: String = "The guest of this device cannot be read. Start the game again."
const NOT_STORED: String = "This device cannot store a guest. Create an account instead."

var _profile: String
var _server: String
var _number: int = 0  # of the newest guest; 0 if there was none


func _init(server: String, profile: String) -> void:
	_profile = profile
	_server = server.trim_suffix("/")
	while DirAccess.dir_exists_absolute(_folder(_number + 1)):
		_number += 1


## Stores a secret if this device needs one: on the first start, or for another guest. Returns the
## reason why there is none, or null.
func prepare(start_anew: bool) -> Result:
	var is_first: bool = _number == 0 and not _has_guests_elsewhere()
	var is_unanswered: bool = secret() != "" and not is_known()
	if is_first or (start_anew and not is_unanswered):
		if not _publish():
			return Result.of(Result.Kind.DENIED, "guest_not_stored", NOT_STORED)
	return problem()


## Returns the reason why there is no secret, or null.
func problem() -> Result:
	if _number == 0 or FileAccess.file_exists(_file("over").path):
		return Result.of(Result.Kind.INVALID, "unknown_guest", UNKNOWN)
	if secret() != "":
		return null
	return Result.of(Result.Kind.DENIED, "guest_unreadable", UNREADABLE)


## Returns the secret, or "" if there is none.
func secret() -> String:
	var found: String = str(_file("secret").read().get("secret", ""))
	return found if found.length() == SECRET_LENGTH else ""


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


func _has_guests_elsewhere() -> bool:
	var place: String = _folder(1).get_base_dir()
	if not DirAccess.dir_exists_absolute(place):
		return false
	var folders: PackedStringArray = DirAccess.get_directories_at(place)
	return Array(folders).any(func(name: String) -> bool: return not name.ends_with(".tmp"))


## Makes a secret and moves its folder to the place of the next guest. Only one copy of the game can
## do that, because no folder replaces one with files in it; the others use its secret. Even if the
## game is killed, the place has a whole secret or does not exist.
func _publish() -> bool:
	var bytes: PackedByteArray = Crypto.new().generate_random_bytes(SECRET_BYTES)
	var text: String = Marshalls.raw_to_base64(bytes).replace("+", "-").replace("/", "_")
	var record: Dictionary = {"server": _server, "secret": text.trim_suffix("=")}
	var temporary: Store = _store("%d.tmp" % OS.get_process_id(), "secret.json")
	var folder: String = temporary.path.get_base_dir()
	if not temporary.write(record) or DirAccess.rename_absolute(folder, _folder(_number + 1)) != OK:
		temporary.clear()
		@warning_ignore("return_value_discarded")
		DirAccess.remove_absolute(folder)
	if not DirAccess.dir_exists_absolute(_folder(_number + 1)):
		return false
	_number += 1
	return true


func _folder(number: int) -> String:
	return _store(_name(number), "").path.trim_suffix("/")


func _file(name: String) -> Store:
	return _store(_name(_number), name + ".json")


func _name(number: int) -> String:
	return "%s-%d" % [_server.sha256_text().left(32), number]


func _store(folder: String, file: String) -> Store:
	return Store.new(_profile, "guests%s/" + folder + "/" + file)
