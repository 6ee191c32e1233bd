extends "res://tests/case.gd"
## The project's settings: every warning is an error.

const PREFIX: String = "debug/gdscript/warnings/"
const SWITCHES: Array = ["enable", "directory_rules", "renamed_in_godot_4_hint"]


func test_warnings() -> void:
	var found: int = 0
	for property: Dictionary in ProjectSettings.get_property_list():
		var title: String = property["name"]
		if title.begins_with(PREFIX) and not title.trim_prefix(PREFIX) in SWITCHES:
			found += 1
			equal(ProjectSettings.get_setting(title), 2, title)
	check(found > 30, "there are warnings")


func test_demo_compiles() -> void:
	for title: String in ["main", "lobby"]:
		check(load("res://demo/%s.gd" % title).can_instantiate(), title)
