"""Signals that would end the program before it has cleaned up.

SIGTERM and SIGHUP raise SystemExit in a block that has something to clean up; in
the command, whose process is its own, so do all other signals that would end it.
While it is made or cleaned up, whatever comes, Ctrl-C too, waits until that is
done.  A handler of the program's own is left alone, and what Ctrl-C does to a
block is what Python does anyway.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

__all__ = ["SIGNALS", "Ended"]

SIGHUP, SIGTERM = 1, 15
"""The module signal is imported when it is used: importing this package has to stay cheap."""

_NOT_TAKEN: Final = (
    *("SIGKILL", "SIGSTOP"),  # cannot be caught
    *("SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGSEGV", "SIGSYS"),  # faults of the program itself
    *("SIGCHLD", "SIGCONT", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGWINCH"),  # do not end a program
    "SIGINT",  # Ctrl-C is as Python has it
)


class Ended(SystemExit):
    """A signal ends the blocks that have something to clean up, and then the program."""


class Signals:
    """Those of this process: blocks may be within each other, and share its handlers."""

    def __init__(self) -> None:
        self._numbers: tuple[int, ...] = (SIGTERM, SIGHUP)
        self._begin_anew()

    def take_all(self) -> None:
        """Let every signal that would end the program raise SystemExit in blocks.

        For a program of our own: elsewhere a handler of C's, such as faulthandler's of
        SIGUSR1, looks to Python as if there were none, and would be lost.
        """
        import signal  # noqa: PLC0415

        self._numbers = tuple(signal.valid_signals() - {getattr(signal, name) for name in _NOT_TAKEN})

    def _begin_anew(self) -> None:
        self._owner = os.getpid()
        self._blocks = self._holds = self._came = 0
        self._raised: Callable[[], Ended | None] = lambda: None

    def begin(self) -> bool:
        """A block begins; False in a thread, which may not ask for signals: then it is not told of the end either."""
        if not _is_main_thread():
            return False
        if self._owner != os.getpid():
            self._begin_anew()  # the blocks of a forked child's parent are not its own
        self._blocks += 1
        for number in self._numbers:
            self._take(number)
        return True

    def end(self) -> None:
        """A block has ended, in whatever thread."""
        if self._owner == os.getpid():
            self._blocks -= 1
            if not self._blocks:
                self._came = 0
                for number in self._numbers:
                    self._give_back(number)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Something is made or cleaned up in this block: what comes meanwhile is raised at its end."""
        import signal  # noqa: PLC0415

        if self._owner != os.getpid():
            self._begin_anew()
        self._holds += 1
        try:
            self._take(signal.SIGINT)
            yield
        finally:
            self._holds -= 1
            if not self._holds:
                self._give_back(signal.SIGINT)
                came, self._came = self._came, 0
                if came and self._raised() is None:
                    self._raise(came)

    def _raise(self, number: int) -> None:
        import signal  # noqa: PLC0415

        if not _is_main_thread():
            signal.raise_signal(number)  # whose handler the main thread calls
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            error = Ended(128 + number)
            self._raised = weakref.ref(error)
            try:
                raise error
            finally:
                del error  # or its traceback would keep it

    def _come(self, number: int, _: Any) -> None:
        import signal  # noqa: PLC0415

        if self._owner != os.getpid() or not (self._blocks or self._holds):
            # A forked child has nothing to clean up, nor has what a thread has ended: it is as it would have been.
            self._give_back(number)
            signal.raise_signal(number)
        elif self._holds or self._raised() is not None:
            # While one is on its way: another might come before the block has begun to end.
            self._came = number
        else:
            self._raise(number)

    def _take(self, number: int) -> None:
        import signal  # noqa: PLC0415

        if _is_main_thread() and signal.getsignal(number) is _default(number):
            signal.signal(number, self._come)

    def _give_back(self, number: int) -> None:
        import signal  # noqa: PLC0415

        if _is_main_thread() and signal.getsignal(number) == self._come:
            signal.signal(number, _default(number))


def _default(number: int) -> Any:
    import signal  # noqa: PLC0415

    return signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL


def _is_main_thread() -> bool:
    import threading  # noqa: PLC0415

    return threading.current_thread() is threading.main_thread()


SIGNALS: Final = Signals()
"""This process's."""
