"""Detect cgroups that systemd owns, to warn about cgroups created outside a delegated subtree.

Source: "Control Group APIs and Delegation" (CGROUP_DELEGATION) in systemd's documentation.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from .advice import advise
from .errors import SystemdWarning
from .interface import Version
from .specs import ALIASES, to_enable

if TYPE_CHECKING:
    from .deadline import Deadline
    from .tree import Place, Tree

P = TypeVar("P", bound="Place")

SYSTEMD: Final = "/run/systemd/system"
"""A directory that exists only if systemd is init: sd_booted(3)."""

CONTROLLERS: Final = frozenset({"cpu", "cpuset", "io", "memory", "pids"})
CONTROLLERS_OF_V1: Final = frozenset({"cpu", "cpuacct", "blkio", "memory", "devices", "pids"})
"""Controllers that systemd manages and can delegate.  On v1 systemd owns only the hierarchies of these controllers."""

_MARKS: Final = ("trusted.delegate", "user.delegate")
"""Extended attributes of a delegated cgroup.  Only root reads the first; old systemds do not set the second."""


class Keeper(Protocol):
    """A scope that this process obtained: :class:`cgroups.control.keeper.ScopeKeeper`."""

    needs_attach: bool

    def attach(self, cgroup: Any, pid: int, deadline: Deadline) -> None:
        """Make systemd move a process into a cgroup of the scope."""


obtained: dict[str, Keeper] = {}
"""The scopes that this process obtained, by location."""

_warned = False


@lru_cache
def is_manager(directory: str = SYSTEMD) -> bool:
    """Return whether systemd is this machine's init; the answer is cached, since it cannot change."""
    return os.path.isdir(directory)


def is_below(cgroup: Place, location: str) -> bool:
    """Return whether a cgroup is at a location or below it."""
    return f"{cgroup.location}/".startswith(f"{location}/")


def keeper_of(cgroup: Place) -> Keeper | None:
    """Return the obtained scope that contains a cgroup."""
    if not obtained:
        return None
    return next((keeper for location, keeper in [*obtained.items()] if is_below(cgroup, location)), None)


def manager_of(hierarchy: Tree[P], *, user: bool) -> P:
    """Return the cgroup that contains a manager's units: the user manager's, or the root for the system's."""
    root = hierarchy.root()
    if not user:
        return root
    uid = os.geteuid()
    return root.child("user.slice").child(f"user-{uid}.slice").child(f"user@{uid}.service")


def names_of(controller: str, version: int) -> list[str]:
    """Return systemd's names for a controller that it can delegate; empty if it cannot."""
    if version == Version.V2:
        return [name for name in to_enable(version, [controller]) if name in CONTROLLERS]
    name = controller if controller in CONTROLLERS_OF_V1 else ALIASES.get(controller, controller)
    return [name] if name in CONTROLLERS_OF_V1 else []


def is_delegated(paths: Iterable[str]) -> bool:
    """Return whether systemd marked one of these directories as delegated."""
    return any(_mark(path, mark) == b"1" for path in paths for mark in _MARKS)


def _mark(path: str, name: str) -> bytes:
    try:
        return os.getxattr(path, name)
    except (OSError, AttributeError):  # not marked, missing, or extended attributes are unsupported
        return b""


def check(parent: Place, directory: str = SYSTEMD) -> None:
    """Warn, once per process, about a cgroup created directly in a tree that systemd manages."""
    global _warned  # noqa: PLW0603 - once per process
    if _warned or not is_manager(directory) or parent.hierarchy.host.root != "/" or not is_systemds(parent):
        return
    _warned = True
    warn(warning_of(parent))


def warn(warning: SystemdWarning) -> None:
    """Issue a warning for the caller outside this package."""
    warnings.warn(warning, stacklevel=_level())


def warning_of(parent: Place) -> SystemdWarning:
    """Return the warning about a cgroup that is created below a parent."""
    message = f"{parent} belongs to systemd, which may remove a cgroup created there or move its processes"
    return SystemdWarning(message, advise("scope", user="--user " if os.geteuid() else ""))


def is_systemds(cgroup: Place) -> bool:
    """Return whether systemd manages a cgroup and has not delegated it."""
    hierarchy = cgroup.hierarchy
    if (
        hierarchy.version == Version.V1
        and hierarchy.label != "systemd"
        and CONTROLLERS_OF_V1.isdisjoint(hierarchy.subsystems)
    ):
        return False
    if keeper_of(cgroup) is not None:
        return False
    if _owner(cgroup.path) != 0:
        return False  # systemd or root gave it to a user
    # systemd sets the marks on the hierarchies with which it tracks processes.
    host = cgroup.hierarchy.host
    trees = [tree for tree in (host.hierarchy_of(""), host.hierarchy_of("name=systemd")) if tree is not None]
    same = (tree.at(cgroup.location) for tree in trees)
    return not is_delegated(path for one in same for above in one.upwards() if (path := above.path) is not None)


def _owner(path: str | None) -> int:
    try:
        return os.stat(path or "").st_uid
    except OSError:
        return -1


def _level() -> int:
    """Return the stack level of the caller outside this package, for a warning."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    frame = sys._getframe(1)  # noqa: SLF001 - as warnings does; skip_file_prefixes needs Python 3.12
    level = 1
    while frame.f_back is not None and os.path.abspath(frame.f_code.co_filename).startswith(f"{package}{os.sep}"):
        frame = frame.f_back
        level += 1
    return level
