"""Signals that end a program, as an event: a command that runs until then can finish what it writes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["interrupted"]


@contextmanager
def interrupted() -> Iterator[threading.Event]:
    """Yield an event that is set by each signal that ends a program, so that the last line is complete.

    A signal that is ignored at the start, such as SIGHUP under nohup, stays ignored.
    """
    event = threading.Event()
    ending = [signal.SIGINT, signal.SIGTERM]
    ending += [one for one in (signal.SIGHUP, signal.SIGQUIT) if signal.getsignal(one) is not signal.SIG_IGN]
    before = {one: signal.signal(one, lambda *_: event.set()) for one in ending}
    try:
        yield event
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
