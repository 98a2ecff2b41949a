"""A thread that waits in place of whoever polls a descriptor of an epoll.

The kernel forgets that a PSI trigger has fired as soon as anything has
polled it, and an epoll within another, as of asyncio, or within a select, is
polled once to learn that something is ready and once more to learn what:
there the first takes what the second looks for.  So a thread waits on the
epoll itself, and an eventfd, which forgets nothing, says that it has found
something.
"""

from __future__ import annotations

import os
import select
import threading

from ..errors import CgroupError
from ._threads import start_thread

__all__ = ["Relay"]


class Relay:
    """In place of an epoll: ``fileno`` and ``poll``, and ``done`` once what was found has been read."""

    def __init__(self, epoll: select.epoll) -> None:
        self._epoll = epoll
        self._found: list[tuple[int, int]] = []
        self._next = threading.Semaphore(1)
        self._over = False
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            self._thread = start_thread(self._go, "cgroups-relay", "cannot wait for events of pressure")
        except CgroupError:
            os.close(self._fd)
            raise

    def _go(self) -> None:
        while True:
            self._next.acquire()
            if self._over:
                return
            self._found = self._epoll.poll()
            os.eventfd_write(self._fd, 1)

    def fileno(self) -> int:
        return self._fd

    def poll(self, timeout: float | None = None) -> list[tuple[int, int]]:
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        if not poll.poll(None if timeout is None else max(0, timeout) * 1000):
            return []
        os.eventfd_read(self._fd)
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
        os.close(self._fd)
