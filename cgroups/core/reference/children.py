"""Wait for children: csrc/cg_wait.c in Python."""

from __future__ import annotations

import math
import os
import select
import time
from collections.abc import Callable

from ..interface import Spawn, Spawned
from ..pidfd import open_process

__all__ = ["Watch", "spawn", "wait_child"]

spawn: Callable[[Spawn], Spawned] | None = None


class Watch:
    """A watch that records nothing: a recording would need a thread that runs without Python."""

    def ended_ns(self) -> int:
        return 0


def wait_child(pid: int, deadline: int | None) -> int:
    """Wait until a child exits, without reaping it.  The clock is read when Python runs again."""
    if deadline is None:
        _has_ended(pid, 0)
        return time.monotonic_ns()
    try:
        fd = open_process(pid)
    except OSError:
        fd = -1
    if fd < 0:
        return _look_often(pid, deadline)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        while True:
            left = max(0, deadline - time.monotonic_ns())
            if poll.poll(min(math.ceil(left / 1e6), (1 << 31) - 1)):
                return time.monotonic_ns()
            if time.monotonic_ns() >= deadline:
                return 0
    finally:
        os.close(fd)


def _look_often(pid: int, deadline: int) -> int:
    """Poll until a child exits, for Linux before 5.3 or a filter that denies pidfd_open(2)."""
    while not _has_ended(pid, os.WNOHANG):
        if time.monotonic_ns() >= deadline:
            return 0
        time.sleep(0.001)
    return time.monotonic_ns()


def _has_ended(pid: int, options: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | options) is not None
    except ChildProcessError:
        return True  # with SIGCHLD ignored the kernel reaps the child, and waitid waits for that
