"""The argument ``parent`` of new cgroups: its types, its check, and the cgroups that it names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Union

from .core.errors import InvalidValue, shown
from .hierarchy import LOCAL, Cgroup

__all__ = ["Parent", "parents_of"]

Parent = Union[str, Cgroup, "Iterable[str | Cgroup]"]
"""The parents of new cgroups: a spec or a cgroup, or several, one per hierarchy, such as a Group."""


def parents_of(parent: Parent | None) -> list[Cgroup] | None:
    """Return the cgroups that a ``parent`` names, one per hierarchy; None without a parent."""
    if parent is None:
        return None
    if not isinstance(parent, (str, Cgroup, Iterable)):
        message = f"parent must be a spec, a Cgroup, a Group or several of them, got {shown(parent)}"
        raise InvalidValue(message)
    given = [parent] if isinstance(parent, (str, Cgroup)) else list(parent)
    cgroups = [LOCAL.find_exn(one) if isinstance(one, str) else one for one in given]
    for cgroup in cgroups:
        if not isinstance(cgroup, Cgroup):
            message = f"parent must contain only specs and Cgroups, got {shown(cgroup)}"
            raise InvalidValue(message)
    if not cgroups or len({cgroup.hierarchy for cgroup in cgroups}) < len(cgroups):
        message = f"parent must have one cgroup per hierarchy, got {shown(parent)}"
        raise InvalidValue(message)
    if len({cgroup.hierarchy.host for cgroup in cgroups}) > 1:
        message = f"parent must have cgroups of one host, got {shown(parent)}"
        raise InvalidValue(message)
    return cgroups
