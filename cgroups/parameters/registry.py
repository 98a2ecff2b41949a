"""All tables of parameters, and the lookup of a parameter by name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..core.advice import advise
from ..core.errors import InvalidValue, join_hints, shown
from ..core.interface import Version
from ..core.specs import ALIASES
from ..core.suggest import did_you_mean
from .access import HasName
from .blkio import Blkio
from .core import Core, _Everywhere
from .cpu import Cpu
from .cpuacct import Cpuacct
from .cpuset import Cpuset
from .devices import Devices
from .freezer import Freezer
from .hugetlb import Hugetlb, is_size, size_in_bytes, size_name
from .io import Io
from .kinds import Parameter
from .memory import Memory
from .net import NetCls, NetPrio
from .pids import Pids
from .resources import Dmem, Misc, PerfEvent, Rdma

if TYPE_CHECKING:
    from ..core.node import Node

__all__ = ["parameter_named", "parameters"]

TABLES: tuple[type, ...] = (
    *(Memory, Cpu, Cpuacct, Cpuset, Blkio, Io, Pids, Freezer, Devices),
    *(NetCls, NetPrio, PerfEvent, Rdma, Misc, Dmem, Core, _Everywhere),
)


def _table(owner: Any) -> list[Parameter]:
    return [value for value in vars(owner).values() if isinstance(value, Parameter)]


def huge_page_sizes(directory: str = "/sys/kernel/mm/hugepages") -> list[str]:
    """Return the huge page sizes of a machine, by default this one, in the form of control files: 2MB, 1GB."""
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    kilobytes = sorted(int(name.removeprefix("hugepages-").removesuffix("kB")) for name in names)
    return [size_name(size << 10) for size in kilobytes]


def huge_page_sizes_in(cgroup: Node) -> list[str]:
    """Return the huge page sizes for which a cgroup has control files, also on another machine."""
    sizes = {name.split(".")[1] for name in cgroup.file_names() if name.startswith("hugetlb.")}
    return sorted((size for size in sizes if is_size(size)), key=size_in_bytes)


def parameters(controller: str | HasName | None = None, *, sizes: Iterable[str] | None = None) -> list[Parameter]:
    """Return all parameters, or those of one controller.

    Args:
        controller: the controller; None for all.
        sizes: the huge page sizes for the parameters of Hugetlb; by default this machine's.
    """
    name = controller if controller is None or isinstance(controller, str) else controller.name
    tables = [*TABLES, *(Hugetlb(size) for size in (huge_page_sizes() if sizes is None else sizes))]
    found = [parameter for table in tables for parameter in _table(table)]
    if name is None:
        return found
    names = {name, ALIASES.get(name)}
    return [parameter for parameter in found if parameter.controller in names]


def parameter_named(name: str, kind: type[Parameter] = Parameter) -> Parameter:
    """Return the parameter with an API name (``memory.limit_in_bytes``) or a control file (``memory.max``).

    API names come first.  Among the parameters of a file, the one with the file's
    name (dots as underscores) comes first, then v2's, then v1's.  For an unknown
    name the error suggests close names of parameters of this kind.
    """
    if not isinstance(name, str):
        message = f"parameter name must be a str, got {shown(name)}"
        raise InvalidValue(message)
    controller, *rest = name.split(".")
    size = rest[:1] if controller == "hugetlb" else []
    tables = [Hugetlb(size[0])] if size else TABLES
    known = {str(parameter): parameter for table in tables for parameter in _table(table)}
    if name in known:
        return known[name]
    own = known.get(".".join([controller, *size, "_".join(rest[len(size) :])]))
    if own is not None and any(name in own.files(version) for version in (Version.V2, Version.V1)):
        return own
    for version in (Version.V2, Version.V1):
        for parameter in known.values():
            if name in parameter.files(version):
                return parameter
    message = f"unknown parameter {shown(name)}"
    suitable = [one for one in parameters() if isinstance(one, kind)]
    near = did_you_mean(name, {file: one for one in suitable for file in (*one.files(1), *one.files(2), str(one))})
    raise InvalidValue(message, parameter=name, hint=join_hints(near, advise("parameters")))
