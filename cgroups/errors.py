"""Every exception of the package, and the one mapping of statuses and errnos to them.

All derive from :class:`CgroupError` and from the builtin that a Python
programmer would expect.  ``str(error)`` is one line: what was tried, on which
file, with what value, what the kernel answered and what to do next.  The same
facts are attributes, and they survive ``pickle`` and ``copy``.
"""

from __future__ import annotations

import errno as _errno
import os
import re
import stat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

    from ._interface import Failure

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
    """Return a text with each byte that is not UTF-8 as ``\\xff``: the one spelling in messages and in all output."""
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
"""Characters of a message without its path, about."""

SHOWN = 100
"""Characters of a value that a message quotes."""


def shown(value: object) -> str:
    """Return a value as a message quotes it: never too long, and never itself an error."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - an int of thousands of digits, or somebody's own repr
        return f"a {type(value).__name__} that cannot be shown"
    text = _ESCAPED_BYTE.sub(r"\1\\x\2", text)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


# repr() doubles a backslash of the text itself.
_ESCAPED_BYTE = re.compile(r"(?<!\\)((?:\\\\)*)\\udc([89a-f][0-9a-f])")


class Advice(str):
    """What to do next, for the reader of a message: Python names a function, the command names a command.

    The text itself is Python's form.

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
    """Return several hints as one, in both forms; None without any."""
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
    """Return a hint as the command says it: in its own form, or with parameters such as Memory.max as memory.max."""
    if hint is None or isinstance(hint, Advice):
        return hint and hint.command
    return _PARAMETER.sub(lambda match: _OWNERS.get(match["owner"], f"{match['owner'].lower()}.") + match["name"], hint)


def _line(message: str, hint: str | None) -> str:
    return printable(f"{message} ({hint})" if hint else message)


# ---- exceptions --------------------------------------------------------------------------


class CgroupError(Exception):
    """The base of all errors of this package.

    Attributes: ``path`` (the file or directory), ``parameter`` (its name, such as
    ``memory.limit_in_bytes``), ``errno`` and ``hint`` (what to do next); each None
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
        return _line(self.message, self.hint)

    def for_command(self) -> str:
        """Return the line that the command prints, which advises commands."""
        return _line(self.message, in_command(self.hint))

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
    """A cgroup was made by hand in a tree that systemd manages, outside of what it has delegated.

    Attributes: ``message``, and ``hint`` (what to do instead).
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return _line(self.message, self.hint)

    def for_command(self) -> str:
        """Return the line that the command prints, which advises commands."""
        return _line(self.message, in_command(self.hint))


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


def describe_errno(errno: int) -> str:
    """``EBUSY, Device or resource busy``."""
    return f"{_errno.errorcode.get(errno, errno)}, {os.strerror(errno)}"


def is_read_only(path: str) -> bool:
    """Return whether a file is on a mount, or a file system, that is read-only."""
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def may(path: str, mode: int) -> bool:
    """Return whether the caller may read (os.R_OK) or write (os.W_OK) a file."""
    # With effective_ids glibc before 2.33 guesses from the mode, where the kernel is not asked.
    return os.access(path, mode, effective_ids=os.geteuid() != os.getuid())


READ_ONLY = "is mounted read-only: remount it read-write"


def describe_access(path: str) -> str | None:
    """Return why the caller may not use a file: a read-only mount, or else its owner and mode; None if it may."""
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
    """The exception for a system call that failed; ``kind`` where the caller knows better than the table."""
    kind = kind or _BY_ERRNO.get(errno, CgroupOSError)
    if kind is AccessDenied and path is not None:
        hint = _denial(errno, tried, path, hint)
    message = f"{tried}: {describe_errno(errno)}"
    lines = (_line(message, hint), _line(message, in_command(hint)))
    if hint and max(len(_PATH.sub("", line)) for line in lines) > LINE:
        # The reason says more than the kernel's own words.
        message = f"{tried}: {_errno.errorcode.get(errno, errno)}"
    return kind(message, path=path, parameter=parameter, errno=errno, hint=hint)


def _denial(errno: int, tried: str, path: str, hint: str | None) -> str | None:
    """Return the hint of AccessDenied, the reason first; a read-only mount is the whole reason."""
    reason = READ_ONLY if errno == _errno.EROFS else describe_access(path)
    if reason is None:
        return hint
    directory, _, name = path.rpartition("/")
    # A path is named once.
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
    """The exception for a backend's failure, whichever backend it was."""
    if failure.errno:
        return from_errno(failure.errno, tried, path=path, parameter=parameter, hint=hint, kind=kind)
    return ParseError(
        f"{tried}: {failure.reason} at offset {failure.offset}, near {failure.excerpt!r}",
        path=path,
        parameter=parameter,
        hint=hint,
    )
