"""The command attach."""

from __future__ import annotations

from typing import Annotated

import typer

from .common.arguments import Spec, cgroup_of

__all__ = ["attach"]


def attach(
    context: typer.Context,
    spec: Spec,
    pid: Annotated[list[int], typer.Argument(metavar="PID", help="Ids of the processes to move.")],
) -> None:
    """Move processes, with all their threads, into a cgroup.

    The processes are moved one by one; the command stops at the first that
    cannot be moved.

    Example: cgroups attach memory:/job $$
    """
    cgroup = cgroup_of(context, spec)
    for one in pid:
        cgroup.add_process(one)
