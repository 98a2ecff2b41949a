"""A thread that waits in place of whoever polls a descriptor of an epoll.

The kernel forgets that a PSI trigger has fired as soon as anything has
polled it, and an epoll within another, as of asyncio, or within a select, is
polled once to learn that something is ready and once more to learn what:
there the first takes what the second looks for.  So a thread waits on the
epoll itself, and a bell, which forgets nothing, says that it has found
something.
"""

from __future__ import annotations

import select
import threading

from ..core.threads import start_thread
from ..errors import CgroupError
from ._bell import Bell

__all__ = ["Relay"]


class Relay:
    """In place of an epoll: ``fileno`` and ``poll``, and ``done`` once what was found has been read."""

    def __init__(self, epoll: select.epoll) -> None:
        self._epoll = epoll
        self._found: list[tuple[int, int]] = []
        self._next = threading.Semaphore(1)
        self._over = False
        self._bell = Bell()
        try:
            self._thread = start_thread(self._go, "cgroups-relay", "cannot wait for events of pressure")
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
        """What was found has been read, and would be found again only where there is more."""
        self._next.release()

    def close(self, *, forked: bool) -> None:
        """Ends the thread, which a descriptor that stays ready has woken; a forked child does not have it."""
        if not forked:
            self._over = True
            self._next.release()
            self._thread.join()
        self._bell.close()
