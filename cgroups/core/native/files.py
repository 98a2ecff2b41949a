"""Control files and directories with cached descriptors: csrc/cg_file.c and csrc/cg_cache.c."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import Any

from ..._native import ffi, lib
from ..fd_budget import default_budget
from ..interface import Cells, Failure, Layout, encode_name, learn
from .arena import give_back, take_arena, unpack_cells

__all__ = ["Directory", "File", "cache", "checked", "fd_budget", "kept_fds", "open_directory", "set_fd_budget"]


def checked(pointer: Any) -> Any:
    if pointer == ffi.NULL:
        raise MemoryError
    return pointer


# One cache for the process, even if several interpreters import this module.
cache = checked(lib.cg_cache_shared(default_budget()))


def set_fd_budget(budget: int) -> None:
    lib.cg_cache_set_budget(cache, budget)


def fd_budget() -> int:
    return int(lib.cg_cache_budget(cache))


def kept_fds() -> int:
    return int(lib.cg_cache_kept(cache))


def _layout(keys: tuple[str, ...]) -> Layout:
    """Return the layout of a flat keyed file: the literals before each number, ``key ``, and the last newline."""
    if not keys:
        return Layout(keys)
    literals = [f"{key} " if at == 0 else f"\n{key} " for at, key in enumerate(keys)] + ["\n"]
    texts = [literal.encode("utf-8", "surrogateescape") for literal in literals]
    memory = ffi.new("char[]", b"".join(texts)), ffi.new("uint32_t[]", list(accumulate(map(len, texts))))
    struct = ffi.new(
        "struct cg_layout *", {"literals": memory[0], "ends": memory[1], "count": len(keys), "shape": lib.CG_KEYED}
    )
    return Layout(keys, (struct, memory, len(keys)))


class File:
    """A control file by name.  The cache owns the file's descriptor."""

    __slots__ = ("_c",)

    def __init__(self, directory: Any, path: str, flags: int) -> None:
        pointer = lib.cg_file_create(cache, directory, encode_name(path), flags)
        self._c = ffi.gc(checked(pointer), lib.cg_file_destroy)

    def int_call(self) -> tuple[Callable[[Any], int], Any]:
        return lib.cg_file_read_int, self._c

    def read(self, shape: int) -> Cells:
        arena = take_arena()
        try:
            while (status := lib.cg_file_read(self._c, shape, arena.c)) == lib.CG_SPACE:
                arena.grow()
            if status != lib.CG_OK:
                raise arena.failure(status)
            return unpack_cells(arena.cells, lambda: ffi.buffer(arena.c.text, arena.c.text_length)[:])
        finally:
            give_back(arena)

    def read_keyed(self, layout: Layout | None) -> tuple[Layout, list[Any]]:
        if layout is not None and layout.native is not None:
            arena = take_arena()
            struct, _, count = layout.native
            if arena.cells.capacity >= count:
                status = lib.cg_file_read_layout(self._c, struct, arena.c)
                if status == lib.CG_OK:
                    values = ffi.unpack(arena.cells.value, count)
                    give_back(arena)
                    return layout, values
            give_back(arena)
        cells = self.read(lib.CG_KEYED)
        return learn(cells, layout, _layout), [value for _, value in cells]

    def close(self) -> None:
        lib.cg_file_close(self._c)


_VERSION_FLAGS = {0: 0, 1: lib.CG_FILE_CGROUP1, 2: lib.CG_FILE_CGROUP2}


class Directory:
    """The mount point of a hierarchy, or any directory (version 0)."""

    __slots__ = ("_c",)

    def __init__(self, path: str, version: int) -> None:
        flags = lib.CG_FILE_DIRECTORY | _VERSION_FLAGS[version]
        pointer = lib.cg_file_create(cache, ffi.NULL, encode_name(path), flags)
        self._c = ffi.gc(checked(pointer), lib.cg_file_destroy)

    def file(self, path: str, *, listing: bool = False) -> File:
        return File(self._c, path, lib.CG_FILE_LIST if listing else 0)

    def open(self, path: str, flags: int) -> int:
        fd, error = ffi.new("int *"), ffi.new("int *")
        status = lib.cg_file_open(self._c, encode_name(path), flags, fd, error)
        if status != lib.CG_OK:
            raise Failure(status, error[0])
        return int(fd[0])

    def write(self, path: str, data: bytes) -> None:
        error = ffi.new("int *")
        status = lib.cg_file_write(self._c, encode_name(path), data, len(data), error)
        if status != lib.CG_OK:
            raise Failure(status, error[0])

    def inode(self, path: str) -> int:
        inode: int = lib.cg_file_inode(self._c, encode_name(path))
        return inode

    def device(self) -> tuple[int, int]:
        device, error = ffi.new("uint64_t *"), ffi.new("int *")
        status = lib.cg_file_device(self._c, device, error)
        if status != lib.CG_OK:
            raise Failure(status, error[0])
        return device[0] >> 32, device[0] & 0xFFFFFFFF


open_directory = Directory
