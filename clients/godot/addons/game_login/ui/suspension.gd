extends RefCounted
## The text for a suspended player: the end and the reason of the suspension.

const MONTHS: PackedStringArray = [
	"January",
	"February",
	"March",
	"April",
	"May",
	"June",
	"July",
	"August",
	"September",
	"October",
	"November",
	"December",
]


## Returns the text for the details of an `account_suspended` error, in the player's language.
static func text(details: Dictionary) -> String:
	var reason: String = str(details["reason"]).strip_edges() if details.get("reason") else ""
	if reason == "":
		return _until(details.get("until", ""))
	reason = _tr("Reason: %s") % _tr(reason)
	var end: String = "" if reason[-1] in ".!?…。！？" else "."
	return _until(details.get("until", "")) + " " + reason + end


static func _until(time: Variant) -> String:
	if time == null:
		return _tr("Suspended for good.")
	var date: PackedStringArray = str(time).get_slice("T", 0).split("-")
	if date.size() != 3 or not date[1].to_int() in range(1, 13):
		return _tr("This account is suspended.")
	var month: String = _tr(MONTHS[date[1].to_int() - 1])
	var parts: Dictionary = {"day": date[2].to_int(), "month": month, "year": date[0]}
	return _tr("Suspended until {day} {month} {year}.").format(parts)


static func _tr(message: String) -> String:
	return TranslationServer.translate(message)
