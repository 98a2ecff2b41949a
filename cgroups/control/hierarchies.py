"""Map controllers to cgroups, each cgroup on its own hierarchy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from ..core.advice import advise
from ..core.errors import InvalidValue, SubsystemNotAvailable, join_hints, shown
from ..core.interface import Version
from ..core.node import Node
from ..core.suggest import did_you_mean
from ..parameters import Core

if TYPE_CHECKING:
    from ..core.trees import Trees
    from ..parameters.kinds import Parameter

__all__ = ["by_controller", "controller_of", "listed", "parent_for", "with_controller"]

N = TypeVar("N", bound=Node)


def controller_of(parameter: Parameter) -> str:
    """Return the controller that a parameter belongs to; '' for the ``cgroup.*`` files of the unified hierarchy."""
    return "" if parameter.controller == Core.CONTROLLER else parameter.controller


def with_controller(cgroups: Iterable[N], controller: str) -> N | None:
    """Return the cgroup whose hierarchy has a controller ('' is the unified hierarchy), or None."""
    return by_controller(cgroups, (controller,)).get(controller)


def by_controller(cgroups: Iterable[N], controllers: Iterable[str]) -> dict[str, N]:
    """Return, by controller, the cgroup whose hierarchy has it; '' is the unified hierarchy.

    A controller that no hierarchy of the cgroups has is left out.
    """
    found: dict[str, N] = {}
    wanted = dict.fromkeys(controllers)
    # A v1 mount takes a controller from v2.
    for cgroup in sorted(cgroups, key=lambda cgroup: cgroup.version):
        names = [one for one in wanted if one and one not in found]
        if names:
            found.update(dict.fromkeys(cgroup.hierarchy.those_of(names), cgroup))
        if "" in wanted and cgroup.version == Version.V2:
            found.setdefault("", cgroup)
    return found


def parent_for(controller: str, parents: Iterable[N] | None, host: Trees[Any, N]) -> N:
    """Return the cgroup below which a new cgroup gets a controller.

    Args:
        controller: the controller; '' is the unified hierarchy.
        parents: the cgroups to choose from; None for the roots of a host.
        host: the host.

    Raises:
        SubsystemNotAvailable: no parent, or no mounted hierarchy, has the controller.
        InvalidValue: the controller is not a string.
    """
    if not isinstance(controller, str):
        message = f"controller must be a name, got {shown(controller)}"
        raise InvalidValue(message)
    if parents is not None:
        found = with_controller(parents, controller)
        if found is None:
            message = f"no parent has {controller or 'the unified hierarchy'}"
            hint = f"the parents are {', '.join(map(str, parents))}; add a cgroup of this hierarchy"
            raise SubsystemNotAvailable(message, hint=hint)
        return found
    hierarchy = host.hierarchy_of(controller)
    if hierarchy is None:
        message = f"no mounted hierarchy has {f'the controller {controller}' if controller else 'version 2'}"
        known = {name: name for one in host.scan() for name in one.subsystems}
        raise SubsystemNotAvailable(message, hint=join_hints(did_you_mean(controller, known), advise("mounted")))
    root: N = hierarchy.root()
    return root


def listed(controllers: Iterable[str], *, or_none: bool = False) -> tuple[str, ...]:
    """Return the names of controllers without duplicates.

    Raises:
        InvalidValue: the argument is not an iterable of names, or it is empty and ``or_none`` is False.
    """
    if isinstance(controllers, str) or not isinstance(controllers, Iterable):
        message = f"controllers must be an iterable of names such as ['memory', 'cpu'], got {shown(controllers)}"
        raise InvalidValue(message)
    found = tuple(dict.fromkeys(controllers))
    if not found and not or_none:
        message = "controllers must have at least one name, got none; '' is the unified hierarchy"
        raise InvalidValue(message)
    return found
