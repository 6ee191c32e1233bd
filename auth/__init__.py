"""Game Login: accounts, sessions and tokens for a game.

From the top: `app` puts everything together; `api` and `tutorial` are the routes, `requests` and
`answers` what goes in and out of them; `accounts` and `sessions` are what a player can do;
`rate_limits` bounds guessing; `store` holds every SQL statement, `database` the connection it runs
on, `records` what it remembers. At the bottom `passwords`, `usernames`, `refresh_tokens`,
`access_tokens` and their `keys`; `secret_store`, `settings`, `logs`, `errors`, `times`. `migrate`,
`cleaning` and `rotation` run apart from any request; `database_users` is what two of them do to the
application's own users.

A module imports only from floors below it; `tests/unit/test_floors.py` has the list.
"""

from auth.app import create_app

__all__ = ["create_app"]
