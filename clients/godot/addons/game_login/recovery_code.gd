extends RefCounted
## Recovery codes as players type them: 15 symbols of Crockford's base 32, and a check symbol that
## finds typing errors before anything is sent.

const ALPHABET: String = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
const TYPED: String = "0123456789abcdefghjkmnpqrstvwxyz"
const LOOK_ALIKES: Dictionary[String, String] = {
	"O": "0", "o": "0", "I": "1", "i": "1", "L": "1", "l": "1"
}
const LENGTH: int = 16
const NO_CODE: String = "A recovery code has 16 letters and digits, and no U."
const MISTYPED: String = "A letter or digit is mistyped. Compare it with your copy."


## Returns the 16 symbols of a code, without spaces and hyphens, or "" if it has another symbol or
## another length.
static func symbols(typed: String) -> String:
	var found: String = ""
	for character: String in typed.replace(" ", "").replace("-", ""):
		var symbol: String = LOOK_ALIKES.get(character, character)
		var value: int = maxi(ALPHABET.find(symbol), TYPED.find(symbol))
		if value < 0:
			return ""
		found += ALPHABET[value]
	return found if found.length() == LENGTH else ""


## Returns the reason why this is no recovery code, or "".
static func problem(typed: String) -> String:
	var code: String = symbols(typed)
	if code == "":
		return NO_CODE
	return "" if _sum(code) % ALPHABET.length() == 0 else MISTYPED


## Adds up by Luhn's algorithm, modulo 32 instead of 10: every second symbol counts twice.
static func _sum(code: String) -> int:
	var total: int = 0
	for place: int in LENGTH:
		var value: int = ALPHABET.find(code[place])
		if place % 2 == 0:
			var twice: int = 2 * value
			value = twice % 32 + (1 if twice > 31 else 0)
		total += value
	return total
