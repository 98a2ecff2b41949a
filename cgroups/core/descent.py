"""Visit the cgroups of a subtree by directory descriptors, never by a path.

The subtree may belong to another user, who may nest cgroups deeper than
PATH_MAX and make, remove or (v1) rename them while they are visited.  Each
directory is opened by its one name from the directory above it, so the depth
does not matter and nothing outside the subtree is reached.  The count of open
descriptors is bounded: a directory that was closed on the way down is opened
again by ``..`` on the way up, and must have the same inode.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, TypeVar

from .._interface import O_PATH, Failure
from ..errors import CgroupError, from_errno

if TYPE_CHECKING:
    from ..hierarchy import Cgroup

__all__ = ["Node", "count_children", "descend"]

R = TypeVar("R")

MAX_OPEN: Final = 8
"""Directories that are kept open at a time, at most."""

LISTED_AT_ONCE: Final = 512
"""Entries of a directory that are read before the deadline is looked at again."""

OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

GONE: Final = frozenset({errno.ENOENT, errno.ENODEV, errno.ENOTDIR, errno.ELOOP})
"""The answers for a name that is no directory any more."""

EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE})

RENAMES: Final = 16
"""How often a directory of v1 is listed again for what was renamed before it was visited."""

NO_CHILDREN: Final = 2
"""Links of a cgroup's directory without cgroups below: from its parent, and from itself."""


class Node:
    """A cgroup that is visited.

    Attributes:
        name: its name in the cgroup above; '' for the top.
        above: the cgroup above, None for the top.
        depth: levels below the top.
        fd: its open directory; valid until the next node is asked for.
        ahead: names of the cgroups below that are still to visit, the next one last.
        seen: inodes of the cgroups below that were visited; kept for v1.
        lists: how often it may be listed again.
    """

    __slots__ = ("above", "ahead", "depth", "fd", "identity", "lists", "name", "seen")

    def __init__(self, name: str, above: Node | None, fd: int) -> None:
        self.name = name
        self.above = above
        self.depth: int = 0 if above is None else above.depth + 1
        self.fd = fd
        self.identity: tuple[int, int] = (0, 0)
        self.ahead: list[str] = []
        self.seen: set[int] = set()
        self.lists: int = RENAMES

    def cgroup(self, top: Cgroup) -> Cgroup:
        """Return the cgroup; its location is as long as the tree is deep, so make it only to report it."""
        names: list[str] = []
        node: Node | None = self
        while node is not None and node.above is not None:
            names.append(node.name)
            node = node.above
        return top.child("/".join(reversed(names))) if names else top

    def read(self, name: str) -> bytes:
        """Return the whole text of a control file.

        Raises:
            OSError: as open(2) and read(2) say it.
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
            OSError: as open(2) and write(2) say it.
        """
        fd = self.with_room(lambda: os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.fd))
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    def with_room(self, act: Callable[[], R]) -> R:
        """Do what takes a descriptor; if none is left, close the directories above, and retry."""
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
        """Leave out the cgroups below that are not visited yet."""
        self.ahead, self.lists = [], 0

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


class _Stack:
    """The nodes from the top to the one that is visited, the last few with an open directory."""

    def __init__(self, top: Cgroup, check: Callable[[], None]) -> None:
        self._top = top
        self._check = check
        self._links = not top.is_captured  # other file systems may count links in their own way
        self._renames = top.version == 1 and self._links
        self.nodes: list[Node] = []

    def enter(self, name: str = "") -> Node | None:
        """Open a directory below the last one, or the top; list what is below; None if it is gone."""
        above = self.nodes[-1] if self.nodes else None
        fd = self._open_top() if above is None else above.with_room(lambda: os.open(name, OPEN, dir_fd=above.fd))
        node = Node(name, above, fd)
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

    def has_more(self, node: Node) -> bool:
        """Return whether a cgroup is still to visit directly below a node; of v1 also one that was renamed meanwhile.

        Raises:
            OSError: as open(2) and getdents(2) say it.
        """
        while not node.ahead and self._renames and node.lists > 0:
            if os.fstat(node.fd).st_nlink - NO_CHILDREN == len(node.seen):
                break
            node.lists -= 1
            node.ahead = node.with_room(lambda: self._list(node))
        return bool(node.ahead)

    def open_above(self, node: Node) -> bool:
        """Open the directory above the last node again, if it was closed on the way down; False if it is gone."""
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
        directory, below = self._top.place()
        try:
            return directory.open(below, os.O_RDONLY | os.O_DIRECTORY)
        except Failure as failure:
            number = failure.errno or errno.ENODEV  # its hierarchy was unmounted
            raise OSError(number, os.strerror(number)) from None

    @staticmethod
    def _open_same(name: str, directory: int, node: Node) -> int:
        fd = os.open(name, OPEN, dir_fd=directory)
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) != node.identity:
            os.close(fd)
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        return fd

    def _list(self, node: Node) -> list[str]:
        """List the names of the cgroups below that were not visited, the first by name last; forget what is gone."""
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


def descend(top: Cgroup, check: Callable[[], None] | None = None, *, below_first: bool = False) -> Iterator[Node]:
    """Yield a cgroup and all below it, in the order of their names; what vanishes meanwhile is left out.

    Args:
        top: the cgroup to begin with; if it is gone, nothing is yielded.
        check: called for every directory; raises to end the visit.
        below_first: yield each cgroup after all below it, with the directory above it open, and not before them.

    Raises:
        AccessDenied: a directory may not be listed by this user.
        CgroupOSError: the kernel refuses for another reason, such as no descriptor being left.
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
                if error.errno not in GONE:
                    raise _explained(error, stack.nodes, name, top) from None
                node = None
            if node is not None and not below_first:
                yield node
            while stack.nodes and not _has_more(stack, top):
                check()
                last = stack.nodes[-1]
                if not _climb(stack, last, top):
                    return  # the tree above was taken away
                if below_first:
                    yield last
                stack.leave()
            if not stack.nodes:
                return
            name = stack.nodes[-1].ahead.pop()
    finally:
        stack.close()


def _no_check() -> None:
    """For a visit without a deadline."""


def _has_more(stack: _Stack, top: Cgroup) -> bool:
    try:
        return stack.has_more(stack.nodes[-1])
    except OSError as error:
        raise _explained(error, stack.nodes, "", top) from None


def _climb(stack: _Stack, last: Node, top: Cgroup) -> bool:
    try:
        return stack.open_above(last)
    except OSError as error:
        raise _explained(error, stack.nodes, "", top) from None


def _explained(error: OSError, nodes: list[Node], name: str, top: Cgroup) -> Exception:
    if isinstance(error, CgroupError):  # the deadline
        return error
    cgroup = nodes[-1].cgroup(top) if nodes else top
    if name:
        cgroup = cgroup.child(name)
    return from_errno(error.errno or 0, f"cannot list {cgroup}", path=cgroup.path)


def count_children(cgroup: Cgroup) -> int:
    """Return how many cgroups are directly below, without listing them; 0 if the cgroup is gone."""
    directory, below = cgroup.place()
    try:
        fd = directory.open(below, O_PATH | os.O_DIRECTORY)
    except Failure:
        return 0
    try:
        return max(0, os.fstat(fd).st_nlink - NO_CHILDREN)
    finally:
        os.close(fd)
