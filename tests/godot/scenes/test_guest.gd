# gdlint:ignore = max-public-methods
extends "res://tests/case.gd"
## Guests: the first start, later starts, saving the progress, and a store that fails.

const Guest = preload("res://addons/game_login/guest.gd")
const Store = preload("res://addons/game_login/store.gd")


func test_first_and_later_starts() -> void:
	var profile: String = new_name()
	var guest: Client = new_client(profile)
	check(not guest.is_guest(), "nobody is signed in")
	var result: GameLoginResult = await guest.play_as_guest()
	check(result.ok, "signed in: %s" % result)
	equal(result.status, 201, "created")
	equal(result.data["refresh_token"], "", "no refresh token in the result")
	check(guest.is_guest() and guest.has_session(), "a guest")
	check(guest.account_name.begins_with("player-"), "with a name: " + guest.account_name)
	equal(guest.remembered_name(), "", "which no guest signs in by")
	check((await guest.fetch("/v1/me")).ok, "of use")
	var later: Client = new_client(profile)
	result = await later.play_as_guest()
	equal(result.status, 200, "known at a later start")
	equal(later.account_id, guest.account_id, "account")


func test_stays_signed_in() -> void:
	var profile: String = new_name()
	var guest: Client = await new_guest(profile)
	var later: Client = new_client(profile)
	await fault("/v1/refresh", "drop", {"times": 3})
	equal((await later.auto_login()).kind, GameLoginResult.Kind.OFFLINE, "kind")
	check(later.is_guest(), "a guest, as far as is known")
	check((await later.auto_login()).ok, "signed in without the secret")
	check(later.is_guest(), "a guest")
	equal(later.account_id, guest.account_id, "account")
	equal(await count("/v1/guest"), 1, "requests with the secret")


func test_signing_out_keeps_the_guest() -> void:
	var profile: String = new_name()
	var guest: Client = await new_guest(profile)
	var account: String = guest.account_id
	check((await guest.logout()).ok, "signed out")
	check(not guest.is_guest(), "nobody is signed in")
	var player: Client = await new_player(profile)
	check(not player.is_guest(), "a player with a password")
	check((await player.logout()).ok, "signed out")
	check((await guest.play_as_guest()).ok, "the guest again")
	equal(guest.account_id, account, "account")


func test_where_the_secret_is() -> void:
	var profile: String = new_name()
	var guest: Client = await new_guest(profile)
	var path: String = Guest.new(url, profile)._file("secret").path
	check(path.begins_with("user://game_login-Game Login Demo/guests-"), "place: " + path)
	equal(FileAccess.get_unix_permissions(path), 0x180, "only the owner may read it")
	equal(FileAccess.get_unix_permissions(path.get_base_dir()), 0x1c0, "nor look for it")
	var secret: String = Guest.new(url, profile).secret()
	check(RegEx.create_from_string("^[A-Za-z0-9_-]{43}$").search(secret) != null, "its form")
	check(not secret in FileAccess.get_file_as_string(Store.new(profile).path), "in one place")
	check(not secret in str(guest.account_id) + OS.get_unique_id(), "random")
	var folders: PackedStringArray = DirAccess.get_directories_at(
		path.get_base_dir().get_base_dir()
	)
	equal(folders.size(), 1, "nothing is left over: %s" % folders)


func test_two_secrets_differ() -> void:
	var secrets: Dictionary = {}
	for _device: int in 3:
		var profile: String = new_name()
		equal(Guest.new(url, profile).prepare(false), null, "stored")
		secrets[Guest.new(url, profile).secret()] = true
	equal(secrets.size(), 3, "secrets")


func test_a_lost_answer_to_the_first_call() -> void:
	var profile: String = new_name()
	var guest: Client = new_client(profile)
	await fault("/v1/guest", "lose", {"times": 4})
	equal((await guest.play_as_guest()).kind, GameLoginResult.Kind.OFFLINE, "kind")
	check(not guest.has_session(), "not signed in")
	var later: Client = new_client(profile)  # the next start of the game
	var result: GameLoginResult = await later.play_as_guest()
	check(result.ok, "signed in: %s" % result)
	equal(await statuses("/v1/guest"), [201, 200, 200, 200, 200], "one guest was created")


func test_a_first_call_that_never_arrived() -> void:
	var guest: Client = new_client()
	await fault("/v1/guest", "drop", {"times": 3})
	equal((await guest.play_as_guest()).kind, GameLoginResult.Kind.OFFLINE, "kind")
	equal((await guest.play_as_guest()).status, 201, "created by the next call")


func test_a_foreign_answer_to_the_first_call() -> void:
	var guest: Client = new_client()
	await fault("/v1/guest", "answer", {"body": '{"welcome": "to the hotel"}'})
	equal((await guest.play_as_guest()).kind, GameLoginResult.Kind.PROTOCOL, "kind")
	equal((await guest.play_as_guest()).status, 201, "created by the next call")


func test_a_server_that_takes_no_guests() -> void:
	var guest: Client = new_client()
	var body: String = '{"error": {"code": "guests_disabled", "message": "No guests."}}'
	await fault("/v1/guest", "answer", {"status": 403, "body": body})
	var result: GameLoginResult = await guest.play_as_guest()
	equal(result.kind, GameLoginResult.Kind.DENIED, "kind")
	equal(result.code, "guests_disabled", "code")
	equal((await guest.play_as_guest()).status, 201, "created when the server takes guests again")


func test_a_guest_that_is_gone() -> void:
	var profile: String = new_name()
	var guest: Client = await new_guest(profile)
	var lost: String = guest.account_id
	var secret: String = Guest.new(url, profile).secret()
	check((await guest.fetch("/v1/me/delete", {"guest_secret": secret})).ok, "gone at the server")
	check((await guest.logout()).ok, "signed out")
	var result: GameLoginResult = await guest.play_as_guest()
	equal(result.code, "unknown_guest", "no guest is created without asking the player")
	equal(result.kind, GameLoginResult.Kind.INVALID, "kind")
	equal(result.status, 404, "the server's answer")
	equal(Guest.new(url, profile).secret(), secret, "the secret stays")
	await fault("/v1/guest", "lose", {"times": 3})
	equal((await guest.play_as_guest(true)).kind, GameLoginResult.Kind.OFFLINE, "answer lost")
	var anew: Array = [Guest.new(url, profile).secret()]
	check(anew[0] != secret, "another secret")
	equal((await guest.play_as_guest(true)).status, 200, "the player says so again")
	equal(Guest.new(url, profile).secret(), anew[0], "which is the same guest")
	check(guest.account_id != lost, "another account")
	equal((await new_client(profile).play_as_guest()).status, 200, "known at a later start")


func test_upgrade() -> void:
	var profile: String = new_name()
	var guest: Client = await new_guest(profile)
	var account: String = guest.account_id
	var other: Client = new_client()
	equal((await guest.upgrade(new_name(), "password")).code, "weak_password", "a weak password")
	check(Guest.new(url, profile).secret() != "", "the secret stays")
	var username: String = new_name()
	var result: GameLoginResult = await guest.upgrade(username, PASSWORD)
	check(result.ok, "upgraded: %s" % result)
	equal(result.data["refresh_token"], "", "no refresh token in the result")
	equal([guest.account_name, guest.account_id], [username, account], "account")
	check(not guest.is_guest(), "no guest any more")
	equal(guest.remembered_name(), username, "name for the form")
	equal(Guest.new(url, profile).secret(), "", "the secret is deleted")
	check((await guest.upgrade(username, PASSWORD)).ok, "a double tap")
	equal((await guest.upgrade(username, "other " + PASSWORD)).code, "not_a_guest", "code")
	check((await new_client(profile).auto_login()).ok, "stays signed in")
	check((await other.login(username, PASSWORD)).ok, "signs in on another device")
	equal(other.account_id, account, "account")
	await command("reset")
	equal((await new_client(profile).play_as_guest()).code, "unknown_guest", "no guest here")
	equal(await count("/v1/guest"), 0, "requests: there is nothing to send")
	equal((await new_client(profile).play_as_guest(true)).status, 201, "unless the player wishes")


func test_a_taken_name() -> void:
	var player: Client = await new_player()
	var guest: Client = await new_guest()
	var result: GameLoginResult = await guest.upgrade(player.account_name, PASSWORD)
	equal(result.code, "username_taken", "code")
	check(guest.is_guest(), "still a guest")
	check((await guest.upgrade(new_name(), PASSWORD)).ok, "another name")


func test_a_lost_answer_to_an_upgrade() -> void:
	for times: int in [1, 3]:
		var profile: String = new_name()
		var guest: Client = await new_guest(profile)
		var username: String = new_name()
		await fault("/v1/me/upgrade", "lose", {"times": times})
		var result: GameLoginResult = await guest.upgrade(username, PASSWORD)
		equal(result.ok, times == 1, "sent again by itself: %s" % result)
		if not result.ok:
			check(Guest.new(url, profile).secret() != "", "the secret stays without an answer")
			result = await guest.upgrade(username, PASSWORD)
			check(result.ok, "the button once more: %s" % result)
		equal(Guest.new(url, profile).secret(), "", "the secret is deleted")
		check((await guest.auto_login()).ok, "still signed in")
		check((await new_client(profile).auto_login()).ok, "after a restart, too")


func test_a_lost_answer_to_an_upgrade_and_a_restart() -> void:
	var profile: String = new_name()
	var guest: Client = await new_guest(profile)
	var username: String = new_name()
	await fault("/v1/me/upgrade", "lose", {"times": 3})
	equal((await guest.upgrade(username, PASSWORD)).kind, GameLoginResult.Kind.OFFLINE, "kind")
	var later: Client = new_client(profile)
	equal((await later.auto_login()).code, "session_ended", "the previous token is dead")
	equal((await later.play_as_guest()).code, "unknown_guest", "no guest is created")
	check(Guest.new(url, profile).secret() != "", "the secret stays")
	check((await later.login(username, PASSWORD)).ok, "the player signs in")
	equal(later.account_id, guest.account_id, "the progress is there")
	equal(Guest.new(url, profile).secret(), "", "and the secret is deleted")


func test_another_player_leaves_the_secret() -> void:
	var profile: String = new_name()
	var guest: Client = await new_guest(profile)
	var player: Client = await new_player(profile)
	check((await player.delete_account(PASSWORD)).ok, "deleted")
	check((await new_client(profile).play_as_guest()).ok, "the guest is still there")
	check((await guest.fetch("/v1/me")).ok, "and good")


func test_rename() -> void:
	var profile: String = new_name()
	var guest: Client = await new_guest(profile)
	var names: Array = [new_name(), new_name()]
	await fault("/v1/me/username", "lose")
	var result: GameLoginResult = await guest.rename(names[0])
	check(result.ok, "renamed, though an answer was lost: %s" % result)
	equal(guest.account_name, names[0], "name")
	check(guest.is_guest(), "still a guest")
	check(
		names[0] in claims_of(await guest.get_access_token()),
		"the name in the token for the game server"
	)
	equal(new_client(profile)._store.read()["username"], names[0], "the stored name")
	equal((await guest.rename(names[0].to_upper())).ok, true, "confirmed by the stored secret")
	check((await guest.rename(names[1])).ok, "once in 30 days")
	result = await guest.rename(new_name())
	equal(result.code, "renamed_recently", "code")
	equal(result.kind, GameLoginResult.Kind.CONFLICT, "kind")
	check(result.data.get("until", "") != "", "until when")
	equal((await guest.rename("a b")).code, "invalid_username", "code")


func test_rename_of_a_player() -> void:
	var player: Client = await new_player()
	var username: String = new_name()
	equal((await player.rename(username)).code, "invalid_credentials", "without a password")
	equal((await player.rename(username, "something else")).code, "invalid_credentials", "wrong")
	check((await player.rename(username, PASSWORD)).ok, "renamed")
	equal(player.account_name, username, "name")
	check((await new_client().login(username, PASSWORD)).ok, "signs in by it")


func test_a_foreign_answer_to_a_rename() -> void:
	var guest: Client = await new_guest()
	var username: String = guest.account_name
	await fault("/v1/me/username", "answer", {"body": "{}"})
	equal((await guest.rename(new_name())).kind, GameLoginResult.Kind.PROTOCOL, "kind")
	equal(guest.account_name, username, "name")


func test_deleting_a_guest() -> void:
	var profile: String = new_name()
	var guest: Client = await new_guest(profile)
	await fault("/v1/me/delete", "drop")
	equal((await guest.delete_account()).kind, GameLoginResult.Kind.OFFLINE, "kind")
	check(Guest.new(url, profile).secret() != "", "the secret stays")
	check((await guest.delete_account()).ok, "deleted")
	equal(guest.state, Client.State.SIGNED_OUT, "state")
	equal(Guest.new(url, profile).secret(), "", "the secret is deleted")
	equal((await guest.play_as_guest()).code, "unknown_guest", "asks before creating another")
	equal((await guest.play_as_guest(true)).status, 201, "another guest")


func test_a_guest_has_no_password() -> void:
	var guest: Client = await new_guest()
	var result: GameLoginResult = await guest.change_password("", PASSWORD)
	equal(result.code, "no_password", "code")
	equal(result.kind, GameLoginResult.Kind.CONFLICT, "kind")


func test_a_secret_that_cannot_be_read() -> void:
	for content: String in [
		"", "{", "[]", '{"version": 2}', '{"version": 1, "secret": "x"}', "\u00ff"
	]:
		var profile: String = new_name()
		equal(Guest.new(url, profile).prepare(false), null, "stored, but never sent")
		var path: String = Guest.new(url, profile)._file("secret").path
		var file: FileAccess = FileAccess.open(path, FileAccess.WRITE)
		check(file.store_string(content), "damaged")
		file.close()
		await command("reset")
		var guest: Client = new_client(profile)
		var result: GameLoginResult = await guest.play_as_guest()
		equal(result.code, "guest_unreadable", "says so: " + content)
		equal(result.kind, GameLoginResult.Kind.DENIED, "kind")
		check("cannot be read" in result.message, "message: " + result.message)
		equal(await count("/v1/guest"), 0, "requests")
		equal(FileAccess.get_file_as_string(path), content, "not overwritten")
		check((await guest.play_as_guest(true)).ok, "another guest, if the player wishes")
		equal(FileAccess.get_file_as_string(path), content, "not even then")


func test_a_folder_in_the_place_of_the_secret() -> void:
	var profile: String = new_name()
	var guest: Client = await new_guest(profile)
	var path: String = Guest.new(url, profile)._file("secret").path
	var secret: PackedByteArray = FileAccess.get_file_as_bytes(path)
	equal(DirAccess.rename_absolute(path, path + ".aside"), OK, "moved away")
	equal(DirAccess.make_dir_absolute(path), OK, "a folder in its place")
	equal((await new_client(profile).play_as_guest()).code, "guest_unreadable", "says so")
	equal((await guest.upgrade(new_name(), PASSWORD)).code, "guest_unreadable", "says so")
	equal(DirAccess.remove_absolute(path), OK, "removed")
	equal(DirAccess.rename_absolute(path + ".aside", path), OK, "and back")
	equal(FileAccess.get_file_as_bytes(path), secret, "the secret")
	check((await new_client(profile).play_as_guest()).ok, "the guest is there again")


func test_a_store_that_cannot_be_written() -> void:
	var profile: String = new_name()
	var folder: String = Guest.new(url, profile)._folder("1").get_base_dir()
	var file: FileAccess = FileAccess.open(folder, FileAccess.WRITE)
	check(file.store_string("mine"), "a file in the place of the folder")
	file.close()
	var guest: Client = new_client(profile)
	var result: GameLoginResult = await guest.play_as_guest()
	equal(result.code, "guest_not_stored", "says so")
	equal(result.kind, GameLoginResult.Kind.DENIED, "kind")
	check("cannot store" in result.message, "message: " + result.message)
	equal(await count("/v1/guest"), 0, "requests")
	equal(FileAccess.get_file_as_string(folder), "mine", "not overwritten")
	check((await guest.register(new_name(), PASSWORD)).ok, "an account can be made")


func test_an_upgrade_without_the_note_that_the_guest_is_known() -> void:
	for is_restarted: bool in [false, true]:
		var profile: String = new_name()
		var guest: Client = await new_guest_without_notes(profile, ["known"])
		if is_restarted:
			guest = new_client(profile)
			check((await guest.auto_login()).ok, "signed in after a restart")
		check((await guest.upgrade(new_name(), PASSWORD)).ok, "upgraded")
		equal(Guest.new(url, profile).secret(), "", "the secret is deleted")
		await no_guest_is_created(new_client(profile), "unknown_guest")


func test_a_deletion_without_the_note_that_the_guest_is_known() -> void:
	var profile: String = new_name()
	var guest: Client = await new_guest_without_notes(profile, ["known"])
	check((await guest.delete_account()).ok, "deleted")
	equal(Guest.new(url, profile).secret(), "", "the secret is deleted")
	await no_guest_is_created(guest, "unknown_guest")


func test_an_upgrade_without_any_note() -> void:
	var profile: String = new_name()
	var guest: Client = await new_guest_without_notes(profile, ["known", "over"])
	check((await guest.upgrade(new_name(), PASSWORD)).ok, "upgraded")
	equal(Guest.new(url, profile).secret(), "", "the secret is deleted")
	await no_guest_is_created(new_client(profile), "guest_unreadable")


func test_an_upgrade_leaves_the_secret_of_another_guest() -> void:
	var profile: String = new_name()
	var first: Client = await new_guest(profile)
	var username: String = new_name()
	await fault("/v1/me/upgrade", "lose", {"times": 3})
	equal((await first.upgrade(username, PASSWORD)).kind, GameLoginResult.Kind.OFFLINE, "kind")
	var second: Client = new_client(profile)  # another copy of the game
	equal((await second.play_as_guest()).code, "unknown_guest", "upgraded")
	equal((await second.play_as_guest(true)).status, 201, "the player starts anew")
	check((await first.upgrade(username, PASSWORD)).ok, "the button once more")
	equal((await new_client(profile).play_as_guest()).status, 200, "the other guest is kept")


func test_the_note_is_tried_again() -> void:
	var profile: String = new_name()
	var guest: Client = await new_guest_without_notes(profile, ["known"])
	equal(DirAccess.remove_absolute(Guest.new(url, profile)._file("known").path), OK, "removed")
	equal((await guest.play_as_guest()).status, 200, "signed in again")
	check(Guest.new(url, profile).is_known(), "noted by the next sign-in")


func test_a_server_from_before_guests() -> void:
	var profile: String = new_name()
	var guest: Client = await new_guest(profile)
	var body: Dictionary = {
		"account": {"id": guest.account_id, "username": guest.account_name},
		"access_token": guest._session.access_token(0.0),
		"refresh_token": guest._session.refresh_token,
		"expires_in": 600,
	}
	await fault("/v1/refresh", "answer", {"body": JSON.stringify(body)})
	check(await guest.get_access_token(INF) != "", "refreshed by the server's previous version")
	equal(await statuses("/v1/refresh"), [200], "by one request")
	check(guest.is_guest(), "still a guest")
	equal(guest.remembered_name(), "", "nobody signs in by its name")
	check((await guest.delete_account()).ok, "confirmed by the secret")


func test_another_server_gets_no_secret() -> void:
	var profile: String = new_name()
	var guest: Client = await new_guest(profile)
	var account: String = guest.account_id
	await command("reset")
	guest.base_url = url.replace("localhost", "127.0.0.1")
	equal((await guest.play_as_guest()).code, "unknown_guest", "asks before creating another")
	equal(await count("/v1/guest"), 0, "requests")
	equal((await guest.play_as_guest(true)).status, 201, "another guest")
	guest.base_url = url + "/"
	equal((await guest.play_as_guest()).status, 200, "the first one is kept")
	equal(guest.account_id, account, "account")


## The engine prints an error for a folder that is listed and then cannot be opened.
func test_a_folder_that_another_copy_moves_at_the_same_moment() -> void:
	var profile: String = new_name()
	var guest: Client = await new_guest(profile)
	var stored: Guest = Guest.new(url, profile)
	var place: String = stored._file("secret").path.get_base_dir().get_base_dir()
	var other_copy: Thread = Thread.new()
	equal(other_copy.start(move_folders.bind(place)), OK, "started")
	while other_copy.is_alive():
		equal(stored.prepare(false), null, "problem")
	other_copy.wait_to_finish()
	check((await guest.play_as_guest()).ok, "still the guest")


func test_two_clients_at_once() -> void:
	var profile: String = new_name()
	var clients: Array[Client] = [new_client(profile), new_client(profile)]
	var results: Array = []
	for client: Client in clients:
		var ask: Callable = func() -> void: results.append(await client.play_as_guest())
		ask.call()
	while results.size() < 2:
		await seconds(0.05)
	check(results[0].ok and results[1].ok, "both: %s" % [results])
	equal(clients[0].account_id, clients[1].account_id, "one guest")


func test_signing_in_is_under_way() -> void:
	var guest: Client = new_client()
	var results: Array = []
	var ask: Callable = func() -> void: results.append(await guest.play_as_guest())
	ask.call()
	ask.call()
	while results.size() < 2:
		await seconds(0.05)
	equal(results[0].code, "busy", "the second")
	check(results[1].ok, "the first")


func test_no_player_is_signed_in() -> void:
	var client: Client = new_client()
	equal((await client.upgrade(new_name(), PASSWORD)).code, "no_session", "code")
	equal((await client.rename(new_name())).code, "no_session", "code")
	equal((await client.delete_account()).code, "no_session", "code")


## What another copy of the game does with the folder of a new secret, many times.
func move_folders(place: String) -> void:
	for number: int in 500:
		var folder: String = place.path_join("%d.tmp" % number)
		@warning_ignore("return_value_discarded")
		DirAccess.make_dir_absolute(folder)
		@warning_ignore("return_value_discarded")
		DirAccess.remove_absolute(folder)


func new_guest(profile: String = "") -> Client:
	var guest: Client = new_client(profile)
	var result: GameLoginResult = await guest.play_as_guest()
	equal(result.status, 201, "a new guest: %s" % result)
	return guest


## Returns a new guest; folders in the place of notes about it prevent writing them.
func new_guest_without_notes(profile: String, notes: Array) -> Client:
	var secret: Guest = Guest.new(url, profile)
	equal(secret.prepare(false), null, "stored")
	for note: String in notes:
		equal(DirAccess.make_dir_absolute(secret._file(note).path), OK, "a folder in its place")
	var guest: Client = await new_guest(profile)
	check(not Guest.new(url, profile).is_known(), "not noted")
	return guest


func no_guest_is_created(client: Client, code: String) -> void:
	await command("reset")
	equal((await client.play_as_guest()).code, code, "asks before creating another")
	equal(await count("/v1/guest"), 0, "requests: the secret is not sent")


## Returns the statuses of the answers to a path.
func statuses(path: String) -> Array:
	var requests: Array = await command("requests")
	requests = requests.filter(func(request: Dictionary) -> bool: return request["path"] == path)
	return requests.map(func(request: Dictionary) -> int: return int(request["status"]))


func claims_of(token: String) -> String:
	var text: String = token.get_slice(".", 1).replace("-", "+").replace("_", "/")
	return Marshalls.base64_to_utf8(text.rpad(ceili(text.length() / 4.0) * 4, "="))
