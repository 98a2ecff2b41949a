"""Children that were killed and have not ended yet: the freezer of v1 holds even these for as long as it likes."""

from __future__ import annotations

import os
import time
from typing import Final

__all__ = ["end", "reap", "reap_later"]

SIGKILL: Final = 9
"""As signal has it, an import of a millisecond."""

END_S: Final = 1.0
"""How long the end of a killed child is waited for."""

_unreaped: set[tuple[int, int]] = set()
"""Parent and child: after a fork the same number may be a child of the new process."""


def reap_later(pid: int) -> None:
    """Remember a child that was killed, for :func:`reap`; 0 is none."""
    if pid:
        _unreaped.add((os.getpid(), pid))


def reap() -> None:
    """Reap the children that have ended since they were killed; never waits."""
    for parent, pid in tuple(_unreaped):
        if parent != os.getpid() or _is_reaped(pid):
            _unreaped.discard((parent, pid))


def end(pid: int) -> None:
    """Kill a child and reap it, at once or, where it does not end within a second, later."""
    # Looked for first: another process may have the number of a child that was reaped elsewhere.
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
