"""Wait reliably, even if signal handlers raise meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress

__all__ = ["await_end", "await_surely"]


def await_surely(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds, even if signal handlers raise meanwhile; then raise their last exception."""
    raised: BaseException | None = None
    while True:
        try:
            while not condition():
                time.sleep(0.001)
            break
        except BaseException as error:  # noqa: BLE001 - raised after the wait
            raised = error
    if raised is not None:
        try:
            raise raised
        finally:
            del raised  # otherwise the error's traceback would keep the callers' objects alive


def await_end(pid: int) -> None:
    """Wait until a child has exited, without reaping it."""
    with suppress(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
