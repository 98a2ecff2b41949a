"""Relay: a thread that polls an epoll instance on behalf of another poller.

The kernel clears the readiness of a PSI trigger at the first poll.  An epoll instance inside
another, such as that of asyncio, or inside a select, is polled twice: once to learn that a file
is ready, and again to learn which file.  In this case the first poll hides the trigger from the
second.  So a thread waits on the inner epoll instance, and rings a bell, which stays readable
until the poller drains the bell.
"""

from __future__ import annotations

import select
import threading

from ..core.errors import CgroupError
from ..core.threads import start_thread
from .bell import Bell

__all__ = ["Relay"]


class Relay:
    """A substitute for an epoll instance: ``fileno`` and ``poll``, and ``done`` after the result has been read."""

    def __init__(self, epoll: select.epoll) -> None:
        self._epoll = epoll
        self._found: list[tuple[int, int]] = []
        self._next = threading.Semaphore(1)
        self._over = False
        self._bell = Bell()
        try:
            self._thread = start_thread(self._go, "cgroups-relay", "cannot wait for pressure events")
        except CgroupError:
            self._bell.close()
            raise

    def _go(self) -> None:
        while True:
            self._next.acquire()
            if self._over:
                return
            self._found = self._epoll.poll()
            self._bell.ring()

    def fileno(self) -> int:
        return self._bell.fileno()

    def poll(self, timeout: float | None = None) -> list[tuple[int, int]]:
        poll = select.poll()
        poll.register(self._bell.fileno(), select.POLLIN)
        if not poll.poll(None if timeout is None else max(0, timeout) * 1000):
            return []
        self._bell.take()
        found, self._found = self._found, []
        return found

    def done(self) -> None:
        """Poll the epoll instance again, after the ready files have been read."""
        self._next.release()

    def close(self, *, forked: bool) -> None:
        """End the thread, which a readable descriptor has woken.  A forked child does not have the thread."""
        if not forked:
            self._over = True
            self._next.release()
            self._thread.join()
        self._bell.close()
