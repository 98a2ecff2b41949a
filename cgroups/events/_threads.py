"""Start threads, or raise an error of this package that says why not."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from typing import Any

from ..errors import from_errno

__all__ = ["start_thread"]


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
    try:
        thread.start()
    except RuntimeError:  # what Python makes of EAGAIN
        hint = "no more threads: ulimit -u, or pids.max of a cgroup above, is reached"
        raise from_errno(errno.EAGAIN, tried, hint=hint) from None
    return thread
