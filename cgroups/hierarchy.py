"""Hierarchies and their cgroups: find, create, walk, attach, remove."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from . import creation, diagnosis
from ._interface import O_PATH, Failure, Shape, Status
from .control import empty, freeze, kill, move, remove
from .core.descent import descend
from .errors import AccessDenied, CgroupGone, InvalidValue, ParameterNotSupported, from_errno, shown
from .spec import ALIASES, IMPLICIT, check_name, split_path
from .view import View, location_above

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._interface import Directory, File
    from .delegation import Scope
    from .events.events import Events, Wanted
    from .host import Host
    from .limits import Effective, L
    from .mounts import Mount
    from .subsystem.parameter import Readable
    from .values import Identity

__all__ = ["Cgroup", "Hierarchy"]

PID_MAX = 1 << 22
"""PID_MAX_LIMIT of the kernel, on 64 bits: no process id is greater."""


class Hierarchy:
    """One mounted tree of cgroups.

    Attributes:
        mount_point: where it is mounted, '' when no mount shows it.
        version: 1 or 2.
        label: ``systemd`` of ``name=systemd``, else None.
        mounts: all mounts of this hierarchy that were found, those that show most of a path first.

    Equal when it is the same hierarchy of the same host.  Immutable, and safe
    to use from any thread.
    """

    __slots__ = (
        "_names",
        "_root",
        "_whole",
        "host",
        "is_noprefix",
        "label",
        "mount_point",
        "mounts",
        "root_location",
        "version",
        "view",
    )

    _local: ClassVar[Host]  # set by host.py: the host that the functions without a cgroup look at

    def __init__(
        self, host: Host, version: int, names: tuple[str, ...], label: str | None, mounts: list[Mount]
    ) -> None:
        usable = [mount for mount in mounts if mount.state != "hidden"]
        self.host = host
        self.version = version
        self.label = label
        self._names = names
        key = self.key  # and not this object, which would then hold itself
        self.view = View(usable, lambda: host.own_path(key))
        self.mounts = self.view.mounts
        self.mount_point = self.mounts[0].path if self.mounts else ""
        self.root_location = self.mounts[0].root if self.mounts else "/"
        self._root: Cgroup | None = None
        self.is_noprefix = bool(self.mounts) and self.mounts[0].noprefix
        # The usual case: the whole hierarchy is mounted.
        self._whole = next((mount for mount in self.mounts[:1] if mount.root == "/"), None)

    # ---- the seed's module functions -------------------------------------------

    @staticmethod
    def find(spec: str) -> Cgroup | None:
        """The cgroup that a spec names, None when there is none; see :meth:`Host.find`."""
        return Hierarchy._local.find(spec)

    @staticmethod
    def find_exn(spec: str) -> Cgroup:
        """The cgroup that a spec names; CgroupNotFound, a ValueError, says why there is none."""
        return Hierarchy._local.find_exn(spec)

    @staticmethod
    def find_or_create(spec: str, **rights: Unpack[creation.RightsArguments]) -> Cgroup:
        """The cgroup that a spec names, made if it is missing; see :meth:`Host.find_or_create`."""
        return Hierarchy._local.find_or_create(spec, **rights)

    @staticmethod
    def scan(subsystems: Iterable[str] | None = None) -> list[Hierarchy]:
        """The mounted hierarchies, or those with at least one of the subsystems."""
        return Hierarchy._local.scan(subsystems)

    @staticmethod
    def process_info(pid: int) -> list[Cgroup]:
        """The cgroups of a process, one for each hierarchy; see :meth:`Host.process_info`."""
        return Hierarchy._local.process_info(pid)

    @staticmethod
    def own(controller: str) -> Cgroup:
        """The calling thread's own cgroup for a controller, ``name=LABEL`` or '' for the unified hierarchy."""
        return Hierarchy._local.own(controller)

    @staticmethod
    def cgroup_equal(one: Cgroup, other: Cgroup) -> bool:
        """Whether both are the same cgroup: ``one == other``."""
        return one == other

    @staticmethod
    def is_root(cgroup: Cgroup) -> bool:
        return cgroup.is_root

    @staticmethod
    def name(cgroup: Cgroup) -> str:
        return cgroup.name

    @staticmethod
    def path(cgroup: Cgroup) -> str | None:
        return cgroup.path

    @staticmethod
    def subsys(cgroup: Cgroup) -> tuple[str, ...]:
        return cgroup.subsystems

    @staticmethod
    def children(cgroup: Cgroup) -> list[Cgroup]:
        return cgroup.children()

    @staticmethod
    def walk(cgroup: Cgroup) -> Iterator[Cgroup]:
        return cgroup.walk()

    @staticmethod
    def descendants(cgroup: Cgroup) -> list[Cgroup]:
        return cgroup.descendants()

    @staticmethod
    def make_sub(cgroup: Cgroup, name: str, **rights: Unpack[creation.RightsArguments]) -> Cgroup:
        return cgroup.make_sub(name, **rights)

    @staticmethod
    def make(cgroup: Cgroup, path: str, **rights: Unpack[creation.RightsArguments]) -> Cgroup:
        return cgroup.make(path, **rights)

    @staticmethod
    def remove(cgroup: Cgroup, *, recursive: bool = False, kill: bool = False, timeout: float | None = None) -> None:
        cgroup.remove(recursive=recursive, kill=kill, timeout=timeout)

    @staticmethod
    def freeze(cgroup: Cgroup, timeout: float | None = 10.0) -> None:
        cgroup.freeze(timeout)

    @staticmethod
    def thaw(cgroup: Cgroup, timeout: float | None = 10.0) -> None:
        cgroup.thaw(timeout)

    @staticmethod
    def signal(cgroup: Cgroup, signum: int, *, recursive: bool = True, timeout: float | None = 10.0) -> int:
        return cgroup.signal(signum, recursive=recursive, timeout=timeout)

    @staticmethod
    def kill(cgroup: Cgroup, timeout: float | None = 10.0) -> int:
        return cgroup.kill(timeout)

    @staticmethod
    def wait_empty(cgroup: Cgroup, timeout: float | None = None) -> None:
        cgroup.wait_empty(timeout)

    @staticmethod
    def move_all(cgroup: Cgroup, to: Cgroup, timeout: float | None = 10.0) -> int:
        return cgroup.move_all(to, timeout)

    @staticmethod
    def processes(cgroup: Cgroup) -> list[int]:
        return cgroup.processes()

    @staticmethod
    def add_process(cgroup: Cgroup, pid: int) -> None:
        """Moves a running process, without its children and what it has used: see :meth:`Cgroup.add_process`."""
        cgroup.add_process(pid)

    @staticmethod
    def threads(cgroup: Cgroup) -> list[int]:
        return cgroup.threads()

    @staticmethod
    def add_thread(cgroup: Cgroup, tid: int) -> None:
        cgroup.add_thread(tid)

    # ---- a hierarchy ------------------------------------------------------------

    def root(self) -> Cgroup:
        """The cgroup at the root: of the hierarchy, or of the part of it that is mounted."""
        return Cgroup(self, self.root_location)

    def equal(self, other: Hierarchy) -> bool:
        """Whether both are the same hierarchy: ``self == other``."""
        return self == other

    @property
    def subsystems(self) -> tuple[str, ...]:
        """The controllers attached to it; on v2, those that its visible root has now."""
        if self.version == 1 or not self.mounts:
            return self._names
        if self._root is None:
            # Kept, so that its cgroup.controllers stays open: each find on v2 reads it.
            self._root = self.root()
        try:
            return self._root.subsystems
        except (CgroupGone, ParameterNotSupported):
            return ()  # a capture of some cgroups only

    def has(self, controller: str) -> bool:
        """Whether a controller's cgroups are on this hierarchy, under either of its names."""
        names = self.subsystems
        if controller in names or ALIASES.get(controller) in names:
            return True
        return self.version == 2 and controller in IMPLICIT  # noqa: PLR2004 - the version

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from other hierarchies of its host."""
        return self.version, frozenset(self._names), self.label

    def mount_of(self, location: str) -> tuple[Mount, str] | None:
        """Return the first mount that shows a location, and the path below it."""
        if self._whole is not None and not location.startswith("/.."):
            return self._whole, self._whole.prefix + location[1:]
        return self.view.find(location)

    def file_name(self, name: str) -> str:
        """Return what a control file is called on this hierarchy: mounted ``noprefix``, ``cpuset.cpus`` is ``cpus``."""
        if not self.is_noprefix:
            return name
        controller, _, rest = name.partition(".")
        return rest if controller in self._names else name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hierarchy) and self.key == other.key and self.host == other.host

    def __hash__(self) -> int:
        return hash(self.key)

    def __reduce__(self) -> tuple[Any, ...]:
        return _hierarchy, (self.host, *self.key)

    def __repr__(self) -> str:
        return f"<Hierarchy v{self.version} {self.spec_head or 'unified'} at {self.mount_point or 'no mount'}>"

    @property
    def spec_head(self) -> str:
        """What a spec of a cgroup in it starts with, before the colon."""
        return f"name={self.label}" if self.label is not None else ",".join(self._names)


class Cgroup:
    """A cgroup: a location in a hierarchy.

    It stands for the name, not for one life of it: after a removal and a
    re-creation it answers again, with another ``inode``.  Equal, and hashable,
    by hierarchy and location; ``str()`` is a spec.  Safe to use from any
    thread, and after a fork in parent and child.
    """

    __slots__ = ("__weakref__", "_files", "_place", "_visible", "hierarchy", "location", "readers")

    def __init__(self, hierarchy: Hierarchy, location: str, *, visible: bool = True) -> None:
        self.hierarchy: Final = hierarchy
        self.location: Final = location
        self._visible = visible
        self._place = hierarchy.mount_of(location) if visible else None
        self._files: dict[str, File] = {}
        # How each parameter is read here; filled by Subsystem.Parameters.
        self.readers: dict[Any, Callable[[Cgroup], Any]] = {}

    # ---- what it is ----------------------------------------------------------------

    @property
    def name(self) -> str:
        """The last component of the location; '' for the root, and for a cgroup that leads down to it."""
        name = self.location.rpartition("/")[2]
        return "" if name == ".." else name

    @property
    def path(self) -> str | None:
        """The directory; None when no mount of this namespace shows it."""
        if self._place is None:
            return None
        mount, below = self._place
        below = below.removeprefix(mount.prefix).rstrip("/")
        return f"{mount.path}/{below}" if below else mount.path

    @property
    def version(self) -> int:
        return self.hierarchy.version

    @property
    def is_root(self) -> bool:
        """Whether it is the root: of the hierarchy, or of a part of it that is visible."""
        if self._place is None or self.location == "/":
            return self.location == "/" or self.location.endswith("/..")
        return self.hierarchy.mount_of(location_above(self.location)) is None

    @property
    def parent(self) -> Cgroup | None:
        """The cgroup above; None for the root."""
        if self.is_root:
            return None
        return Cgroup(self.hierarchy, location_above(self.location), visible=self._visible)

    def upwards(self) -> Iterator[Cgroup]:
        """This cgroup and those above it, up to the root that is visible."""
        cgroup: Cgroup | None = self
        while cgroup is not None:
            yield cgroup
            cgroup = cgroup.parent

    @property
    def identity(self) -> Identity | None:
        """What its path stands for: a systemd unit or slice, a container, a pod; None when it is none of them.

        Names are unescaped; ``location`` has them as systemd writes them.  In a cgroup namespace, as
        of most containers, one's own location is ``/``, which stands for nothing.
        """
        from .identity import identify  # noqa: PLC0415 - its forms cost more than the rest of the import

        return identify(self.location)

    @property
    def subsystems(self) -> tuple[str, ...]:
        """The controllers of this cgroup: on v1 its hierarchy's, on v2 those in its ``cgroup.controllers``."""
        if self.version == 1:
            return self.hierarchy.subsystems
        cells = self.read_cells("cgroup.controllers", Shape.WORDS)
        return tuple(word for _, word in cells)

    @property
    def inode(self) -> int:
        """The inode of the directory, read now; another one after a re-creation.  CgroupGone when there is none."""
        directory, below = self.place()
        inode = directory.inode(below)
        if inode < 0:
            raise diagnosis.explain(Failure(Status.OS, -inode), self, "", "read the inode of")
        return inode

    @property
    def exists(self) -> bool:
        """Whether the directory is there now."""
        if self._place is None:
            return False
        mount, below = self._place
        inode: int = mount.directory.inode(below)
        if inode < 0 and -inode not in diagnosis.ABSENT:
            raise diagnosis.explain(Failure(Status.OS, -inode), self, "", "find")
        return inode >= 0

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Cgroup)
            and self.location == other.location
            and self._visible == other._visible
            and self.hierarchy == other.hierarchy
        )

    def __hash__(self) -> int:
        return hash((self.hierarchy, self.location))

    def __reduce__(self) -> tuple[Any, ...]:
        return _cgroup, (self.hierarchy, self.location, self._visible)

    def __str__(self) -> str:
        # A path from a root that no mount shows is no location: as a spec it would name another cgroup.
        unknown = "?" if not self._visible and self.hierarchy.mounts else ""
        return f"{unknown}{self.hierarchy.spec_head}:{self.location}"

    def __repr__(self) -> str:
        return f"<Cgroup {self}>"

    @property
    def is_captured(self) -> bool:
        """Whether it is a plain directory of a captured tree, and so read-only."""
        return self._place is not None and self._place[0].state == "plain"

    def effective(self, parameter: Readable[L]) -> Effective[L]:
        """The tightest value of a limit from here up to the root that is visible, since all of them hold here.

        ``effective(Memory.limit_in_bytes).value`` is what this cgroup may
        use, whoever limits it; ``cgroup`` says who, and ``hidden`` whether
        there are cgroups above that this process cannot see.  Of Cpu.max the
        least CPUs, of v2's memory and swap the sum of the two.

        Raises:
            InvalidValue: the parameter is no limit that holds for all cgroups below.
            SubsystemNotAttached, ParameterNotSupported: this hierarchy, or this kernel, has no such limit.
        """
        from .limits import effective  # noqa: PLC0415 - it reads parameters, which are of cgroups

        return effective(self, parameter)

    def events(self, *sources: Wanted, timeout: float | None = None) -> Events:
        """What happens here, as it happens: ``for event in cgroup.events(timeout=60)``; see :class:`Events`."""
        from .events.events import Events  # noqa: PLC0415 - importing this package has to stay cheap

        return Events(self, *sources, timeout=timeout)

    def update(self, values: Mapping[Any, Any]) -> None:
        """Sets several parameters as one: all of them, or, when one is refused, none.

        Those that the kernel checks against each other, as memory and memory
        with swap, are written in the order that it takes.  Values are checked
        before any is written.
        """
        from .transaction import update  # noqa: PLC0415 - as effective

        update(lambda _: self, values)

    @staticmethod
    def delegated(name: str, controllers: Iterable[str], *, user: bool = False, timeout: float | None = 10.0) -> Scope:
        """Obtains a scope from systemd, and makes a group in it: see :class:`Scope`, which this returns.

        Where systemd manages the tree, this is how to get a part of it for oneself.

        Args:
            name: the unit is ``NAME.scope``, the group in it NAME: ASCII letters, digits and ``:-_.\\``.  Where
                there is such a unit already, a process id and a random number follow NAME.
            controllers: what the group is to have, as of a :class:`Group`.
            user: ask the user's own manager, and not the system's, which gives scopes to root alone.
            timeout: seconds for all of it.

        Raises:
            SystemdError: no systemd runs here, or none of the user's; no D-Bus; no jeepney (the extra
                ``systemd``); or it could not do it.
            AccessDenied: it was refused: polkit, or another user's bus.
            InvalidValue: a name that no unit can have.
            SubsystemNotAvailable: a controller that is not here, or that systemd never delegates.
            SubsystemNotAttached: a controller that this manager does not have.
            CgroupTimeout: it was not done in time.  Whatever the error, nothing is left.
        """
        from .delegation import delegate  # noqa: PLC0415 - it needs groups, which are of cgroups

        return delegate(name, controllers, user=user, timeout=timeout)

    # ---- files, for this package -----------------------------------------------------

    def place(self) -> tuple[Directory, str]:
        """The directory that it is opened beneath, and the path from there."""
        if self._place is None:
            raise diagnosis.invisible(self)
        mount, below = self._place
        return mount.directory, below

    def place_of(self, name: str) -> tuple[Directory, str]:
        """Return the directory that a control file is opened beneath, and its path from there."""
        directory, below = self.place()
        return directory, _join(below, self.hierarchy.file_name(name))

    def place_for_writing(self, tried: str) -> tuple[Directory, str]:
        """The same, refused before any system call where the tree is a captured one."""
        if self._place is None:
            raise diagnosis.invisible(self)
        mount, below = self._place
        if self.is_captured:
            message = f"cannot {tried}: {self.path} is not on a cgroup file system"
            raise AccessDenied(message, path=self.path, hint="a captured tree is read-only")
        return mount.directory, below

    def file(self, name: str) -> File:
        """A control file, kept by this object: its descriptor is closed when the object goes."""
        file = self._files.get(name)
        if file is None:
            directory, path = self.place_of(name)
            file = self._files.setdefault(name, directory.file(path))
        return file

    def read_cells(self, name: str, shape: int, *, listing: bool = False) -> list[tuple[str, Any]]:
        """The cells of a control file; a task list is opened for this read alone."""
        try:
            if listing:
                directory, path = self.place_of(name)
                return directory.file(path, listing=True).read(shape)
            return self.file(name).read(shape)
        except Failure as failure:
            raise diagnosis.explain(failure, self, name, "read") from None

    def write_text(self, name: str, text: str, parameter: str | None = None, value: Any = None) -> None:
        """One write(2) to a control file; of an empty text an empty line, since a write of nothing does nothing."""
        given = text if value is None else value
        directory, below = self.place_for_writing(f"set {name} to {shown(given)}")
        try:
            directory.write(
                _join(below, self.hierarchy.file_name(name)), text.encode("utf-8", "surrogateescape") or b"\n"
            )
        except Failure as failure:
            raise diagnosis.explain(failure, self, name, "write", parameter, given) from None

    # ---- processes ------------------------------------------------------------------------

    def processes(self) -> list[int]:
        """The ids of the processes in this cgroup, not of those below it, sorted.

        Source: ``cgroup.procs``.  Processes outside this process's pid
        namespace, which v2 shows as 0, are left out.
        """
        return self.task_list("cgroup.procs")

    def threads(self) -> list[int]:
        """The ids of the threads in this cgroup, sorted (``cgroup.threads``; v1: ``tasks``)."""
        return self.task_list(self._threads_file)

    @property
    def _threads_file(self) -> str:
        return "tasks" if self.version == 1 else "cgroup.threads"

    def task_list(self, name: str) -> list[int]:
        """The ids in a task list."""
        cells = self.read_cells(name, Shape.VALUES, listing=True)
        # v1 may name one twice while it moves.
        return sorted({pid for _, pid in cells if pid > 0})

    def add_process(self, pid: int) -> None:
        """Moves a process, with all of its threads, into this cgroup.

        It does not move the children that the process has: they stay where
        they are, and those that it makes from now on start here.  Nor does it move
        what the process has used: memory stays charged to the cgroup that it
        was in, and what was counted there is not counted here.  Nor the
        process's place in other hierarchies.  :class:`Popen` starts a program in
        its cgroups, and leaves nothing outside.
        """
        self._attach("cgroup.procs", "process", pid)

    def add_thread(self, tid: int) -> None:
        """Moves one thread (v1: any; v2: within a threaded subtree)."""
        self._attach(self._threads_file, "thread", tid)

    def _attach(self, name: str, what: str, pid: int) -> None:
        if not isinstance(pid, int) or isinstance(pid, bool) or not 0 < pid <= PID_MAX:
            message = f"cannot move {what} {shown(pid)} into {self}: a {what} id is from 1 to {PID_MAX}"
            raise InvalidValue(message, path=self.path)
        directory, below = self.place_for_writing(f"move {what} {pid} into {self}")
        try:
            directory.write(_join(below, name), str(pid).encode())
        except Failure as failure:
            raise diagnosis.explain_attach(failure, self, name, what, pid) from None

    def move_all(self, to: Cgroup, timeout: float | None = 10.0) -> int:
        """Moves all processes of this cgroup, not of those below it, into another; how many there were.

        Also those that its processes make meanwhile.  CgroupTimeout when they make them faster.
        """
        return move.move_all([(self, to)], timeout)

    # ---- stopping and ending what is inside, and below -----------------------------------------

    def freeze(self, timeout: float | None = 10.0) -> None:
        """Stops all processes in it and below, and waits until they are stopped.

        Source: ``cgroup.freeze``; v1: ``freezer.state``, of the freezer's
        hierarchy alone.

        Raises:
            SubsystemNotAttached: a hierarchy of v1 without the freezer.
            CgroupTimeout: a process did not stop within so many seconds; what this call has frozen is thawed again.
            InvalidValue: the caller itself is inside, or it is the root.
        """
        freeze.freeze([self], timeout)

    def thaw(self, timeout: float | None = 10.0) -> None:
        """Lets them go on, but for those below that were frozen by themselves; CgroupBusy while one above is frozen."""
        freeze.thaw([self], timeout)

    def signal(self, signum: int, *, recursive: bool = True, timeout: float | None = 10.0) -> int:
        """Sends a signal to each process in it, and below, once; how many there were.

        A process is held by a pidfd and looked for again before it is
        signalled, so that no other gets it that was given its number.  Of a threaded
        cgroup, the processes that have a thread in it.

        Raises:
            AccessDenied: processes are of another user, or in a pid namespace that is not below this one.
            CgroupTimeout: there are more cgroups than could be visited in so many seconds; those visited have it.
        """
        return kill.signal([self], signum, recursive=recursive, timeout=timeout)

    def kill(self, timeout: float | None = 10.0) -> int:
        """Ends all processes in it and below, and waits until they have ended; how many were seen.

        At once by ``cgroup.kill`` (v2, Linux 5.14); else they are frozen where
        there is a freezer, killed and thawed, until none is left.  The cgroups stay.
        Nothing where nothing is inside, or the cgroup is gone.

        Raises:
            CgroupTimeout: some are left after so many seconds: they hang in the kernel.
            AccessDenied: processes are of another user, or (without ``cgroup.kill``) have no number here.
            InvalidValue: the caller itself is inside.
        """
        return kill.kill([self], timeout)

    def wait_empty(self, timeout: float | None = None) -> None:
        """Waits until no process is in it or below: by an event of ``cgroup.events``, on v1 by its processes' pidfds.

        CgroupTimeout when some are left after so many seconds.
        """
        empty.wait_empty([self], timeout)

    # ---- the tree ----------------------------------------------------------------------------

    def children(self) -> list[Cgroup]:
        """The cgroups directly below, sorted by name."""
        return [self.child(name) for name in self._child_names()]

    def child(self, name: str) -> Cgroup:
        """The cgroup of this name below, whether it exists or not."""
        return self._at(f"{self.location.rstrip('/')}/{name}")

    def _at(self, location: str) -> Cgroup:
        """Return the cgroup at a location below this one."""
        if location.startswith("/../"):
            location = self.hierarchy.view.canonical(location)
        return Cgroup(self.hierarchy, location, visible=self._visible)

    def _child_names(self) -> list[str]:
        return self._entries(os.DirEntry.is_dir)

    def file_names(self) -> list[str]:
        """Return the names of its control files, sorted; for this package."""
        return self._entries(os.DirEntry.is_file)

    def _entries(self, is_wanted: Callable[..., bool]) -> list[str]:
        directory, below = self.place()
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

    def walk(self) -> Iterator[Cgroup]:
        """Yield this cgroup and all below it, parents first, sorted by name; what vanishes meanwhile is left out.

        Works at any depth; a few directories stay open until the iteration ends.  It takes as long as there
        are cgroups: where another user makes them, stop it when you have waited long enough.
        """
        location, depth = self.location.rstrip("/"), 0
        for node in descend(self):
            if node.above is None:
                yield self
                continue
            for _ in range(node.depth, depth + 1):
                location = location[: location.rindex("/")]
            location, depth = f"{location}/{node.name}", node.depth
            yield self._at(location)

    def descendants(self) -> list[Cgroup]:
        """All cgroups below this one, parents first."""
        return [cgroup for cgroup in self.walk() if cgroup is not self]

    def make_sub(
        self,
        name: str,
        *,
        perm: int = 0o755,
        owner: creation.Owner | None = None,
        file_perm: int | None = None,
        tasks_perm: int | None = None,
    ) -> Cgroup:
        """Makes the cgroup of this name below; CgroupExists when it is there.

        On v2 the new cgroup gets the controllers that this one has.  Keywords
        as for :meth:`Host.find_or_create`.
        """
        check_name(name)
        return self.make(name, perm=perm, owner=owner, file_perm=file_perm, tasks_perm=tasks_perm)

    def make(
        self,
        path: str,
        *,
        perm: int = 0o755,
        owner: creation.Owner | None = None,
        file_perm: int | None = None,
        tasks_perm: int | None = None,
    ) -> Cgroup:
        """Makes the cgroup at a path below, and those on the way; CgroupExists when the last is there."""
        names = split_path(path)
        if not names:
            message = f"cannot make {shown(path)} below {self}: the path names no cgroup"
            raise InvalidValue(message, path=self.path)
        rights = creation.Rights(perm, owner, file_perm, tasks_perm)
        controllers = self.subsystems if self.version == 2 else ()  # noqa: PLR2004 - the version
        return creation.create(self, names, controllers, rights, exist_ok=False)

    def remove(self, *, recursive: bool = False, kill: bool = False, timeout: float | None = None) -> None:
        """Removes this cgroup, with ``recursive`` all below it first.

        Args:
            recursive: also those below it.
            kill: end all processes in them first, as :meth:`kill` does.
            timeout: wait so many seconds for them to be empty; by default not at all, and with ``kill`` 10.
                One that is gone already is then no error.

        Raises:
            CgroupBusy: there are processes in it or, without ``recursive``, cgroups below it.  Nothing was
                removed.
            CgroupTimeout: a process could not be ended.
        """
        remove.remove([self], recursive=recursive, kill_first=kill, timeout=timeout)

    def check_removable(self) -> None:
        """Refuses what is never removed, for this package."""
        if self.is_root:
            message = f"cannot remove {self}: it is the root of its hierarchy"
            raise InvalidValue(message, path=self.path)
        self.place_for_writing(f"remove {self}")

    def remove_directory(self) -> None:
        """One rmdir(2), beneath the parent."""
        directory, below = self.place_for_writing(f"remove {self}")
        parent, _, name = below.rpartition("/")
        try:
            fd = directory.open(parent, O_PATH | os.O_DIRECTORY)
        except Failure as failure:
            raise diagnosis.explain(failure, self, "", "remove") from None
        try:
            os.rmdir(name, dir_fd=fd)
        except OSError as error:
            raise diagnosis.explain_remove(error.errno or 0, self) from None
        finally:
            os.close(fd)


# What copy and pickle call: a name is what crosses to another process, never an open file.


def _hierarchy(host: Host, version: int, names: frozenset[str], label: str | None) -> Hierarchy:
    return host.hierarchy_with(version, names, label)


def _cgroup(hierarchy: Hierarchy, location: str, visible: bool) -> Cgroup:  # noqa: FBT001 - of this file alone
    return Cgroup(hierarchy, location, visible=visible)


def _join(below: str, name: str) -> str:
    return f"{below.rstrip('/')}/{name}" if below else name
