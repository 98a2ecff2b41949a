"""A table that is drawn again and again, on a terminal."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

from rich.console import Console, RenderableType
from rich.live import Live

__all__ = ["possible", "show"]

T = TypeVar("T")

ENTER: Final = b"\x1b[?1049h\x1b[H\x1b[?25l"
"""What leads to a screen of its own, whose cursor is hidden ..."""
LEAVE: Final = b"\x1b[?1049l\x1b[?25h"
"""... and what leads back."""
ENDING: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def possible() -> bool:
    """Whether the output is a terminal on which a table can be drawn over the one before."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    return terminal and os.environ.get("TERM", "dumb").lower() not in ("", "dumb", "unknown")


def show(draw: Callable[[T, int, int], RenderableType], states: Iterable[T]) -> None:
    """Draw each state over the one before, on a screen of its own, as large as the terminal is then.

    The terminal is as it was before while the program is stopped (Ctrl-Z), and after it ends, also if a signal ends it.
    """
    console = Console(file=sys.stdout, highlight=False, emoji=False, markup=False)
    last: list[T] = []
    ended: list[int] = []
    try:
        with (
            _signals(ended, lambda: _text(draw, last)),
            Live(console=console, screen=True, auto_refresh=False) as table,
        ):
            for state in states:
                last[:] = [state]
                table.update(draw(state, *console.size), refresh=True)
    except (_Ended, OSError):
        if not ended:
            raise
    finally:
        # What was seen last stays, unless the terminal is gone.
        with suppress(OSError):
            for state in last:
                console.print(draw(state, *console.size))
            sys.stdout.flush()
    for number in ended:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


class _Ended(BaseException):
    """A signal ends the program."""


@contextmanager
def _signals(ended: list[int], drawn: Callable[[], bytes]) -> Iterator[None]:
    """Raise _Ended for a signal that ends the program; give the terminal back while the program is stopped.

    A signal that whoever started it wants ignored stays ignored.
    """

    def end(number: int, _: Any) -> None:
        for one in ENDING:
            signal.signal(one, signal.SIG_IGN)  # once is enough, and the terminal is restored undisturbed
        ended.append(number)
        raise _Ended

    def stop(*_: Any) -> None:
        # By system calls of their own: the signal may have come while the same file is written.
        out = sys.stdout.fileno()
        os.write(out, LEAVE)
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, stop)
        os.write(out, ENTER + drawn())

    handlers: dict[signal.Signals, Any] = {**dict.fromkeys(ENDING, end), signal.SIGTSTP: stop}
    before = {one: signal.getsignal(one) for one in handlers}
    handled = [one for one, handler in before.items() if handler is not signal.SIG_IGN]
    for one in handled:
        signal.signal(one, handlers[one])
    try:
        yield
    finally:
        if not ended:
            for one in handled:
                signal.signal(one, before[one])


def _text(draw: Callable[[T, int, int], RenderableType], last: list[T]) -> bytes:
    """Return what was drawn last, as it is written to the terminal."""
    text = io.StringIO()
    size = os.get_terminal_size(sys.stdout.fileno())
    console = Console(
        file=text,
        highlight=False,
        emoji=False,
        markup=False,
        force_terminal=True,
        width=size.columns,
        height=size.lines,
    )
    for state in last:
        console.print(draw(state, *console.size), end="")
    return text.getvalue().encode(errors="backslashreplace").replace(b"\n", b"\r\n")
