"""Fill the cpusets of v1: a cpuset without CPUs or memory nodes accepts no process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.advice import advise
from ..core.errors import InvalidValue
from ..core.interface import Version
from ..parameters import Cpuset, Parameters

if TYPE_CHECKING:
    from ..core.node import Node

__all__ = ["fill_cpuset"]


def fill_cpuset(cgroup: Node) -> None:
    """Give an empty v1 cpuset the CPUs and memory nodes of its parent."""
    above = cgroup.parent
    if cgroup.version == Version.V1 and cgroup.hierarchy.has("cpuset") and above is not None:
        for parameter in (Cpuset.cpus, Cpuset.mems):
            if not Parameters.get(parameter, cgroup):
                found = Parameters.get(parameter, above)
                if not found:
                    message = f"cannot create {cgroup}: its parent {above} has no {parameter} to inherit"
                    raise InvalidValue(message, path=above.path, hint=advise("set cpuset", cgroup=above))
                Parameters.set(parameter, cgroup, found)
