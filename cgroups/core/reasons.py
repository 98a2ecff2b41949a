"""Find the reason for a refused write to a control file in other files."""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING, Any, Final

from .advice import advise
from .declared import BOUNDS
from .errors import CgroupError, InvalidValue, join_hints
from .interface import Failure, Shape

if TYPE_CHECKING:
    from .tree import Place

__all__ = ["CPUSET_LISTS", "WRITE_REASONS", "look_closer"]

WRITE_REASONS: Final[dict[int, tuple[type[CgroupError] | None, str]]] = {
    errno.EINVAL: (None, "the kernel does not accept this value here"),
    errno.ERANGE: (None, "out of the range that the kernel accepts"),
    errno.ENODEV: (InvalidValue, "no such device exists"),
    errno.EBUSY: (None, "the current usage or the values of its children do not fit the new value"),
    errno.ENOSPC: (None, "its processes would be left without a CPU or a memory node"),
    errno.E2BIG: (None, "longer than 4096 bytes, the limit of one write"),
    errno.EACCES: (None, "beyond what the parent allows, or this user may not write it"),
    errno.EPERM: (None, "beyond what the parent allows, or, with nsdelegate, the root of a cgroup namespace"),
}
"""errno of write(2) to the exception class, None for the default, and the reason."""


def look_closer(error: int, cgroup: Place, name: str, value: Any) -> str | None:
    """Return the reason for a refused write, found in other files; None if the files show no reason."""
    if error == errno.ENODEV:
        return _partition(cgroup, value)
    if error == errno.EINVAL and name in BOUNDS:
        return _bound(cgroup, name)
    if error in _CPUSET_ERRNOS and name in CPUSET_LISTS:
        return _cpuset(cgroup, name)
    return None


# ---- devices -----------------------------------------------------------------------------


def _partition(cgroup: Place, value: Any) -> str | None:
    """Return a hint to name the disk, since the kernel reports a partition as missing."""
    system = cgroup.hierarchy.host.system_path("sys/dev/block")
    for device in re.findall(r"\d+:\d+", str(value)):
        where = f"{system}/{device}"
        if not os.path.exists(f"{where}/partition"):
            continue
        # A partition's directory is inside its disk's directory.
        disk = os.path.dirname(os.path.realpath(where))
        try:
            with open(f"{disk}/dev", encoding="ascii") as file:
                whole = file.read().strip()
        except OSError:
            return f"{device} is a partition: name its disk"
        return f"{device} is a partition: name its disk, {whole} ({os.path.basename(disk)})"
    return None


# ---- values bounded by other files -------------------------------------------------------


_NO_LIMIT: Final = 1 << 62
"""Bytes from which a v1 number means no limit: below 2**63 rounded down to a page of any size."""


def _bound(cgroup: Place, name: str) -> str | None:
    how, other = BOUNDS[name]
    try:
        [(_, number)] = cgroup.read_raw(other, Shape.VALUE)
    except (Failure, CgroupError):
        return None
    shown_number = "max" if isinstance(number, int) and number >= _NO_LIMIT else number
    return advise("bound", cgroup=cgroup, how=how, what=other, number=shown_number)


# ---- CPUs and memory nodes ---------------------------------------------------------------

_CPUSET_ERRNOS: Final = frozenset({errno.EACCES, errno.EINVAL, errno.ERANGE, errno.ENODEV})

CPUSET_LISTS: Final = {
    "cpuset.cpus": ("CPUs", "devices/system/cpu/online"),
    "cpuset.mems": ("memory nodes", "devices/system/node/has_memory"),
}
"""File to the noun for its values, and the file below /sys that lists the machine's."""


def _cpuset(cgroup: Place, name: str) -> str | None:
    """Return a hint with the CPUs or memory nodes of the machine and of the parent."""
    what, listed = CPUSET_LISTS[name]
    parts = []
    try:
        with open(cgroup.hierarchy.host.system_path(f"sys/{listed}"), encoding="ascii") as file:
            parts.append(f"this machine has {what} {file.read().strip()}")
    except OSError:
        pass  # no sysfs is mounted
    above = cgroup.parent
    if above is not None and (found := _cpuset_list(above, name)) is not None:
        parts.append(f"{above} has {found}" if found else f"{above} has no {what}")
        if not found:
            parts.append(advise("set cpuset", cgroup=above))
    return join_hints(*parts)


def _cpuset_list(cgroup: Place, name: str) -> str | None:
    """Return the CPUs or nodes that a cgroup can grant its children, such as ``0-3``."""
    for file in (f"{name}.effective", name):  # v2; v1
        try:
            cells = [number for _, number in cgroup.read_raw(file, Shape.RANGES)]
        except (Failure, CgroupError):
            continue
        ranges = zip(cells[0::2], cells[1::2])
        return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)
    return None
