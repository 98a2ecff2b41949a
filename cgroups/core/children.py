"""Reap killed children once they exit: a frozen v1 cgroup delays the exit without a limit."""

from __future__ import annotations

import os
import time
from typing import Final

__all__ = ["end", "reap", "reap_later"]

SIGKILL: Final = 9
"""``signal.SIGKILL``, without the import that takes a millisecond."""

END_S: Final = 1.0
"""Seconds to wait until a killed child exits."""

_unreaped: set[tuple[int, int]] = set()
"""Pairs of parent and child pid, since after a fork the same pid may be a child of the new process."""


def reap_later(pid: int) -> None:
    """Remember a killed child for :func:`reap`.  A pid of 0 is ignored."""
    if pid:
        _unreaped.add((os.getpid(), pid))


def reap() -> None:
    """Reap the killed children that have exited; never wait."""
    for parent, pid in tuple(_unreaped):
        if parent != os.getpid() or _is_reaped(pid):
            _unreaped.discard((parent, pid))


def end(pid: int) -> None:
    """Kill and reap a child; if it does not exit within a second, leave it to :func:`reap`."""
    # Check first: if the child was reaped elsewhere, its pid may be another process's.
    if _is_reaped(pid):
        return
    os.kill(pid, SIGKILL)
    until = time.monotonic() + END_S
    while not _is_reaped(pid):
        if time.monotonic() > until:
            reap_later(pid)
            return
        time.sleep(0.001)


def _is_reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True
