"""Node: a cgroup's files, processes and descendants, with explained errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from . import diagnosis, refusals, systemd
from .deadline import DEFAULT_TIMEOUT_S, Deadline
from .descent import descend
from .errors import AccessDenied, InvalidValue, from_errno, shown
from .interface import ABSENT, O_PATH, Failure, Shape, Status, Version
from .tree import Place, Tree, join

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

    from .values import Identity

__all__ = ["PID_MAX", "Cgroups", "Node"]

PID_MAX = 1 << 22
"""PID_MAX_LIMIT of 64-bit kernels: the greatest id of a process or thread."""


class Cgroups(Protocol):
    """An object that represents cgroups of different hierarchies: a group, or a cgroup, which is a group of one."""

    @property
    def cgroups(self) -> Sequence[Node]: ...


class Node(Place):
    """A cgroup: explained access to its control files, its processes and the tree below it."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def hierarchy(self) -> Tree[Node]: ...

    @property
    def cgroups(self) -> tuple[Self, ...]:
        """The cgroup itself: a cgroup is a group of one."""
        return (self,)

    @property
    def identity(self) -> Identity | None:
        """The systemd unit or slice, container or pod that the path names; None if it names no such thing.

        Names are unescaped; ``location`` keeps systemd's escapes.  In a cgroup namespace, as in most containers,
        the location of the calling process is ``/``, which has no identity.
        """
        from .identity import identify  # noqa: PLC0415 - the import compiles many patterns

        return identify(self.location)

    # ---- directory

    @property
    def inode(self) -> int:
        """Inode of the directory, read now.  A cgroup that is created again has another inode.

        Raises CgroupGone if the cgroup does not exist.
        """
        inode = self.find_inode()
        if inode < 0:
            raise diagnosis.explain(Failure(Status.OS, -inode), self, "", "read the inode of")
        return inode

    @property
    def exists(self) -> bool:
        """Whether the directory exists now."""
        if self._place is None:
            return False
        inode = self.find_inode()
        if inode < 0 and -inode not in ABSENT:
            raise diagnosis.explain(Failure(Status.OS, -inode), self, "", "find")
        return inode >= 0

    def check_removable(self) -> None:
        """Raise an error if the cgroup is a root or read-only (internal)."""
        if self.is_root:
            message = f"cannot remove {self}: it is the root of its hierarchy"
            raise InvalidValue(message, path=self.path)
        self.locate_for_writing(f"remove {self}")

    def remove_directory(self) -> None:
        """Remove the directory by one rmdir(2), beneath the parent (internal)."""
        directory, below = self.locate_for_writing(f"remove {self}")
        parent, _, name = below.rpartition("/")
        try:
            fd = directory.open(parent, O_PATH | os.O_DIRECTORY)
        except Failure as failure:
            raise diagnosis.explain(failure, self, "", "remove") from None
        try:
            os.rmdir(name, dir_fd=fd)
        except OSError as error:
            raise refusals.explain_remove(error.errno or 0, self) from None
        finally:
            os.close(fd)

    # ---- control files

    @property
    def subsystems(self) -> tuple[str, ...]:
        """Controllers of this cgroup: on v1 the hierarchy's, on v2 the words of ``cgroup.controllers``."""
        return self.hierarchy.subsystems if self.version == Version.V1 else self.words("cgroup.controllers")

    def words(self, name: str) -> tuple[str, ...]:
        """Return the words of a control file such as ``cgroup.controllers`` (internal)."""
        return tuple(word for _, word in self.read_cells(name, Shape.WORDS))

    def read_cells(self, name: str, shape: int, *, listing: bool = False) -> list[tuple[str, Any]]:
        """Return the cells of a control file, without caching the descriptor of a task list (internal)."""
        try:
            return self.read_raw(name, shape, listing=listing)
        except Failure as failure:
            raise diagnosis.explain(failure, self, name, "read") from None

    def write_text(self, name: str, text: str, parameter: str | None = None, value: Any = None) -> None:
        """Write a text to a control file by one write(2) (internal).

        An empty text is written as an empty line, since a write of 0 bytes has no effect.
        """
        given = text if value is None else value
        directory, below = self.locate_for_writing(f"set {name} to {shown(given)}")
        try:
            directory.write(
                join(below, self.hierarchy.file_name(name)), text.encode("utf-8", "surrogateescape") or b"\n"
            )
        except Failure as failure:
            raise diagnosis.explain(failure, self, name, "write", parameter, given) from None

    def write_control(self, step: str, target: Place | None = None) -> None:
        """Enable or disable controllers for the children by one write to cgroup.subtree_control (internal).

        Args:
            step: such as ``+memory`` or ``-memory``.
            target: the cgroup that needs the controller, for the message.
        """
        directory, below = self.locate_for_writing(f"write {step} to cgroup.subtree_control of {self}")
        try:
            directory.write(join(below, "cgroup.subtree_control"), step.encode())
        except Failure as failure:
            raise refusals.explain_control(failure, self, step, target) from None

    def file_names(self) -> list[str]:
        """Return the sorted names of the control files (internal)."""
        return self._entries(os.DirEntry.is_file)

    # ---- processes

    def processes(self) -> list[int]:
        """Return the sorted ids of the processes in this cgroup, without descendants.

        Source: ``cgroup.procs``.  Processes outside this process's pid
        namespace, which v2 lists as 0, are skipped.
        """
        return self.task_list("cgroup.procs")

    def threads(self) -> list[int]:
        """Return the sorted ids of the threads in this cgroup (``cgroup.threads``; v1: ``tasks``)."""
        return self.task_list(self._threads_file)

    @property
    def _threads_file(self) -> str:
        return "tasks" if self.version == Version.V1 else "cgroup.threads"

    def task_list(self, name: str) -> list[int]:
        """Return the ids in a task list (internal)."""
        cells = self.read_cells(name, Shape.VALUES, listing=True)
        # v1 may list a task twice while it moves.
        return sorted({pid for _, pid in cells if pid > 0})

    def add_process(self, pid: int) -> None:
        """Move a process with all its threads into this cgroup.

        Existing children of the process stay where they are; later children start here.  Memory stays charged to
        the old cgroup, and its counters do not move.  On other hierarchies the process stays where it is.  To start
        a program in its cgroups, with nothing charged elsewhere, use :class:`Popen`.

        In a scope that this process obtained, systemd moves the process if the kernel refuses the move.
        """
        try:
            self._attach("cgroup.procs", "process", pid)
        except AccessDenied:
            keeper = systemd.keeper_of(self)
            if keeper is None:
                raise
            keeper.attach(self, pid, Deadline(DEFAULT_TIMEOUT_S))

    def add_thread(self, tid: int) -> None:
        """Move one thread into this cgroup (v1: any; v2: within a threaded subtree)."""
        self._attach(self._threads_file, "thread", tid)

    def _attach(self, name: str, what: str, pid: int) -> None:
        if not isinstance(pid, int) or isinstance(pid, bool) or not 0 < pid <= PID_MAX:
            message = f"cannot move {what} {shown(pid)} into {self}: {what} id must be from 1 to {PID_MAX}"
            raise InvalidValue(message, path=self.path)
        directory, below = self.locate_for_writing(f"move {what} {pid} into {self}")
        try:
            directory.write(join(below, name), str(pid).encode())
        except Failure as failure:
            raise refusals.explain_attach(failure, self, name, what, pid) from None

    # ---- descendants

    def children(self) -> list[Self]:
        """Return the children, sorted by name."""
        return [self.child(name) for name in self._entries(os.DirEntry.is_dir)]

    def walk(self) -> Iterator[Self]:
        """Yield this cgroup and all its descendants, parents first, sorted by name.

        Cgroups removed during the iteration are skipped.  Any depth works; a few directories stay open until the
        iteration ends.  The time grows with the number of cgroups, so bound the iteration if another user can
        create cgroups.
        """
        location, depth = self.location.rstrip("/"), 0
        for visit in descend(self):
            if visit.above is None:
                yield self
                continue
            for _ in range(visit.depth, depth + 1):
                location = location[: location.rindex("/")]
            location, depth = f"{location}/{visit.name}", visit.depth
            yield self.below(location)

    def descendants(self) -> list[Self]:
        """Return all descendants, parents first."""
        return [cgroup for cgroup in self.walk() if cgroup is not self]

    def _entries(self, is_wanted: Callable[..., bool]) -> list[str]:
        directory, below = self.locate()
        try:
            fd = directory.open(below, os.O_RDONLY | os.O_DIRECTORY)
        except Failure as failure:
            raise diagnosis.explain(failure, self, "", "list") from None
        try:
            with os.scandir(fd) as entries:
                return sorted(entry.name for entry in entries if is_wanted(entry, follow_symlinks=False))
        except OSError as error:
            raise from_errno(error.errno or 0, f"cannot list {self.path}", path=self.path) from None
        finally:
            os.close(fd)
