extends "res://tests/case.gd"
## A scene that never ends: the driver must notice.


func test_forever() -> void:
	print("CASE ok test_forever")
	await get_tree().create_timer(3600.0).timeout
