extends RefCounted
## What the form asks for: its modes and their texts.

enum { SIGN_IN, REGISTER, SAVE, RECOVER, MOVE }

const TEXTS: Dictionary[int, Dictionary] = {
	SIGN_IN:
	{
		"title": "Sign in",
		"hint": "Good to see you again.",
		"submit": "Sign in",
		"switch": "New here? Create an account",
	},
	REGISTER:
	{
		"title": "Create an account",
		"hint": "A name and a password are enough.",
		"submit": "Create account",
		"switch": "I have an account: sign in",
	},
	SAVE:
	{
		"title": "Save your progress",
		"hint": "With a name and a password you can sign in again, on any device.",
		"submit": "Save",
		"other": "Move to another device",
		"switch": "Later",
	},
	RECOVER:
	{
		"title": "Forgot password?",
		"hint": "Your recovery code lets you choose a new password.",
		"submit": "Set the password",
		"other": "My guest from another device",
		"switch": "Back",
	},
	MOVE:
	{
		"title": "Move your guest here",
		"hint": 'On the other device, choose "Save your progress", then "Move to another device".',
		"submit": "Move here",
		"switch": "Back",
	},
}
const MISSING: Dictionary[String, String] = {
	"username": "Enter your name.",
	"recovery_code": "Enter your code.",
	"password": "Enter a password.",
}
const GUEST_IS_GONE: String = (
	"The guest of this device is gone, or was moved to another device. If you have saved its"
	+ " progress, sign in. A new guest starts from the beginning."
)
const GUEST_IS_LOST: String = "The guest on this device will be lost unless its progress is saved."
const IS_GUEST: String = 'This guest has no password: choose "My guest from another device".'
const IS_NO_GUEST: String = "This account has a password. Go back to choose a new one."


## Returns the text for an error if the form can help more than the server's own message.
static func advice(mode: int, code: String) -> String:
	if code == "unknown_guest":
		return GUEST_IS_GONE
	if mode == RECOVER and code == "no_password":
		return IS_GUEST
	return IS_NO_GUEST if mode == MOVE and code == "not_a_guest" else ""
