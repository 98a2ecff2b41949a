"""The commands that change something: ``set``, ``reset``, ``create``, ``remove`` and ``attach``."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from ..errors import CgroupExists
from .arguments import RESETTABLE, SETTABLE, Spec, cgroup_of, host_of, seconds
from .values import Name
from .values import reset as reset_value
from .values import write as write_value

__all__ = ["attach", "create", "remove", "reset", "set_"]


def set_(
    context: typer.Context,
    spec: Spec,
    parameter: Annotated[Name, typer.Argument(help="What to set.", **SETTABLE)],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="To what.")],
) -> None:
    """Sets a parameter.

    \b
    VALUE is, depending on the parameter,
      a number           1000
      bytes              1000, 512M, 0.5Gi; powers of 1024
      a time             2s, 10ms, 1000 (in the parameter's unit)
      CPUs, for cpu.max  0.5, 150%, 500m; or 50000/100000, 50ms/100ms
      no limit           max, unlimited, infinity, none, -1
      yes or no          true, false, 1, 0, yes, no, on, off
      a list             0-3,8 of CPUs or nodes; cpu,memory of controllers
      a word             FROZEN
      a table            8:0=1M,/dev/sda=max; '' is the empty one
      a table of rows    8:0=rbps:1M+wiops:100,/dev/sda=rbps:max
      a weight table     default=100,8:0=200

    A table replaces the whole: what it does not name has no limit any more.

    \b
    Examples: cgroups set memory:/job memory.limit_in_bytes 1.5G
              cgroups set cpuset:/job cpuset.cpus 0-3,8
              cgroups set :/job io.max /dev/sda=rbps:10M+wbps:5M
    """
    write_value(parameter, cgroup_of(context, spec), value)


def reset(
    context: typer.Context,
    spec: Spec,
    parameter: Annotated[Name, typer.Argument(help="What to reset.", **RESETTABLE)],
) -> None:
    """Resets a counter to 0.

    'cgroups parameters' says which parameters can be reset, and what that is
    where it is none: of memory.force_empty, for one.

    Example: cgroups reset memory:/job memory.max_usage_in_bytes
    """
    reset_value(parameter, cgroup_of(context, spec))


def _mode(word: str) -> int:
    """``0755`` of a command line."""
    try:
        mode = int(word, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:  # noqa: PLR2004 - all modes
        message = f"{word!r} is not a mode, as 0755"
        raise typer.BadParameter(message)
    return mode


def create(
    context: typer.Context,
    spec: Spec,
    owner: Annotated[
        Optional[str],  # noqa: UP045 - what typer 0.12 knows
        typer.Option(metavar="USER[:GROUP]", help="Who owns it and its files."),
    ] = None,
    perm: Annotated[
        Optional[int],  # noqa: UP045 - what typer 0.12 knows
        typer.Option(parser=_mode, metavar="MODE", help="The mode of its directory; 0755 by default."),
    ] = None,
) -> None:
    """Makes a cgroup, and those on the way to it.

    On v2 the controllers of the SPEC are enabled on the way.  A cgroup that
    is there already is no error, unless an owner or a mode is asked for.

    Example: cgroups create memory:/jobs/one --owner alice:staff --perm 0750
    """
    host = host_of(context)
    if (owner is not None or perm is not None) and (there := host.find(spec)) is not None:
        message = f"cannot make {there}: it exists"
        raise CgroupExists(message, path=there.path, hint="remove it first, or change its directory by chown and chmod")
    host.find_or_create(spec, owner=owner, perm=0o755 if perm is None else perm)


def remove(
    context: typer.Context,
    spec: Spec,
    recursive: Annotated[bool, typer.Option("-r", "--recursive", help="Remove the cgroups below it first.")] = False,
    kill: Annotated[bool, typer.Option("-k", "--kill", help="End the processes in it and below first.")] = False,
    timeout: Annotated[
        Optional[float],  # noqa: UP045 - what typer 0.12 knows
        typer.Option(help="Wait this long for it to be empty.", **seconds()),
    ] = None,
) -> None:
    """Removes a cgroup, in which there must be no processes.

    \b
    Examples: cgroups remove -r memory:/jobs
              cgroups remove -rk memory:/jobs
    """
    cgroup_of(context, spec).remove(recursive=recursive, kill=kill, timeout=timeout)


def attach(
    context: typer.Context,
    spec: Spec,
    pid: Annotated[list[int], typer.Argument(metavar="PID", help="Process ids.")],
) -> None:
    """Moves processes, with all of their threads, into a cgroup.

    They are moved one by one; the first that cannot be moved ends it.

    Example: cgroups attach memory:/job $$
    """
    cgroup = cgroup_of(context, spec)
    for one in pid:
        cgroup.add_process(one)
