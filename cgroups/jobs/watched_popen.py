"""WatchedPopen: a program whose end is timestamped without delay by the interpreter."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..control.popen import Popen
from ..core.backend import backend

if TYPE_CHECKING:
    from resource import struct_rusage

    from ..core.interface import Spawn, Watch

__all__ = ["WatchedPopen"]


class WatchedPopen(Popen[bytes]):
    """A Popen with a C thread that waits for the program from its first instruction on.

    Between the start and a wait in Python, other threads may hold the interpreter's
    lock for longer than the program runs.
    """

    _watch: Watch | None = None
    rusage: struct_rusage | None = None
    """Resources of the process and its waited-for descendants; None before its end."""

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        try:
            pid, status, rusage = os.wait4(self.pid, wait_flags)
        except ChildProcessError:
            return super()._try_wait(wait_flags)
        if pid == self.pid:
            self.rusage = rusage
        return pid, status

    def _start(self, request: Spawn, program: Any, cwd: Any) -> None:
        self._watch = backend.Watch()
        super()._start(request._replace(watch=self._watch), program, cwd)

    def ended_ns(self) -> int:
        """Return the CLOCK_MONOTONIC time of the program's end, in nanoseconds; 0 before the end or without a watch."""
        return 0 if self._watch is None else self._watch.ended_ns()
