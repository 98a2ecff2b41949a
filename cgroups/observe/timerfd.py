"""timerfd(2): a descriptor that becomes readable at a given time.  Python before 3.13 needs ctypes for the call."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from typing import Final, Union

from ..core.debug import fallback
from ..core.pidfd import DENIED
from ..core.seconds import NS_PER_S
from ..core.threads import thread_limit
from .bell import Bell

__all__ = ["AnyTimer", "create_timer"]

_ABSTIME: Final = 1

_libc = ctypes.CDLL(None, use_errno=True)


class _Spec(ctypes.Structure):
    """The C struct itimerspec, with an interval of 0."""

    _fields_ = tuple((name, ctypes.c_long) for name in ("every_s", "every_ns", "at_s", "at_ns"))


class Timer:
    """A timer for one time of CLOCK_MONOTONIC, in nanoseconds."""

    def __init__(self) -> None:
        self._fd = -1
        self._at: int | None = None
        self._fd = _libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))

    def fileno(self) -> int:
        """Return the descriptor, which is readable from the set time until the timer is set again."""
        return self._fd

    def set(self, at: int | None) -> None:
        """Set the time, in nanoseconds; None disarms the timer."""
        if at == self._at and at is None:
            return
        self._at = at
        # A time of 0 would disarm the timer.
        spec = _Spec() if at is None else _Spec(0, 0, *divmod(max(at, 1), NS_PER_S))
        _libc.timerfd_settime(self._fd, _ABSTIME, ctypes.byref(spec), None)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()


class ThreadTimer:
    """A timer on a thread, used if a filter denies timerfd_create(2)."""

    def __init__(self) -> None:
        self._bell = Bell()
        self._thread: threading.Timer | None = None

    def fileno(self) -> int:
        """Return the descriptor, which is readable from the set time until the timer is set again."""
        return self._bell.fileno()

    def set(self, at: int | None) -> None:
        """Set the time, in nanoseconds; None disarms the timer."""
        self._end()
        self._bell.take()
        if at is not None:
            self._thread = threading.Timer(max(0, at - time.monotonic_ns()) / NS_PER_S, self._bell.ring)
            self._thread.daemon = True
            with thread_limit("cannot set a timer"):
                self._thread.start()

    def _end(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.cancel()
            thread.join()  # the thread may be writing to the bell

    def close(self) -> None:
        self._end()
        self._bell.close()


AnyTimer = Union[Timer, ThreadTimer]


def create_timer() -> AnyTimer:
    """Return a timer that this system supports."""
    try:
        return Timer()
    except OSError as error:
        if error.errno not in DENIED:
            raise
        fallback("no timerfd_create(2): a thread rings at each time")
        return ThreadTimer()
