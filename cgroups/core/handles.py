"""Find a v2 cgroup by its id, with open_by_handle_at(2)."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from .interface import Failure
from .node import Node

if TYPE_CHECKING:
    from .mounts import Mount
    from .tree import Tree

__all__ = ["FILEID_KERNFS", "below_mount", "by_handle"]

FILEID_KERNFS: Final = 0xFE
"""Type of a file handle that holds a kernfs id: include/linux/exportfs.h."""


def by_handle(hierarchy: Tree[Node], number: int) -> Node | None:
    """Return the cgroup with an id, by open_by_handle_at(2); None if the call is refused or gives no path."""
    for mount in hierarchy.mounts:
        if mount.state != "cgroup" or mount.prefix:
            continue
        try:
            directory = mount.directory.open("", os.O_RDONLY | os.O_DIRECTORY)
        except Failure:
            continue
        try:
            path = _path_by_handle(directory, number)
        except (OSError, ImportError):
            continue  # without ctypes, without CAP_DAC_READ_SEARCH, before Linux 5.5, or without /proc
        finally:
            os.close(directory)
        if f"{path}/".startswith(f"{mount.path}/"):
            cgroup = below_mount(hierarchy, mount, path[len(mount.path) :])
            if cgroup.path is not None and _has_inode(cgroup, number):
                return cgroup
    return None


def _has_inode(cgroup: Node, number: int) -> bool:
    directory, below = cgroup.locate()
    return directory.inode(below) == number


def _path_by_handle(directory: int, number: int) -> str:
    """Return the path of the directory with an id.

    Raises:
        OSError: from open_by_handle_at(2) or readlink(2).
    """
    import ctypes  # noqa: PLC0415 - needed only for ids

    class Handle(ctypes.Structure):
        """struct file_handle of open_by_handle_at(2), with the eight bytes of an id."""

        _fields_ = (("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("id", ctypes.c_uint64))

    libc = ctypes.CDLL(None, use_errno=True)
    try:
        call = libc.open_by_handle_at
    except AttributeError:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
    call.argtypes = (ctypes.c_int, ctypes.POINTER(Handle), ctypes.c_int)
    call.restype = ctypes.c_int
    handle = Handle(8, FILEID_KERNFS, number)
    fd = call(directory, ctypes.byref(handle), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    if fd < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)


def below_mount(hierarchy: Tree[Node], mount: Mount, below: str) -> Node:
    """Return the cgroup of a directory below a mount point.  ``below`` is '' or begins with a slash."""
    # The path in the form of /proc/PID/cgroup.
    path = f"{'/..' * mount.above}{mount.root.rstrip('/')}{below}" or "/"
    location = hierarchy.view.location_of(path)
    return hierarchy.at(path if location is None else location or "/")
