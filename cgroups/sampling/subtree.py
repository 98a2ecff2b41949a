"""A subtree of cgroups as it changes, without walking it again and again.

Each directory is watched by inotify(7), so that asking what has changed is
one read that finds nothing.  inotify tells of what is done through the same
mount of a hierarchy, and a container with a cgroup namespace has another; so
once a second the kernel's own count of cgroups is compared, and where it
does not fit, or events were lost, the subtree is walked once more.
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

from .. import _inotify
from .._interface import Shape, encode_name
from ..core.pidfd import DENIED
from ..errors import AccessDenied, CgroupError, CgroupGone
from ..spec import PATH_MAX

if TYPE_CHECKING:
    from ..hierarchy import Cgroup

__all__ = ["Subtree"]

CHECK_NS: Final = 1_000_000_000

FIRST_ROUND_S: Final = 10.0
"""Seconds that the first listing may take, at most; what is left comes later."""

ROUND_S: Final = 0.5
"""Seconds that one call lists what is new, at most."""

UNWATCHED: Final = {
    errno.ENOSPC: "fs.inotify.max_user_watches is too low to watch all cgroups",
    **dict.fromkeys(DENIED, "a seccomp filter denies inotify, which watches cgroups"),
}
"""Why no directory more can be watched."""

_subtrees: weakref.WeakSet[Subtree] = weakref.WeakSet()


class _Node:
    __slots__ = ("below", "cgroup", "depth", "gone", "watch")

    def __init__(self, cgroup: Cgroup, depth: int) -> None:
        self.cgroup = cgroup
        self.depth = depth
        self.below: dict[str, _Node] = {}
        self.watch = -1
        self.gone = False


class Subtree:
    """The cgroups below a root, with that root, down to a depth; the root stays also where it is gone."""

    def __init__(self, root: Cgroup, depth: int | None = None) -> None:
        self.lock = threading.Lock()  # for whoever uses it: of what changed and what is done with that
        self._depth = depth
        self._watcher = _inotify.open_watcher()
        self._begin(root)
        _subtrees.add(self)

    def _begin(self, root: Cgroup) -> None:
        self._root = _Node(root, 0)
        self._watched: dict[int, _Node] = {}
        self._came: dict[Cgroup, None] = {root: None}
        self._went: set[Cgroup] = set()
        self._unwatched = False  # some directory could not be
        self._stale = False  # the tree may be another than is known here
        self._doubt = True  # what was counted last may have come after the listing
        self._known = 1
        self._checked = time.monotonic_ns()
        self._ahead: list[tuple[_Node, bool]] = [(self._root, False)]  # to be listed, the next one last
        self._checking = False  # all of it is listed once more
        self._warned: set[str] = set()
        self._list_ahead(FIRST_ROUND_S)
        self._uncounted = self._difference()

    def restart(self) -> None:
        """Forget all that is known: everything that exists now has then come."""
        self._watcher.close()
        self._watcher = _inotify.open_watcher()
        self._begin(self._root.cgroup)

    def changes(self) -> tuple[set[Cgroup], list[Cgroup]]:
        """What went and what came since last asked; a cgroup that was made again is in both."""
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
        """Ends all watches."""
        self._watcher.close()

    # ---- events

    def _take_events(self) -> None:
        ended: list[tuple[int, _Node]] = []
        for watch, mask, name in self._watcher.events():
            node = self._watched.get(watch)
            if mask & _inotify.OVERFLOW:
                self._stale = True
            elif node is None:
                continue
            elif mask & (_inotify.CREATE | _inotify.MOVED_TO) and mask & _inotify.ISDIR:
                self._add(node, node.cgroup.child(name))
            elif mask & (_inotify.DELETE | _inotify.MOVED_FROM):
                self._drop(node, name)
            elif mask & _inotify.IGNORED:
                ended.append((watch, node))
        for watch, node in ended:
            # Its parent tells too, sooner or later, where the cgroup was removed through this mount.
            if self._watched.pop(watch, None) is node:
                node.watch = -1
                self._stale = True

    def _add(self, parent: _Node, cgroup: Cgroup) -> None:
        if cgroup.name not in parent.below:  # else seen already, when its parent was listed
            self._put(parent, cgroup)

    def _put(self, parent: _Node, cgroup: Cgroup) -> None:
        if len(encode_name(str(cgroup.path))) >= PATH_MAX:  # nor could it be watched
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
        """List the directories that are to be listed, for so many seconds; the rest is for the next call.

        Whoever owns the subtree may make cgroups faster than they are listed.
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

    def _list(self, node: _Node, again: bool) -> None:  # noqa: FBT001 - of this file alone
        """Watch a directory, drop what is gone from it and add what is new; ``again``: also in all below."""
        if node.gone or (self._depth is not None and node.depth >= self._depth):
            return
        before = node.watch
        self._begin_watch(node)  # first, so that nothing is made unseen after the listing
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
        """How many more cgroups the kernel counts than are known here; None where it does not tell."""
        counted = _count(self._root.cgroup)
        return None if counted is None else counted - self._known

    def _start_again(self) -> None:
        """In a forked child, which shares the parent's instance, and must not take its events."""
        self.lock = threading.Lock()  # another thread, which the child has not, may have had it
        self._watcher.close()
        self._watcher = _inotify.open_watcher()
        self._watched.clear()
        for node in self._nodes(self._root):
            node.watch = -1
        self._stale = True


def _children(cgroup: Cgroup) -> list[Cgroup] | None:
    """The cgroups directly below; None where that cannot be known now, as without a descriptor left."""
    try:
        return cgroup.children()
    except (CgroupGone, AccessDenied):
        return []
    except CgroupError:
        return None


def _count(root: Cgroup) -> int | None:
    """Of v2 the cgroups below it; of v1 those of its whole hierarchy."""
    try:
        if root.version == 2:  # noqa: PLR2004 - the version
            return dict(root.read_cells("cgroup.stat", Shape.KEYED)).get("nr_descendants")
        with open(f"{root.hierarchy.host.root.rstrip('/')}/proc/cgroups", encoding="ascii") as file:
            lines = [line.split() for line in file]
    except (CgroupError, OSError):
        return None
    names = root.hierarchy.subsystems
    return next((int(line[2]) for line in lines if line[0] in names), None)


def _start_again_in_child() -> None:
    for subtree in _subtrees:
        subtree._start_again()  # noqa: SLF001 - of this module


os.register_at_fork(after_in_child=_start_again_in_child)
