extends RefCounted
## A file that keeps a player signed in. Other copies of the game may write it at any time, so it is
## always replaced as a whole, and read again before each decision.

const VERSION: int = 1
const OWNER_ONLY: int = FileAccess.UNIX_READ_OWNER | FileAccess.UNIX_WRITE_OWNER

var path: String


## `%s` in the file's name stands for the profile.
func _init(profile: String, file: String = "session%s.json") -> void:
	var project: Variant = ProjectSettings.get_setting("application/config/name", "")
	var folder: String = str(project).validate_filename()  # web games of one origin share user://
	var suffix: String = "-" + profile.validate_filename() if profile else ""
	path = "user://%s/%s" % ["game_login-" + folder, file % suffix]


## Returns the last record written, or an empty one if it cannot be read.
func read() -> Dictionary:
	var file: FileAccess = FileAccess.open(path, FileAccess.READ)
	if file == null:
		return {}
	var json: JSON = JSON.new()
	if json.parse(file.get_buffer(file.get_length()).get_string_from_ascii()) != OK:
		return {}
	var record: Dictionary = json.data if json.data is Dictionary else {}
	return record if record.get("version") == float(VERSION) else {}


## Replaces the file; returns true if it succeeded.
func write(record: Dictionary) -> bool:
	var text: String = JSON.stringify(record.merged({"version": VERSION}))
	var folder: String = path.get_base_dir()
	if DirAccess.make_dir_recursive_absolute(folder) != OK:
		return false
	@warning_ignore("return_value_discarded")
	FileAccess.set_unix_permissions(folder, OWNER_ONLY | FileAccess.UNIX_EXECUTE_OWNER)
	var temporary: String = "%s.%d.tmp" % [path, OS.get_process_id()]
	var file: FileAccess = FileAccess.open(temporary, FileAccess.WRITE)
	if file == null:
		return false
	var mode: Error = FileAccess.set_unix_permissions(temporary, OWNER_ONLY)  # while it is empty
	var is_written: bool = mode in [OK, ERR_UNAVAILABLE] and file.store_string(text)
	file.close()
	if is_written and DirAccess.rename_absolute(temporary, path) == OK:
		return true
	@warning_ignore("return_value_discarded")
	DirAccess.remove_absolute(temporary)
	return false


## Deletes the file.
func clear() -> void:
	if not FileAccess.file_exists(path) or DirAccess.remove_absolute(path) == OK:
		return
	if FileAccess.file_exists(path):  # no other copy of the game has deleted it meanwhile
		push_warning("Game Login: cannot remove %s, which holds a secret of the player." % path)
