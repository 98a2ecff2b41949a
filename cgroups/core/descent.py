"""Visit the cgroups of a subtree by directory descriptors, never by a path.

The subtree may belong to another user, who may nest cgroups deeper than
PATH_MAX and create, remove or (v1) rename them during the visit.  Each
directory is opened by its name in its parent, so depth does not matter and
nothing outside the subtree is reached.  The number of open descriptors is
bounded: a directory closed on the way down is opened again by ``..`` on the
way up, and must have the same inode.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, TypeVar

from .errors import CgroupError, from_errno
from .interface import O_PATH, Failure, Version

if TYPE_CHECKING:
    from .tree import Place

__all__ = ["Visit", "count_children", "descend"]

P = TypeVar("P", bound="Place")
R = TypeVar("R")

MAX_OPEN: Final = 8
"""Maximum number of directories kept open."""

LISTED_AT_ONCE: Final = 512
"""Directory entries to read between checks of the deadline."""

OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

GONE: Final = frozenset({errno.ENOENT, errno.ENODEV, errno.ENOTDIR, errno.ELOOP})
"""The errnos for a name that has stopped being a directory."""

DENIED: Final = frozenset({errno.EACCES, errno.EPERM})

EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE})

RENAMES: Final = 16
"""Number of times that a v1 directory is listed again to find cgroups that were renamed before their visit."""

NO_CHILDREN: Final = 2
"""Links of a cgroup's directory without children: from its parent, and from itself."""


class Visit:
    """A cgroup during its visit.

    Attributes:
        name: its name in the cgroup above; '' for the top.
        above: the cgroup above, None for the top.
        depth: levels below the top.
        fd: its open directory; valid until the next visit.
        ahead: names of the children still to visit, the next one last.
        seen: inodes of the visited children; kept for v1.
        lists: the number of times that the directory may be listed again.
    """

    __slots__ = ("above", "ahead", "depth", "fd", "identity", "lists", "name", "seen")

    def __init__(self, name: str, above: Visit | None, fd: int) -> None:
        self.name = name
        self.above = above
        self.depth: int = 0 if above is None else above.depth + 1
        self.fd = fd
        self.identity: tuple[int, int] = (0, 0)
        self.ahead: list[str] = []
        self.seen: set[int] = set()
        self.lists: int = RENAMES

    def cgroup(self, top: P) -> P:
        """Return the cgroup, for a report only: its location grows with the depth of the tree."""
        names: list[str] = []
        node: Visit | None = self
        while node is not None and node.above is not None:
            names.append(node.name)
            node = node.above
        return top.child("/".join(reversed(names))) if names else top

    def read(self, name: str) -> bytes:
        """Return the whole text of a control file.

        Raises:
            OSError: from open(2) or read(2).
        """
        fd = self.with_room(lambda: os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd))
        try:
            parts: list[bytes] = []
            while part := os.read(fd, 1 << 16):
                parts.append(part)
        finally:
            os.close(fd)
        return b"".join(parts)

    def write(self, name: str, text: str) -> None:
        """Set a control file to a text by one system call.

        Raises:
            OSError: from open(2) or write(2).
        """
        fd = self.with_room(lambda: os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd))
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    def with_room(self, act: Callable[[], R]) -> R:
        """Call a function that opens a descriptor; if none is left, close the directories above and retry."""
        try:
            return act()
        except OSError as error:
            if error.errno not in EXHAUSTED:
                raise
        node = self.above
        while node is not None and node.fd >= 0:
            node.close()
            node = node.above
        return act()

    def skip(self) -> None:
        """Skip the children that are not visited yet."""
        self.ahead, self.lists = [], 0

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


class _Stack:
    """The nodes from the top to the visited one.  The last few nodes have an open directory."""

    def __init__(self, top: Place, check: Callable[[], None]) -> None:
        self._top = top
        self._check = check
        self._links = not top.is_captured  # other file systems may count links differently
        self._renames = top.version == Version.V1 and self._links
        self.nodes: list[Visit] = []

    def enter(self, name: str = "") -> Visit | None:
        """Open and list the top, or a child of the last node; return None if another file system is mounted there."""
        above = self.nodes[-1] if self.nodes else None
        fd = self._open_top() if above is None else above.with_room(lambda: os.open(name, OPEN, dir_fd=above.fd))
        node = Visit(name, above, fd)
        try:
            status = os.fstat(fd)
            node.identity = status.st_dev, status.st_ino
            if above is not None and status.st_dev != above.identity[0]:  # another file system is mounted there
                node.close()
                return None
            if not self._links or status.st_nlink != NO_CHILDREN:
                node.ahead = node.with_room(lambda: self._list(node))
        except BaseException:
            node.close()
            raise
        if above is not None and self._renames:
            above.seen.add(status.st_ino)
        self.nodes.append(node)
        if len(self.nodes) > MAX_OPEN:
            self.nodes[-MAX_OPEN - 1].close()
        return node

    def leave(self) -> None:
        self.nodes.pop().close()

    def has_more(self, node: Visit) -> bool:
        """Return whether a child of a node is still to visit.

        On v1 a child may have been renamed during the visit.

        Raises:
            OSError: from open(2) or getdents(2).
        """
        while not node.ahead and self._renames and node.lists > 0:
            if os.fstat(node.fd).st_nlink - NO_CHILDREN == len(node.seen):
                break
            node.lists -= 1
            node.ahead = node.with_room(lambda: self._list(node))
        return bool(node.ahead)

    def open_above(self, node: Visit) -> bool:
        """Reopen the directory above the last node if it was closed on the way down; return False if it is gone."""
        above = node.above
        if above is None or above.fd >= 0:
            return True
        try:
            above.fd = node.with_room(lambda: self._open_same("..", node.fd, above))
        except OSError as error:
            if error.errno not in GONE:
                raise
            return False
        return True

    def close(self) -> None:
        while self.nodes:
            self.leave()

    def _open_top(self) -> int:
        directory, below = self._top.locate()
        try:
            return directory.open(below, os.O_RDONLY | os.O_DIRECTORY)
        except Failure as failure:
            number = failure.errno or errno.ENODEV  # the hierarchy was unmounted
            raise OSError(number, os.strerror(number)) from None

    @staticmethod
    def _open_same(name: str, directory: int, node: Visit) -> int:
        fd = os.open(name, OPEN, dir_fd=directory)
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) != node.identity:
            os.close(fd)
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        return fd

    def _list(self, node: Visit) -> list[str]:
        """Return the names of the children not visited yet, in reverse order; forget those that are gone."""
        names, inodes = [], set()
        with os.scandir(node.fd) as entries:
            for number, entry in enumerate(entries):
                if number % LISTED_AT_ONCE == 0:
                    self._check()
                if entry.is_dir(follow_symlinks=False):
                    inodes.add(entry.inode())
                    if entry.inode() not in node.seen:
                        names.append(entry.name)
        node.seen &= inodes
        names.sort(reverse=True)
        return names


def descend(
    top: Place,
    check: Callable[[], None] | None = None,
    *,
    below_first: bool = False,
    on_denied: Callable[[], None] | None = None,
) -> Iterator[Visit]:
    """Yield a cgroup and all cgroups below it, sorted by name; skip those removed during the visit.

    Args:
        top: the cgroup to start from; if it is gone, nothing is yielded.
        check: called for every directory; it raises to end the visit.
        below_first: yield each cgroup after its descendants, not before, while its parent's directory is open.
        on_denied: called for a directory that this user may not list; the directory is skipped.

    Raises:
        AccessDenied: this user may not list a directory, and ``on_denied`` is None.
        CgroupOSError: the kernel refuses for another reason, for example no descriptor is left.
    """
    check = check or _no_check
    stack = _Stack(top, check)
    name = ""
    try:
        while True:
            check()
            try:
                node = stack.enter(name)
            except OSError as error:
                if error.errno in DENIED and on_denied is not None:
                    on_denied()
                elif error.errno not in GONE:
                    raise _explained(error, stack.nodes, name, top) from None
                node = None
            if node is not None and not below_first:
                yield node
            while stack.nodes and not _has_more(stack, top):
                check()
                last = stack.nodes[-1]
                if not _climb(stack, last, top):
                    return  # the tree above was removed
                if below_first:
                    yield last
                stack.leave()
            if not stack.nodes:
                return
            name = stack.nodes[-1].ahead.pop()
    finally:
        stack.close()


def _no_check() -> None:
    """Do nothing: the visit has no deadline."""


def _has_more(stack: _Stack, top: Place) -> bool:
    try:
        return stack.has_more(stack.nodes[-1])
    except OSError as error:
        raise _explained(error, stack.nodes, "", top) from None


def _climb(stack: _Stack, last: Visit, top: Place) -> bool:
    try:
        return stack.open_above(last)
    except OSError as error:
        raise _explained(error, stack.nodes, "", top) from None


def _explained(error: OSError, nodes: list[Visit], name: str, top: Place) -> Exception:
    if isinstance(error, CgroupError):  # the deadline
        return error
    cgroup = nodes[-1].cgroup(top) if nodes else top
    if name:
        cgroup = cgroup.child(name)
    return from_errno(error.errno or 0, f"cannot list {cgroup}", path=cgroup.path)


def count_children(cgroup: Place) -> int:
    """Return the number of children without listing them; 0 if the cgroup is gone."""
    directory, below = cgroup.locate()
    try:
        fd = directory.open(below, O_PATH | os.O_DIRECTORY)
    except Failure:
        return 0
    try:
        return max(0, os.fstat(fd).st_nlink - NO_CHILDREN)
    finally:
        os.close(fd)
