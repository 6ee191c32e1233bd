"""The routes: their cost with and without the hash, and the timing that an attacker can observe."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from tests.benchmarks.runtimes import MeasuredProcess, Runtime
from tests.benchmarks.targets import Row

Samples = dict[tuple[str, str], list[float]]

BLOCK = 5  # calls in one process before the next process: few, since the machine's speed changes


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
    return {
        **_hashed(_in_turns(found, hashed, times, BLOCK), runtime),
        **_not_hashed(found["cheap"], times),
        **_compared(found["cheap"], times),
        **_round_trips(found["cheap"]),
    }


def timing(found: Mapping[str, MeasuredProcess], times: int) -> Row:
    """Return the largest difference between the medians of three refused names.

    They are an unknown name, a player's with a wrong password, and a guest's, who has none.
    """
    worker = found.get("avx2", found["stock"])
    kinds = [("worker", "unknown"), ("worker", "wrong"), ("worker", "guest_name")]
    samples = _in_turns({"worker": worker}, kinds, times, 1)
    unknown, wrong, guest = medians = [median(samples[kind]) * 1000 for kind in kinds]
    note = (
        f"{unknown:.2f} ms and {wrong:.2f} ms, and {guest:.2f} ms for a guest's name;"
        f" medians of {times} interleaved calls of each"
    )
    return Row(max(medians) - min(medians), note)


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
    rows: dict[str, Row] = {}
    for build in ("stock", "avx2"):
        if build not in runtime.builds:
            missing = Row(None, runtime.missing)
            rows |= {f"login_{build}": missing, f"cpu_{build}": missing}
            continue
        login, verification, least = (
            median(samples[build, what]) * 1000
            for what in ("login", "verification", "verification_and_select")
        )
        rows[f"login_{build}"] = Row(login / least, f"{login:.2f} ms : {least:.2f} ms")
        rows[f"cpu_{build}"] = Row(verification, "19 MiB, two iterations, one lane")
    return rows


def _not_hashed(worker: MeasuredProcess, times: int) -> dict[str, Row]:
    """Return the rows of the routes, and of the floor, measured between them."""
    found = _medians(worker, ("login", "floor", "refresh", "floor", "me", "floor"), times)
    poll = _medians(worker, ("poll", "floor"), times)
    floor = found["floor"]
    rows = {
        "cpu_floor": Row(floor, "one SELECT of the seven columns of an account by its id"),
        "cpu_poll": Row(poll["poll"], "server key in the cache, no event since the cursor"),
    }
    for what, note in (
        ("login", "Argon2 with 8 KiB and one iteration"),
        ("refresh", "rotation and a new signed token"),
        ("me", "token verified, session and account read"),
    ):
        rows[what] = Row(found[what] / floor, f"{found[what]:.2f} ms : {floor:.3f} ms; {note}")
        rows[f"cpu_{what}"] = Row(found[what], note)
    return rows


def _compared(worker: MeasuredProcess, times: int) -> dict[str, Row]:
    """Return the rows of the tutorial's server and of a registration."""
    found = _medians(worker, ("login", "tutorial", "register", "empty"), times)
    login, tutorial = found["login"], found["tutorial"]
    note = f"{login:.2f} ms : {tutorial:.2f} ms; the tutorial's connects anew, signs no token"
    empty = (
        f"zxcvbn judges the password; for comparison, an empty Flask route: {found['empty']:.2f} ms"
    )
    return {"tutorial": Row(login / tutorial, note), "cpu_register": Row(found["register"], empty)}


def _medians(worker: MeasuredProcess, whats: tuple[str, ...], times: int) -> dict[str, float]:
    """Return the median milliseconds of tasks that take turns, one call each."""
    worker.ask("in_turns", whats=whats, times=2)  # warm
    samples = worker.ask("in_turns", whats=whats, times=times)
    return {what: median(seconds) * 1000 for what, seconds in samples.items()}


def _round_trips(worker: MeasuredProcess) -> dict[str, Row]:
    rows = {}
    for what in ("login", "refresh", "me", "register", "poll"):
        trips = worker.ask("round_trips", what=what)
        rows[f"trips_{what}"] = Row(trips, "counted on the wire, on a warm connection")
    return rows
