"""Feeds that detect the removal of a cgroup."""

from __future__ import annotations

import select
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

from ..core import inotify
from ..core.errors import CgroupGone
from ..core.seconds import NS_PER_S
from .feeds import ENDED, REMOVED, Event, Feed, Origin, grid

if TYPE_CHECKING:
    from ..control.verbs import BaseCgroup

__all__ = ["DisappearanceFeed", "ExistenceFeed", "RemovalFeed", "is_alive", "removed"]


class RemovalFeed(Feed):
    """A feed that reports removed cgroups, through inotify(7) on their parent directories.

    A poll on a file of a v2 cgroup does not return when the cgroup is removed.  A watch on
    the directory itself reports no removal either, while a file in the directory is open.
    """

    mask = select.EPOLLIN

    def __init__(self) -> None:
        super().__init__(None, "")
        self._watcher = inotify.Watcher()
        self.files.callback(self._watcher.close)
        self.fd = self._watcher.fileno()
        self._watched: dict[tuple[int, str], tuple[BaseCgroup, int]] = {}

    def add(self, cgroup: BaseCgroup, above: BaseCgroup, inode: int) -> None:
        """Watch for the removal of a cgroup; raise OSError if its parent directory cannot be watched."""
        watch = self._watcher.watch(str(above.path), inotify.REMOVALS)
        self._watched[watch, cgroup.name] = cgroup, inode

    def woken(self, mask: int, now: int) -> list[Event]:  # noqa: ARG002
        events = self._watcher.events()
        keys = {(event.watch, event.name) for event in events} & self._watched.keys()
        if any(event.mask & inotify.OVERFLOW for event in events):
            keys |= {key for key, watched in self._watched.items() if not is_alive(*watched)}
        return [removed(self._watched.pop(key)[0], self.origin) for key in keys]


class ExistenceFeed(Feed):
    """A feed that polls whether a cgroup still exists, if the kernel cannot notify of its removal."""

    origin: Origin = "sampled"

    def __init__(self, cgroup: BaseCgroup, inode: int) -> None:
        super().__init__(cgroup, "")
        self._inode = inode

    def begin(self, now: int) -> list[Event]:
        self.due = grid(now, NS_PER_S)
        return []

    def look(self, now: int) -> list[Event]:
        assert self.cgroup is not None
        if is_alive(self.cgroup, self._inode):
            return self.begin(now)
        return [removed(self.cgroup, self.origin)]


class DisappearanceFeed(ExistenceFeed):
    """A feed that finds out, after a file has disappeared, whether the cgroup disappears too.

    A removal deletes the files of a cgroup before its directory.
    """

    origin = "kernel"
    MOMENT: Final = 50_000_000

    def __init__(self, cgroup: BaseCgroup, inode: int, file: str) -> None:
        super().__init__(cgroup, inode)
        self.file = file

    def begin(self, now: int) -> list[Event]:
        self.due = now + self.MOMENT
        return []

    def look(self, now: int) -> list[Event]:
        gone = super().look(now)
        self.due = None
        return gone or [self.event(ENDED)]


def removed(cgroup: BaseCgroup, origin: Origin) -> Event:
    return Event(cgroup, REMOVED, origin, "", None, None, monotonic_ns())


def is_alive(cgroup: BaseCgroup, inode: int) -> bool:
    """Return whether the cgroup exists with this inode."""
    try:
        return cgroup.inode == inode
    except CgroupGone:
        return False
