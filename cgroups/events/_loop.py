"""The reader of events in a loop of asyncio, from the moment that they are asked for."""

from __future__ import annotations

import asyncio
import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .events import Events

__all__ = ["LoopReader"]


class LoopReader:
    """Reads what a descriptor announces whenever the loop turns, whoever else awaits something then.

    It keeps no events alive: those that nobody refers to any more end.
    """

    def __init__(self, events: Events, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._events = weakref.ref(events)
        self._fd = events.fileno()
        self._thread = threading.get_ident()
        self._found = asyncio.Event()
        self._is_reading = False
        self.resume()

    def resume(self) -> None:
        """Read again, after a pause."""
        if not self._is_reading:
            self._is_reading = True
            self.loop.add_reader(self._fd, _read, self._events)

    def pause(self) -> None:
        """Leave in the kernel what comes from now on."""
        if self._is_reading:
            self._is_reading = False
            self.loop.remove_reader(self._fd)

    def wake(self) -> None:
        """End the current :meth:`wait`."""
        self._found.set()

    async def wait(self, timeout: float | None) -> None:
        """Wait until something is found, or for this many seconds."""
        timer = None if timeout is None else self.loop.call_later(max(timeout, 0), self.wake)
        try:
            await self._found.wait()
        finally:
            self._found.clear()
            if timer is not None:
                timer.cancel()

    @property
    def is_here(self) -> bool:
        """Whether this thread may stop it: the loop's own, or any once the loop does not run."""
        return self._thread == threading.get_ident() or not self.loop.is_running()

    def stop(self) -> None:
        """Stop reading, where :attr:`is_here`."""
        if not self.loop.is_closed():
            self.pause()
        self._is_reading = False
        self.wake()


def _read(reference: weakref.ref[Events]) -> None:
    events = reference()
    if events is not None:
        events.read_in_loop()
