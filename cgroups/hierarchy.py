"""Host, Hierarchy and Cgroup: a machine, its trees of cgroups, and one cgroup.  Docstrings and delegates only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Final

from .control import create as creation
from .control.verbs import BaseCgroup
from .core import naming
from .core.errors import CgroupGone, CgroupNotFound, InvalidValue, SubsystemNotAvailable, shown
from .core.interface import Version
from .core.specs import check_name, parse_spec, split_path, to_enable
from .core.tree import Tree
from .core.trees import Trees
from .observe.watched import Watched

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .control.create import PermissionArguments
    from .observe.effective import Effective, L
    from .parameters.kinds import Readable

__all__ = ["LOCAL", "Cgroup", "Hierarchy", "Host"]


class Cgroup(BaseCgroup, Watched["Cgroup"]):
    """A cgroup: a location in a hierarchy.

    The object stands for the name, not for one directory.  After a removal and a
    re-creation the same object is usable again, with another ``inode``.  Equality and hash are
    by hierarchy and location; ``str()`` returns a spec.  Cgroups are safe to use from any
    thread, and after a fork in parent and child.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def hierarchy(self) -> Hierarchy: ...

    delegated: ClassVar[Callable[..., Any]]
    """The deprecated name of :meth:`Scope.obtain`.  ``cgroups/__init__.py`` sets the attribute."""

    def effective(self, parameter: Readable[L]) -> Effective[L, Cgroup]:
        """Return the tightest value of a limit from here up to the topmost visible ancestor, since all of them apply.

        ``effective(Memory.limit_in_bytes).value`` is the memory that this cgroup
        may use.  ``cgroup`` is the cgroup with this limit, and ``hidden`` is True if
        some ancestors are not visible to this process.  For Cpu.max the result is the
        smallest number of CPUs; for memory plus swap of v2, the sum of the two limits.

        Args:
            parameter: a limit such as Memory.max, Memory.high, Pids.max or Cpu.max.

        Raises:
            InvalidValue: the parameter is not a limit that applies to all descendants.
            SubsystemNotAttached: this hierarchy has no such limit.
            ParameterNotSupported: this kernel has no such limit.
        """
        from .observe.effective import effective  # noqa: PLC0415 - importing this package has to stay cheap

        return effective(self, parameter)

    def make_sub(
        self,
        name: str,
        *,
        perm: int = 0o755,
        owner: creation.Owner | None = None,
        file_perm: int | None = None,
        tasks_perm: int | None = None,
    ) -> Cgroup:
        """Create the child of this name.

        On v2 the controllers of this cgroup are enabled for the new cgroup.  The keywords
        are those of :meth:`Host.find_or_create`.

        Args:
            name: the name of the child, without a slash.
            perm: mode of the new directory.
            owner: ``(uid, gid)`` or ``'user:group'``.
            file_perm: mode of the control files.
            tasks_perm: mode of cgroup.procs, cgroup.threads and tasks.

        Raises:
            CgroupExists: the child exists.
            AccessDenied: the caller may not create the cgroup.
            InvalidValue: the name, a mode or the owner is not valid.
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
        """Create the cgroup at a path below, with its missing ancestors.

        The keywords are those of :meth:`Host.find_or_create`.

        Args:
            path: the names below this cgroup, separated by slashes.
            perm: mode of the new directories.
            owner: ``(uid, gid)`` or ``'user:group'``.
            file_perm: mode of the control files.
            tasks_perm: mode of cgroup.procs, cgroup.threads and tasks.

        Raises:
            CgroupExists: the cgroup exists.
            AccessDenied: the caller may not create the cgroup.
            InvalidValue: the path, a mode or the owner is not valid.
        """
        names = split_path(path)
        if not names:
            message = f"cannot create {shown(path)} below {self}: the path names no cgroup"
            raise InvalidValue(message, path=self.path)
        permissions = creation.Permissions(perm, owner, file_perm, tasks_perm)
        controllers = self.subsystems if self.version == Version.V2 else ()
        return creation.create(self, names, controllers, permissions, exist_ok=False)


class Hierarchy(Tree[Cgroup]):
    """One mounted tree of cgroups.

    Attributes:
        mount_point: the mount point, '' if no mount shows the hierarchy.
        version: 1 or 2, an int.
        label: ``systemd`` for ``name=systemd``, otherwise None.
        mounts: all mounts of this hierarchy; the mounts that show most of a path come first.

    Two objects are equal if they are the same hierarchy of the same host.  Hierarchies are immutable, and
    safe to use from any thread.
    """

    __slots__ = ()

    place_class: ClassVar[type[Any]] = Cgroup
    host: Host

    # ---- the seed's module functions -------------------------------------------

    @staticmethod
    def find(spec: str) -> Cgroup | None:
        """Return the cgroup that a spec names, None if it does not exist; see :meth:`Host.find`."""
        return LOCAL.find(spec)

    @staticmethod
    def find_exn(spec: str) -> Cgroup:
        """Return the cgroup that a spec names; raise CgroupNotFound, a ValueError, with the reason if it is missing."""
        return LOCAL.find_exn(spec)

    @staticmethod
    def resolve(text: str, controller: str | None = None, *, timeout: float | None = 5.0) -> Cgroup:
        """Return the cgroup that a text names, such as ``ssh.service`` or ``pid:1``; see :meth:`Host.resolve`."""
        return LOCAL.resolve(text, controller, timeout=timeout)

    @staticmethod
    def find_or_create(spec: str, **permissions: Unpack[PermissionArguments]) -> Cgroup:
        """Return the cgroup that a spec names, created if it is missing; see :meth:`Host.find_or_create`."""
        return LOCAL.find_or_create(spec, **permissions)

    @staticmethod
    def scan(subsystems: Iterable[str] | None = None) -> list[Hierarchy]:
        """Return the mounted hierarchies, or those with at least one of the subsystems."""
        return LOCAL.scan(subsystems)

    @staticmethod
    def process_info(pid: int) -> list[Cgroup]:
        """Return the cgroups of a process, one per hierarchy; see :meth:`Host.process_info`."""
        return LOCAL.process_info(pid)

    @staticmethod
    def own(controller: str) -> Cgroup:
        """Return the calling thread's cgroup for a controller, ``name=LABEL``, or '' for the unified hierarchy."""
        return LOCAL.own(controller)

    @staticmethod
    def cgroup_equal(one: Cgroup, other: Cgroup) -> bool:
        """Return whether both are the same cgroup: ``one == other``."""
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
    def make_sub(cgroup: Cgroup, name: str, **permissions: Unpack[PermissionArguments]) -> Cgroup:
        return cgroup.make_sub(name, **permissions)

    @staticmethod
    def make(cgroup: Cgroup, path: str, **permissions: Unpack[PermissionArguments]) -> Cgroup:
        return cgroup.make(path, **permissions)

    @staticmethod
    def remove(
        cgroup: Cgroup,
        *,
        recursive: bool = False,
        kill: bool = False,
        timeout: float | None = None,
        disable_controllers: bool = False,
    ) -> None:
        cgroup.remove(recursive=recursive, kill=kill, timeout=timeout, disable_controllers=disable_controllers)

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
        """Move a running process, without its children and its charged memory: see :meth:`Cgroup.add_process`."""
        cgroup.add_process(pid)

    @staticmethod
    def threads(cgroup: Cgroup) -> list[int]:
        return cgroup.threads()

    @staticmethod
    def add_thread(cgroup: Cgroup, tid: int) -> None:
        cgroup.add_thread(tid)


class Host(Trees[Hierarchy, Cgroup]):
    """A machine, described by the files below ``root``.

    With a root other than ``/`` the mount table is ``ROOT/proc/1/mountinfo``,
    and every mount point is resolved below ROOT.  So an agent in a container can
    watch its node, and a program can read a captured tree, which is read-only.

    Safe to use from any thread; a forked child reads its own mount table.
    """

    tree_class: ClassVar[type[Any]] = Hierarchy

    def __reduce__(self) -> tuple[Any, ...]:
        return _host, (self.root,)

    def resolve(self, text: str, controller: str | None = None, *, timeout: float | None = naming.SEARCH_S) -> Cgroup:
        """Return the cgroup that a text names, in one of the common forms.

        - ``ssh.service``, ``user@1000.service``, ``app.slice``, ``session-3.scope``: a systemd unit.  A unit whose
          ancestors are only slices precedes units inside another unit, such as those of a user's manager.
        - ``1234`` or ``pid:1234``: the cgroup of a process.  ``.``: the calling thread's own cgroup.
        - ``container:3f2a``: the container whose id begins with these digits; at least four hexadecimal digits.
        - ``/system.slice/ssh.service``: a location; the first slash may be omitted.
        - ``/sys/fs/cgroup/memory/job``: a directory below a mount point.
        - ``id:4242``: the cgroup of v2 with this id, which is its inode.
        - ``memory:/a``, ``:/a``, ``name=systemd:/a``, ``memory``: a spec, as in :meth:`find`.
        - ``docker 4f0f5e1c9d2b``, ``job``: a name as shown by the commands ``watch`` and ``tree``.

        The owner of a subtree chooses the names of the cgroups in it.  While a system unit is stopped, the
        search can find a user's cgroup of the same name.  A program that runs as root should use a location or a spec.

        Without a controller, the first hierarchy that has the location is used, in this order: the unified one,
        ``name=systemd``, that of memory.  For a process, a hierarchy in which the process is
        below the root precedes a hierarchy in which the process is in the root.

        Args:
            text: one of the forms above.
            controller: the controller (or ``name=LABEL``; '' is the unified hierarchy) of the hierarchy to
                use.  If the text is a spec, a directory or an id, which name their own
                hierarchy, the controller is ignored.
            timeout: seconds for a search of the trees; None for no limit.

        Raises:
            CgroupNotFound: no cgroup has the name, or several do: the hint then lists at most five.
            CgroupTimeout: the trees have too many cgroups to search in this time.
            InvalidValue: the text is in another form.
            ProcessNotFound: no process has this id.
            SubsystemNotAvailable: the controller, or v2 for an id, is on no mounted hierarchy.
        """
        return naming.resolve(self, text, controller, timeout)

    def find_or_create(
        self,
        spec: str,
        *,
        perm: int = 0o755,
        owner: creation.Owner | None = None,
        file_perm: int | None = None,
        tasks_perm: int | None = None,
    ) -> Cgroup:
        """Return the cgroup that a spec names; create it and its missing ancestors if it does not exist.

        On v2 the controllers of the spec are enabled along the path (``:/a``
        enables none).  On error, the call removes the cgroups that it created and disables the
        controllers that it enabled.  The error names the rule or the permission that prevents the creation.

        Args:
            spec: a spec, as in :meth:`find`.
            perm: mode of the new directories, whatever the umask.
            owner: ``(uid, gid)`` or ``'user:group'``, of the new directories and all files in them.  The
                owner of ``cgroup.kill`` and ``cgroup.freeze`` can kill or freeze every process in the cgroup, of any
                user: never move a process there that the owner must not kill.
            file_perm: mode of the control files in them.
            tasks_perm: mode of cgroup.procs, cgroup.threads and tasks in them.

        Raises:
            SubsystemNotAvailable: no mounted hierarchy has the controllers of the spec.
            CgroupNotFound: no mount shows the location.
            AccessDenied: the caller may not create the cgroup.
            CgroupBusy: on v2, a cgroup on the path has processes, and so cannot enable controllers.
            InvalidValue: the spec, a mode or the owner is not valid.
        """
        names, location = parse_spec(spec)
        permissions = creation.Permissions(perm, owner, file_perm, tasks_perm)
        permissions.check()
        hierarchy, reason = self._index().resolve(names)
        if hierarchy is None:
            message = f"cannot create {shown(spec)}: {reason}"
            raise SubsystemNotAvailable(message)
        root = hierarchy.root()
        target = root if location is None else hierarchy.at(location)
        if target.path is None:
            raise CgroupNotFound(f"cannot create {shown(spec)}", hint=self._why_absent(target))
        controllers = to_enable(hierarchy.version, names)
        if _has(target, controllers):
            return target
        *_, top = target.upwards()  # the top of the mount that shows the cgroup: several mounts may show parts
        below = target.location.removeprefix(top.location.rstrip("/"))
        return creation.create(top, split_path(below), controllers, permissions, exist_ok=True)


def _has(cgroup: Cgroup, controllers: Iterable[str]) -> bool:
    """Return whether a cgroup exists, with these controllers.  The cgroup may be removed meanwhile."""
    try:
        return cgroup.exists and all(name in cgroup.subsystems for name in controllers)
    except CgroupGone:
        return False


def _host(root: str) -> Host:
    """Return LOCAL for its root, otherwise a new host.  Copy and pickle call this function."""
    return LOCAL if root == LOCAL.root else Host(root)


LOCAL: Final = Host("/")
"""The machine that this process runs on."""
