"""The exceptions of the package, and the mapping of statuses and errnos to them.

Each exception derives from :class:`CgroupError` and from the matching builtin.
``str(error)`` is one line: the attempted operation, the file, the value, the
kernel's answer and a hint.  The same facts are attributes, which survive
``pickle`` and ``copy``.
"""

from __future__ import annotations

import errno as _errno
import os
import re
import stat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

    from .interface import Failure

__all__ = [
    "AccessDenied",
    "Advice",
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


# ---- text --------------------------------------------------------------------------------


def visible(text: str) -> str:
    """Return a text with each byte that is not UTF-8 written as ``\\xff``, as in all messages and output."""
    return _BYTES.sub(_as_hex, text) if not text.isascii() else text


def printable(text: str) -> str:
    """Return a text on one line, without control characters: ``\\n``, ``\\x1b``, ``\\xff``."""
    return text if text.isprintable() else "".join(map(_escaped, visible(text)))


_BYTES = re.compile("[\udc80-\udcff]")


def _as_hex(match: re.Match[str]) -> str:
    return f"\\x{ord(match[0]) - 0xDC00:02x}"


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


_PATH = re.compile(r"\(/[^)]*\)")

LINE = 160
"""Approximate length of a message in characters, without its path."""

SHOWN = 100
"""Maximum characters of a value that a message quotes."""


def shown(value: object) -> str:
    """Return the text of a value for a message, bounded in length; never raise."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - an int of thousands of digits, or a failing __repr__
        return f"a {type(value).__name__} that cannot be shown"
    text = _ESCAPED_BYTE.sub(r"\1\\x\2", text)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


# repr() doubles each backslash of the text.
_ESCAPED_BYTE = re.compile(r"(?<!\\)((?:\\\\)*)\\udc([89a-f][0-9a-f])")


class Advice(str):
    """The next step for the reader of a message, in two forms: one names a function, the other a command.

    The text of the string is Python's form.

    Attributes:
        command: the form for users of the command ``cgroups``.
    """

    __slots__ = ("command",)
    command: str

    def __new__(cls, python: str, command: str | None = None) -> Self:
        advice = super().__new__(cls, python)
        advice.command = python if command is None else command
        return advice

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.command)


def join_hints(*hints: str | None) -> Advice | None:
    """Join hints into one, in both forms; return None if all are empty."""
    found = [hint for hint in hints if hint]
    if not found:
        return None
    return Advice("; ".join(found), "; ".join(in_command(hint) or "" for hint in found))


_PARAMETER = re.compile(r"\b(?P<owner>[A-Z][A-Za-z]+)(?:\(size\))?\.(?P<name>[a-z_]+)\b(?!\()")

_OWNERS = {
    "Core": "cgroup.",
    "Hugetlb": "hugetlb.SIZE.",
    "NetCls": "net_cls.",
    "NetPrio": "net_prio.",
    "PerfEvent": "perf_event.",
    "Parameters": "",
}


def in_command(hint: str | None) -> str | None:
    """Return the command's form of a hint; without one, write parameters such as Memory.max as memory.max."""
    if hint is None or isinstance(hint, Advice):
        return hint and hint.command
    return _PARAMETER.sub(lambda match: _OWNERS.get(match["owner"], f"{match['owner'].lower()}.") + match["name"], hint)


def _line(message: str, hint: str | None) -> str:
    return printable(f"{message} ({hint})" if hint else message)


# ---- exceptions --------------------------------------------------------------------------


class CgroupError(Exception):
    """Base class of all errors of this package.

    Attributes: ``path`` (the file or directory), ``parameter`` (its name, such as
    ``memory.limit_in_bytes``), ``errno`` and ``hint`` (the next step); each is None
    if unknown.
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
        return _line(self.message, self.hint)

    def for_command(self) -> str:
        """Return the line that the command prints; its hint names commands."""
        return _line(self.message, in_command(self.hint))

    def __reduce__(self) -> tuple[Any, ...]:
        facts = {"path": self.path, "parameter": self.parameter, "errno": self.errno, "hint": self.hint}
        return _rebuild, (type(self), self.message, facts)


def _rebuild(kind: type[CgroupError], message: str, facts: dict[str, Any]) -> CgroupError:
    return kind(message, **facts)


class CgroupNotFound(CgroupError, ValueError):
    """The cgroup does not exist, or is not visible in this mount namespace."""


class CgroupExists(CgroupError, FileExistsError):
    """A cgroup or a control file of this name already exists."""


class CgroupGone(CgroupError, FileNotFoundError):
    """The cgroup has been removed since it was found."""


class CgroupBusy(CgroupError, OSError):
    """The kernel refuses because of the contents: processes, children or enabled controllers."""


class AccessDenied(CgroupError, PermissionError):
    """This user may not perform the operation, or the cgroup belongs to a captured tree, which is read-only."""


class ProcessNotFound(CgroupError, ProcessLookupError):
    """No process or thread has this id."""


class CgroupTimeout(CgroupError, TimeoutError):
    """The operation timed out."""


class CgroupOSError(CgroupError, OSError):
    """Any other error of the kernel.  ``errno`` has the error's number."""


class SubsystemNotAvailable(CgroupError, LookupError):
    """The controller is on no mounted hierarchy of this host."""


class SubsystemNotAttached(CgroupError, LookupError):
    """The controller is available, but not in this cgroup."""


class ParameterNotSupported(CgroupError, LookupError):
    """This kernel, or this version of control groups, has no such control file."""


class ExpectedRoot(CgroupError, ValueError):
    """The parameter exists only in the root cgroup."""


class InvalidValue(CgroupError, ValueError):
    """An invalid value, refused before a write or by the kernel."""


class ParseError(CgroupError, ValueError):
    """The text of a control file does not have the expected shape."""


class NativeRequired(CgroupError, RuntimeError):
    """Only the native backend supports the operation."""


class SystemdError(CgroupError, RuntimeError):
    """systemd is not running here, or it failed a request."""


class SystemdWarning(UserWarning):
    """A cgroup was created directly in a tree that systemd manages, outside a delegated subtree.

    Attributes: ``message``, and ``hint`` (the alternative).
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return _line(self.message, self.hint)

    def for_command(self) -> str:
        """Return the line that the command prints; its hint names commands."""
        return _line(self.message, in_command(self.hint))


# The exception for each errno of a control file; any other errno is CgroupOSError.
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


def describe_errno(errno: int) -> str:
    """Return the name and the text of an errno: ``EBUSY, Device or resource busy``."""
    return f"{_errno.errorcode.get(errno, errno)}, {os.strerror(errno)}"


def is_read_only(path: str) -> bool:
    """Return whether a file is on a read-only mount or file system."""
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def may(path: str, mode: int) -> bool:
    """Return whether the caller may read (os.R_OK) or write (os.W_OK) a file."""
    # With effective_ids, glibc before 2.33 guesses from the mode instead of asking the kernel.
    return os.access(path, mode, effective_ids=os.geteuid() != os.getuid())


READ_ONLY = "is mounted read-only: remount it read-write"


def describe_access(path: str) -> str | None:
    """Return why access to a file is denied: a read-only mount, or its owner and mode; None if it is allowed."""
    if is_read_only(path):
        return READ_ONLY
    try:
        status = os.lstat(path)
    except OSError:
        return None
    if may(path, os.R_OK) and may(path, os.W_OK):
        return None
    return f"is owned by {status.st_uid}:{status.st_gid} with mode {stat.S_IMODE(status.st_mode):04o}"


def from_errno(
    errno: int,
    tried: str,
    *,
    path: str | None = None,
    parameter: str | None = None,
    hint: str | None = None,
    kind: type[CgroupError] | None = None,
) -> CgroupError:
    """Return the exception for a failed system call.  ``kind`` overrides the class that the errno maps to."""
    kind = kind or _BY_ERRNO.get(errno, CgroupOSError)
    if kind is AccessDenied and path is not None:
        hint = _denial(errno, tried, path, hint)
    message = f"{tried}: {describe_errno(errno)}"
    lines = (_line(message, hint), _line(message, in_command(hint)))
    if hint and max(len(_PATH.sub("", line)) for line in lines) > LINE:
        # The line is too long: the hint explains more than the kernel's text, so drop the latter.
        message = f"{tried}: {_errno.errorcode.get(errno, errno)}"
    return kind(message, path=path, parameter=parameter, errno=errno, hint=hint)


def _denial(errno: int, tried: str, path: str, hint: str | None) -> str | None:
    """Return the hint of AccessDenied, reason first.  A read-only mount needs no further hint."""
    reason = READ_ONLY if errno == _errno.EROFS else describe_access(path)
    if reason is None:
        return hint
    directory, _, name = path.rpartition("/")
    # Name each path only once.
    whole = f"{'it' if path in tried else name if directory and directory in tried else path} {reason}"
    return whole if reason == READ_ONLY else join_hints(whole, hint)


def from_failure(
    failure: Failure,
    tried: str,
    *,
    path: str | None = None,
    parameter: str | None = None,
    hint: str | None = None,
    kind: type[CgroupError] | None = None,
) -> CgroupError:
    """Return the exception for a failure of either backend."""
    if failure.errno:
        return from_errno(failure.errno, tried, path=path, parameter=parameter, hint=hint, kind=kind)
    return ParseError(
        f"{tried}: {failure.reason} at offset {failure.offset}, near {failure.excerpt!r}",
        path=path,
        parameter=parameter,
        hint=hint,
    )
