"""Start threads, or raise an error of this package that says why not."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import from_errno

__all__ = ["start_thread", "thread_limit"]


@contextmanager
def thread_limit(tried: str) -> Iterator[None]:
    """Around what starts a thread: give the limit of threads its error.

    Args:
        tried: the beginning of the error's message.

    Raises:
        CgroupOSError: the limit of threads is reached.
    """
    try:
        yield
    except RuntimeError as error:  # what Python makes of EAGAIN
        if "start new thread" not in str(error):
            raise
        hint = "no more threads: ulimit -u, or pids.max of a cgroup above, is reached"
        raise from_errno(errno.EAGAIN, tried, hint=hint) from None


def start_thread(target: Callable[..., object], name: str, tried: str, *arguments: Any) -> threading.Thread:
    """Start a daemon thread and return it.

    Args:
        target: the function that it runs.
        name: what debuggers show.
        tried: the beginning of the error's message.
        *arguments: what the function gets.

    Raises:
        CgroupOSError: the limit of threads is reached.
    """
    thread = threading.Thread(target=target, args=arguments, name=name, daemon=True)
    with thread_limit(tried):
        thread.start()
    return thread
