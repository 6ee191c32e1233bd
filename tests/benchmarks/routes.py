"""The routes: their cost with and without the hash, and the timing that an attacker can observe."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from tests.benchmarks.runtimes import MeasuredProcess, Runtime
from tests.benchmarks.targets import Row

Samples = dict[tuple[str, str], list[float]]

# Calls of one kind before the next kind: few if the figure is a ratio, since the machine's speed
# changes; more if it is in milliseconds, since the first calls after a change of kind are slow.
BLOCK = 5
LONG_BLOCK = 50


@contextmanager
def workers(
    runtime: Runtime, settings: Mapping[str, str], folder: Path
) -> Iterator[dict[str, MeasuredProcess]]:
    """Return a process for each build of Argon2, and one without the hash."""
    wanted = {build: (build, "real") for build in runtime.builds}
    wanted["cheap"] = ("stock", "cheap")
    with ExitStack() as stack:
        found = {}
        for name, (build, hashing) in wanted.items():
            log = folder / f"{name}.log"
            found[name] = MeasuredProcess(runtime, build, hashing, settings, log)
            stack.callback(found[name].stop)
        yield found


def measure(found: Mapping[str, MeasuredProcess], times: int, runtime: Runtime) -> dict[str, Row]:
    """Return the rows of the routes, the round trips and the tutorial."""
    whats = ("login", "verification", "verification_and_select")
    hashed = [(build, what) for build in runtime.builds for what in whats]
    quick = [("cheap", what) for what in ("login", "refresh", "me", "empty", "tutorial")]
    return {
        **_hashed(_in_turns(found, hashed, times, BLOCK), runtime),
        **_not_hashed(_in_turns(found, quick, times, LONG_BLOCK)),
        **_round_trips(found["cheap"]),
    }


def timing(found: Mapping[str, MeasuredProcess], times: int) -> Row:
    """Return the difference between the medians of an unknown name and a wrong password."""
    worker = found.get("avx2", found["stock"])
    kinds = [("worker", "unknown"), ("worker", "wrong")]
    samples = _in_turns({"worker": worker}, kinds, times, 1)
    unknown, wrong = (median(samples[kind]) * 1000 for kind in kinds)
    note = f"{unknown:.2f} ms and {wrong:.2f} ms, medians of {times} interleaved calls of each"
    return Row(abs(unknown - wrong), note)


def _in_turns(
    found: Mapping[str, MeasuredProcess], kinds: list[tuple[str, str]], times: int, block: int
) -> Samples:
    samples: Samples = {kind: [] for kind in kinds}
    for kind in kinds:
        found[kind[0]].run(kind[1], 2)  # warm
    while len(samples[kinds[-1]]) < times:
        for worker, what in kinds:
            samples[worker, what] += found[worker].run(what, min(block, times))
    return samples


def _hashed(samples: Samples, runtime: Runtime) -> dict[str, Row]:
    rows = {}
    for build in ("stock", "avx2"):
        if build not in runtime.builds:
            rows[f"login_{build}"] = Row(None, runtime.missing)
            continue
        login = _milliseconds(samples, build, "login")
        least = _milliseconds(samples, build, "verification_and_select")
        rows[f"login_{build}"] = Row(login / least, f"{login:.2f} ms : {least:.2f} ms")
    if "avx2" not in runtime.builds:
        return rows | {"login_deployed": Row(None, runtime.missing)}
    login = _milliseconds(samples, "avx2", "login")
    stock = _milliseconds(samples, "stock", "verification")
    return rows | {"login_deployed": Row(login / stock, f"{login:.2f} ms : {stock:.2f} ms")}


def _not_hashed(samples: Samples) -> dict[str, Row]:
    login, refresh, me, empty, tutorial = (
        _milliseconds(samples, "cheap", what)
        for what in ("login", "refresh", "me", "empty", "tutorial")
    )
    return {
        "login_without_hash": Row(login, "Argon2 with 8 KiB and one iteration"),
        "refresh": Row(refresh, "rotation and a new signed token"),
        "me": Row(
            me, f"token verified, session and account read; an empty Flask route: {empty:.2f} ms"
        ),
        "tutorial": Row(
            login / tutorial,
            f"{login:.2f} ms : {tutorial:.2f} ms; the tutorial's connects anew, signs no token",
        ),
    }


def _round_trips(worker: MeasuredProcess) -> dict[str, Row]:
    rows = {}
    for what in ("login", "refresh", "me"):
        trips = worker.ask("round_trips", what=what)
        rows[f"trips_{what}"] = Row(trips, "counted on the wire, on a warm connection")
    return rows


def _milliseconds(samples: Samples, worker: str, what: str) -> float:
    return median(samples[worker, what]) * 1000
