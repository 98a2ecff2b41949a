"""Every exception of the package, and the one mapping of statuses and errnos to them.

All derive from :class:`CgroupError` and from the builtin that a Python
programmer would expect.  ``str(error)`` says what was tried, on which file,
with what value, what the kernel answered and what to do; the same facts are
attributes, and they survive ``pickle`` and ``copy``.
"""

from __future__ import annotations

import errno as _errno
import os
import stat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._interface import Failure

__all__ = [
    "AccessDenied",
    "CgroupBusy",
    "CgroupError",
    "CgroupExists",
    "CgroupGone",
    "CgroupNotFound",
    "CgroupOSError",
    "CgroupTimeout",
    "ExpectedRoot",
    "InvalidValue",
    "NativeRequired",
    "ParameterNotSupported",
    "ParseError",
    "ProcessNotFound",
    "SubsystemNotAttached",
    "SubsystemNotAvailable",
    "SystemdError",
    "SystemdWarning",
]


class CgroupError(Exception):
    """The base of all errors of this package.

    Attributes: ``path`` (the file or directory), ``parameter`` (its name, as
    ``memory.limit_in_bytes``), ``errno`` and ``hint`` (what to do); each None
    where there is none.
    """

    path: str | None
    parameter: str | None
    hint: str | None

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        parameter: str | None = None,
        errno: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.parameter = parameter
        self.errno = errno
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        facts = {"path": self.path, "parameter": self.parameter, "errno": self.errno, "hint": self.hint}
        return _rebuild, (type(self), self.message, facts)


def _rebuild(kind: type[CgroupError], message: str, facts: dict[str, Any]) -> CgroupError:
    return kind(message, **facts)


class CgroupNotFound(CgroupError, ValueError):
    """No such cgroup, or none that this mount namespace can see."""


class CgroupExists(CgroupError, FileExistsError):
    """A cgroup, or a control file, of this name is there already."""


class CgroupGone(CgroupError, FileNotFoundError):
    """The cgroup has been removed since it was found."""


class CgroupBusy(CgroupError, OSError):
    """The kernel refuses because of what is inside: processes, children, enabled controllers."""


class AccessDenied(CgroupError, PermissionError):
    """Not permitted to this user, or not in a captured tree."""


class ProcessNotFound(CgroupError, ProcessLookupError):
    """No process, or thread, with this id."""


class CgroupTimeout(CgroupError, TimeoutError):
    """The time given was over before it was done."""


class CgroupOSError(CgroupError, OSError):
    """Any other answer of the kernel; ``errno`` says which."""


class SubsystemNotAvailable(CgroupError, LookupError):
    """The controller is on no mounted hierarchy of this host."""


class SubsystemNotAttached(CgroupError, LookupError):
    """The controller is available, but not in this cgroup."""


class ParameterNotSupported(CgroupError, LookupError):
    """This kernel, or this version of control groups, has no such control file."""


class ExpectedRoot(CgroupError, ValueError):
    """The parameter exists in the root cgroup alone."""


class InvalidValue(CgroupError, ValueError):
    """A value that cannot be: refused before anything is written, or by the kernel."""


class ParseError(CgroupError, ValueError):
    """A control file whose text is not of the shape that it should have."""


class NativeRequired(CgroupError, RuntimeError):
    """Only the native backend can do this."""


class SystemdError(CgroupError, RuntimeError):
    """There is no systemd to ask here, or it did not do what it was asked for."""


class SystemdWarning(UserWarning):
    """A cgroup was made by hand in a tree that systemd manages, outside of what it has delegated."""


# What the kernel's answers mean on a control file.  An errno that is not here
# is CgroupOSError.
_BY_ERRNO: dict[int, type[CgroupError]] = {
    _errno.ENOENT: CgroupGone,
    _errno.ENODEV: CgroupGone,
    _errno.EEXIST: CgroupExists,
    _errno.EBUSY: CgroupBusy,
    _errno.ENOTEMPTY: CgroupBusy,
    _errno.EACCES: AccessDenied,
    _errno.EPERM: AccessDenied,
    _errno.EROFS: AccessDenied,
    _errno.ESRCH: ProcessNotFound,
    _errno.EINVAL: InvalidValue,
    _errno.ERANGE: InvalidValue,
    _errno.E2BIG: InvalidValue,
    _errno.ENAMETOOLONG: InvalidValue,
    _errno.ETIMEDOUT: CgroupTimeout,
}


SHOWN = 200


def shown(value: object) -> str:
    """A value as an error quotes it: never too long, and never itself an error."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - an int of thousands of digits, or somebody's own repr
        return f"a {type(value).__name__} that cannot be shown"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def describe_errno(errno: int) -> str:
    """``EBUSY, Device or resource busy``."""
    return f"{_errno.errorcode.get(errno, errno)}, {os.strerror(errno)}"


def describe_access(path: str) -> str | None:
    """Who may do what to a file: the hint of AccessDenied."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return f"{path} is owned by {status.st_uid}:{status.st_gid} with mode {stat.S_IMODE(status.st_mode):04o}"


def from_errno(
    errno: int,
    tried: str,
    *,
    path: str | None = None,
    parameter: str | None = None,
    hint: str | None = None,
    kind: type[CgroupError] | None = None,
) -> CgroupError:
    """The exception for a system call that failed; ``kind`` where the caller knows better than the table."""
    kind = kind or _BY_ERRNO.get(errno, CgroupOSError)
    if kind is AccessDenied and path is not None:
        hint = "; ".join(part for part in (describe_access(path), hint) if part) or None
    return kind(f"{tried}: {describe_errno(errno)}", path=path, parameter=parameter, errno=errno, hint=hint)


def from_failure(
    failure: Failure,
    tried: str,
    *,
    path: str | None = None,
    parameter: str | None = None,
    hint: str | None = None,
    kind: type[CgroupError] | None = None,
) -> CgroupError:
    """The exception for a backend's failure, whichever backend it was."""
    if failure.errno:
        return from_errno(failure.errno, tried, path=path, parameter=parameter, hint=hint, kind=kind)
    return ParseError(
        f"{tried}: {failure.reason} at offset {failure.offset}, near {failure.excerpt!r}",
        path=path,
        parameter=parameter,
        hint=hint,
    )
