"""The commands ``freeze``, ``thaw``, ``kill`` and ``wait``: what is done with all processes of cgroups."""

from __future__ import annotations

import signal
from typing import Annotated, Optional

import typer

from ..deadline import PATIENCE
from .arguments import Specs, group_of, seconds
from .render import show

__all__ = ["freeze", "kill", "signal_named", "thaw", "wait"]

Timeout = Annotated[float, typer.Option(help="Give up after this time.", **seconds())]


def signal_named(word: str) -> int:
    """``TERM``, ``SIGTERM`` or ``15``."""
    if word.isascii() and word.isdigit():
        number = int(word)
    else:
        name = word.upper()
        known = {one.name: one.value for one in signal.Signals}
        number = known.get(name, known.get(f"SIG{name}", 0))
    if not 0 < number < signal.NSIG:
        message = f"{word!r} is no signal, as TERM"
        raise typer.BadParameter(message)
    return number


def freeze(context: typer.Context, spec: Specs, timeout: Timeout = PATIENCE) -> None:
    """Stops all processes in a cgroup and below, and waits until they are stopped.

    On v1 the freezer's cgroup does it.

    \b
    Examples: cgroups freeze :/job
              cgroups freeze freezer:/job
    """
    group_of(context, spec).freeze(timeout)


def thaw(context: typer.Context, spec: Specs, timeout: Timeout = PATIENCE) -> None:
    """Lets the processes of a frozen cgroup go on.

    Example: cgroups thaw freezer:/job
    """
    group_of(context, spec).thaw(timeout)


def kill(
    context: typer.Context,
    spec: Specs,
    number: Annotated[
        Optional[int],  # noqa: UP045 - what typer 0.12 knows
        typer.Option("-s", "--signal", parser=signal_named, metavar="SIGNAL", help="Send this signal, once."),
    ] = None,
    timeout: Timeout = PATIENCE,
) -> None:
    """Ends all processes in a cgroup and below, and waits until they have ended.

    With a --signal it is only sent.  Prints how many processes there were.

    \b
    Examples: cgroups kill memory:/job
              cgroups kill -s TERM memory:/job
    """
    group = group_of(context, spec)
    show(str(group.kill(timeout) if number is None else group.signal(number)))


def wait(
    context: typer.Context,
    spec: Specs,
    timeout: Annotated[
        Optional[float],  # noqa: UP045 - what typer 0.12 knows
        typer.Option(help="Give up after this time, and exit with 1.", **seconds()),
    ] = None,
) -> None:
    """Waits until no process is in a cgroup, or below.

    Example: cgroups wait memory:/job --timeout 60
    """
    group_of(context, spec).wait_empty(timeout)
