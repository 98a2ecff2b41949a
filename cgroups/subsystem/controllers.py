"""Which controllers there are, where they are, and which parameters they have."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from ..core.advice import advise
from ..errors import InvalidValue, from_errno, join_hints, shown
from ..hierarchy import Cgroup, Hierarchy
from ..host import LOCAL, Host
from ..spec import ALIASES
from ..suggest import did_you_mean
from .blkio import Blkio
from .core import Core, _Everywhere
from .cpu import Cpu
from .cpuacct import Cpuacct
from .cpuset import Cpuset
from .devices import Devices
from .freezer import Freezer
from .hugetlb import Hugetlb, is_size, size_in_bytes, size_name
from .io import Io
from .memory import Memory
from .net import NetCls, NetPrio
from .parameter import Parameter
from .pids import Pids
from .resources import Dmem, Misc, PerfEvent, Rdma

__all__ = ["Controller", "find", "find_all", "parameter_named", "parameters"]

TABLES: tuple[type, ...] = (
    *(Memory, Cpu, Cpuacct, Cpuset, Blkio, Io, Pids, Freezer, Devices),
    *(NetCls, NetPrio, PerfEvent, Rdma, Misc, Dmem, Core, _Everywhere),
)


class Controller(NamedTuple):
    """A controller of this host, as it was when asked.

    ``id`` is the number of its hierarchy in /proc/cgroups (0: the unified
    one), ``enabled`` whether the kernel was booted with it, ``available``
    whether a mounted hierarchy has it, and ``version`` and ``hierarchy``
    which.
    """

    id: int
    name: str
    enabled: bool
    available: bool
    version: int | None
    hierarchy: Hierarchy | None


def _kernel_list(host: Host) -> dict[str, tuple[int, bool]]:
    """/proc/cgroups: name → (hierarchy id, enabled)."""
    path = f"{host.root.rstrip('/')}/proc/cgroups"
    try:
        with open(path, encoding="ascii") as file:
            lines = [line.split() for line in file if not line.startswith("#")]
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise from_errno(error.errno or 0, "cannot list the controllers of the kernel", path=path) from None
    return {name: (int(number), enabled == "1") for name, number, _, enabled in lines}


def find(name: str, *, host: Host = LOCAL) -> Controller:
    """The controller of this name on a host; an unknown one is not available."""
    if not isinstance(name, str) or not name:
        message = f"controller {shown(name)} is not a name"
        raise InvalidValue(message)
    return _describe(host, name, _kernel_list(host))


def _describe(host: Host, name: str, known: dict[str, tuple[int, bool]]) -> Controller:
    number, enabled = known.get(name) or known.get(ALIASES.get(name, name)) or (0, False)
    hierarchy = host.hierarchy_of(name)
    if hierarchy is None:
        return Controller(number, name, enabled, available=False, version=None, hierarchy=None)
    return Controller(number, name, enabled=True, available=True, version=hierarchy.version, hierarchy=hierarchy)


def find_all(*, host: Host = LOCAL) -> list[Controller]:
    """All controllers that the kernel names or a mounted hierarchy has."""
    known = _kernel_list(host)
    names = dict.fromkeys(known)
    for hierarchy in host.scan():
        names.update(dict.fromkeys(hierarchy.subsystems))
    if "io" in names:
        names.pop("blkio", None)
    return [_describe(host, name, known) for name in names]


# ---- parameters ----------------------------------------------------------------------


def _table(owner: Any) -> list[Parameter]:
    return [value for value in vars(owner).values() if isinstance(value, Parameter)]


def huge_page_sizes() -> list[str]:
    """The sizes that this machine has, as control files name them: 2MB, 1GB."""
    try:
        names = os.listdir("/sys/kernel/mm/hugepages")
    except OSError:
        return []
    kilobytes = sorted(int(name.removeprefix("hugepages-").removesuffix("kB")) for name in names)
    return [size_name(size << 10) for size in kilobytes]


def huge_page_sizes_in(cgroup: Cgroup) -> list[str]:
    """Return the sizes of huge pages that a cgroup has control files of, of whatever machine it is."""
    sizes = {name.split(".")[1] for name in cgroup.file_names() if name.startswith("hugetlb.")}
    return sorted((size for size in sizes if is_size(size)), key=size_in_bytes)


def parameters(controller: str | Controller | None = None, *, sizes: Iterable[str] | None = None) -> list[Parameter]:
    """Return every parameter there is, or those of one controller.

    Args:
        controller: whose parameters; None for all.
        sizes: the sizes of huge pages that there are parameters of Hugetlb for; by default this machine's.
    """
    name = controller.name if isinstance(controller, Controller) else controller
    tables = [*TABLES, *(Hugetlb(size) for size in (huge_page_sizes() if sizes is None else sizes))]
    found = [parameter for table in tables for parameter in _table(table)]
    if name is None:
        return found
    names = {name, ALIASES.get(name)}
    return [parameter for parameter in found if parameter.controller in names]


@lru_cache(maxsize=1)
def root_only_files() -> frozenset[str]:
    """Return the names of the control files that only the root of a hierarchy has."""
    found = (parameter for table in TABLES for parameter in _table(table) if parameter.root_only)
    return frozenset(name for parameter in found for version in (1, 2) for name in parameter.files(version))


def parameter_named(name: str, kind: type[Parameter] = Parameter) -> Parameter:
    """The parameter of an API name (``memory.limit_in_bytes``) or of a control file (``memory.max``).

    The API's names go first; then, of the parameters that a file belongs to,
    the one under the file's own name, dots as underscores; then v2's, then v1's.
    For an unknown name the error suggests close names of parameters of this kind.
    """
    if not isinstance(name, str):
        message = f"parameter name {shown(name)}: a str is expected"
        raise InvalidValue(message)
    controller, *rest = name.split(".")
    size = rest[:1] if controller == "hugetlb" else []
    tables = [Hugetlb(size[0])] if size else TABLES
    known = {str(parameter): parameter for table in tables for parameter in _table(table)}
    if name in known:
        return known[name]
    own = known.get(".".join([controller, *size, "_".join(rest[len(size) :])]))
    if own is not None and any(name in own.files(version) for version in (2, 1)):
        return own
    for version in (2, 1):
        for parameter in known.values():
            if name in parameter.files(version):
                return parameter
    message = f"there is no parameter {shown(name)}"
    suitable = [one for one in parameters() if isinstance(one, kind)]
    near = did_you_mean(name, {file: one for one in suitable for file in (*one.files(1), *one.files(2), str(one))})
    raise InvalidValue(message, parameter=name, hint=join_hints(near, advise("parameters")))
