# gdlint:ignore = max-public-methods
extends "res://tests/form_case.gd"
## The login form as players use it: keys, a gamepad, and its looks.


func test_register_with_the_keyboard_alone() -> void:
	await open()
	equal(focused(), "Name", "focus at first")
	var username: String = new_name()
	await type(username)
	await key(KEY_ENTER)
	equal(focused(), "Password", "Enter goes on")
	await key(KEY_TAB)
	equal(focused(), "Show", "Tab")
	await key(KEY_TAB)
	equal(focused(), "Remember", "Tab")
	await key(KEY_TAB)
	equal(focused(), "Forgot", "Tab")
	await key(KEY_TAB)
	equal(focused(), "Submit", "Tab")
	await key(KEY_TAB)
	equal(focused(), "Guest", "Tab")
	await key(KEY_TAB)
	equal(focused(), "Switch", "Tab")
	await key(KEY_SPACE)
	equal(text_of("Submit"), "Create account", "the other mode")
	equal(focused(), "Password", "the empty field")
	await type(PASSWORD)
	await key(KEY_ENTER)
	await until(func() -> bool: return node("CodeScreen").visible)
	equal(signed_in, 0, "the recovery code first")
	await key(KEY_ESCAPE)
	await until(func() -> bool: return signed_in == 1)
	equal(GameLogin.account_name, username, "signed in")
	equal(edit("Password").text, "", "the password is gone from the form")


func test_sign_in_with_a_gamepad_alone() -> void:
	var player: Client = await new_player()
	await open()
	edit("Name").text = player.account_name  # typed with the console's own keyboard
	edit("Password").text = PASSWORD
	edit("Password").unedit()
	var way: Array = []
	for _step: int in 12:
		way.append(focused())
		if focused() == "Submit":
			break
		await pad(JOY_BUTTON_DPAD_DOWN)
	equal(focused(), "Submit", "the way down: %s" % [way])
	await pad(JOY_BUTTON_A)
	await until(func() -> bool: return signed_in == 1)
	equal(GameLogin.account_id, player.account_id, "signed in")


func test_gamepad_reaches_everything() -> void:
	await open()
	edit("Name").grab_focus()
	var seen: Dictionary = {}
	for direction: JoyButton in [JOY_BUTTON_DPAD_DOWN, JOY_BUTTON_DPAD_UP]:
		for _step: int in 7:
			seen["%s %d" % [focused(), direction]] = true
			await pad(direction)
	var titles: Array = ["Name", "Password", "Show", "Remember", "Submit", "Guest", "Switch"]
	for title: String in titles:
		for direction: JoyButton in [JOY_BUTTON_DPAD_DOWN, JOY_BUTTON_DPAD_UP]:
			var visit: String = "%s %d" % [title, direction]
			check(seen.has(visit), "%s was never reached: %s" % [visit, seen.keys()])


func test_gamepad_edits_a_field() -> void:
	await open()
	for title: String in ["Name", "Password"]:
		edit(title).grab_focus()
		edit(title).unedit()
		await pad(JOY_BUTTON_A)
		check(edit(title).is_editing(), "the lower button opens " + title)


func test_password_is_masked() -> void:
	var player: Client = await new_player()
	await open()
	check(edit("Password").secret, "masked at first")
	await press("Show")
	check(not edit("Password").secret, "shown on demand")
	equal(text_of("Show"), "Hide", "the button names its action")
	await press("Show")
	check(edit("Password").secret, "masked again")
	await press("Show")
	await submit(player.account_name, PASSWORD)
	check(edit("Password").secret, "masked for the next player")


func test_wrong_password() -> void:
	var player: Client = await new_player()
	await open()
	await submit(player.account_name, "something else")
	check(node("Message").visible, "a message")
	equal((node("MessageText") as Label).text, "The username or the password is wrong.", "text")
	equal(focused(), "Password", "focus")
	equal(edit("Name").text, player.account_name, "the name stays")
	await submit(player.account_name, PASSWORD)
	equal(signed_in, 1, "and then it works")


func test_reasons_stand_beside_their_fields() -> void:
	var player: Client = await new_player()
	await open()
	await press("Switch")
	await submit(new_name(), "password")
	check(node("PasswordReason").visible, "a reason beside the password")
	check((node("PasswordReason") as Label).text.length() > 10, "that says something")
	check(not node("NameReason").visible and not node("Message").visible, "and nowhere else")
	equal(focused(), "Password", "focus")
	await submit("a b", PASSWORD)
	check(node("NameReason").visible, "a reason beside the name")
	check(not node("PasswordReason").visible, "and nowhere else")
	equal(focused(), "Name", "focus")
	await submit(player.account_name, PASSWORD + "!")
	equal((node("NameReason") as Label).text, "This username is taken.", "a taken name")


func test_empty_fields_send_no_request() -> void:
	await open()
	await submit("", "")
	check(node("NameReason").visible, "the name first")
	await submit("Ada", "")
	check(node("PasswordReason").visible, "then the password")
	equal(await count("/v1/login"), 0, "requests")


func test_white_space_around_a_name_is_not_sent() -> void:
	var player: Client = await new_player()
	for typed: String in ["%s ", " %s", "%s\t", "\t %s\n", "%s\u00a0", "\u3000%s\u2003\u202f"]:
		await open()
		await submit(typed % player.account_name, PASSWORD)
		equal(signed_in, 1, "signed in with %s" % typed.c_escape())
		equal(edit("Name").text, player.account_name, "the name that is shown")
		check((await GameLogin.logout()).ok, "signed out")
	await open()
	await press("Switch")
	var username: String = new_name()
	await submit("  %s\t" % username, PASSWORD)
	equal(GameLogin.account_name, username, "registered")
	check((await GameLogin.logout()).ok, "signed out")
	await open()
	await command("reset")
	await submit(" \t\u00a0", PASSWORD)
	check(node("NameReason").visible, "nothing but white space is no name")
	equal(await count("/v1/login"), 0, "requests")


func test_a_long_name_with_a_space_before_it() -> void:
	await open()
	await press("Switch")
	var username: String = new_name().rpad(24, "x")
	edit("Name").text = ""
	edit("Name").insert_text_at_caret("  %s " % username)
	edit("Password").text = PASSWORD
	button("Submit").pressed.emit()
	await until(func() -> bool: return not node("Spinner").visible)
	equal(GameLogin.account_name, username, "registered")


func test_white_space_in_a_password_is_sent() -> void:
	await open()
	await press("Switch")
	var username: String = new_name()
	await submit(username, " %s\t" % PASSWORD)
	check("control" in (node("PasswordReason") as Label).text, "as it was typed")
	await submit(username, " %s " % PASSWORD)
	await press("CloseCode")
	equal(signed_in, 1, "registered")
	var other: Client = new_client()
	equal((await other.login(username, PASSWORD)).code, "invalid_credentials", "without")
	check((await other.login(username, " %s " % PASSWORD)).ok, "with its spaces")


func test_it_hides_itself_and_comes_back() -> void:
	var player: Client = await new_player()
	await open()
	await submit(player.account_name, PASSWORD)
	check(not form.visible, "hidden when the player is signed in")
	check((await GameLogin.logout()).ok, "signed out")
	await get_tree().process_frame
	check(form.visible, "and back when the session has ended")
	equal(focused(), "Password", "focus")
	await type(PASSWORD)
	await key(KEY_ENTER)
	await until(func() -> bool: return signed_in == 2)
	check(not form.visible, "hidden again")


func test_it_hides_itself_after_signing_in_by_itself() -> void:
	GameLogin.profile = new_name()
	check((await GameLogin.register(new_name(), PASSWORD)).ok, "registered")
	GameLogin._session = Client.Session.new()  # as after a start of the game
	await open()
	await until(func() -> bool: return signed_in == 1)
	check(not form.visible, "hidden")


func test_it_stays_where_the_game_says_so() -> void:
	var player: Client = await new_player()
	await open()
	form.set("hides_itself", false)
	await submit(player.account_name, PASSWORD)
	equal(signed_in, 1, "signed in")
	check(form.visible, "still there")
	form.hide()
	check((await GameLogin.logout()).ok, "signed out")
	await get_tree().process_frame
	check(not form.visible, "and not shown by itself")


func test_it_has_the_focus_when_it_is_shown() -> void:
	await open()
	edit("Name").text = ""
	form.hide()
	equal(focused(), "", "nothing has the focus")
	form.show()
	equal(focused(), "Name", "the empty field")


func test_text_for_a_suspended_player() -> void:
	var date: String = '"2027-01-01T00:00:00Z"'
	var texts: Dictionary = {
		'"until": %s, "reason": "Cheating"' % date:
		"Suspended until 1 January 2027. Reason: Cheating.",
		'"until": %s, "reason": "Bad words!"' % date:
		"Suspended until 1 January 2027. Reason: Bad words!",
		'"until": %s, "reason": ""' % date: "Suspended until 1 January 2027.",
		'"until": %s, "reason": null' % date: "Suspended until 1 January 2027.",
		'"until": %s' % date: "Suspended until 1 January 2027.",
		'"until": "2026-12-31T23:59:59.123456Z", "reason": " "':
		"Suspended until 31 December 2026.",
		'"until": null, "reason": "Cheating."': "Suspended for good. Reason: Cheating.",
		'"until": null, "reason": ""': "Suspended for good.",
		'"until": "tomorrow"': "This account is suspended.",
		'"until": 7': "This account is suspended.",
		'"reason": "Cheating"': "This account is suspended. Reason: Cheating.",
	}
	for details: String in texts:
		equal(await suspension(details), texts[details], details)


func test_a_suspension_can_be_translated() -> void:
	var german: Translation = Translation.new()
	german.locale = "de"
	german.add_message(
		"Suspended until {day} {month} {year}.", "Gesperrt bis {day}. {month} {year}."
	)
	german.add_message("January", "Januar")
	german.add_message("Reason: %s", "Grund: %s")
	TranslationServer.add_translation(german)
	TranslationServer.set_locale("de")
	var text: String = await suspension('"until": "2027-01-01T00:00:00Z", "reason": "Cheating"')
	equal(text, "Gesperrt bis 1. Januar 2027. Grund: Cheating.", "text")
	TranslationServer.set_locale("en")
	TranslationServer.remove_translation(german)


func test_a_reason_for_a_field_that_the_form_has_not() -> void:
	await open()
	var body: String = '{"error": {"code": "invalid_request", "message": "No.", "fields": {"x": "y"}}}'
	await fault("/v1/login", "answer", {"status": 400, "body": body})
	await submit("Ada", PASSWORD)
	check(node("Message").visible, "a message")
	equal((node("MessageText") as Label).text, "No.", "text")


func test_busy() -> void:
	var player: Client = await new_player()
	await open()
	await fault("/v1/login", "slow", {"seconds": 1.0})
	edit("Name").text = player.account_name
	edit("Password").text = PASSWORD
	button("Submit").pressed.emit()
	await seconds(0.3)
	check(node("Spinner").visible and button("Submit").disabled, "busy")
	check(not edit("Name").editable and not edit("Password").editable, "nothing can be changed")
	button("Submit").pressed.emit()
	edit("Password").text_submitted.emit("")
	await until(func() -> bool: return signed_in == 1)
	check(not node("Spinner").visible and not button("Submit").disabled, "not busy any more")
	equal(await count("/v1/login"), 1, "one request")


func test_busy_has_an_end() -> void:
	await open()
	GameLogin.request_seconds = 0.5
	await fault("/v1/login", "slow", {"seconds": 3.0})
	await submit("Ada", PASSWORD)
	GameLogin.request_seconds = 13.0
	check(not node("Spinner").visible and not button("Submit").disabled, "not busy any more")
	check("takes too long" in (node("MessageText") as Label).text, "and says why")
	equal(focused(), "Password", "focus")


func test_waiting_is_counted_down() -> void:
	await open()
	var body: String = '{"error": {"code": "too_many_attempts", "message": "Wait.", "retry_after": 2}}'
	await fault("/v1/login", "answer", {"status": 429, "body": body})
	await submit("Ada", PASSWORD)
	check(button("Submit").disabled, "no use pressing it")
	equal(text_of("Submit"), "Try again in 2 s", "says when")
	edit("Password").text_submitted.emit("")
	await until(func() -> bool: return not button("Submit").disabled)
	equal(text_of("Submit"), "Sign in", "and it comes back")
	equal(await count("/v1/login"), 1, "one request")


func test_registering_while_sign_in_must_wait() -> void:
	await open()
	await fault("/v1/login", "answer", {"status": 429, "headers": {"Retry-After": "90"}})
	await submit("Ada", PASSWORD)
	check(button("Submit").disabled, "no use pressing it")
	await press("Switch")
	check(not button("Submit").disabled, "but an account can be made")


func test_a_password_that_is_too_long() -> void:
	await open()
	await press("Switch")
	edit("Name").text = new_name()
	edit("Password").text = ""
	edit("Password").insert_text_at_caret(PASSWORD.repeat(6))
	button("Submit").pressed.emit()
	await until(func() -> bool: return not node("Spinner").visible)
	check("128" in (node("PasswordReason") as Label).text, "the server's reason")


func test_stays_signed_in() -> void:
	GameLogin.profile = new_name()
	check((await GameLogin.register(new_name(), PASSWORD)).ok, "registered")
	GameLogin._session = Client.Session.new()  # as after a start of the game
	await open()
	await until(func() -> bool: return signed_in == 1)
	equal(await count("/v1/login"), 0, "without a password")


func test_offline_and_back() -> void:
	GameLogin.profile = new_name()
	var username: String = new_name()
	check((await GameLogin.register(username, PASSWORD)).ok, "registered")
	GameLogin._session = Client.Session.new()
	await fault("/v1/refresh", "drop", {"times": 3})
	await open()
	await until(func() -> bool: return not node("Spinner").visible)
	check(node("Message").visible and node("Resume").visible, "says so, and offers another try")
	equal(edit("Name").text, username, "the name is filled in")
	await press("Resume")
	await until(func() -> bool: return signed_in == 1)
	check(not node("Message").visible and not node("Resume").visible, "and takes it back")


func test_play_as_guest_with_the_keyboard_alone() -> void:
	GameLogin.profile = new_name()
	await open()
	button("Guest").grab_focus()
	await key(KEY_ENTER)
	await until(func() -> bool: return signed_in == 1)
	check(GameLogin.is_guest(), "a guest")
	check(not form.visible, "hidden")
	var account: String = GameLogin.account_id
	check((await GameLogin.logout()).ok, "signed out")
	await get_tree().process_frame
	equal(edit("Name").text, "", "no name to type a password for")
	await press("Guest")
	await until(func() -> bool: return signed_in == 2)
	equal(GameLogin.account_id, account, "the same guest")


func test_a_guest_who_is_gone_is_asked_about() -> void:
	GameLogin.profile = new_name()
	check((await GameLogin.play_as_guest()).ok, "signed in")
	var account: String = GameLogin.account_id
	check((await GameLogin.delete_account()).ok, "deleted")
	await open()
	check(not node("Anew").visible, "nothing to ask yet")
	await press("Guest")
	await until(func() -> bool: return node("Anew").visible)
	equal(signed_in, 0, "not signed in")
	check(not node("Guest").visible, "one of the two buttons")
	check("is gone" in (node("MessageText") as Label).text, "says so")
	await press("Switch")
	check(not node("Anew").visible and not node("Message").visible, "another wish")
	await press("Guest")
	await until(func() -> bool: return node("Anew").visible)
	await press("Anew")
	await until(func() -> bool: return signed_in == 1)
	check(GameLogin.account_id != account, "a new guest")


func test_a_server_that_takes_no_guests() -> void:
	GameLogin.profile = new_name()
	await open()
	var body: String = '{"error": {"code": "guests_disabled", "message": "No guests."}}'
	await fault("/v1/guest", "answer", {"status": 403, "body": body})
	await press("Guest")
	await until(func() -> bool: return node("Message").visible)
	equal((node("MessageText") as Label).text, "No guests.", "the server's reason")
	check(not node("Anew").visible, "nothing to ask")


func test_a_form_without_guests() -> void:
	await open()
	check(node("Guest").visible, "offered")
	form.set("offers_guest", false)
	check(not node("Guest").visible, "switched off")
	await press("Switch")
	check(not node("Guest").visible, "in the other mode, too")


func test_saving_the_progress_with_the_keyboard_alone() -> void:
	await open_as_guest()
	var account: String = GameLogin.account_id
	form.call("ask_to_save")
	check(form.visible, "shown")
	equal((node("Title") as Label).text, "Save your progress", "title")
	for title: String in ["Remember", "Guest", "Resume", "Anew"]:
		check(not node(title).visible, "no use for " + title)
	equal(focused(), "Name", "focus")
	var username: String = new_name()
	await type(username)
	await key(KEY_ENTER)
	await type("password")
	await key(KEY_ENTER)
	await until(func() -> bool: return node("PasswordReason").visible)
	check(not node("Resume").visible, "nothing to resume")
	check(GameLogin.is_guest(), "still a guest")
	edit("Password").text = PASSWORD
	await key(KEY_ENTER)
	await until(func() -> bool: return node("CodeScreen").visible)
	await key(KEY_ESCAPE)
	await until(func() -> bool: return not form.visible)
	equal(closed, [true], "saved")
	equal([GameLogin.account_name, GameLogin.account_id], [username, account], "account")
	check(not GameLogin.is_guest(), "no guest any more")
	equal(edit("Password").text, "", "the password is gone from the form")
	check((await GameLogin.logout()).ok, "signed out")
	await get_tree().process_frame
	equal((node("Title") as Label).text, "Sign in", "back in its first mode")
	equal(edit("Name").text, username, "with the new name")


func test_saving_the_progress_later() -> void:
	await open_as_guest()
	form.call("ask_to_save")
	edit("Password").text = PASSWORD
	await press("Switch")
	check(not form.visible, "hidden")
	equal(closed, [false], "not saved")
	check(GameLogin.is_guest(), "still a guest")
	equal(edit("Password").text, "", "the password is gone from the form")


func test_saving_the_progress_when_the_session_has_ended() -> void:
	await open_as_guest()
	form.call("ask_to_save")
	check((await GameLogin.logout()).ok, "signed out")
	await get_tree().process_frame
	equal((node("Title") as Label).text, "Sign in", "there is nothing to save")
	check(form.visible and node("Guest").visible, "and the guest may come back")


func test_it_can_be_translated() -> void:
	var german: Translation = Translation.new()
	german.locale = "de"
	german.add_message("Sign in", "Anmelden")
	german.add_message("Password", "Passwort")
	german.add_message("The username or the password is wrong.", "Name oder Passwort ist falsch.")
	TranslationServer.add_translation(german)
	await open()
	TranslationServer.set_locale("de")
	await get_tree().process_frame
	equal(text_of("Submit"), "Anmelden", "a button")
	await submit(new_name(), "something else")
	var message: Label = node("MessageText")
	equal(message.atr(message.text), "Name oder Passwort ist falsch.", "the server's reason")
	TranslationServer.set_locale("en")
	await get_tree().process_frame
	equal(text_of("Submit"), "Sign in", "and back")
	TranslationServer.remove_translation(german)


func test_freed_while_busy() -> void:
	await open()
	await fault("/v1/login", "slow", {"seconds": 0.5})
	edit("Name").text = new_name()
	edit("Password").text = PASSWORD
	button("Submit").pressed.emit()
	await seconds(0.1)
	form.free()
	await seconds(1.0)
	equal(GameLogin.state, Client.State.SIGNED_OUT, "the login came to its end")


func test_narrow_screen() -> void:
	await open()
	form.set_anchors_preset(Control.PRESET_TOP_LEFT)
	form.size = Vector2(320, 640)
	await get_tree().process_frame
	await get_tree().process_frame
	var card: Control = node("Card")
	check(card.size.x <= 320, "it fits: %s" % card.size)


func test_low_screen() -> void:
	await open()
	form.set_anchors_preset(Control.PRESET_TOP_LEFT)
	form.size = Vector2(640, 360)
	await seconds(0.1)
	for title: String in ["Switch", "Name"]:
		node(title).grab_focus()
		for _frame: int in 3:
			await get_tree().process_frame
		var place: Rect2 = node(title).get_global_rect()
		check(form.get_global_rect().encloses(place), "%s can be seen: %s" % [title, place])


## Signs in as a suspended player; returns the form's text.
func suspension(details: String) -> String:
	await open()
	var error: String = '"code": "account_suspended", "message": "This account is suspended."'
	var body: String = '{"error": {%s, %s}}' % [error, details]
	await fault("/v1/login", "answer", {"status": 403, "body": body})
	await submit("Ada", PASSWORD)
	check(node("Message").visible, "a message")
	return (node("MessageText") as Label).text
