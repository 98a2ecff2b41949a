"""Subtree: the cgroups of a subtree as they change, without repeated walks.

Each directory is watched by inotify(7), so an unchanged subtree costs one read
without data.  inotify reports only changes through the same mount of a hierarchy,
and a container with a cgroup namespace has another mount.  So the kernel's own count of
cgroups is compared once per second.  If the count differs, or events were lost,
the subtree is walked again.
"""

from __future__ import annotations

import errno
import os
import threading
import time
import warnings
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ..core import inotify
from ..core.errors import AccessDenied, CgroupError, CgroupGone
from ..core.interface import Shape, Version, encode_name
from ..core.kernel_controllers import kernel_controllers
from ..core.pidfd import DENIED
from ..core.specs import PATH_MAX

if TYPE_CHECKING:
    from ..control.verbs import BaseCgroup

__all__ = ["Subtree"]

CHECK_NS: Final = 1_000_000_000

FIRST_ROUND_S: Final = 10.0
"""Upper bound of the first listing, in seconds.  The other cgroups are listed later."""

ROUND_S: Final = 0.5
"""Upper bound of the listing in one call, in seconds."""

UNWATCHED: Final = {
    errno.ENOSPC: "fs.inotify.max_user_watches is too low to watch all cgroups",
    **dict.fromkeys(DENIED, "a seccomp filter denies inotify, which watches cgroups"),
}
"""Warnings for the errors that prevent further watches."""

_subtrees: weakref.WeakSet[Subtree] = weakref.WeakSet()


class _Node:
    __slots__ = ("below", "cgroup", "depth", "gone", "watch")

    def __init__(self, cgroup: BaseCgroup, depth: int) -> None:
        self.cgroup = cgroup
        self.depth = depth
        self.below: dict[str, _Node] = {}
        self.watch = -1
        self.gone = False


class Subtree:
    """A root and the cgroups below it, down to a depth.  The root stays in the result even after its removal."""

    def __init__(self, root: BaseCgroup, depth: int | None = None) -> None:
        self.lock = threading.Lock()  # for callers: held while changes are taken and applied
        self._depth = depth
        self._watcher = inotify.open_watcher()
        self._begin(root)
        _subtrees.add(self)

    def _begin(self, root: BaseCgroup) -> None:
        self._root = _Node(root, 0)
        self._watched: dict[int, _Node] = {}
        self._came: dict[BaseCgroup, None] = {root: None}
        self._went: set[BaseCgroup] = set()
        self._unwatched = False  # whether some directory could not be watched
        self._stale = False  # whether the known tree may be outdated
        self._doubt = True  # whether the last count may include cgroups created after the listing
        self._known = 1
        self._checked = time.monotonic_ns()
        self._ahead: list[tuple[_Node, bool]] = [(self._root, False)]  # a stack of directories to list
        self._checking = False  # whether the whole tree is being listed again
        self._warned: set[str] = set()
        self._list_ahead(FIRST_ROUND_S)
        self._uncounted = self._difference()

    def restart(self) -> None:
        """Discard the known state: all existing cgroups then count as new."""
        self._watcher.close()
        self._watcher = inotify.open_watcher()
        self._begin(self._root.cgroup)

    def changes(self) -> tuple[set[BaseCgroup], list[BaseCgroup]]:
        """Return the cgroups removed and created since the last call.  A cgroup that was created again is in both."""
        self._take_events()
        now = time.monotonic_ns()
        if now - self._checked >= CHECK_NS and not self._ahead:
            self._checked = now
            unsure = self._unwatched or self._doubt or self._root.watch < 0
            self._stale |= unsure or self._difference() != self._uncounted
        if self._stale:
            self._stale = False
            self._checking = True
            self._ahead.insert(0, (self._root, True))
        self._list_ahead(ROUND_S)
        went, came = self._went, [*self._came]
        if went or came:
            self._went, self._came = set(), {}
        return went, came

    def close(self) -> None:
        """End all watches."""
        self._watcher.close()

    # ---- events

    def _take_events(self) -> None:
        ended: list[tuple[int, _Node]] = []
        for watch, mask, name in self._watcher.events():
            node = self._watched.get(watch)
            if mask & inotify.OVERFLOW:
                self._stale = True
            elif node is None:
                continue
            elif mask & (inotify.CREATE | inotify.MOVED_TO) and mask & inotify.ISDIR:
                self._add(node, node.cgroup.child(name))
            elif mask & (inotify.DELETE | inotify.MOVED_FROM):
                self._drop(node, name)
            elif mask & inotify.IGNORED:
                ended.append((watch, node))
        for watch, node in ended:
            # If the cgroup was removed through this mount, the watch on its parent reports the removal too.
            if self._watched.pop(watch, None) is node:
                node.watch = -1
                self._stale = True

    def _add(self, parent: _Node, cgroup: BaseCgroup) -> None:
        if cgroup.name not in parent.below:  # otherwise the listing of the parent has found the cgroup already
            self._put(parent, cgroup)

    def _put(self, parent: _Node, cgroup: BaseCgroup) -> None:
        if len(encode_name(str(cgroup.path))) >= PATH_MAX:  # such a path cannot be watched either
            self._warn("cgroups whose path is longer than PATH_MAX are left out: see depth")
            return
        node = parent.below[cgroup.name] = _Node(cgroup, parent.depth + 1)
        self._came[cgroup] = None
        self._known += 1
        self._ahead.append((node, False))

    def _drop(self, parent: _Node, name: str) -> None:
        node = parent.below.pop(name, None)
        for one in self._nodes(node) if node is not None else ():
            self._end_watch(one)
            one.gone = True
            self._known -= 1
            if one.cgroup in self._came:
                del self._came[one.cgroup]
            else:
                self._went.add(one.cgroup)

    # ---- the tree

    @staticmethod
    def _nodes(top: _Node) -> Iterator[_Node]:
        ahead = [top]
        while ahead:
            node = ahead.pop()
            yield node
            ahead += node.below.values()

    def _list_ahead(self, seconds: float) -> None:
        """List the pending directories for at most ``seconds``; leave the others for the next call.

        The owner of the subtree may create cgroups faster than they are listed.
        """
        end = time.monotonic() + seconds
        while self._ahead:
            if time.monotonic() >= end:
                return
            self._list(*self._ahead.pop())
        if self._checking:
            self._checking = False
            uncounted = self._difference()
            self._doubt = uncounted != self._uncounted
            self._uncounted = uncounted

    def _list(self, node: _Node, again: bool) -> None:  # noqa: FBT001 - private to this file
        """Watch a directory, drop its removed children and add new ones; with ``again``, list all descendants too."""
        if node.gone or (self._depth is not None and node.depth >= self._depth):
            return
        before = node.watch
        self._begin_watch(node)  # before the listing, so that no new child is missed in between
        another = node.watch != before and before >= 0
        children = _children(node.cgroup)
        if children is None:
            self._stale = True
            return
        there = {cgroup.name: cgroup for cgroup in children}
        for name in [name for name in node.below if another or name not in there]:
            self._drop(node, name)
        if again:
            self._ahead += ((below, True) for below in node.below.values())
        for cgroup in there.values():
            self._add(node, cgroup)

    def _begin_watch(self, node: _Node) -> None:
        try:
            watch = self._watcher.watch(str(node.cgroup.path))
        except OSError as error:
            self._end_watch(node)
            reason = UNWATCHED.get(error.errno or 0)
            if reason is not None:
                self._unwatched = True
                self._warn(f"{reason}: they are listed once a second")
            return
        if watch != node.watch:
            self._end_watch(node)
            node.watch = watch
        self._watched[watch] = node

    def _end_watch(self, node: _Node) -> None:
        if node.watch >= 0 and self._watched.get(node.watch) is node:
            del self._watched[node.watch]
            self._watcher.forget(node.watch)
        node.watch = -1

    def _warn(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            warnings.warn(message, RuntimeWarning, stacklevel=2)

    # ---- the kernel's count

    def _difference(self) -> int | None:
        """Return the excess of the kernel's count of cgroups over the known ones; None if the kernel has no count."""
        counted = _count(self._root.cgroup)
        return None if counted is None else counted - self._known

    def _start_again(self) -> None:
        """Start with a new inotify instance in a forked child: the inherited one would take the parent's events."""
        self.lock = threading.Lock()  # another thread of the parent may have held the old lock
        self._watcher.close()
        self._watcher = inotify.open_watcher()
        self._watched.clear()
        for node in self._nodes(self._root):
            node.watch = -1
        self._stale = True


def _children(cgroup: BaseCgroup) -> list[BaseCgroup] | None:
    """Return the children of a cgroup; None if they cannot be listed now, for example for lack of descriptors."""
    try:
        return cgroup.children()
    except (CgroupGone, AccessDenied):
        return []
    except CgroupError:
        return None


def _count(root: BaseCgroup) -> int | None:
    """Return the kernel's count: on v2 of the descendants, on v1 of the cgroups of the whole hierarchy."""
    try:
        if root.version == Version.V2:
            return dict(root.read_cells("cgroup.stat", Shape.KEYED)).get("nr_descendants")
        known = kernel_controllers(root.hierarchy.host) or {}
    except CgroupError:
        return None
    return next((known[name].cgroups for name in root.hierarchy.subsystems if name in known), None)


def _start_again_in_child() -> None:
    for subtree in _subtrees:
        subtree._start_again()  # noqa: SLF001 - of this module


os.register_at_fork(after_in_child=_start_again_in_child)
