"""Bell: a descriptor that one thread makes readable for another."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Final

from ..core.eventfd import create_eventfd
from ..core.pidfd import DENIED

__all__ = ["Bell"]

_ONE: Final = (1).to_bytes(8, sys.byteorder)
"""The number added to an eventfd; for a pipe, any bytes."""


class Bell:
    """An eventfd(2), or a pipe if a filter denies eventfd(2): readable from ``ring`` until ``take``."""

    def __init__(self) -> None:
        self._reading = self._writing = -1
        try:
            self._reading = self._writing = create_eventfd()
        except OSError as error:
            if error.errno not in DENIED:
                raise
            self._reading, self._writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def fileno(self) -> int:
        return self._reading

    def ring(self) -> None:
        """Make the descriptor readable, without waiting."""
        with suppress(BlockingIOError):  # a full pipe is readable
            os.write(self._writing, _ONE)

    def take(self) -> None:
        """Drain the descriptor, so that poll(2) no longer reports it as readable."""
        with suppress(BlockingIOError):
            os.read(self._reading, 1 << 16)

    def close(self) -> None:
        """Close the descriptors; do nothing if they are closed."""
        fds = {self._reading, self._writing} - {-1}
        self._reading = self._writing = -1
        for fd in fds:
            os.close(fd)

    def __del__(self) -> None:
        self.close()
