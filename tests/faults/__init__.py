"""Faults: players go on playing while what the backend stands on breaks, and nothing is lost.

`make test-faults` runs each fault of `faults` for some seconds against real handler processes and a
real database, and ends with a table. From the top:

- `test_faults`: one test a fault; `test_broken_builds`: backends with a planted mistake are caught.
- `faults`: what is broken, when, and how; `broken_builds`: the planted mistakes.
- `run`: one run: the processes, the load, the history it leaves.
- `players`: what players do, and how they repeat what got no answer; `beliefs`: what they hold to
  be true; `guessers`, who have no password.
- `workers`: the handler processes; `servers`: the database; `line` and `secrets_line`: what lies
  between them and can be cut.
- `history`: every call with its answer; `checker` (and `guess_limits`): what must be true of a
  history, a pure function of it, tested by `test_checker` with planted violations.

What is promised, and what is outside the promise, is in docs/promises/reliability.md.
"""
