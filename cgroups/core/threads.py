"""Start threads; convert a failure to an error of this package."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .errors import from_errno

__all__ = ["start_thread", "thread_limit"]


@contextmanager
def thread_limit(tried: str) -> Iterator[None]:
    """Convert the RuntimeError of a thread that cannot start to CgroupOSError.

    Args:
        tried: the beginning of the error's message.

    Raises:
        CgroupOSError: the limit of threads is reached.
    """
    try:
        yield
    except RuntimeError as error:  # raised by Python for EAGAIN
        if "start new thread" not in str(error):
            raise
        hint = "no more threads: ulimit -u, or pids.max of an ancestor, is reached"
        raise from_errno(errno.EAGAIN, tried, hint=hint) from None


def start_thread(target: Callable[..., object], name: str, tried: str, *arguments: Any) -> threading.Thread:
    """Start a daemon thread and return it.

    Args:
        target: the function to run.
        name: the thread's name, for debuggers.
        tried: the beginning of the error's message.
        *arguments: the arguments of the function.

    Raises:
        CgroupOSError: the limit of threads is reached.
    """
    thread = threading.Thread(target=target, args=arguments, name=name, daemon=True)
    with thread_limit(tried):
        thread.start()
    return thread
