"""Followed: the cgroups of a subtree that a sampler follows, by a pattern of their names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

from ..control.verbs import BaseCgroup
from ..core import refusals
from ..core.errors import InvalidValue, shown
from .subtree import Subtree

__all__ = ["Followed"]


class Followed:
    """The current cgroups of a subtree, which appear and disappear.

    Args:
        root: the top of the subtree.
        name: a pattern that a cgroup's own name must match.
        depth: number of levels below the root; None for no limit.
        where: returns whether to include a cgroup; None includes all.

    Attributes:
        root: the top of the subtree.
        lock: held while changes are taken, and while dependent data is changed.
    """

    def __init__(self, root: BaseCgroup, name: str, depth: int | None, where: Callable[[Any], bool] | None) -> None:
        _check(root, name, depth, where)
        self.root = root
        self._name, self._where = name, where
        with self._watching():
            self.subtree = Subtree(root, depth)
        self.lock = self.subtree.lock

    def changes(self) -> tuple[set[BaseCgroup], list[BaseCgroup]]:
        """Return the cgroups that have disappeared, and those that have appeared, since the last call."""
        went, came = self.subtree.changes()
        return went, [cgroup for cgroup in came if self._is_wanted(cgroup)]

    def _is_wanted(self, cgroup: BaseCgroup) -> bool:
        return fnmatchcase(cgroup.name, self._name) and (self._where is None or self._where(cgroup))

    def restart(self) -> None:
        """Discard the known state: the next :meth:`changes` returns all cgroups."""
        with self._watching():
            self.subtree.restart()

    def examples(self, cgroups: Iterable[BaseCgroup]) -> Iterator[BaseCgroup]:
        """Yield the given cgroups, then others whose files have the same keys as cgroups that may appear later."""
        yield from cgroups
        yield from self.root.upwards()
        top = self.root.hierarchy.root()
        yield top
        yield from top.children()

    def close(self) -> None:
        """End the watches."""
        self.subtree.close()

    @contextmanager
    def _watching(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise refusals.explain_watch(error, f"cannot follow {self.root}", self.root.path) from None


def _check(root: Any, name: Any, depth: Any, where: Any) -> None:
    if not isinstance(root, BaseCgroup):
        message = f"root must be a Cgroup, got {shown(root)}"
        raise InvalidValue(message, hint="Hierarchy.find_exn(spec) returns a Cgroup")
    if not isinstance(name, str) or not name:
        message = f"name must be a pattern such as '*.service', got {shown(name)}"
        raise InvalidValue(message)
    if depth is not None and (not isinstance(depth, int) or isinstance(depth, bool) or depth < 0):
        message = f"depth must be a number of levels from 0 or None, got {shown(depth)}"
        raise InvalidValue(message)
    if where is not None and not callable(where):
        message = f"where must be a function of a cgroup or None, got {shown(where)}"
        raise InvalidValue(message)
