"""Handle signals that would kill the program before it has cleaned up.

SIGTERM and SIGHUP raise SystemExit in a block that needs cleanup; in the command,
which owns its process, so do all other fatal signals.  During creation and cleanup
every signal, including Ctrl-C, is deferred until they are done.  The program's own
handlers are not replaced, and Ctrl-C raises KeyboardInterrupt as usual.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

__all__ = ["SIGNALS", "Ended"]

SIGHUP, SIGTERM = 1, 15
"""Numbers of the signals.  ``signal`` is imported only on use, so that the import of this package stays cheap."""

_NOT_TAKEN: Final = (
    *("SIGKILL", "SIGSTOP"),  # cannot be caught
    *("SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGSEGV", "SIGSYS"),  # faults of the program
    *("SIGCHLD", "SIGCONT", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGWINCH"),  # not fatal, or stop the program
    "SIGINT",  # Ctrl-C keeps Python's behaviour
)


class Ended(SystemExit):
    """An exit raised by a signal: it ends the blocks that need cleanup, then the program."""


class Signals:
    """The signal handlers of this process.  Nested blocks share the handlers."""

    def __init__(self) -> None:
        self._numbers: tuple[int, ...] = (SIGTERM, SIGHUP)
        self._begin_anew()

    def take_all(self) -> None:
        """Make every fatal signal raise SystemExit in blocks.

        Only for a program that owns its process: Python does not see a handler that C
        code has installed, such as faulthandler's for SIGUSR1, and would replace it.
        """
        import signal  # noqa: PLC0415

        self._numbers = tuple(signal.valid_signals() - {getattr(signal, name) for name in _NOT_TAKEN})

    def _begin_anew(self) -> None:
        self._owner = os.getpid()
        self._blocks = self._holds = self._came = 0
        self._raised: Callable[[], Ended | None] = lambda: None

    def begin(self) -> bool:
        """Enter a block; return False outside the main thread, where :meth:`end` must not be called."""
        if not _is_main_thread():
            return False
        if self._owner != os.getpid():
            self._begin_anew()  # a forked child does not own its parent's blocks
        self._blocks += 1
        for number in self._numbers:
            self._take(number)
        return True

    def end(self) -> None:
        """Leave a block, in any thread."""
        if self._owner == os.getpid():
            self._blocks -= 1
            if not self._blocks:
                self._came = 0
                for number in self._numbers:
                    self._give_back(number)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Defer signals during a creation or a cleanup; raise the last one at the end of the block."""
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
            signal.raise_signal(number)  # the main thread calls the handler
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            error = Ended(128 + number)
            self._raised = weakref.ref(error)
            try:
                raise error
            finally:
                del error  # break the cycle with its traceback

    def _come(self, number: int, _: Any) -> None:
        import signal  # noqa: PLC0415

        if self._owner != os.getpid() or not (self._blocks or self._holds):
            # Nothing to clean up, in a forked child or after the last block: restore the default and raise again.
            self._give_back(number)
            signal.raise_signal(number)
        elif self._holds or self._raised() is not None:
            # Defer while an Ended propagates: a second exception could interrupt the start of the cleanup.
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
"""The signal handlers of this process."""
