"""A Popen whose end is stamped when it comes, and not when Python runs again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._backend import backend
from .spawning import Popen

if TYPE_CHECKING:
    from ._interface import Spawn, Watch

__all__ = ["WatchedPopen"]


class WatchedPopen(Popen[bytes]):
    """A Popen that a thread of C waits for from its first instruction on.

    Between its start and a wait in Python, other threads may hold the interpreter's
    lock for longer than the program runs.
    """

    _watch: Watch | None = None

    def _start(self, request: Spawn, program: Any, cwd: Any) -> None:
        self._watch = backend.Watch()
        super()._start(request._replace(watch=self._watch), program, cwd)

    def ended_ns(self) -> int:
        """Return CLOCK_MONOTONIC at its end, in nanoseconds; 0 if it has not ended, or nobody could watch it."""
        return 0 if self._watch is None else self._watch.ended_ns()
