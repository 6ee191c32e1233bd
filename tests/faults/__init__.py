"""Fault tests: the backend loses no acknowledged change while its dependencies fail under load.

`make test-faults` injects each fault of `faults` for some seconds into real handler processes and a
real database, and ends with a table. Modules, from the top:

- `test_faults`: one test per fault; `test_broken_builds`: backends with a planted mistake fail.
- `faults`: the faults and their timing; `broken_builds`: the planted mistakes.
- `run`: one run: its processes, its load and its history.
- `players`: the players' actions and retries; `visitors`: those who start as guests; `beliefs`: the
  state players expect at the end; `guessers`: attackers without a password; `moderators`: an
  operator, who suspends players and signs them out.
- `seat_takers`: players who connect to game servers; `seat_servers`: these, which poll the feed;
  `seats`: what they record; `steps`: keeps their polls and the steps of the clock apart.
- `workers`: the handler processes; `servers`: the database; `line` and `secrets_line`: proxies
  between them that can fail.
- `history`: every call with its answer (`answers`) and the rows at the end (`rows`); `checker`,
  with `session_ends`, `guess_limits` and the modules of checks: the properties of a history, a pure
  function of it. `test_checker`, `test_operator_checks` and `test_seat_checks` plant violations.

The promises and their limits are in docs/promises/reliability.md.
"""
