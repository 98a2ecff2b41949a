"""Signals that would end the program before the block of a temporary group has cleaned up.

SIGTERM and SIGHUP raise SystemExit in the block.  While a block is cleaned up,
whatever comes, Ctrl-C too, waits until that is done.  A handler of the program's
own is left alone, and what Ctrl-C does to a block is what Python does anyway.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

__all__ = ["SIGNALS", "Ended", "exits"]


class Ended(SystemExit):
    """A signal ends the blocks of temporary groups, and then the program."""


class Signals:
    """Those of this process: blocks may be within each other, and share its handlers."""

    def __init__(self) -> None:
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._owner = os.getpid()
        self._blocks = self._ending = self._came = 0
        self._raised = False

    def begin(self) -> bool:
        """A block begins; False in a thread, which may not ask for signals: then it is not told of the end either."""
        import signal  # noqa: PLC0415 - importing this package has to stay cheap
        import threading  # noqa: PLC0415

        if threading.current_thread() is not threading.main_thread():
            return False
        if self._owner != os.getpid():
            self._begin_anew()  # the blocks of a forked child's parent are not its own
        self._blocks += 1
        for number in (signal.SIGTERM, signal.SIGHUP):
            self._take(number, signal.SIG_DFL)
        return True

    def hold(self) -> None:
        """The block is cleaned up from now on."""
        import signal  # noqa: PLC0415

        self._ending += 1
        self._take(signal.SIGINT, signal.default_int_handler)

    def end(self) -> None:
        """The block has been cleaned up; raises what came meanwhile."""
        import signal  # noqa: PLC0415

        self._ending -= 1
        self._blocks -= 1
        was_raised = self._raised
        if not self._blocks:
            self._raised = False
            for number in (signal.SIGTERM, signal.SIGHUP):
                self._give_back(number, signal.SIG_DFL)
        if not self._ending:
            self._give_back(signal.SIGINT, signal.default_int_handler)
            came, self._came = self._came, 0
            if came and not was_raised:
                self._raise(came)

    def _raise(self, number: int) -> None:
        import signal  # noqa: PLC0415

        if number == signal.SIGINT:
            raise KeyboardInterrupt
        self._raised = bool(self._blocks)
        raise Ended(128 + number)

    def _come(self, number: int, _: Any) -> None:
        import signal  # noqa: PLC0415

        if self._owner != os.getpid():
            # A forked child has nothing to clean up: it ends as it would have.
            self._give_back(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            signal.raise_signal(number)
        elif self._ending or self._raised:
            # The first alone is raised: another might come before the block has begun to end.
            self._came = number
        else:
            self._raise(number)

    def _take(self, number: int, default: Any) -> None:
        import signal  # noqa: PLC0415

        if signal.getsignal(number) is default:
            signal.signal(number, self._come)

    def _give_back(self, number: int, default: Any) -> None:
        import signal  # noqa: PLC0415

        if signal.getsignal(number) == self._come:
            signal.signal(number, default)


SIGNALS: Final = Signals()
"""This process's."""


@contextmanager
def exits() -> Iterator[None]:
    """SIGTERM and SIGHUP raise SystemExit in the block, which then ends in order; the first of them, once."""
    is_main = SIGNALS.begin()
    try:
        yield
    finally:
        if is_main:
            SIGNALS.hold()
            SIGNALS.end()
