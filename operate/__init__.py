"""What an operator types: `python -m operate`, to help players and to look after a stage.

It only calls HTTP or the AWS API; the rules are in `auth`.
"""
