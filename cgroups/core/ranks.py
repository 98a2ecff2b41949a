"""The order in which hierarchies are searched for a name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from .interface import Version
from .node import Node

if TYPE_CHECKING:
    from .tree import Tree

__all__ = ["OTHER", "by_rank", "order", "rank"]


def rank(hierarchy: Tree[Node]) -> int:
    """Return 0 for the unified hierarchy, 1 for systemd's on v1, 2 for memory's, and 3 for any other."""
    if hierarchy.version == Version.V2:
        return 0
    return 1 if hierarchy.label == "systemd" else 2 if hierarchy.has("memory") else OTHER


OTHER: Final = 3


def by_rank(hierarchy: Tree[Node]) -> bool:
    """Return whether a bare location may be on this hierarchy: the unified, systemd's or memory's."""
    return rank(hierarchy) < OTHER


def order(hierarchies: Iterable[Tree[Node]]) -> list[Tree[Node]]:
    """Return hierarchies in the order in which they are searched for a location."""
    return sorted(hierarchies, key=rank)
