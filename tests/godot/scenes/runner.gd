extends Node
## Runs one script of test cases and ends the game.


func _ready() -> void:
	process_mode = Node.PROCESS_MODE_ALWAYS
	var script: GDScript = load(OS.get_environment("GAME_LOGIN_TEST_SCRIPT"))
	if script == null or not script.can_instantiate():
		get_tree().quit(1)
		return
	var case: Node = script.new()
	add_child(case)
	var is_good: bool = await case.call("run", OS.get_environment("GAME_LOGIN_TEST_PHASE"))
	print("CASE end")
	get_tree().quit(0 if is_good else 1)
