"""Game Login: accounts, sessions and tokens for a game.

A request enters by `handler.http`, which Lambda calls; `app` composes everything. Each room imports
only from rooms above it in this list, and `api` and `jobs` not from each other:

    shared       errors (each answer that is not a success), settings, times, logs, texts
    external     each service we depend on: the connection to the database, Secrets Manager
    credentials  passwords, usernames, token keys, access and refresh tokens
    store        the SQL of requests and of the clean-up, by table; records; migrations/
    flows        the policy: limits on guesses, signing in, sessions, admission
    api          HTTP: the route table, forms, answers, the tutorial's routes
    jobs         work without a player: migrate, clean up, rotate
    app          the composition
    handler      the Lambda entries: http, migrate, clean_up, rotate

Beside them: `local/` is `make run` (`local/stack.py` starts the database first), `deploy/` uploads,
`operate/` has an operator's commands, `clients/` is for games to copy, `tests/` proves.
`tests/unit/test_rooms.py` holds the rule.
"""

from auth.app import create_app

__all__ = ["create_app"]
