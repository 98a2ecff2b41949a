"""The mount table: csrc/cg_mountinfo.c."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..._native import ffi, lib
from ..interface import EXCERPT, Failure, MountRow, decode_name
from .arena import uncleared

__all__ = ["identity_key", "mounts_state", "parse_mountinfo", "root_identity", "scan_mounts"]


def _mount_rows(strings: Any, mounts: Any, count: int) -> list[MountRow]:
    if count == 0:
        return []
    width = lib.CG_MOUNT_FIELDS
    columns = ffi.unpack(mounts, count * width)
    text = ffi.buffer(strings, columns[-1])[:]
    rows = []
    for at in range(0, count * width, width):
        version, major, minor, *bounds = columns[at : at + width]
        fields = [decode_name(text[start:end]) for start, end in zip(bounds[0::2], bounds[1::2])]
        rows.append(MountRow((version, major, minor, *fields)))
    return rows


def _parse_mounts(text: Any, length: int, excerpt: Callable[[int], bytes]) -> list[MountRow]:
    capacity = 256
    strings = uncleared("char[]", max(length, 1))
    count, offset = ffi.new("size_t *"), ffi.new("size_t *")
    while True:
        mounts = uncleared("uint32_t[]", capacity * lib.CG_MOUNT_FIELDS)
        status = lib.cg_parse_mountinfo(text, length, strings, mounts, capacity, count, offset)
        if status == lib.CG_OK:
            return _mount_rows(strings, mounts, count[0])
        if status != lib.CG_SPACE:
            raise Failure(status, 0, offset[0], excerpt(offset[0]))
        capacity *= 4


def parse_mountinfo(data: bytes) -> list[MountRow]:
    """Return the cgroup mounts of a mountinfo table, in its order."""
    return _parse_mounts(data, len(data), lambda at: data[at : at + EXCERPT])


def scan_mounts(fd: int) -> list[MountRow]:
    """Return the cgroup mounts of an open /proc/PID/mountinfo."""
    length, error = ffi.new("size_t *"), ffi.new("int *")
    capacity = 1 << 20  # an untouched page costs nothing
    while True:
        text = uncleared("char[]", capacity)
        status = lib.cg_read_all(fd, text, capacity, length, error)
        if status != lib.CG_SPACE:
            break
        capacity *= 4
    if status != lib.CG_OK:
        raise Failure(status, error[0])
    size = length[0]
    return _parse_mounts(text, size, lambda at: ffi.buffer(text + at, min(EXCERPT, size - at))[:])


def root_identity() -> Any:
    identity, error = ffi.new("struct cg_root_identity *"), ffi.new("int *")
    status = lib.cg_root_identity(identity, error)
    if status != lib.CG_OK:
        raise Failure(status, error[0])
    return identity


def identity_key(identity: Any) -> tuple[int, int, int]:
    return identity.mount, identity.inode, identity.device


mounts_state: Callable[[int, Any], int] = lib.cg_mounts_check
