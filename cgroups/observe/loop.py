"""LoopReader: a reader of events in an asyncio loop, from the start of the watch."""

from __future__ import annotations

import asyncio
import threading
import weakref
from typing import Protocol

__all__ = ["LoopReader", "Readable"]


class Readable(Protocol):
    """An object that can be read in a loop: :class:`.events.Events`."""

    def fileno(self) -> int:
        """Return the descriptor that becomes readable."""

    def read_in_loop(self) -> None:
        """Read pending data, without waiting."""


class LoopReader:
    """A reader of a descriptor in each turn of the loop, whatever else is awaited.

    The reader holds only a weak reference to the events, which end when no other object refers to them.
    """

    def __init__(self, events: Readable, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._events = weakref.ref(events)
        self._fd = events.fileno()
        self._thread = threading.get_ident()
        self._found = asyncio.Event()
        self._is_reading = False
        self.resume()

    def resume(self) -> None:
        """Continue to read after a pause."""
        if not self._is_reading:
            self._is_reading = True
            self.loop.add_reader(self._fd, _read, self._events)

    def pause(self) -> None:
        """Stop reading, so that new data stays in the kernel."""
        if self._is_reading:
            self._is_reading = False
            self.loop.remove_reader(self._fd)

    def wake(self) -> None:
        """End the current :meth:`wait`."""
        self._found.set()

    async def wait(self, timeout: float | None) -> None:
        """Wait until :meth:`wake` is called, for at most ``timeout`` seconds."""
        timer = None if timeout is None else self.loop.call_later(max(timeout, 0), self.wake)
        try:
            await self._found.wait()
        finally:
            self._found.clear()
            if timer is not None:
                timer.cancel()

    @property
    def is_here(self) -> bool:
        """Whether this thread may stop the reader: the loop's own thread, or any once the loop does not run."""
        return self._thread == threading.get_ident() or not self.loop.is_running()

    def stop(self) -> None:
        """Stop reading.  Call this only if :attr:`is_here`."""
        if not self.loop.is_closed():
            self.pause()
        self._is_reading = False
        self.wake()


def _read(reference: weakref.ref[Readable]) -> None:
    events = reference()
    if events is not None:
        events.read_in_loop()
