"""Redraw a table on a terminal until the program ends."""

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

__all__ = ["ENDING", "is_typed", "possible", "show"]

T = TypeVar("T")

ENTER: Final = b"\x1b[?1049h\x1b[H\x1b[?25l"
"""Escape sequences: switch to the alternate screen, and hide the cursor."""
LEAVE: Final = b"\x1b[?1049l\x1b[?25h"
"""Escape sequences: switch back to the main screen, and show the cursor."""
ENDING: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def possible() -> bool:
    """Return whether the output is a terminal on which a table can replace the previous one."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    return terminal and os.environ.get("TERM", "dumb").lower() not in ("", "dumb", "unknown")


def is_typed() -> bool:
    """Return whether the input is a terminal, on which keys can be typed."""
    return sys.stdin is not None and sys.stdin.isatty()


def show(draw: Callable[[T, int, int], RenderableType], states: Iterable[T]) -> None:
    """Draw each state over the previous one, on the alternate screen, with the current size of the terminal.

    The terminal is restored while the program is stopped (Ctrl-Z), and after its end, even by a signal.
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
        # The last table stays visible, unless the terminal is closed.
        with suppress(OSError):
            for state in last:
                console.print(draw(state, *console.size))
            sys.stdout.flush()
    for number in ended:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


class _Ended(BaseException):
    """The exception for a signal that ends the program."""


@contextmanager
def _signals(ended: list[int], drawn: Callable[[], bytes]) -> Iterator[None]:
    """Raise _Ended for a signal that ends the program; restore the terminal while the program is stopped.

    A signal that is ignored at the start stays ignored.
    """

    def end(number: int, _: Any) -> None:
        for one in ENDING:
            signal.signal(one, signal.SIG_IGN)  # a second signal must not interrupt the restore of the terminal
        ended.append(number)
        raise _Ended

    def stop(*_: Any) -> None:
        # Call write(2) directly: the signal may have interrupted a write to the same file object.
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
    """Return the last table as the bytes that the terminal gets."""
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
