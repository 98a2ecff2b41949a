"""The kernel's list of controllers, /proc/cgroups: see proc(5) and cgroups(7)."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from .errors import from_errno
from .tree import Machine

__all__ = ["KernelController", "kernel_controllers"]

_COLUMNS: Final = ("subsys_name", "hierarchy", "num_cgroups", "enabled")


class KernelController(NamedTuple):
    """A line of /proc/cgroups.

    Attributes:
        hierarchy: the number of the hierarchy of the controller; 0 is the unified one.
        cgroups: the number of cgroups of the hierarchy.
        enabled: whether the kernel was booted with the controller.
    """

    hierarchy: int
    cgroups: int
    enabled: bool


def kernel_controllers(host: Machine[Any]) -> dict[str, KernelController] | None:
    """Return the kernel's controllers by name; None if /proc has no such file, for example with subset=pid.

    Raises:
        CgroupError: the file cannot be read.
    """
    path = host.system_path("proc/cgroups")
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            rows = [line.split() for line in file if not line.startswith("#")]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise from_errno(error.errno or 0, "cannot list the controllers of the kernel", path=path) from None
    return {
        name: KernelController(int(number), int(count), enabled == "1")
        for name, number, count, enabled in (row for row in rows if len(row) == len(_COLUMNS))
    }
