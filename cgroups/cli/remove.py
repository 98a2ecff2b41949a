"""The command remove."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from .common.arguments import Spec, cgroup_of, seconds

__all__ = ["remove"]


def remove(
    context: typer.Context,
    spec: Spec,
    recursive: Annotated[bool, typer.Option("-r", "--recursive", help="Remove all cgroups below first.")] = False,
    kill: Annotated[
        bool, typer.Option("-k", "--kill", help="Kill all processes in the cgroup and below first.")
    ] = False,
    timeout: Annotated[
        Optional[float],  # noqa: UP045 - typer 0.12 needs Optional
        typer.Option(help="Time to wait until no process is left; default: 0, and 10s with --kill.", **seconds()),
    ] = None,
    disable: Annotated[
        bool,
        typer.Option(
            "--disable-controllers/--keep-controllers",
            help="Disable or keep the controllers that 'create' enabled for it (v2).",
        ),
    ] = True,
) -> None:
    """Remove a cgroup that has no processes.

    On v2, 'create' enables controllers in the parents of a cgroup.  When the
    last cgroup below such a parent is removed, the controllers that 'create'
    enabled there are disabled again.  Controllers enabled by other programs
    stay enabled.

    \b
    Examples: cgroups remove -r memory:/jobs
              cgroups remove -rk memory:/jobs
    """
    cgroup_of(context, spec).remove(recursive=recursive, kill=kill, timeout=timeout, disable_controllers=disable)
