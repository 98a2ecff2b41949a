"""Read the mount table and detect its changes: csrc/cg_mountinfo.c in Python."""

from __future__ import annotations

import errno
import os
import select
from typing import Any

from ..interface import CHANGED, EXCERPT, FOREIGN, SAME, Failure, MountRow, Status, Version, decode_name
from .parse import is_digits, to_int

__all__ = ["identity_key", "mounts_state", "parse_mountinfo", "read_all", "root_identity", "scan_mounts"]

_OCTAL = frozenset(b"01234567")


def _unescape(text: bytes) -> str:
    """Replace octal escapes such as ``\\040``, which the kernel writes for space, tab, newline and backslash."""
    first, *parts = text.split(b"\\")
    decoded = first
    for part in parts:
        code = part[:3]
        if len(code) == 3 and _OCTAL.issuperset(code) and code[0] <= ord("3"):  # noqa: PLR2004 - \ooo
            decoded += bytes([int(code, 8)]) + part[3:]
        else:
            decoded += b"\\" + part
    return decode_name(decoded)


def _is_u32(text: bytes) -> bool:
    return is_digits(text) and to_int(text) < 1 << 32


def _parse_mount(line: bytes) -> MountRow | None:
    """Return the cgroup mount of a line; None for another mount; raise ValueError if the line is malformed."""
    fields = line.split(b" ")
    if len(fields) < 7:  # noqa: PLR2004 - proc(5): six fields and the separator
        raise ValueError
    number, parent, device, root, point, flags = fields[:6]
    major, _, minor = device.partition(b":")
    if not all(map(_is_u32, (number, parent, major, minor))):
        raise ValueError
    # The separator is the first field that is a hyphen.  The source may be empty.
    kind, _source, options = (*fields[fields.index(b"-", 6) + 1 :], b"", b"", b"")[:3]
    if not all((root, point, flags, kind, options)):
        raise ValueError
    version = {b"cgroup": Version.V1, b"cgroup2": Version.V2}.get(kind)
    if version is None:
        return None
    strings = (_unescape(root), _unescape(point), decode_name(flags), decode_name(options))
    return MountRow((version, to_int(major), to_int(minor), *strings))


def parse_mountinfo(data: bytes) -> list[MountRow]:
    """Return the cgroup mounts of a mountinfo table, in its order."""
    rows = []
    at = 0
    for line in data.split(b"\n"):
        if line:
            try:
                row = _parse_mount(line)
            except ValueError:
                raise Failure(Status.SYNTAX, 0, at, data[at : at + EXCERPT]) from None
            if row is not None:
                rows.append(row)
        at += len(line) + 1
    return rows


def read_all(fd: int) -> bytes:
    """Return the whole text of an open file; only an empty read, not a short read, ends the file."""
    parts: list[bytes] = []
    length = 0
    try:
        while part := os.pread(fd, 65536, length):
            parts.append(part)
            length += len(part)
    except OSError as error:
        raise Failure(Status.OS, error.errno or errno.EIO) from None
    return b"".join(parts)


def scan_mounts(fd: int) -> list[MountRow]:
    """Return the cgroup mounts of an open /proc/PID/mountinfo."""
    return parse_mountinfo(read_all(fd))


def root_identity() -> Any:
    try:
        namespace = os.stat("/proc/thread-self/ns/mnt")
        root = os.stat("/")
    except OSError as error:
        raise Failure(Status.OS, error.errno or errno.EIO) from None
    return namespace.st_ino, root.st_ino, root.st_dev


def identity_key(identity: Any) -> tuple[int, int, int]:
    key: tuple[int, int, int] = identity
    return key


def mounts_state(fd: int, identity: Any) -> int:
    try:
        if root_identity() != identity:
            return FOREIGN
        poll = select.poll()
        poll.register(fd, select.POLLPRI)
        return CHANGED if poll.poll(0) else SAME
    except Failure as failure:
        return -failure.errno
