"""timerfd(2): a descriptor that is readable from a time on; through ctypes, since os has it from Python 3.13 only."""

from __future__ import annotations

import ctypes
import os
import time
from typing import Final

__all__ = ["Timer"]

_ABSTIME: Final = 1
_SECOND: Final = 1_000_000_000

_libc = ctypes.CDLL(None, use_errno=True)


class _Spec(ctypes.Structure):
    """struct itimerspec, of which the interval stays 0."""

    _fields_ = tuple((name, ctypes.c_long) for name in ("every_s", "every_ns", "at_s", "at_ns"))


class Timer:
    """One time of CLOCK_MONOTONIC, in nanoseconds, or none."""

    def __init__(self) -> None:
        self._fd = -1
        self._at: int | None = None
        self._fd = _libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))

    def fileno(self) -> int:
        """Readable from that time on, until it is set again."""
        return self._fd

    def set(self, at: int | None) -> None:
        """Sets the time; None for none."""
        if at == self._at and at is None:
            return
        self._at = at
        # A time of 0 would be none.
        spec = _Spec() if at is None else _Spec(0, 0, *divmod(max(at, 1), _SECOND))
        _libc.timerfd_settime(self._fd, _ABSTIME, ctypes.byref(spec), None)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()
