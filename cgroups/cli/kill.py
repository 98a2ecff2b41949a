"""The command kill."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from ..core.deadline import DEFAULT_TIMEOUT_S
from .common.arguments import Specs, group_of
from .common.render import show
from .common.signals import Timeout, signal_named

__all__ = ["kill"]


def kill(
    context: typer.Context,
    spec: Specs,
    number: Annotated[
        Optional[int],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option(
            "-s",
            "--signal",
            parser=signal_named,
            metavar="SIGNAL",
            help="Signal to send once, without waiting; default: kill.",
        ),
    ] = None,
    timeout: Timeout = DEFAULT_TIMEOUT_S,
) -> None:
    """Kill all processes in a cgroup and below.

    The command waits until they have exited.  With --signal the signal is only
    sent.  The output is the number of processes.  A process id as SPEC means
    the whole cgroup of that process.

    \b
    Examples: cgroups kill memory:/job
              cgroups kill -s TERM session-3.scope
    """
    group = group_of(context, spec)
    show(str(group.kill(timeout) if number is None else group.signal(number)))
