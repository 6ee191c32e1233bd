extends "res://tests/case.gd"
## The file that keeps a player signed in.

const Store = preload("res://addons/game_login/store.gd")


func test_its_place_and_its_permissions() -> void:
	var profile: String = new_name()
	var player: Client = await new_player(profile)
	var path: String = Store.new(profile).path
	check(path.begins_with("user://game_login-Game Login Demo/"), "in the game's folder: " + path)
	equal(FileAccess.get_unix_permissions(path), 0x180, "only the owner may read it")
	equal(FileAccess.get_unix_permissions(path.get_base_dir()), 0x1c0, "nor look for it")
	var text: String = FileAccess.get_file_as_string(path)
	var token: String = await player.get_access_token()
	check(not token in text and not PASSWORD in text, "no access token and no password in it")
	var files: PackedStringArray = DirAccess.get_files_at(path.get_base_dir())
	check(not ".tmp" in "".join(files), "nothing is left over: %s" % files)


func test_a_damaged_file() -> void:
	for content: String in [
		"", "{", "[]", "null", '{"version": 1}', '{"version": 2, "is_open": true}', "\u00ff\u0000x"
	]:
		var profile: String = new_name()
		var player: Client = await new_player(profile)
		var file: FileAccess = FileAccess.open(Store.new(profile).path, FileAccess.WRITE)
		check(file.store_string(content), "written")
		file.close()
		check((await player.auto_login()).ok, "who is signed in stays so: " + content)
		check(
			(await new_client(profile).auto_login()).ok, "and the file is whole again: " + content
		)


func test_a_damaged_file_at_start() -> void:
	var profile: String = new_name()
	var first: Client = await new_player(profile)
	var file: FileAccess = FileAccess.open(Store.new(profile).path, FileAccess.WRITE)
	check(file.store_string('{"version": 1, "refresh_token": 7, "is_open": true'), "written")
	file.close()
	var later: Client = new_client(profile)
	equal((await later.auto_login()).code, "no_session", "code")
	equal(later.state, Client.State.SIGNED_OUT, "state")
	check((await later.login(first.account_name, PASSWORD)).ok, "signing in mends it")
	check((await new_client(profile).auto_login()).ok, "for next time")


func test_a_place_that_cannot_be_read_or_written() -> void:
	var profile: String = new_name()
	var path: String = Store.new(profile).path
	equal(DirAccess.make_dir_recursive_absolute(path), OK, "a folder where the file belongs")
	var client: Client = new_client(profile)
	equal((await client.auto_login()).code, "no_session", "code")
	check((await client.register(new_name(), PASSWORD)).ok, "signing in works all the same")
	check((await client.fetch("/v1/me")).ok, "and is of use")


func test_a_session_of_another_server() -> void:
	var profile: String = new_name()
	await new_player(profile)
	var other: Client = new_client(profile)
	other.base_url = url.replace("localhost", "127.0.0.1")
	equal((await other.auto_login()).code, "no_session", "code")
	equal(await count("/v1/refresh"), 0, "no token is sent there")


func test_another_server_gets_no_token() -> void:
	var player: Client = await new_player()
	player.base_url = url.replace("localhost", "127.0.0.1")
	check(not player.has_session(), "signed out there")
	equal(player.state, Client.State.SIGNED_OUT, "state")
	equal((await player.fetch("/v1/me")).code, "no_session", "nothing is sent")
	player.base_url = url
	check((await player.auto_login()).ok, "and still stored here")


func test_two_profiles() -> void:
	var profiles: Array = [new_name(), new_name()]
	var player: Client = await new_player(profiles[0])
	var first: String = player.account_id
	player.profile = profiles[1]
	check((await player.register(new_name(), PASSWORD)).ok, "another player")
	player.profile = profiles[0]
	check((await player.auto_login()).ok, "the first again")
	equal(player.account_id, first, "account")


func test_another_copy_has_refreshed() -> void:
	var profile: String = new_name()
	var first: Client = await new_player(profile)
	var second: Client = new_client(profile)
	check((await second.auto_login()).ok, "the second copy")
	check((await second.auto_login()).ok, "twice: the first copy's token is two steps behind")
	await command("advance", {"seconds": 120.0})
	check((await first.auto_login()).ok, "the first copy takes the token that is stored")
	check((await second.auto_login()).ok, "and the second does")


func test_another_copy_has_signed_out() -> void:
	var profile: String = new_name()
	var first: Client = await new_player(profile)
	var second: Client = new_client(profile)
	check((await second.auto_login()).ok, "the second copy")
	check((await second.logout()).ok, "signs out")
	equal((await first.fetch("/v1/me")).code, "session_ended", "and so is the first")
	equal((await new_client(profile).auto_login()).code, "no_session", "nothing is stored")


func test_another_copy_signs_in_again_meanwhile() -> void:
	var profile: String = new_name()
	var first: Client = await new_player(profile)
	var second: Client = new_client(profile)
	check((await second.auto_login()).ok, "the second copy")
	await fault("/v1/refresh", "slow", {"seconds": 1.0})
	var results: Array = []
	var ask: Callable = func() -> void: results.append(await first.auto_login())
	ask.call()
	await seconds(0.2)
	check((await second.logout()).ok, "signs out")
	check((await second.login(first.account_name, PASSWORD)).ok, "and in again")
	while results.is_empty():
		await seconds(0.05)
	check(results[0].ok, "the first, refused, finds the new session: %s" % results[0])
	check((await first.fetch("/v1/me")).ok, "and goes on")


func test_another_copy_is_another_player() -> void:
	var profile: String = new_name()
	var ada: Client = await new_player(profile)
	var grace: Client = await new_player(profile)
	check((await ada.auto_login()).ok, "the first copy goes on")
	equal((await ada.fetch("/v1/me")).data["account"]["id"], ada.account_id, "as who it was")
	var later: Client = new_client(profile)
	check((await later.auto_login()).ok, "the next start")
	equal(later.account_id, grace.account_id, "is who signed in last")


func test_signing_out_leaves_the_session_of_another_copy() -> void:
	var profile: String = new_name()
	var first: Client = await new_player(profile)
	var second: Client = new_client(profile)
	check((await second.login(first.account_name, PASSWORD)).ok, "a session of its own")
	check((await first.logout()).ok, "the first one has signed out")
	check((await new_client(profile).auto_login()).ok, "the second one's is still stored")
	check((await second.fetch("/v1/me")).ok, "and good")
