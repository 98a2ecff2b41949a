"""Find the mount that shows a cgroup, among several or partial mounts and inside a cgroup namespace.

Inside a cgroup namespace the kernel writes each path relative to the
namespace's root: ``/a`` is below the root, ``/../b`` beside it.  A mount made
outside the namespace starts higher, at ``/../..`` for two levels.  The kernel
does not show the names between the start of such a mount and the namespace's root.
These names are looked up once: by the inode of a mount that starts lower, else by
the cgroup that lists the calling thread.

A location is relative to the root of the lowest mount: ``/a`` is below this root, and
``/../b`` is one level higher, which only another mount can show.
"""

from __future__ import annotations

import os
from _thread import get_native_id
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from .interface import Failure, Version
from .mounts import Mount, split_above

__all__ = ["View", "location_above"]


def location_above(location: str) -> str:
    """Return the location of the parent."""
    head, _, name = location.rpartition("/")
    return f"{location}/.." if name == ".." else head or "/"


class View:
    """The mounts of one hierarchy, sorted so that the mount that shows most of a path is first.

    Args:
        mounts: the usable mounts.
        own_path: returns the calling thread's path in this hierarchy, in the form of /proc; None if unknown.
    """

    __slots__ = ("_names", "_own_path", "_top", "mounts")

    def __init__(self, mounts: Sequence[Mount], own_path: Callable[[], str | None]) -> None:
        # A nested part is then accessed through the enclosing mount, which also shows its parent.
        self.mounts = tuple(sorted(mounts, key=lambda mount: (mount.above, mount.root.rstrip("/").count("/"))))
        # The highest mount that contains the namespace's root.
        whole = [mount for mount in self.mounts if mount.root == "/"]
        self._top = whole[-1] if whole else None
        self._own_path = own_path
        self._names: tuple[str, ...] | None = None

    def find(self, location: str) -> tuple[Mount, str] | None:
        """Return the first mount that shows a location, and the path below it."""
        if not self.mounts:
            return None
        above, path = split_above(location)
        above += self.mounts[0].above
        for mount in self.mounts:
            full = self._from(mount.above, above, path)
            relative = None if full is None else mount.relative(full)
            if relative is not None:
                return mount, mount.prefix + relative
        return None

    def location_of(self, path: str) -> str | None:
        """Return the location of a path from /proc; None if the names on the way to it are unknown."""
        if not self.mounts:
            return None
        above, below = split_above(path)
        steps = above - self.mounts[0].above
        if steps > 0:
            return "/.." * steps + below.rstrip("/")
        return self._from(self.mounts[0].above, above, below)

    def canonical(self, location: str) -> str:
        """Return the canonical location of a cgroup: ``/../b/c`` is ``/c`` if b leads down to the lowest mount."""
        above, path = split_above(location)
        lowest = self.mounts[0].above if self.mounts else 0
        while above > 0:
            name = self._between(lowest + above, lowest + above - 1)
            if name is None or not f"{path}/".startswith(name + "/"):
                break
            path = path[len(name) :] or "/"
            above -= 1
        return ("/.." * above + path.rstrip("/")) or "/"

    def _from(self, begin: int, above: int, path: str) -> str | None:
        """Convert a path from the level ``above`` to one from the level ``begin``, both above the namespace's root."""
        if begin == above:
            return path
        names = self._between(begin, above)
        return None if names is None else (names + path).rstrip("/")

    def _between(self, higher: int, lower: int) -> str | None:
        """Return the path between two levels above the namespace's root, such as ``/a/b``; None if unknown."""
        if self._top is None or not lower < higher <= self._top.above:
            return None
        if self._names is None:
            self._names = self._find_names(self._top)
        start, end = self._top.above - higher, self._top.above - lower
        return "/" + "/".join(self._names[start:end]) if end <= len(self._names) else None

    # ---- the way to the namespace's root -------------------------------------------------------

    def _find_names(self, top: Mount) -> tuple[str, ...]:
        """Return the names from a mount down to the namespace's root; empty if unknown."""
        if top.state != "cgroup":
            return ()  # a captured tree, which has no processes of this machine
        lower = next((mount for mount in self.mounts if mount.root == "/" and mount.above < top.above), None)
        found = None
        if lower is not None:
            inode = lower.directory.inode(lower.prefix.rstrip("/"))
            depth = top.above - lower.above
            found = next((one for one in _directories(top, depth) if inode == _inode(top, one)), None)
        for _ in range(_MOVES):
            # Retry if the thread was moved meanwhile.
            if found is None:
                found = self._find_own(top)
        return tuple(found.split("/")) if found else ()

    def _find_own(self, top: Mount) -> str | None:
        """Find the cgroup that lists the calling thread; return the path from a mount to its namespace level."""
        path = self._own_path()
        above, below = split_above(path) if path is not None else (top.above, "")
        file = "tasks" if top.version == Version.V1 else "cgroup.threads"
        thread = str(get_native_id()).encode()
        for one in _directories(top, top.above - above):
            if thread in _words(top, f"{one}{below.rstrip('/')}/{file}"):
                return one
        return None


_MOVES = 2


def _directories(mount: Mount, depth: int) -> Iterator[str]:
    """Yield the paths of the directories ``depth`` levels below a mount; nothing for depth 0."""
    ahead = [("", 0)] if depth > 0 else []
    while ahead:
        path, level = ahead.pop()
        if level == depth:
            yield path
            continue
        with suppress(Failure, OSError):  # removed or unreadable
            fd = mount.directory.open(mount.prefix + path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                with os.scandir(fd) as entries:
                    names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
            finally:
                os.close(fd)
            ahead += [(f"{path}/{name}" if path else name, level + 1) for name in names]


def _inode(mount: Mount, path: str) -> int:
    return mount.directory.inode(mount.prefix + path)


def _words(mount: Mount, path: str) -> set[bytes]:
    """Return the words of a control file below a mount; empty if it cannot be read."""
    with suppress(Failure, OSError), open(mount.directory.open(mount.prefix + path, os.O_RDONLY), "rb") as file:
        return set(file.read().split())
    return set()
