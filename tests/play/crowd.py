"""A crowd of containers, each a process with its own connection, which send at the same moment."""

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from multiprocessing.synchronize import Barrier
from typing import Any

import handler
from auth.api.application import Application
from auth.app import create_app
from auth.credentials.passwords import Passwords
from auth.settings import Settings
from tests.play.events import Answer
from tests.play.players import call

WORKERS = 50
PATIENCE_SECONDS = 30.0
# Short, so that checking its strength is cheap: fifty workers share two cores.
PASSWORD = "vQ7#mL2x-Rk"
NEW_PASSWORD = "Zt4!nB8w-Yp"


@dataclass(frozen=True)
class Request:
    """A request for a worker to send."""

    method: str
    path: str
    body: object = None
    options: dict[str, Any] = field(default_factory=dict)


class Crowd:
    """The workers; they send their requests at the same moment."""

    def __init__(self) -> None:
        # Not forked from here: this process has threads, and connections that must not be shared.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["handler", "boto3", "zxcvbn", "tests.play.players"])
        self._barrier = context.Barrier(WORKERS)  # kept here, or it would be destroyed
        pairs = [context.Pipe() for _ in range(WORKERS)]
        self._pipes = [ours for ours, _ in pairs]
        self._processes = [
            context.Process(target=_work, args=(theirs, self._barrier), daemon=True)
            for _, theirs in pairs
        ]
        for process in self._processes:
            process.start()
        for _, theirs in pairs:
            theirs.close()

    def send(self, requests: Sequence[Request]) -> list[Answer]:
        """Send all requests at once, each from its own worker, and return their answers."""
        idle = [None] * (WORKERS - len(requests))
        for pipe, request in zip(self._pipes, [*requests, *idle], strict=True):
            pipe.send(request)
        return [self._answer(pipe) for pipe in self._pipes][: len(requests)]

    def stop(self) -> None:
        """End all workers."""
        for pipe in self._pipes:
            pipe.close()  # tells the worker to end
        for process in self._processes:
            process.join(PATIENCE_SECONDS)
            if process.exitcode is None:
                process.kill()
                process.join()
            process.close()

    @staticmethod
    def _answer(pipe: "Pipe[Any, Any]") -> Answer:
        assert pipe.poll(PATIENCE_SECONDS), "a worker does not answer"
        answer: Answer = pipe.recv()
        return answer


def _work(pipe: "Pipe[Any, Any]", barrier: Barrier) -> None:
    """Run as one container: warm up, then send each request from the pipe."""
    handler.application = quick_application()
    call("GET", "/v1/health")
    call("GET", "/.well-known/jwks.json")
    # A process's first check of a password's strength takes three times as long.
    warm_up = registration(f"warm-up.{os.getpid()}", os.getpid() % 256)
    call(warm_up.method, warm_up.path, warm_up.body, **warm_up.options)
    with suppress(EOFError, KeyboardInterrupt):
        while True:
            request = pipe.recv()
            barrier.wait(PATIENCE_SECONDS)
            pipe.send(
                request and call(request.method, request.path, request.body, **request.options)
            )


class QuickPasswords(Passwords):
    """Hashes cheaply, so that two cores can serve many requests at once.

    Verifying still takes time, so that other requests can run meanwhile.
    """

    def __init__(self) -> None:
        super().__init__(memory_kib=8, iterations=1)

    def verify(self, password_hash: str | None, password: str) -> bool:
        time.sleep(0.02)
        return super().verify(password_hash, password)


def quick_application() -> Application:
    """Return an application that hashes cheaply."""
    return create_app(Settings.from_environment(os.environ), passwords=QuickPasswords())


def address(number: int) -> str:
    """Return one of many addresses, to avoid the limits by address."""
    return f"198.51.100.{number}"


def registration(username: str, number: int, **options: Any) -> Request:
    """Return a registration from its own address."""
    body = {"username": username, "password": PASSWORD}
    return Request("POST", "/v1/register", body, {"address": address(number), **options})


def statuses(answers: Sequence[Answer]) -> Counter[int]:
    """Return the number of answers of each status."""
    return Counter(answer.status for answer in answers)
