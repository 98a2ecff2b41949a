"""Targets of events: cgroups, groups, or the whole system."""

from __future__ import annotations

from typing import Any, Protocol, Union

from ..control.verbs import BaseCgroup
from ..core.errors import InvalidValue, shown

__all__ = ["Several", "Target", "cgroups_of", "listed_targets", "target_names"]


class Several(Protocol):
    """An object with cgroups, such as a Group."""

    @property
    def cgroups(self) -> tuple[BaseCgroup, ...]: ...


Target = Union[BaseCgroup, Several, None]


def listed_targets(given: Any) -> list[Target]:
    several = [given] if given is None or isinstance(given, BaseCgroup) or hasattr(given, "cgroups") else given
    try:
        found = list(several)
    except TypeError:
        found = [given]
    for one in found:
        if not (one is None or isinstance(one, BaseCgroup) or hasattr(one, "cgroups")):
            message = f"target must be a Cgroup, a Group or None, got {shown(one)}"
            raise InvalidValue(message, hint="Hierarchy.find_exn(spec) returns a Cgroup; None is the whole system")
    if not found:
        message = "targets must have at least one cgroup, got none"
        raise InvalidValue(message)
    return found


def target_names(targets: list[Target]) -> str:
    return ", ".join("the system" if target is None else str(target) for target in targets)


def cgroups_of(target: Target) -> tuple[BaseCgroup, ...]:
    if target is None:
        return ()
    return (target,) if isinstance(target, BaseCgroup) else target.cgroups
