"""The command reset."""

from __future__ import annotations

from typing import Annotated

import typer

from .common.arguments import RESETTABLE, Spec, cgroup_of
from .common.values import Name
from .common.values import reset as reset_value

__all__ = ["reset"]


def reset(
    context: typer.Context,
    spec: Spec,
    parameter: Annotated[Name, typer.Argument(help="Parameter to reset.", **RESETTABLE)],
) -> None:
    """Reset a counter to 0.

    'cgroups parameters' lists the parameters that can be reset.  If a
    parameter is not a counter, such as memory.force_empty, this list describes
    the effect of the reset.

    Example: cgroups reset memory:/job memory.max_usage_in_bytes
    """
    reset_value(parameter, cgroup_of(context, spec, parameter))
