extends Node
## A caller that may be freed before the answer comes.


func ask(client: Node) -> void:
	var result: GameLoginResult = await client.call("fetch", "/v1/me")
	print("CASE problem a freed node was resumed: ", result)
