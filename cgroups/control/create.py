"""Creation of cgroups: the directory, its owner and modes, and on v2 its controllers.  All or nothing."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar, Union

from ..core import diagnosis, refusals, systemd
from ..core.diagnosis import file_path
from ..core.errors import CgroupBusy, CgroupError, CgroupExists, InvalidValue, from_errno, is_read_only, may, shown
from ..core.interface import O_PATH, Failure, Shape, Status
from . import enabling

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from typing_extensions import Self, TypedDict

    from ..core.node import Node

    class PermissionArguments(TypedDict, total=False):
        """The keywords of every function that creates cgroups; see :meth:`Host.find_or_create`."""

        perm: int
        owner: Owner | None
        file_perm: int | None
        tasks_perm: int | None


Owner = Union[str, "tuple[int, int]"]

_TASK_FILES = frozenset({"tasks", "cgroup.procs", "cgroup.threads"})


class Permissions(NamedTuple):
    """Mode of the directory, owner of all files, modes of the control files and of the task lists."""

    perm: int
    owner: Owner | None
    file_perm: int | None
    tasks_perm: int | None

    def check(self) -> tuple[int, int] | None:
        """Return the ids of the owner; raise InvalidValue for an invalid mode or owner."""
        for name in ("perm", "file_perm", "tasks_perm"):
            mode = getattr(self, name)
            optional = name != "perm" and mode is None
            if not optional and (type(mode) is not int or not 0 <= mode <= 0o7777):  # noqa: PLR2004 - all modes
                message = f"{name} must be a file mode from 0 to 0o7777, got {shown(mode)}"
                raise InvalidValue(message)
        return None if self.owner is None else _ids(self.owner)


def permissions_of(arguments: PermissionArguments) -> Permissions:
    """Return the permissions that the keywords ask for, with the defaults for the rest."""
    perm = arguments.get("perm", 0o755)
    return Permissions(perm, arguments.get("owner"), arguments.get("file_perm"), arguments.get("tasks_perm"))


NO_CHANGE: Final = 2**32 - 1
"""The id that the kernel reads as -1: it would leave the owner unchanged."""


def _ids(owner: Owner) -> tuple[int, int]:
    if isinstance(owner, str):
        user, _, group = owner.partition(":")
        if not user and not group:
            message = f"owner must name a user or a group, got {shown(owner)}"
            raise InvalidValue(message)
        return _uid(user) if user else -1, _gid(group) if group else -1
    valid = isinstance(owner, tuple) and len(owner) == 2  # noqa: PLR2004 - a pair
    if not valid or not all(type(one) is int and -1 <= one < NO_CHANGE for one in owner):
        message = f"owner must be (uid, gid) or 'user:group', got {shown(owner)}"
        raise InvalidValue(message)
    return owner


def _uid(user: str) -> int:
    import pwd  # noqa: PLC0415 - importing the package has to stay cheap

    if user.isascii() and user.isdigit() and int(user) < NO_CHANGE:
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        message = f"owner: the user {user!r} does not exist"
        raise InvalidValue(message) from None


def _gid(group: str) -> int:
    import grp  # noqa: PLC0415

    if group.isascii() and group.isdigit() and int(group) < NO_CHANGE:
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        message = f"owner: the group {group!r} does not exist"
        raise InvalidValue(message) from None


N = TypeVar("N", bound="Node")


class Creation:
    """A rollback scope for new cgroups, used as a ``with`` block.

    On error, the block removes the cgroups that it created and disables the controllers that it enabled.
    The rollback is complete even if a signal handler raises at any point of the block.
    """

    def __init__(self) -> None:
        self._tried: list[tuple[Node, list[None]]] = []
        self._enabled: list[tuple[Node, str]] = []

    def create(
        self, base: N, names: Iterable[str], controllers: Iterable[str], permissions: Permissions, *, exist_ok: bool
    ) -> N:
        """Create the cgroup at a path below base with its missing ancestors; on v2 enable the controllers for it."""
        owner = permissions.check()
        base.locate_for_writing(f"create a cgroup below {base}")
        target = base
        for name in names:
            target = target.child(name)
        at = base
        for name in names:
            below = at.child(name)
            for controller in controllers:
                enable(at, controller, target, self._enabled)
            done: list[None] = []
            self._tried.append((below, done))
            if _make_directory(below, permissions.perm, done):
                systemd.check(at)
                _apply(below, permissions, owner)
                # A concurrent removal may have disabled controllers before the directory existed: see control.disable.
                for controller in controllers:
                    enable(at, controller, target, self._enabled)
            elif not exist_ok and below == target:
                raise CgroupExists(
                    f"cannot create {target} ({target.path}): it exists", path=target.path, errno=errno.EEXIST
                )
            at = below
        return target

    @property
    def created(self) -> tuple[Node, ...]:
        """The cgroups that did not exist before, parents first."""
        return tuple(cgroup for cgroup, done in self._tried if done)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            _undo(self.created, self._enabled)


def create(base: N, names: Iterable[str], controllers: Iterable[str], permissions: Permissions, *, exist_ok: bool) -> N:
    """Create one cgroup, all or nothing: see :class:`Creation`."""
    with Creation() as creation:
        return creation.create(base, names, controllers, permissions, exist_ok=exist_ok)


def enable(cgroup: Node, controller: str, target: Node, enabled: list[tuple[Node, str]]) -> None:
    """Enable a controller for a cgroup's children; record it for rollback if it was disabled before."""
    if controller in cgroup.words("cgroup.subtree_control"):
        return
    check_may_enable(cgroup, controller, target)
    # Recorded first: an interrupted write may have taken effect, and disabling a refused controller is harmless.
    enabled.append((cgroup, controller))
    cgroup.write_control(f"+{controller}", target)
    enabling.remember(cgroup, controller)


def enable_together(cgroup: Node, controllers: Iterable[str], target: Node) -> list[str]:
    """Enable the available ones of several controllers by one write; if the kernel refuses the write, enable none.

    Returns:
        The controllers that are not enabled.  :func:`enable` reports the reason for each.
    """
    enabled = cgroup.words("cgroup.subtree_control")
    missing = [one for one in controllers if one not in enabled]
    available = cgroup.subsystems if missing else ()
    wanted = [one for one in missing if one in available]
    if len(wanted) > 1:
        with suppress(CgroupError):
            check_may_enable(cgroup, wanted[0], target)
            cgroup.write_control(" ".join(f"+{one}" for one in wanted), target)
            return [one for one in missing if one not in available]
    return missing


def check_may_enable(cgroup: Node, controller: str, target: Node) -> None:
    """Refuse to enable a controller without permission, or if the cgroup would become a threaded domain.

    The kernel itself refuses most controllers of a cgroup with processes.  The kernel
    accepts cpu, cpuset and pids, but then makes the cgroup a threaded domain,
    which the caller did not request.

    Raises:
        AccessDenied: the mount is read-only, or the file may not be written.
        CgroupBusy: the cgroup has processes.
    """
    path = file_path(cgroup, "cgroup.subtree_control")
    if is_read_only(path):
        raise refusals.explain_control(Failure(Status.OS, errno.EROFS), cgroup, f"+{controller}", target)
    if not may(path, os.W_OK):
        raise refusals.explain_control(Failure(Status.OS, errno.EACCES), cgroup, f"+{controller}", target)
    try:
        [(_, kind)] = cgroup.read_cells("cgroup.type", Shape.TEXT)
    except CgroupError:
        return  # the root, which may have processes and controllers
    if kind == "domain" and refusals.count_processes(cgroup):
        raise CgroupBusy(
            refusals.control_tried(cgroup, controller, target),
            path=cgroup.path,
            errno=errno.EBUSY,
            hint=refusals.explain_internal_processes(cgroup),
        )


def _make_directory(cgroup: Node, perm: int, done: list[None]) -> bool:
    """Create a directory in its parent; return False if it exists.  ``done`` is not empty after a creation."""
    directory, below = cgroup.locate_for_writing(f"create {cgroup}")
    parent, _, name = below.rpartition("/")
    try:
        fd = directory.open(parent, O_PATH | os.O_DIRECTORY)
    except Failure as failure:
        raise diagnosis.explain(failure, cgroup.parent or cgroup, "", "create a cgroup in") from None
    try:
        # Created and noted within one call of C, so no signal handler runs in between.
        done.extend(map(partial(os.mkdir, mode=perm, dir_fd=fd), [name]))
    except FileExistsError:
        if cgroup.exists:
            return False
        raise refusals.explain_create(errno.EEXIST, cgroup) from None
    except OSError as error:
        raise refusals.explain_create(error.errno or 0, cgroup) from None
    finally:
        os.close(fd)
    return True


def _apply(cgroup: Node, permissions: Permissions, owner: tuple[int, int] | None) -> None:
    """Set the modes, whatever the umask, and the owner of a cgroup's directory and of each file in it."""
    directory, below = cgroup.locate_for_writing(f"create {cgroup}")
    try:
        fd = directory.open(below, os.O_RDONLY | os.O_DIRECTORY)
    except Failure as failure:
        raise diagnosis.explain(failure, cgroup, "", "open") from None
    try:
        os.fchmod(fd, permissions.perm)
        if owner is None and permissions.file_perm is None and permissions.tasks_perm is None:
            return
        with os.scandir(fd) as entries:
            names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        for name in names:
            perm = permissions.tasks_perm if name in _TASK_FILES else permissions.file_perm
            if perm is not None:
                os.chmod(name, perm, dir_fd=fd)
            if owner is not None:
                os.chown(name, *owner, dir_fd=fd, follow_symlinks=False)
        if owner is not None:
            os.fchown(fd, *owner)
    except OSError as error:
        raise from_errno(error.errno or 0, f"cannot set owner or mode of {cgroup}", path=cgroup.path) from None
    finally:
        os.close(fd)


def _undo(made: Sequence[Node], enabled: list[tuple[Node, str]]) -> None:
    """Undo a creation in reverse order, ignoring errors: the caller reports the original one."""
    for cgroup in reversed(made):
        try:
            cgroup.remove_directory()
        except CgroupError:
            continue
    for cgroup, controller in reversed(enabled):
        try:
            cgroup.write_control(f"-{controller}")
        except CgroupError:
            continue
        enabling.forget(cgroup, [controller])
