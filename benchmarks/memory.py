"""Memory: what a handler process holds after many requests of all kinds, and whether it grows."""

from benchmarks.runtimes import Worker
from benchmarks.targets import Row

PARTS = 4


def measure(worker: Worker, requests: int) -> dict[str, Row]:
    """Return the rows of the memory, after so many requests."""
    resident = []
    for _ in range(PARTS):
        worker.run("mixed", max(1, requests // PARTS))
        resident.append(worker.ask("memory"))
    shown = ", ".join(f"{found['VmRSS']:.1f}" for found in resident)
    half, last = resident[PARTS // 2 - 1]["VmRSS"], resident[-1]["VmRSS"]
    private = resident[-1]["RssAnon"]
    note = f"after each quarter of {requests} requests: {shown} MB"
    return {
        "memory": Row(last, f"{private:.0f} MB of it are its own, the rest is files in memory"),
        "memory_growth": Row(last - half, note),
    }
