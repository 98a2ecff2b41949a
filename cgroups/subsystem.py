"""Subsystem: the controllers and their parameters.

``Subsystem.Parameters`` (alias ``Param``) has get, set and reset; each
controller is a class whose attributes are its parameters::

    Subsystem.Parameters.get(Subsystem.Memory.usage_in_bytes, cgroup)
"""

from __future__ import annotations

from typing import NamedTuple

from .core.errors import InvalidValue, shown
from .core.kernel_controllers import KernelController, kernel_controllers
from .core.specs import ALIASES
from .hierarchy import LOCAL, Hierarchy, Host
from .parameters import (
    Blkio,
    Core,
    Cpu,
    Cpuacct,
    Cpuset,
    Devices,
    Dmem,
    Freezer,
    Hugetlb,
    Io,
    Memory,
    Misc,
    NetCls,
    NetPrio,
    Param,
    Parameters,
    PerfEvent,
    Pids,
    Rdma,
    parameter_named,
    parameters,
)

__all__ = [
    "Blkio",
    "Controller",
    "Core",
    "Cpu",
    "Cpuacct",
    "Cpuset",
    "Devices",
    "Dmem",
    "Freezer",
    "Hugetlb",
    "Io",
    "Memory",
    "Misc",
    "NetCls",
    "NetPrio",
    "Param",
    "Parameters",
    "PerfEvent",
    "Pids",
    "Rdma",
    "find",
    "find_all",
    "parameter_named",
    "parameters",
]


class Controller(NamedTuple):
    """A controller of a host, at the time of the call.

    Attributes:
        id: the number of its hierarchy in /proc/cgroups; 0 is the unified one.
        name: the name of the controller.
        enabled: whether the kernel was booted with the controller.
        available: whether a mounted hierarchy has the controller.
        version: the version of that hierarchy; None if the controller is not available.
        hierarchy: that hierarchy; None if the controller is not available.
    """

    id: int
    name: str
    enabled: bool
    available: bool
    version: int | None
    hierarchy: Hierarchy | None


def find(name: str, *, host: Host = LOCAL) -> Controller:
    """Return the controller of this name on a host.  An unknown controller is not available.

    Args:
        name: the name of the controller.
        host: the machine.

    Raises:
        InvalidValue: the name is not a string, or is empty.
    """
    if not isinstance(name, str) or not name:
        message = f"controller must be a name, got {shown(name)}"
        raise InvalidValue(message)
    return _describe(host, name, kernel_controllers(host) or {})


def _describe(host: Host, name: str, known: dict[str, KernelController]) -> Controller:
    number, _, enabled = known.get(name) or known.get(ALIASES.get(name, name)) or KernelController(0, 0, enabled=False)
    hierarchy = host.hierarchy_of(name)
    if hierarchy is None:
        return Controller(number, name, enabled, available=False, version=None, hierarchy=None)
    return Controller(number, name, enabled=True, available=True, version=hierarchy.version, hierarchy=hierarchy)


def find_all(*, host: Host = LOCAL) -> list[Controller]:
    """Return all controllers that the kernel lists or a mounted hierarchy has.

    Args:
        host: the machine.
    """
    known = kernel_controllers(host) or {}
    names = dict.fromkeys(known)
    for hierarchy in host.scan():
        names.update(dict.fromkeys(hierarchy.subsystems))
    if "io" in names:
        names.pop("blkio", None)
    return [_describe(host, name, known) for name in names]
