"""The command wait."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from .common.arguments import Specs, group_of, seconds

__all__ = ["wait"]


def wait(
    context: typer.Context,
    spec: Specs,
    timeout: Annotated[
        Optional[float],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option(help="Time to wait before exit code 1, such as 60s; default: no limit.", **seconds()),
    ] = None,
) -> None:
    """Wait until no process is left in a cgroup and below.

    Example: cgroups wait memory:/job --timeout 60
    """
    group_of(context, spec).wait_empty(timeout)
