"""Copies of this process, made as SnapStart makes them: the hooks, and the C library's fork."""

import ctypes
import os
import sys
import traceback
from collections.abc import Callable

from awslambdaric.lambda_runtime_hooks_runner import run_after_restore, run_before_snapshot

__all__ = ["in_a_copy", "run_before_snapshot"]


def in_a_copy(work: Callable[[], None], *, hooks: bool = True) -> None:
    """Run work in a copy of this process, after the hooks of a restore, and wait for its end.

    The C library's fork, because Python's own would make the copies differ.

    Raises:
        RuntimeError: the work failed; its traceback is on stderr.
    """
    child = ctypes.PyDLL(None).fork()
    if child == 0:
        status = 1
        try:
            if hooks:
                run_after_restore()
            work()
            status = 0
        finally:
            if status:
                traceback.print_exc()
                sys.stderr.flush()
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if status:
        raise RuntimeError("the copy failed")
