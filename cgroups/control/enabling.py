"""Remember which controllers this package has enabled, so that a removal can disable them.

The record is an extended attribute of the directory in whose ``cgroup.subtree_control`` a
controller was enabled.  The attribute disappears with the directory, and needs no other file.
cgroup2 supports such attributes since Linux 5.7; on older kernels no controller is remembered or disabled.

A user who may write to the directory may also write the attribute.  So the record decides only
which controllers are disabled in this directory, and only while it has no children.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from ..core.interface import Failure

if TYPE_CHECKING:
    from ..core.node import Node

__all__ = ["ATTRIBUTE", "forget", "remember", "remembered"]

ATTRIBUTE: Final = "user.cgroups.enabled"
"""The name of the attribute.  The attribute's value is a list of controllers, separated by spaces."""

LONGEST: Final = 1024
"""Bytes of the longest accepted value: the kernel has about a dozen controllers."""


def remembered(cgroup: Node) -> frozenset[str]:
    """Return the controllers that this package has enabled for the children of a cgroup."""
    found: frozenset[str] = frozenset()

    def look(fd: int) -> None:
        nonlocal found
        found = _read(fd)

    _at(cgroup, look)
    return found


def remember(cgroup: Node, controller: str) -> None:
    """Record that a controller was enabled; no effect if the file system has no extended attributes."""
    _at(cgroup, lambda fd: _write(fd, _read(fd) | {controller}))


def forget(cgroup: Node, controllers: Iterable[str]) -> None:
    """Record that controllers are disabled, or no longer owned by this package."""
    _at(cgroup, lambda fd: _write(fd, _read(fd).difference(controllers)))


def _at(cgroup: Node, act: Callable[[int], None]) -> None:
    try:
        directory, below = cgroup.locate()
        fd = directory.open(below, os.O_RDONLY | os.O_DIRECTORY)
    except Failure:
        return
    try:
        act(fd)
    except OSError:
        return  # no attributes on this file system, no permission, or the cgroup is gone
    finally:
        os.close(fd)


def _read(fd: int) -> frozenset[str]:
    try:
        value = os.getxattr(fd, ATTRIBUTE)
    except OSError:
        return frozenset()
    words = value[:LONGEST].decode("ascii", "replace").split() if len(value) <= LONGEST else []
    return frozenset(word for word in words if word.replace("_", "").isalnum())


def _write(fd: int, controllers: Iterable[str]) -> None:
    value = " ".join(sorted(controllers))
    if value:
        os.setxattr(fd, ATTRIBUTE, value.encode())
    elif ATTRIBUTE in os.listxattr(fd):
        os.removexattr(fd, ATTRIBUTE)
