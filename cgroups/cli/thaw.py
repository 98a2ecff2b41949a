"""The command thaw."""

from __future__ import annotations

import typer

from ..core.deadline import DEFAULT_TIMEOUT_S
from .common.arguments import Specs, freezable, group_of
from .common.signals import Timeout

__all__ = ["thaw"]


def thaw(context: typer.Context, spec: Specs, timeout: Timeout = DEFAULT_TIMEOUT_S) -> None:
    """Thaw a frozen cgroup, and wait until its processes run again.

    Example: cgroups thaw freezer:/job
    """
    group_of(context, spec, freezable).thaw(timeout)
