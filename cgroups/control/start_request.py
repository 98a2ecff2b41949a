"""Translate subprocess's arguments into a request to the C layer."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any, Final, Union

from ..core.errors import InvalidValue
from ..core.interface import Spawn

if TYPE_CHECKING:
    from typing_extensions import TypedDict

    class Common(TypedDict, total=False):
        """The keywords of subprocess.Popen except those of text pipes, and ``start_timeout``."""

        start_timeout: float | None

        bufsize: int
        executable: Word | None
        stdin: Stream
        stdout: Stream
        stderr: Stream
        preexec_fn: Any
        close_fds: bool
        shell: bool
        cwd: Word | None
        env: Mapping[str, str] | Mapping[bytes, bytes] | None
        restore_signals: bool
        start_new_session: bool
        pass_fds: Iterable[int]
        group: str | int | None
        extra_groups: Iterable[str | int] | None
        user: str | int | None
        umask: int
        pipesize: int
        process_group: int | None


__all__ = ["ID_MAX", "INT_MAX", "Common", "Stream", "Word", "check_identity", "program_words", "spawn_request"]

Word = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]
Stream = Union[None, int, "IO[Any]"]


INT_MAX: Final = 2**31 - 1
ID_MAX: Final = 2**32 - 1
"""The highest user or group id that C accepts.  The system call would truncate a higher id: 2**32 to 0, root."""


def check_identity(gid: int | None, groups: Iterable[int] | None, uid: int | None) -> None:
    """Refuse the highest id: the kernel reads it as "no change", so the child would stay the caller, perhaps root."""
    if ID_MAX in (uid, gid, *(groups or ())):
        message = f"user, group and extra_groups must be ids below {ID_MAX}, got {ID_MAX}"
        raise InvalidValue(message, hint="the kernel takes this number for no change")


def program_words(args: Any, shell: Any, executable: Any) -> list[Any]:
    """Return the program's arguments as subprocess would pass them."""
    if isinstance(args, os.PathLike) and shell:
        message = "path-like args is not allowed when shell is true"
        raise TypeError(message)
    words = [args] if isinstance(args, (str, bytes, os.PathLike)) else list(args)
    if shell:
        words = ["/bin/sh", "-c", *words]
        if executable:
            words[0] = executable
    return words


def _encoded(text: Any) -> bytes:
    encoded = os.fsencode(text)
    if b"\0" in encoded:
        message = "embedded null byte"
        raise ValueError(message)
    return encoded


def _environment(env: Mapping[Any, Any]) -> Iterator[bytes]:
    for key, value in env.items():
        name = _encoded(key)
        if b"=" in name:
            message = "illegal environment variable name"
            raise ValueError(message)
        yield name + b"=" + _encoded(value)


def _path(env: Mapping[Any, Any] | None) -> bytes:
    """Return the PATH to search for a program without a slash."""
    if env is None:
        return os.environb.get(b"PATH", os.fsencode(os.defpath))
    return b":".join(map(os.fsencode, os.get_exec_path(env)))


def spawn_request(
    words: list[Any],
    program: Any,
    places: list[tuple[Any, str, int, int]],
    close_fds: Any,
    pass_fds: Any,
    cwd: Any,
    env: Any,
    rest: tuple[Any, ...],
    timeout: float,
) -> Spawn:
    stdin, _, _, stdout, _, stderr, restore_signals, gid, groups, uid, umask, new_session, *process_group = rest
    name = _encoded(program)
    keep = sorted(map(int, pass_fds))
    if keep and not 0 <= keep[0] <= keep[-1] <= INT_MAX:
        message = "bad value(s) in pass_fds"
        raise ValueError(message)
    if max(uid or 0, gid or 0) > ID_MAX:
        message = "user or group id is greater than maximum"
        raise OverflowError(message)
    if groups and max(groups) > ID_MAX:
        message = "invalid group id"
        raise ValueError(message)
    return Spawn(
        program=name,
        path=None if b"/" in name else _path(env),
        args=[_encoded(word) for word in words],
        env=None if env is None else list(_environment(env)),
        cwd=None if cwd is None else _encoded(cwd),
        places=places,
        files=(stdin, stdout, stderr),
        close_files=bool(close_fds),
        keep=keep,
        restore_signals=bool(restore_signals),
        new_session=bool(new_session),
        process_group=process_group[0] if process_group else -1,
        umask=umask,
        uid=-1 if uid is None else uid,
        gid=-1 if gid is None else gid,
        groups=groups,
        timeout=max(1, math.ceil(timeout * 1e9)),
    )
