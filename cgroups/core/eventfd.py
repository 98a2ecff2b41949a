"""eventfd(2), also for a Python without ``os.eventfd``, such as PyPy."""

from __future__ import annotations

import ctypes
import os
import sys

__all__ = ["create_eventfd", "read_eventfd"]


def create_eventfd() -> int:
    """Create an eventfd that is close-on-exec and non-blocking.

    Raises:
        OSError: the kernel's error; EPERM or ENOSYS if a seccomp filter denies it.
    """
    flags = os.O_CLOEXEC | os.O_NONBLOCK  # equal to EFD_CLOEXEC and EFD_NONBLOCK
    if hasattr(os, "eventfd"):
        return os.eventfd(0, flags)
    fd: int = ctypes.CDLL(None, use_errno=True).eventfd(0, flags)
    if fd < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return fd


def read_eventfd(fd: int) -> int:
    """Return the number of signals of an eventfd since its last read."""
    try:
        return int.from_bytes(os.read(fd, 8), sys.byteorder)
    except BlockingIOError:
        return 0
