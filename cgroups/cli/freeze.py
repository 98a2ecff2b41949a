"""The command freeze."""

from __future__ import annotations

import typer

from ..core.deadline import DEFAULT_TIMEOUT_S
from .common.arguments import Specs, freezable, group_of
from .common.signals import Timeout

__all__ = ["freeze"]


def freeze(context: typer.Context, spec: Specs, timeout: Timeout = DEFAULT_TIMEOUT_S) -> None:
    """Freeze all processes in a cgroup and below.

    The command waits until they are frozen.

    On v1 only cgroups of the freezer controller can be frozen; a name such as
    ssh.service means its cgroup on the freezer's hierarchy.

    \b
    Examples: cgroups freeze :/job
              cgroups freeze freezer:/job
    """
    group_of(context, spec, freezable).freeze(timeout)
