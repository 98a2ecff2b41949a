"""Open and read control files beneath their directory: csrc/cg_file.c and csrc/cg_cache.c in Python."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Callable
from typing import Any

from ..interface import O_PATH, Cells, Failure, Layout, Shape, Status, learn
from ..values import MAX
from .mountinfo import read_all
from .parse import is_whole, parse_whole

__all__ = ["Directory", "File", "fd_budget", "kept_fds", "open_directory", "set_fd_budget"]

_BENEATH = O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC


def _open_beneath(directory: int, path: str, flags: int) -> int:
    """Open a path component by component, so that no symbolic link in it is followed."""
    if path.startswith("/") or ".." in path.split("/"):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    if flags & (os.O_CREAT | os.O_TRUNC):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    *parents, name = path.split("/")
    at = directory
    try:
        for parent in parents:
            below = os.open(parent or ".", _BENEATH, dir_fd=at)
            if at != directory:
                os.close(at)
            at = below
        fd = os.open(name or ".", flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
        # O_PATH opens the link itself.
        if flags & O_PATH and stat.S_ISLNK(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        return fd
    finally:
        if at != directory:
            os.close(at)


class Directory:
    """The mount point of a hierarchy, or any directory (version 0)."""

    __slots__ = ("_path", "_version")

    def __init__(self, path: str, version: int) -> None:
        self._path = path
        self._version = version

    def file(self, path: str, *, listing: bool = False) -> File:  # noqa: ARG002 - nothing is cached here
        return File(self, path)

    def open(self, path: str, flags: int) -> int:
        try:
            root = os.open(self._path, O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if self._version and _cgroup_version(root) != self._version:
                    raise Failure(Status.FOREIGN)
                return _open_beneath(root, path, flags)
            finally:
                os.close(root)
        except OSError as error:
            raise Failure(Status.OS, error.errno or errno.EIO) from None

    def write(self, path: str, data: bytes) -> None:
        fd = self.open(path, os.O_WRONLY)
        try:
            written = os.write(fd, data)
        except OSError as error:
            raise Failure(Status.OS, error.errno or errno.EIO) from None
        finally:
            os.close(fd)
        if written != len(data):
            raise Failure(Status.OS, errno.EIO)

    def inode(self, path: str) -> int:
        try:
            fd = self.open(path, O_PATH | os.O_DIRECTORY)
        except Failure as failure:
            return -(failure.errno or errno.ENODEV)
        try:
            return os.fstat(fd).st_ino
        finally:
            os.close(fd)

    def device(self) -> tuple[int, int]:
        fd = self.open("", O_PATH | os.O_DIRECTORY)
        try:
            device = os.fstat(fd).st_dev
        finally:
            os.close(fd)
        return os.major(device), os.minor(device)


open_directory = Directory


_MAGIC = {0x27E0EB: 1, 0x63677270: 2}
"""CGROUP_SUPER_MAGIC and CGROUP2_SUPER_MAGIC to their versions."""

_libc = ctypes.CDLL(None, use_errno=True)


def _cgroup_version(fd: int) -> int:
    """Return 1 or 2; 0 for another file system.  os.fstatvfs lacks f_type, the first member of struct statfs."""
    status = ctypes.create_string_buffer(256)
    if _libc.fstatfs(fd, status) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return _MAGIC.get(ctypes.c_long.from_buffer(status).value, 0)


class File:
    """A control file by name, opened for each read."""

    __slots__ = ("_directory", "_path")

    def __init__(self, directory: Directory, path: str) -> None:
        self._directory = directory
        self._path = path

    def _text(self) -> bytes:
        fd = self._directory.open(self._path, os.O_RDONLY)
        try:
            return read_all(fd)
        finally:
            os.close(fd)

    def int_call(self) -> tuple[Callable[[Any], int], Any]:
        return File._read_int, self

    def _read_int(self) -> int:
        try:
            [(_, value)] = parse_whole(Shape.VALUE, self._text())
        except Failure:
            return -2
        if value is MAX:
            return -1
        return value if isinstance(value, int) and 0 <= value < 1 << 63 else -2

    def read(self, shape: int) -> Cells:
        data = self._text()
        return parse_whole(shape, data if is_whole(shape, data) else self._text())

    def read_keyed(self, layout: Layout | None) -> tuple[Layout, list[Any]]:
        cells = self.read(Shape.KEYED)
        return learn(cells, layout, Layout), [value for _, value in cells]

    def close(self) -> None:
        """Do nothing: no descriptor is kept."""


_budget = 0


def set_fd_budget(budget: int) -> None:
    """Store the budget for :func:`fd_budget`.  This backend keeps no file open."""
    global _budget  # noqa: PLW0603 - returned by fd_budget
    _budget = budget


def fd_budget() -> int:
    return _budget


def kept_fds() -> int:
    return 0
