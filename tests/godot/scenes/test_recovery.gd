# gdlint:ignore = max-public-methods
extends "res://tests/case.gd"
## Recovery codes: typing errors, a new password, and guests that move to another device.

const Guest = preload("res://addons/game_login/guest.gd")
const RecoveryCode = preload("res://addons/game_login/recovery_code.gd")
const NEW_PASSWORD: String = PASSWORD + " 2"
const FOREIGN: String = "0000-0000-0000-0000"  # a code without a typing error


class WatchedStore:
	extends "res://addons/game_login/store.gd"
	## Lets a test look at the rest at the moment when the session is stored.

	var watch: Callable

	func write(record: Dictionary) -> bool:
		watch.call()
		return super(record)


func test_typed_codes() -> void:
	var path: String = OS.get_environment("GAME_LOGIN_TEST_CONFORMANCE") + "/recovery_codes.json"
	var examples: Dictionary = JSON.parse_string(FileAccess.get_file_as_string(path))
	check(examples["good"].size() > 10 and examples["bad"].size() > 10, "there are examples")
	for example: Dictionary in examples["good"]:
		var typed: String = example["typed"]
		equal(RecoveryCode.problem(typed), "", typed)
		equal(RecoveryCode.symbols(typed), example["code"], typed)
	for example: Dictionary in examples["bad"]:
		var typed: String = example["typed"]
		check(RecoveryCode.problem(typed) != "", example["reason"])


func test_a_typing_error_sends_nothing() -> void:
	var client: Client = new_client()
	for code: String in ["7QF2-MXD9-K4TB-W8H4", "7QF2-MXD9", "", "7QF2-MXD9-K4TB-W8HU"]:
		for password: String in [NEW_PASSWORD, ""]:
			var result: GameLoginResult = await client.recover("Ada", code, password)
			equal(result.kind, GameLoginResult.Kind.INVALID, "kind")
			equal(result.code, "invalid_request", "code")
			equal(result.fields["recovery_code"], result.message, "the reason")
			check(result.message.length() > 20, "says something")
	equal(await command("requests"), [], "requests")
	check(client._recovery._unanswered.is_empty(), "nothing is under way")


func test_the_reasons_are_those_of_the_server() -> void:
	var client: Client = new_client()
	var body: Dictionary = {"username": "Ada", "new_password": NEW_PASSWORD}
	check((await client.play_as_guest()).ok, "signed in, to ask at all")
	for code: String in ["7QF2-MXD9-K4TB-W8H4", "7QF2-MXD9"]:
		body["recovery_code"] = code
		var answer: GameLoginResult = await client.fetch("/v1/recover", body)
		equal(answer.fields["recovery_code"], RecoveryCode.problem(code), "reason")
		var result: GameLoginResult = await client.recover("Ada", code, NEW_PASSWORD)
		equal([result.kind, result.code], [answer.kind, answer.code], "kind and code")


func test_make_a_code() -> void:
	var player: Client = await new_player()
	var result: GameLoginResult = await player.make_recovery_code("something else")
	equal(result.kind, GameLoginResult.Kind.DENIED, "kind")
	equal(result.code, "invalid_credentials", "code")
	result = await player.make_recovery_code(PASSWORD)
	check(result.ok, "made: %s" % result)
	var code: String = result.data["recovery_code"]
	equal(RecoveryCode.problem(code), "", "a code")
	check(result.data["created_at"] != "", "since when")
	check(not code in str(result), "printing the result does not show it")
	check((await player.make_recovery_code(PASSWORD)).data["recovery_code"] != code, "the next one")
	equal((await new_client().make_recovery_code(PASSWORD)).code, "no_session", "nobody")


func test_make_a_code_after_a_lost_answer() -> void:
	var player: Client = await new_player()
	await fault("/v1/me/recovery-code", "lose")
	var code: String = await code_of(player, PASSWORD)
	equal(await count("/v1/me/recovery-code"), 2, "asked again")
	check((await new_client().recover(player.account_name, code, NEW_PASSWORD)).ok, "it is good")


func test_a_foreign_answer_to_a_call_for_a_code() -> void:
	var player: Client = await new_player()
	await fault("/v1/me/recovery-code", "answer", {"body": "{}"})
	equal((await player.make_recovery_code(PASSWORD)).kind, GameLoginResult.Kind.PROTOCOL, "kind")


func test_recover_on_another_device() -> void:
	var player: Client = await new_player()
	var username: String = player.account_name
	var code: String = await code_of(player, PASSWORD)
	var profile: String = new_name()
	var other: Client = new_client(profile)
	var typed: String = code.to_lower().replace("-", " ")
	var result: GameLoginResult = await other.recover(username.to_upper(), typed, NEW_PASSWORD)
	check(result.ok, "back: %s" % result)
	equal(other.state, Client.State.SIGNED_IN, "state")
	equal(other.account_id, player.account_id, "account")
	equal([result.data["access_token"], result.data["refresh_token"]], ["", ""], "tokens")
	var next: String = result.data["recovery_code"]
	check(next != code and RecoveryCode.problem(next) == "", "the next code")
	check(not next in str(result), "printing the result does not show it")
	check((await other.fetch("/v1/me")).ok, "of use")
	check((await new_client(profile).auto_login()).ok, "stays signed in")
	equal((await player.fetch("/v1/me")).code, "session_ended", "the first device")
	equal((await player.login(username, PASSWORD)).code, "invalid_credentials", "the old password")
	check((await player.login(username, NEW_PASSWORD)).ok, "the new password")
	result = await player.recover(username, code, NEW_PASSWORD)
	equal([result.kind, result.code], [GameLoginResult.Kind.DENIED, "invalid_credentials"], "used")
	check((await player.recover(username, next, PASSWORD)).ok, "the next code is good")


func test_a_weak_new_password() -> void:
	var player: Client = await new_player()
	var code: String = await code_of(player, PASSWORD)
	var result: GameLoginResult = await player.recover(player.account_name, code, "password")
	equal([result.kind, result.code], [GameLoginResult.Kind.INVALID, "weak_password"], "refused")
	check(result.fields.get("new_password", "") != "", "a reason")
	check((await player.recover(player.account_name, code, NEW_PASSWORD)).ok, "the code is good")


func test_kinds_of_refusals() -> void:
	var kinds: Dictionary = {
		"invalid_request": [400, GameLoginResult.Kind.INVALID],
		"invalid_credentials": [401, GameLoginResult.Kind.DENIED],
		"account_suspended": [403, GameLoginResult.Kind.DENIED],
		"no_password": [409, GameLoginResult.Kind.CONFLICT],
		"not_a_guest": [409, GameLoginResult.Kind.CONFLICT],
		"guest_secret_in_use": [409, GameLoginResult.Kind.CONFLICT],
		"weak_password": [422, GameLoginResult.Kind.INVALID],
		"weak_guest_secret": [422, GameLoginResult.Kind.INVALID],
		"too_many_attempts": [429, GameLoginResult.Kind.RATE_LIMITED],
		"unavailable": [503, GameLoginResult.Kind.SERVER],
		"internal_error": [500, GameLoginResult.Kind.SERVER],
	}
	for code: String in kinds:
		for password: String in [NEW_PASSWORD, ""]:
			var profile: String = new_name()
			var client: Client = new_client(profile)
			await refuse(kinds[code][0], code)
			var result: GameLoginResult = await client.recover("Ada", FOREIGN, password)
			equal([result.kind, result.code], [kinds[code][1], code], "kind")
			equal(client.state, Client.State.SIGNED_OUT, "state")
			var is_unknown: bool = password == "" and result.is_passing()
			var is_left: bool = Guest.new(url, profile).moving_secret() != ""
			equal(is_left, is_unknown, "a secret is left only if it may be a guest's: " + code)


func test_the_wrong_kind_of_account() -> void:
	var player: Client = await new_player()
	var code: String = await code_of(player, PASSWORD)
	var other: Client = new_client()
	var result: GameLoginResult = await other.recover(player.account_name, code)
	equal([result.kind, result.code], [GameLoginResult.Kind.CONFLICT, "not_a_guest"], "a player")
	check((await other.recover(player.account_name, code, NEW_PASSWORD)).ok, "the code is good")
	var guest: Client = await new_guest()
	code = await code_of(guest)
	result = await other.recover(guest.account_name, code, NEW_PASSWORD)
	equal([result.kind, result.code], [GameLoginResult.Kind.CONFLICT, "no_password"], "a guest")
	check((await other.recover(guest.account_name, code)).ok, "the code is good")


func test_a_lost_answer_to_a_new_password() -> void:
	for kind: String in ["lose", "truncate", "drop"]:
		var player: Client = await new_player()
		var username: String = player.account_name
		var code: String = await code_of(player, PASSWORD)
		var other: Client = new_client()
		await fault("/v1/recover", kind)
		var result: GameLoginResult = await other.recover(username, code, NEW_PASSWORD)
		check(result.is_passing(), "no answer: %s" % result)
		equal(await count("/v1/recover"), 1, "not repeated by itself")
		check(not other.has_session(), "not signed in")
		result = await other.recover(username, code, NEW_PASSWORD)
		check(result.ok, "the button once more: %s" % result)
		equal(other.account_id, player.account_id, "account")
		var next: String = result.data["recovery_code"]
		check((await new_client().recover(username, next, PASSWORD)).ok, "with the next code")
		await command("reset")


func test_a_refused_code_after_a_lost_call_that_never_arrived() -> void:
	var player: Client = await new_player()
	await fault("/v1/recover", "drop")
	for _try: int in 2:
		await player.recover(player.account_name, FOREIGN, NEW_PASSWORD)
	equal(await count("/v1/login"), 1, "the new password was tried once")
	var result: GameLoginResult = await player.recover(player.account_name, FOREIGN, PASSWORD)
	equal(result.code, "invalid_credentials", "another call")
	equal(await count("/v1/login"), 1, "which is not one of before")


func test_another_password_after_a_lost_answer() -> void:
	var player: Client = await new_player()
	var username: String = player.account_name
	var code: String = await code_of(player, PASSWORD)
	var other: Client = new_client()
	await fault("/v1/recover", "lose")
	await other.recover(username, code, NEW_PASSWORD)
	var result: GameLoginResult = await other.recover(username, code, NEW_PASSWORD + "3")
	equal(result.code, "invalid_credentials", "code")
	check("An earlier try may have worked" in result.message, "says so: " + result.message)
	result = await other.recover(username, FOREIGN, NEW_PASSWORD + "3")
	check(not "earlier" in result.message, "not for another code: " + result.message)
	check((await other.recover(username, code, NEW_PASSWORD)).ok, "the first password once more")
	result = await other.recover(username, code, NEW_PASSWORD + "3")
	check(not "earlier" in result.message, "not when that is settled: " + result.message)


func test_a_lost_answer_and_a_server_that_cannot_tell() -> void:
	var player: Client = await new_player()
	var username: String = player.account_name
	var code: String = await code_of(player, PASSWORD)
	var other: Client = new_client()
	await fault("/v1/recover", "lose")
	await other.recover(username, code, NEW_PASSWORD)
	await fault("/v1/login", "drop")
	var result: GameLoginResult = await other.recover(username, code, NEW_PASSWORD)
	equal(result.kind, GameLoginResult.Kind.OFFLINE, "offline is not a wrong code")
	for refusal: Array in [[429, "too_many_attempts"], [403, "account_suspended"]]:
		var body: String = '{"error": {"code": "%s", "message": "No."}}' % refusal[1]
		await fault("/v1/login", "answer", {"status": refusal[0], "body": body})
		result = await other.recover(username, code, NEW_PASSWORD)
		equal(result.code, refusal[1], "nor is this")
	check((await other.recover(username, code, NEW_PASSWORD)).ok, "and at last")


func test_a_guest_moves() -> void:
	var first_profile: String = new_name()
	var guest: Client = await new_guest(first_profile)
	var account: String = guest.account_id
	var username: String = guest.account_name
	var code: String = await code_of(guest)
	var profile: String = new_name()
	var other: Client = new_client(profile)
	var result: GameLoginResult = await other.recover(username, code)
	check(result.ok, "moved: %s" % result)
	equal(other.account_id, account, "account")
	check(other.is_guest(), "a guest")
	var next: String = result.data["recovery_code"]
	check(RecoveryCode.problem(next) == "" and next != code, "the next code")
	var secret: String = Guest.new(url, profile).secret()
	check(not secret in str(result) + str(result.data), "no secret in the result")
	check(secret != Guest.new(url, first_profile).secret(), "another secret")
	check(Guest.new(url, profile).is_known(), "noted")
	equal(folders_of(profile).size(), 1, "nothing is left over: %s" % [folders_of(profile)])
	check((await other.logout()).ok, "signed out")
	equal((await new_client(profile).play_as_guest()).status, 200, "signs in at a later start")
	equal((await guest.fetch("/v1/me")).code, "session_ended", "the first device is signed out")
	equal((await guest.play_as_guest()).code, "unknown_guest", "and has no guest any more")
	result = await new_client(first_profile).recover(username, next)
	check(result.ok, "and back: %s" % result)
	equal((await new_client(first_profile).play_as_guest()).status, 200, "at a later start, too")


func test_a_moved_guest_can_do_everything() -> void:
	var guest: Client = await new_guest()
	var profile: String = new_name()
	var other: Client = await new_guest(profile)
	check((await other.recover(guest.account_name, await code_of(guest))).ok, "moved")
	check((await other.rename(new_name())).ok, "renamed")
	check((await other.make_recovery_code()).ok, "another code")
	check((await other.upgrade(new_name(), PASSWORD)).ok, "saved")
	equal((await new_client(profile).play_as_guest()).code, "unknown_guest", "no guest here")


func test_a_refused_move_keeps_the_guest() -> void:
	var profile: String = new_name()
	var guest: Client = await new_guest(profile)
	var secret: String = Guest.new(url, profile).secret()
	for _try: int in 2:
		var result: GameLoginResult = await guest.recover(guest.account_name, FOREIGN)
		equal(result.code, "invalid_credentials", "code")
	await refuse(429, "too_many_attempts")
	equal((await guest.recover("Ada", FOREIGN)).code, "too_many_attempts", "code")
	equal(Guest.new(url, profile).secret(), secret, "the secret")
	equal(folders_of(profile).size(), 1, "nothing is left over: %s" % [folders_of(profile)])
	check((await guest.fetch("/v1/me")).ok, "still signed in")
	var later: Client = new_client(profile)
	check((await later.play_as_guest()).ok, "signed in")
	equal(later.account_id, guest.account_id, "account")
	equal(await count("/v1/guest"), 5, "requests: each refusal is followed by a question")


func test_a_refused_move_to_a_new_device() -> void:
	var profile: String = new_name()
	var client: Client = new_client(profile)
	equal((await client.recover("Ada", FOREIGN)).code, "invalid_credentials", "code")
	equal((await client.play_as_guest()).status, 201, "it may have its first guest")


func test_a_lost_answer_to_a_move() -> void:
	for kind: String in ["lose", "truncate"]:
		for is_restarted: bool in [false, true]:
			var guest: Client = await new_guest()
			var profile: String = new_name()
			var other: Client = await new_guest(profile)
			var own: String = other.account_id
			await fault("/v1/recover", kind)
			var code: String = await code_of(guest)
			var result: GameLoginResult = await other.recover(guest.account_name, code)
			check(result.is_passing(), "no answer: %s" % result)
			equal(other.account_id, own, "still the guest of this device")
			check((await other.make_recovery_code()).ok, "who can do everything")
			if is_restarted:
				other = new_client(profile)
			result = await other.play_as_guest()
			equal([result.status, other.account_id], [200, guest.account_id], "moved")
			equal((await new_client(profile).play_as_guest()).status, 200, "at a later start, too")
			equal(folders_of(profile).size(), 2, "folders: %s" % [folders_of(profile)])


func test_a_lost_answer_to_a_move_and_the_button_once_more() -> void:
	for kind: String in ["lose", "drop"]:
		var guest: Client = await new_guest()
		var code: String = await code_of(guest)
		var other: Client = await new_guest()
		await fault("/v1/recover", kind)
		var result: GameLoginResult = await other.recover(guest.account_name, code)
		check(result.is_passing(), "no answer: %s" % result)
		result = await other.recover(guest.account_name, code)
		check(result.ok, "moved: %s" % result)
		equal(other.account_id, guest.account_id, "account")
		var next: String = result.data["recovery_code"]
		check((await new_client().recover(guest.account_name, next)).ok, "with the next code")
		await command("reset")


func test_another_guest_after_a_lost_answer() -> void:
	var guests: Array[Client] = [await new_guest(), await new_guest()]
	var other: Client = new_client()
	await fault("/v1/recover", "lose")
	await other.recover(guests[0].account_name, await code_of(guests[0]))
	var code: String = await code_of(guests[1])
	check((await other.recover(guests[1].account_name, code)).ok, "the second")
	equal(other.account_id, guests[1].account_id, "account")


func test_a_move_that_never_arrived() -> void:
	var profile: String = new_name()
	var guest: Client = await new_guest(profile)
	await fault("/v1/recover", "drop")
	await guest.recover("Ada", FOREIGN)
	var moving: String = Guest.new(url, profile).moving_secret()
	check(moving != "", "it may have moved")
	check((await new_client(profile).play_as_guest()).ok, "signed in")
	equal((await guest.recover("Ada", FOREIGN)).code, "invalid_credentials", "refused")
	equal(Guest.new(url, profile).moving_secret(), moving, "the first request may still arrive")
	let_time_pass(profile)
	await command("reset")
	var later: Client = new_client(profile)
	check((await later.play_as_guest()).ok, "signed in")
	equal(later.account_id, guest.account_id, "the guest of this device")
	equal(await count("/v1/guest"), 2, "requests: the moving one is asked for first")
	equal(Guest.new(url, profile).moving_secret(), "", "and given up after a minute")


func test_a_move_to_a_new_device_that_never_arrived() -> void:
	var profile: String = new_name()
	var client: Client = new_client(profile)
	await fault("/v1/recover", "drop")
	await client.recover("Ada", FOREIGN)
	equal((await client.play_as_guest()).code, "unknown_guest", "no guest is created unasked")
	let_time_pass(profile)
	equal((await client.play_as_guest()).status, 201, "but when the move is over")


func test_two_copies_move_a_guest_at_once() -> void:
	var guest: Client = await new_guest()
	var code: String = await code_of(guest)
	var profile: String = new_name()
	var results: Array = []
	await fault("/v1/recover", "slow", {"seconds": 1.0})  # the first one is overtaken
	for _copy: int in 2:
		var copy: Client = new_client(profile)
		var ask: Callable = func() -> void:
			results.append(await copy.recover(guest.account_name, code))
		ask.call()
		await seconds(0.2)
	while results.size() < 2:
		await seconds(0.05)
	check(results[0].ok, "moved: %s" % results[0])
	check(results[1].ok, "the code is used, for this guest: %s" % results[1])
	equal(folders_of(profile).size(), 1, "nothing is left over: %s" % [folders_of(profile)])
	var later: Client = new_client(profile)
	equal((await later.play_as_guest()).status, 200, "signs in at a later start")
	equal(later.account_id, guest.account_id, "account")


func test_a_refused_copy_leaves_the_secret_to_another() -> void:
	for kind: String in ["lose", "slow"]:
		var guest: Client = await new_guest()
		var profile: String = new_name()
		var results: Array = []
		await fault("/v1/recover", "slow", {"seconds": 0.6})
		await fault("/v1/recover", kind, {"seconds": 2.0})
		for code: String in [FOREIGN, await code_of(guest)]:
			var copy: Client = new_client(profile)
			var ask: Callable = func() -> void:
				results.append(await copy.recover(guest.account_name, code))
			ask.call()
			await seconds(0.2)
		var secret: String = Guest.new(url, profile).moving_secret()
		await seconds(1.2)
		check(results.size() > 0, "the first copy has its answer")
		var known: Array = [
			Guest.new(url, profile).moving_secret(), Guest.new(url, profile).secret()
		]
		check(secret != "" and secret in known, "its refusal does not drop the secret: " + kind)
		while results.size() < 2:
			await seconds(0.05)
		var later: Client = new_client(profile)
		check((await later.play_as_guest()).ok, "signed in")
		equal(later.account_id, guest.account_id, "account")


func test_a_refused_move_and_a_server_that_cannot_tell() -> void:
	var profile: String = new_name()
	await fault("/v1/guest", "answer", {"status": 429})
	var result: GameLoginResult = await new_client(profile).recover("Ada", FOREIGN)
	equal(result.code, "invalid_credentials", "code")
	check(Guest.new(url, profile).moving_secret() != "", "the secret may be a guest's")


func test_a_minute_from_the_last_send() -> void:
	var profile: String = new_name()
	var client: Client = new_client(profile)
	await fault("/v1/recover", "drop", {"times": 2})
	await client.recover("Ada", FOREIGN)
	var moving: String = Guest.new(url, profile).moving_secret()
	let_time_pass(profile, 50)
	await client.recover("Ada", FOREIGN)
	equal(Guest.new(url, profile).moving_secret(), moving, "the same secret")
	var path: String = Guest.new(url, profile)._folder("moving") + "/secret.json"
	var age: float = Time.get_unix_time_from_system() - FileAccess.get_modified_time(path)
	check(age < 30.0, "it counts from this one: %f" % age)
	check(not Guest.new(url, profile).is_move_over(), "not over")
	equal(Guest.new(url, profile).moving_secret(), moving, "still the same secret")
	Guest.new(url, profile).drop_move("another")
	equal(Guest.new(url, profile).moving_secret(), moving, "no other one is dropped")


func test_the_move_is_finished_before_the_session_is_stored() -> void:
	for is_lost: bool in [false, true]:
		var guest: Client = await new_guest()
		var profile: String = new_name()
		var other: Client = await new_guest(profile)
		var own: String = Guest.new(url, profile).secret()
		var seen: Array = []
		var store: WatchedStore = WatchedStore.new(profile)
		store.watch = func() -> void: seen.append(Guest.new(url, profile).secret())
		other._store = store
		var code: String = await code_of(guest)
		if is_lost:
			await fault("/v1/recover", "lose")
			await other.recover(guest.account_name, code)
		check((await other.recover(guest.account_name, code)).ok, "moved")
		check(seen.size() > 0 and not own in seen, "the secret comes first: %d" % seen.size())


func test_a_moving_secret_that_cannot_be_read() -> void:
	for is_new: bool in [true, false]:
		var profile: String = new_name()
		var client: Client = new_client(profile) if is_new else await new_guest(profile)
		await fault("/v1/recover", "drop")
		await client.recover("Ada", FOREIGN)
		var path: String = Guest.new(url, profile)._folder("moving") + "/secret.json"
		var file: FileAccess = FileAccess.open(path, FileAccess.WRITE)
		file.close()
		await command("reset")
		equal((await client.recover("Ada", FOREIGN)).code, "guest_unreadable", "a move")
		equal(await command("requests"), [], "requests")
		var result: GameLoginResult = await client.play_as_guest()
		equal(result.code, "guest_unreadable" if is_new else "", "playing")
		check(FileAccess.file_exists(path), "nothing is deleted")


func test_an_empty_folder_is_no_guest() -> void:
	var profile: String = new_name()
	var folder: String = Guest.new(url, profile)._folder("moving")
	equal(DirAccess.make_dir_recursive_absolute(folder), OK, "a folder")
	equal((await new_client(profile).play_as_guest()).status, 201, "the first guest")


func test_offline_after_a_lost_answer() -> void:
	var guest: Client = await new_guest()
	var other: Client = await new_guest()
	await fault("/v1/recover", "lose")
	await other.recover(guest.account_name, await code_of(guest))
	await fault("/v1/guest", "drop", {"times": 3})
	equal((await other.play_as_guest()).kind, GameLoginResult.Kind.OFFLINE, "kind")
	check((await other.play_as_guest()).ok, "signed in when the server is back")
	equal(other.account_id, guest.account_id, "as the moved guest")


func test_a_killed_game_leaves_an_empty_folder() -> void:
	var profile: String = new_name()
	var folder: String = Guest.new(url, profile)._folder("moving")
	equal(DirAccess.make_dir_recursive_absolute(folder), OK, "a folder")
	var guest: Client = await new_guest()
	var other: Client = new_client(profile)
	check((await other.recover(guest.account_name, await code_of(guest))).ok, "moved")


func test_a_store_that_cannot_be_written() -> void:
	var guest: Client = await new_guest()
	var code: String = await code_of(guest)
	var profile: String = new_name()
	var place: String = Guest.new(url, profile)._folder("1").get_base_dir()
	var file: FileAccess = FileAccess.open(place, FileAccess.WRITE)
	file.close()
	var other: Client = new_client(profile)
	await command("reset")
	var result: GameLoginResult = await other.recover(guest.account_name, code)
	equal([result.kind, result.code], [GameLoginResult.Kind.DENIED, "guest_not_stored"], "says so")
	equal(await command("requests"), [], "requests")
	check((await guest.fetch("/v1/me")).ok, "the guest stays where it is")


func test_where_the_secret_is_during_a_move() -> void:
	var profile: String = new_name()
	var client: Client = new_client(profile)
	await fault("/v1/recover", "slow", {"seconds": 0.5})
	var results: Array = []
	var ask: Callable = func() -> void: results.append(await client.recover("Ada", FOREIGN))
	ask.call()
	equal((await client.recover("Ada", FOREIGN)).code, "busy", "one at a time")
	var path: String = Guest.new(url, profile)._folder("moving") + "/secret.json"
	equal(FileAccess.get_unix_permissions(path), 0x180, "only the owner may read it")
	while results.is_empty():
		await seconds(0.05)
	check(not FileAccess.file_exists(path), "deleted when it is refused")


func code_of(client: Client, password: String = "") -> String:
	var result: GameLoginResult = await client.make_recovery_code(password)
	check(result.ok, "a code: %s" % result)
	return result.data.get("recovery_code", "")


func new_guest(profile: String = "") -> Client:
	var guest: Client = new_client(profile)
	check((await guest.play_as_guest()).ok, "a guest")
	return guest


func refuse(status: int, code: String) -> void:
	var body: String = '{"error": {"code": "%s", "message": "No."}}' % code
	await fault("/v1/recover", "answer", {"status": status, "body": body})


func folders_of(profile: String) -> PackedStringArray:
	return DirAccess.get_directories_at(Guest.new(url, profile)._folder("1").get_base_dir())


## Makes the last send of a move older than any request.
func let_time_pass(profile: String, passed: int = 120) -> void:
	var path: String = Guest.new(url, profile)._folder("moving") + "/secret.json"
	var arguments: PackedStringArray = ["-d", "%d seconds ago" % passed]
	equal(
		OS.execute("touch", arguments + PackedStringArray([ProjectSettings.globalize_path(path)])),
		0,
		"an older file"
	)
