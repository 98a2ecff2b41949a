"""Detect cgroups that systemd owns, to warn about cgroups created outside a delegated subtree.

Source: systemd's Control Group APIs and Delegation (CGROUP_DELEGATION), which says so.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from .core.advice import advise
from .errors import SystemdWarning

if TYPE_CHECKING:
    from .hierarchy import Cgroup

SYSTEMD: Final = "/run/systemd/system"
"""The directory that is there where systemd is init: sd_booted(3)."""

CONTROLLERS: Final = frozenset({"cpu", "cpuset", "io", "memory", "pids"})
CONTROLLERS_OF_V1: Final = frozenset({"cpu", "cpuacct", "blkio", "memory", "devices", "pids"})
"""Those that systemd gives its units, and can delegate; of v1 only their hierarchies are its own."""

_MARKS: Final = ("trusted.delegate", "user.delegate")
"""What systemd writes on a delegated cgroup; only root reads the first, and older systemds do not write the second."""

obtained: set[str] = set()
"""The locations of the scopes that this process obtained."""

_warned = False


@lru_cache
def is_manager(directory: str = SYSTEMD) -> bool:
    """Whether systemd is this machine's init; it stays so."""
    return os.path.isdir(directory)


def is_delegated(paths: Iterable[str]) -> bool:
    """Whether one of these directories of systemd's own hierarchy is marked as delegated."""
    return any(_mark(path, mark) == b"1" for path in paths for mark in _MARKS)


def _mark(path: str, name: str) -> bytes:
    try:
        return os.getxattr(path, name)
    except (OSError, AttributeError):  # not marked, not there, or no such attributes on this kernel or Python
        return b""


def check(parent: Cgroup, directory: str = SYSTEMD) -> None:
    """Warns, once a process, of a cgroup that is made by hand where systemd makes them."""
    global _warned  # noqa: PLW0603 - once a process
    if _warned or not is_manager(directory) or parent.hierarchy.host.root != "/" or not _is_systemds(parent):
        return
    _warned = True
    warnings.warn(warning_of(parent), stacklevel=_level())


def warning_of(parent: Cgroup) -> SystemdWarning:
    """Return the warning of a cgroup that is made below a parent."""
    message = f"{parent} belongs to systemd, which may remove a cgroup made there, or move what is inside"
    return SystemdWarning(message, advise("scope", user="--user " if os.geteuid() else ""))


def _is_systemds(cgroup: Cgroup) -> bool:
    """Whether a cgroup is systemd's own to manage."""
    hierarchy = cgroup.hierarchy
    if hierarchy.version == 1 and hierarchy.label != "systemd" and CONTROLLERS_OF_V1.isdisjoint(hierarchy.subsystems):
        return False
    if any(f"{cgroup.location}/".startswith(f"{location}/") for location in obtained):
        return False
    if _owner(cgroup.path) != 0:
        return False  # given to a user, by systemd or by root: the user's to use
    # The marks are on the hierarchies that systemd tracks processes with.
    host = cgroup.hierarchy.host
    trees = [tree for tree in (host.hierarchy_of(""), host.hierarchy_of("name=systemd")) if tree is not None]
    same = (type(cgroup)(tree, cgroup.location) for tree in trees)
    return not is_delegated(path for one in same for above in one.upwards() if (path := above.path) is not None)


def _owner(path: str | None) -> int:
    try:
        return os.stat(path or "").st_uid
    except OSError:
        return -1


def _level() -> int:
    """How far up the caller of this package is, for a warning in the function that asks."""
    package = os.path.dirname(os.path.abspath(__file__))
    frame = sys._getframe(1)  # noqa: SLF001 - what warnings itself uses; its own way is of Python 3.12
    level = 1
    while frame.f_back is not None and os.path.abspath(frame.f_code.co_filename).startswith(f"{package}{os.sep}"):
        frame = frame.f_back
        level += 1
    return level
