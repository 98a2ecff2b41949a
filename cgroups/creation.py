"""Making cgroups: directories, who owns them, and on v2 the controllers they get.  All or nothing."""

from __future__ import annotations

import errno
import os
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Union

from . import diagnosis, managed
from ._interface import O_PATH, Failure
from .errors import CgroupError, CgroupExists, InvalidValue, from_errno, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from typing_extensions import Self, TypedDict

    from .hierarchy import Cgroup

    class RightsArguments(TypedDict, total=False):
        """The keywords of whatever makes cgroups; :meth:`Host.find_or_create` tells of them."""

        perm: int
        owner: Owner | None
        file_perm: int | None
        tasks_perm: int | None


Owner = Union[str, "tuple[int, int]"]

_TASK_FILES = frozenset({"tasks", "cgroup.procs", "cgroup.threads"})


class Rights(NamedTuple):
    """Mode of the directory, owner of all, modes of the control files and of the task lists."""

    perm: int
    owner: Owner | None
    file_perm: int | None
    tasks_perm: int | None

    def check(self) -> tuple[int, int] | None:
        """The owner's ids; InvalidValue for what cannot be."""
        for name in ("perm", "file_perm", "tasks_perm"):
            mode = getattr(self, name)
            optional = name != "perm" and mode is None
            if not optional and (type(mode) is not int or not 0 <= mode <= 0o7777):  # noqa: PLR2004 - all modes
                message = f"{name} {shown(mode)} is not a file mode"
                raise InvalidValue(message)
        return None if self.owner is None else _ids(self.owner)


def rights_of(arguments: RightsArguments) -> Rights:
    """Those of the keywords, and what is usual."""
    perm = arguments.get("perm", 0o755)
    return Rights(perm, arguments.get("owner"), arguments.get("file_perm"), arguments.get("tasks_perm"))


NO_CHANGE: Final = 2**32 - 1
"""What the kernel takes for -1: an owner of this id would stay as it is."""


def _ids(owner: Owner) -> tuple[int, int]:
    if isinstance(owner, str):
        user, _, group = owner.partition(":")
        if not user and not group:
            message = f"owner {shown(owner)} names neither a user nor a group"
            raise InvalidValue(message)
        return _uid(user) if user else -1, _gid(group) if group else -1
    valid = isinstance(owner, tuple) and len(owner) == 2  # noqa: PLR2004 - a pair
    if not valid or not all(type(one) is int and -1 <= one < NO_CHANGE for one in owner):
        message = f"owner {shown(owner)} is neither (uid, gid) nor 'user:group'"
        raise InvalidValue(message)
    return owner


def _uid(user: str) -> int:
    import pwd  # noqa: PLC0415 - importing the package has to stay cheap

    if user.isascii() and user.isdigit() and int(user) < NO_CHANGE:
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        message = f"owner: there is no user {user!r}"
        raise InvalidValue(message) from None


def _gid(group: str) -> int:
    import grp  # noqa: PLC0415

    if group.isascii() and group.isdigit() and int(group) < NO_CHANGE:
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        message = f"owner: there is no group {group!r}"
        raise InvalidValue(message) from None


class Making:
    """Makes cgroups in a ``with`` block: when that fails, those that were made go, and what was enabled is disabled.

    Also when the handler of a signal raises at any point of it.
    """

    def __init__(self) -> None:
        self._tried: list[tuple[Cgroup, list[None]]] = []
        self._enabled: list[tuple[Cgroup, str]] = []

    def create(
        self, base: Cgroup, names: Iterable[str], controllers: Iterable[str], rights: Rights, *, exist_ok: bool
    ) -> Cgroup:
        """Makes the cgroup at the path of names below base, with these controllers (v2), and what is missing."""
        owner = rights.check()
        base.place_for_writing(f"make a cgroup below {base}")
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
            if _make_directory(below, rights.perm, done):
                managed.check(at)
                _apply(below, rights, owner)
            elif not exist_ok and below == target:
                raise CgroupExists(
                    f"cannot make {target} ({target.path}): it exists", path=target.path, errno=errno.EEXIST
                )
            at = below
        return target

    @property
    def made(self) -> tuple[Cgroup, ...]:
        """Those that were not there before, parents first."""
        return tuple(cgroup for cgroup, done in self._tried if done)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            _undo(self.made, self._enabled)


def create(base: Cgroup, names: Iterable[str], controllers: Iterable[str], rights: Rights, *, exist_ok: bool) -> Cgroup:
    """One cgroup, all or nothing: see :class:`Making`."""
    with Making() as making:
        return making.create(base, names, controllers, rights, exist_ok=exist_ok)


def enable(cgroup: Cgroup, controller: str, target: Cgroup, enabled: list[tuple[Cgroup, str]]) -> None:
    """Enables a controller for the children of a cgroup, and adds it to those that there are to undo if it was not."""
    if controller in diagnosis.words(cgroup, "cgroup.subtree_control"):
        return
    diagnosis.check_may_enable(cgroup, controller, target)
    # First: an interrupted one may have been taken, and one that was refused is no harm to disable.
    enabled.append((cgroup, controller))
    write_control(cgroup, f"+{controller}", target)


def write_control(cgroup: Cgroup, step: str, target: Cgroup | None = None) -> None:
    """Writes one step, ``+memory`` or ``-memory``, to cgroup.subtree_control; target is who needs it."""
    directory, below = cgroup.place_for_writing(f"write {step} to cgroup.subtree_control of {cgroup}")
    try:
        directory.write(f"{below}/cgroup.subtree_control" if below else "cgroup.subtree_control", step.encode())
    except Failure as failure:
        raise diagnosis.explain_control(failure, cgroup, step, target) from None


def _make_directory(cgroup: Cgroup, perm: int, done: list[None]) -> bool:
    """One mkdir(2) beneath the parent; False when the cgroup is there.  ``done`` is not empty once it is made."""
    directory, below = cgroup.place_for_writing(f"make {cgroup}")
    parent, _, name = below.rpartition("/")
    try:
        fd = directory.open(parent, O_PATH | os.O_DIRECTORY)
    except Failure as failure:
        raise diagnosis.explain(failure, cgroup.parent or cgroup, "", "make a cgroup in") from None
    try:
        # Made and noted within one call of C: no signal's handler comes in between.
        done.extend(map(partial(os.mkdir, mode=perm, dir_fd=fd), [name]))
    except FileExistsError:
        if cgroup.exists:
            return False
        raise diagnosis.explain_create(errno.EEXIST, cgroup) from None
    except OSError as error:
        raise diagnosis.explain_create(error.errno or 0, cgroup) from None
    finally:
        os.close(fd)
    return True


def _apply(cgroup: Cgroup, rights: Rights, owner: tuple[int, int] | None) -> None:
    """Modes, whatever the umask, and the owner; of the directory and of each file in it."""
    directory, below = cgroup.place_for_writing(f"make {cgroup}")
    try:
        fd = directory.open(below, os.O_RDONLY | os.O_DIRECTORY)
    except Failure as failure:
        raise diagnosis.explain(failure, cgroup, "", "open") from None
    try:
        os.fchmod(fd, rights.perm)
        if owner is None and rights.file_perm is None and rights.tasks_perm is None:
            return
        with os.scandir(fd) as entries:
            names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        for name in names:
            perm = rights.tasks_perm if name in _TASK_FILES else rights.file_perm
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


def _undo(made: Sequence[Cgroup], enabled: list[tuple[Cgroup, str]]) -> None:
    """Backwards, as far as it goes: the error that led here is the one to report."""
    for cgroup in reversed(made):
        try:
            cgroup.remove_directory()
        except CgroupError:
            continue
    for cgroup, controller in reversed(enabled):
        try:
            write_control(cgroup, f"-{controller}")
        except CgroupError:
            continue
