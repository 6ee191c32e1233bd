@tool
extends EditorPlugin
## Adds the autoload GameLogin to a project.


func _enable_plugin() -> void:
	add_autoload_singleton("GameLogin", "res://addons/game_login/game_login.gd")


func _disable_plugin() -> void:
	remove_autoload_singleton("GameLogin")
