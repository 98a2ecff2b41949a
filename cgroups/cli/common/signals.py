"""Options of the commands that signal and wait."""

from __future__ import annotations

import signal
from typing import Annotated

import typer

from .arguments import seconds

__all__ = ["Timeout", "signal_named"]

Timeout = Annotated[float, typer.Option(help="Time to wait before an error, such as 30s.", **seconds())]


def signal_named(word: str) -> int:
    """Return the number of a signal: ``TERM``, ``SIGTERM`` or ``15``."""
    if word.isascii() and word.isdigit():
        number = int(word)
    else:
        name = word.upper()
        known = {one.name: one.value for one in signal.Signals}
        number = known.get(name, known.get(f"SIG{name}", 0))
    if not 0 < number < signal.NSIG:
        message = f"signal must be a name or a number, such as TERM or 15, got {word!r}"
        raise typer.BadParameter(message)
    return number
