# gdlint:ignore = max-public-methods
extends "res://tests/form_case.gd"
## Recovery codes in the form: after a registration, for a forgotten password, and to move a guest.

const NEW_PASSWORD: String = PASSWORD + " 2"
const FOREIGN: String = "0000-0000-0000-0000"  # a code without a typing error


func test_a_code_after_a_registration() -> void:
	var username: String = await register()
	equal((node("CodeTitle") as Label).text, "Save your recovery code", "title")
	equal((node("CodeName") as Label).text, username, "name")
	check(not node("Rows").visible, "nothing else")
	check(not node("Copy").visible, "there is no clipboard here")
	equal(edit("Password").text, "", "the password is gone from the form")
	var code: String = shown_code()
	await press("CloseCode")
	equal(signed_in, 1, "signed in")
	check(not form.visible, "hidden")
	equal((node("Code") as Label).text, "", "the code is gone from the form")
	check((await new_client().recover(username, code, NEW_PASSWORD)).ok, "the code is good")


func test_a_registration_without_a_code() -> void:
	await open()
	form.set("offers_recovery", false)
	await press("Switch")
	await submit(new_name(), PASSWORD)
	equal(signed_in, 1, "signed in at once")
	equal(await count("/v1/me/recovery-code"), 0, "requests")


func test_a_registration_that_gets_no_code() -> void:
	await open()
	await press("Switch")
	await fault("/v1/me/recovery-code", "answer", {"status": 503, "times": 3})
	await submit(new_name(), PASSWORD)
	equal(signed_in, 1, "signed in all the same")


func test_the_session_ends_while_a_code_is_shown() -> void:
	await register()
	check((await GameLogin.logout()).ok, "signed out")
	await get_tree().process_frame
	check(node("Rows").visible and not node("CodeScreen").visible, "back at the start")
	equal(text_of("Submit"), "Sign in", "where players sign in")
	equal(signed_in, 0, "not signed in")
	equal((node("Code") as Label).text, "", "the code is gone from the form")


func test_saving_the_code_with_the_keyboard_alone() -> void:
	var username: String = await register()
	equal(focused(), "SaveFile", "focus")
	var code: String = shown_code()
	for number: int in 2:
		await key(KEY_ENTER)
		var note: String = (node("CodeNote") as Label).text
		check(node("CodeNote").visible and note.begins_with("Saved: /"), "says where: " + note)
		var path: String = note.trim_prefix("Saved: ")
		var text: String = FileAccess.get_file_as_string(path)
		check(code in text and username in text, "the file has the code and the name")
		check(username in path.get_file(), "its name: " + path.get_file())
		equal(FileAccess.get_unix_permissions(path), 0x180, "only the owner may read it")
		check(path.ends_with(" 2.txt") == (number == 1), "no file is replaced: " + path)
	equal(text_of("CloseCode"), "Continue", "nothing is left to do later")
	await key(KEY_TAB)
	equal(focused(), "CloseCode", "Tab")
	await key(KEY_ENTER)
	equal(signed_in, 1, "signed in")


func test_saving_the_code_with_a_gamepad_alone() -> void:
	await register()
	node("CodeScreen").set("_has_dialog", true)  # which a gamepad cannot use
	await pad(JOY_BUTTON_A)
	check((node("CodeNote") as Label).text.begins_with("Saved: /"), "saved")
	await pad(JOY_BUTTON_DPAD_DOWN)
	equal(focused(), "CloseCode", "down")
	await pad(JOY_BUTTON_DPAD_UP)
	equal(focused(), "SaveFile", "up")
	await pad(JOY_BUTTON_B)
	equal(signed_in, 1, "the right button closes it")


func test_a_code_that_cannot_be_saved() -> void:
	await register()
	node("CodeScreen").call("_write", "/nowhere/code.txt")
	check("cannot be saved" in (node("CodeNote") as Label).text, "says so")
	equal(text_of("CloseCode"), "Continue without a code", "it is not saved")


func test_a_forgotten_password_with_the_keyboard_alone() -> void:
	var player: Client = await new_player()
	var username: String = player.account_name
	var made: GameLoginResult = await player.make_recovery_code(PASSWORD)
	GameLogin.profile = new_name()
	await open()
	await type(username)
	edit("Password").text = "what was it"
	while focused() != "Forgot":
		await key(KEY_TAB)
	await key(KEY_ENTER)
	equal((node("Title") as Label).text, "Forgot password?", "title")
	equal(edit("Name").text, username, "the name stays")
	equal(edit("Password").text, "", "the password does not")
	for title: String in ["Remember", "Forgot", "Guest", "Resume", "Anew"]:
		check(not node(title).is_visible_in_tree(), "no use for " + title)
	equal(focused(), "RecoveryCode", "focus")
	var code: String = made.data["recovery_code"]
	await type(code.to_lower().replace("-", " "))
	await key(KEY_ENTER)
	equal(focused(), "Password", "Enter goes on")
	await type(NEW_PASSWORD)
	await key(KEY_ENTER)
	await until(func() -> bool: return node("CodeScreen").visible)
	equal((node("CodeTitle") as Label).text, "Save your next recovery code", "title")
	check(shown_code() != code, "the next code")
	await key(KEY_ESCAPE)
	equal(signed_in, 1, "signed in")
	equal(GameLogin.account_id, player.account_id, "account")
	check((await GameLogin.logout()).ok, "signed out")
	await get_tree().process_frame
	equal((node("Title") as Label).text, "Sign in", "back in its first mode")
	equal(edit("Name").text, username, "with the name")
	equal(edit("RecoveryCode").text, "", "the code is gone from the form")
	check((await player.login(username, NEW_PASSWORD)).ok, "the new password")


func test_a_forgotten_password_with_a_gamepad_alone() -> void:
	var player: Client = await new_player()
	var made: GameLoginResult = await player.make_recovery_code(PASSWORD)
	await open()
	node("Remember").grab_focus()
	await pad(JOY_BUTTON_DPAD_RIGHT)
	equal(focused(), "Forgot", "right")
	await pad(JOY_BUTTON_DPAD_LEFT)
	equal(focused(), "Remember", "left")
	await pad(JOY_BUTTON_DPAD_RIGHT)
	await pad(JOY_BUTTON_A)
	edit("Name").text = player.account_name  # typed with the console's own keyboard
	edit("RecoveryCode").text = made.data["recovery_code"]
	edit("Password").text = NEW_PASSWORD
	edit("Name").grab_focus()
	edit("Name").unedit()
	var titles: Array = ["Name", "RecoveryCode", "Password", "Show", "Submit", "Other", "Switch"]
	equal(await way(JOY_BUTTON_DPAD_DOWN, 6), titles, "the way down")
	titles.erase("Show")  # beside the password
	titles.reverse()
	equal(await way(JOY_BUTTON_DPAD_UP, 5), titles, "the way up")
	node("Submit").grab_focus()
	await pad(JOY_BUTTON_A)
	await until(func() -> bool: return node("CodeScreen").visible)
	await pad(JOY_BUTTON_DPAD_DOWN)
	await pad(JOY_BUTTON_A)
	equal(signed_in, 1, "signed in")


func test_going_back() -> void:
	await open()
	await key(KEY_ESCAPE)
	check(node("Forgot").visible and form.visible, "nowhere to go back to")
	await press("Forgot")
	await press("Other")
	equal((node("Title") as Label).text, "Move your guest here", "title")
	edit("RecoveryCode").text = FOREIGN
	await pad(JOY_BUTTON_B)
	equal((node("Title") as Label).text, "Forgot password?", "one screen back")
	await key(KEY_ESCAPE)
	equal((node("Title") as Label).text, "Sign in", "and another")
	equal(edit("RecoveryCode").text, "", "the code is gone from the form")
	await press("Forgot")
	await press("Switch")
	equal((node("Title") as Label).text, "Sign in", "by the button, too")
	await press("Switch")
	await key(KEY_ESCAPE)
	equal((node("Title") as Label).text, "Create an account", "no screen is behind this one")


func test_a_typing_error() -> void:
	await open()
	await press("Forgot")
	edit("RecoveryCode").text = "7QF2-MXD9-K4TB-W8H4"
	await submit("Ada", NEW_PASSWORD)
	check("mistyped" in (node("CodeReason") as Label).text, "a reason beside the code")
	check(node("CodeReason").visible and not node("Message").visible, "and nowhere else")
	equal(focused(), "RecoveryCode", "focus")
	edit("RecoveryCode").text = " \t"
	await submit("Ada", NEW_PASSWORD)
	equal((node("CodeReason") as Label).text, "Enter your code.", "no code")
	equal(await count("/v1/recover"), 0, "requests")


func test_refusals() -> void:
	var player: Client = await new_player()
	var made: GameLoginResult = await player.make_recovery_code(PASSWORD)
	await open()
	await press("Forgot")
	edit("RecoveryCode").text = " %s\n" % made.data["recovery_code"]
	await submit(player.account_name, "password")
	check(node("PasswordReason").visible, "a weak password")
	check(not node("CodeReason").visible and not node("Message").visible, "and nowhere else")
	equal(focused(), "Password", "focus")
	edit("RecoveryCode").text = FOREIGN
	await submit(player.account_name, NEW_PASSWORD)
	check("code is wrong" in (node("MessageText") as Label).text, "a wrong code")
	equal(focused(), "RecoveryCode", "focus")
	equal(edit("RecoveryCode").get_selected_text(), FOREIGN, "to type or paste it again")
	check(edit("RecoveryCode").context_menu_enabled, "with the mouse, too")
	check(not node("Resume").visible, "nothing to resume")
	equal(edit("RecoveryCode").text, FOREIGN, "it can be compared")


func test_a_guest_in_the_wrong_place() -> void:
	var guest: Client = new_client()
	check((await guest.play_as_guest()).ok, "a guest")
	var made: GameLoginResult = await guest.make_recovery_code()
	var username: String = guest.account_name
	await open()
	await press("Forgot")
	edit("RecoveryCode").text = made.data["recovery_code"]
	await submit(username, NEW_PASSWORD)
	check(
		'"My guest from another device"' in (node("MessageText") as Label).text, "says where to go"
	)
	await press("Other")
	equal(edit("Name").text, username, "the name stays")
	equal(edit("RecoveryCode").text, made.data["recovery_code"], "and the code")
	await submit(username, "")
	check(node("CodeScreen").visible, "moved")


func test_a_player_in_the_wrong_place() -> void:
	var player: Client = await new_player()
	var made: GameLoginResult = await player.make_recovery_code(PASSWORD)
	GameLogin.profile = new_name()
	await open()
	await press("Forgot")
	await press("Other")
	edit("RecoveryCode").text = made.data["recovery_code"]
	await submit(player.account_name, "")
	check("has a password" in (node("MessageText") as Label).text, "says so")


func test_a_guest_moves_with_the_keyboard_alone() -> void:
	await open_as_guest()
	var account: String = GameLogin.account_id
	form.call("ask_to_save")
	while focused() != "Other":
		await key(KEY_TAB)
	await key(KEY_ENTER)
	await until(func() -> bool: return node("CodeScreen").visible)
	equal((node("CodeTitle") as Label).text, "Your transfer code", "title")
	var username: String = (node("CodeName") as Label).text
	var code: String = shown_code()
	await key(KEY_ESCAPE)
	equal(closed, [false], "closed, and not saved")
	check(not form.visible and GameLogin.is_guest(), "the guest may play on")
	GameLogin.profile = new_name()  # the other device
	await open()
	while focused() != "Forgot":
		await key(KEY_TAB)
	await key(KEY_ENTER)
	while focused() != "Other":
		await key(KEY_TAB)
	await key(KEY_ENTER)
	check(not node("Password").is_visible_in_tree(), "no password")
	equal(focused(), "Name", "focus")
	await type(username)
	await key(KEY_ENTER)
	equal(focused(), "RecoveryCode", "Enter goes on")
	await type(code)
	await key(KEY_ENTER)
	await until(func() -> bool: return node("CodeScreen").visible)
	check(shown_code() != code, "the next code")
	await key(KEY_ESCAPE)
	equal(signed_in, 1, "signed in")
	equal(GameLogin.account_id, account, "account")
	check(GameLogin.is_guest(), "a guest")


func test_a_guest_moves_with_a_gamepad_alone() -> void:
	await open_as_guest()
	form.call("ask_to_save")
	edit("Name").unedit()
	var titles: Array = ["Name", "Password", "Show", "Submit", "Other", "Switch"]
	equal(await way(JOY_BUTTON_DPAD_DOWN, 5), titles, "the way down")
	await pad(JOY_BUTTON_DPAD_UP)
	await pad(JOY_BUTTON_A)
	await until(func() -> bool: return node("CodeScreen").visible)
	var typed: Array = [(node("CodeName") as Label).text, shown_code()]
	await pad(JOY_BUTTON_B)
	GameLogin.profile = new_name()  # the other device
	await open()
	await press("Forgot")
	node("Other").grab_focus()
	await pad(JOY_BUTTON_A)
	edit("Name").text = typed[0]
	edit("RecoveryCode").text = typed[1]
	edit("Name").grab_focus()
	edit("Name").unedit()
	titles = ["Name", "RecoveryCode", "Submit", "Switch"]
	equal(await way(JOY_BUTTON_DPAD_DOWN, 3), titles, "the way down")
	await pad(JOY_BUTTON_DPAD_UP)
	await pad(JOY_BUTTON_A)
	await until(func() -> bool: return node("CodeScreen").visible)
	check(GameLogin.is_guest(), "moved")


func test_a_device_with_a_guest_of_its_own() -> void:
	await open_as_guest()
	check((await GameLogin.logout()).ok, "signed out")
	await get_tree().process_frame
	await press("Forgot")
	await press("Other")
	var guest: Client = new_client()
	check((await guest.play_as_guest()).ok, "a guest on another device")
	var made: GameLoginResult = await guest.make_recovery_code()
	edit("RecoveryCode").text = made.data["recovery_code"]
	await submit(guest.account_name, "")
	check("will be lost" in (node("MessageText") as Label).text, "a warning")
	check(node("Message").visible, "which can be seen")
	equal([focused(), text_of("Submit")], ["Submit", "Move here anyway"], "it asks")
	equal(await count("/v1/recover"), 0, "nothing is sent")
	await press("Switch")
	equal(text_of("Submit"), "Set the password", "another screen asks nothing")
	await press("Other")
	equal(text_of("Submit"), "Move here", "and it is forgotten")
	await submit(guest.account_name, "")
	await key(KEY_ENTER)
	await until(func() -> bool: return node("CodeScreen").visible)
	equal(GameLogin.account_id, guest.account_id, "confirmed")


func test_a_recovery_without_a_next_code() -> void:
	var player: Client = await new_player()
	var guest: Client = new_client()
	check((await guest.play_as_guest()).ok, "a guest")
	for is_guest: bool in [false, true]:
		var client: Client = guest if is_guest else player
		var password: String = "" if is_guest else NEW_PASSWORD
		var made: GameLoginResult = await client.make_recovery_code("" if is_guest else PASSWORD)
		GameLogin.profile = new_name()
		await open()
		await press("Forgot")
		if is_guest:
			await press("Other")
		edit("RecoveryCode").text = made.data["recovery_code"]
		await fault("/v1/recover", "lose")
		await submit(client.account_name, password)
		check(node("Message").visible, "no answer")
		await fault("/v1/me/recovery-code", "answer", {"status": 503, "times": 6})
		button("Submit").pressed.emit()
		await until(func() -> bool: return node("CodeScreen").visible)
		equal((node("CodeTitle") as Label).text, "Your next code is missing", "title")
		for title: String in ["CodePane", "Copy", "SaveFile"]:
			check(not node(title).visible, "no use for " + title)
		equal(focused(), "CodeAgain", "focus")
		await key(KEY_ENTER)
		await until(func() -> bool: return node("CodeNote").visible)
		check(button("CodeAgain").disabled == false, "it can be tried once more")
		await command("reset")
		await key(KEY_ENTER)
		await until(func() -> bool: return node("CodePane").visible)
		check(not node("CodeAgain").visible and shown_code().length() == 19, "the code")
		await press("CloseCode")
		equal([signed_in, edit("Password").text], [1, ""], "signed in")
		check((await GameLogin.logout()).ok, "signed out")


func test_saving_the_progress_later_in_a_row() -> void:
	await open_as_guest()
	form.call("ask_to_save")
	await pad(JOY_BUTTON_B)
	equal(closed, [false], "the right button means later")


func test_a_transfer_code_that_cannot_be_made() -> void:
	await open_as_guest()
	form.call("ask_to_save")
	await fault("/v1/me/recovery-code", "answer", {"status": 429, "headers": {"Retry-After": "2"}})
	await press("Other")
	await until(func() -> bool: return node("Message").visible)
	check(not node("CodeScreen").visible, "no code")


func test_a_form_without_recovery_codes() -> void:
	await open_as_guest()
	form.set("offers_recovery", false)
	form.call("ask_to_save")
	check(not node("Other").visible, "no transfer code")
	await submit(new_name(), PASSWORD)
	equal(closed, [true], "saved at once")
	check((await GameLogin.logout()).ok, "signed out")
	await get_tree().process_frame
	check(form.visible and not node("Forgot").visible, "no way to recover")


func test_a_form_without_guests() -> void:
	await open()
	form.set("offers_guest", false)
	await press("Forgot")
	check(not node("Other").visible, "no guest to move")


func test_it_can_be_translated() -> void:
	var german: Translation = Translation.new()
	german.locale = "de"
	german.add_message("Forgot password?", "Passwort vergessen?")
	german.add_message("Recovery code", "Code")
	german.add_message("Save your recovery code", "Sichere deinen Code")
	german.add_message("Continue without a code", "Nachher")
	TranslationServer.add_translation(german)
	TranslationServer.set_locale("de")
	await register()
	for title: String in ["CodeTitle", "CloseCode"]:
		var text: String = node(title).get("text")
		check(node(title).atr(text) in ["Sichere deinen Code", "Nachher"], "text: " + text)
	await press("CloseCode")
	check((await GameLogin.logout()).ok, "signed out")
	await open()
	await press("Forgot")
	equal((node("Title") as Label).text, "Passwort vergessen?", "title")
	equal((node("CodeLabel") as Label).text, "Code", "label")
	TranslationServer.set_locale("en")
	TranslationServer.remove_translation(german)


func test_small_screens() -> void:
	await register()
	form.set_anchors_preset(Control.PRESET_TOP_LEFT)
	for screen: Vector2 in [Vector2(320, 640), Vector2(640, 360)]:
		form.size = screen
		await seconds(0.1)
		check(node("Card").size.x <= screen.x, "it fits: %s" % node("Card").size)
		for title: String in ["CloseCode", "SaveFile"]:
			node(title).grab_focus()
			await seconds(0.1)
			var place: Rect2 = node(title).get_global_rect()
			check(form.get_global_rect().encloses(place), "%s can be seen: %s" % [title, place])


## Registers in the form; returns the name when the code is shown.
func register() -> String:
	GameLogin.profile = new_name()
	await open()
	await press("Switch")
	var username: String = new_name()
	await submit(username, PASSWORD)
	await until(func() -> bool: return node("CodeScreen").visible)
	return username


func shown_code() -> String:
	return (node("Code") as Label).text.replace("\u200b", "")


## Returns what has the focus on a way of some steps.
func way(direction: JoyButton, steps: int) -> Array:
	var titles: Array = [focused()]
	for _step: int in steps:
		await pad(direction)
		titles.append(focused())
	return titles
