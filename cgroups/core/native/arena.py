"""Arenas: memory that one call of C fills, and the conversion of their cells to Python values."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import Any, Final

from ..._native import ffi, lib
from ..interface import EXCERPT, ROW, Cells, Failure, Status
from ..values import MAX

__all__ = ["TEXT_LIMIT", "give_back", "parse", "take_arena", "uncleared", "unpack_cells"]

uncleared = ffi.new_allocator(should_clear_after_alloc=False)

TEXT_LIMIT: Final = 64 << 20
"""Bytes; a longer control file is an error."""


class _Arena:
    """A struct cg_arena with its buffers, which grow and never shrink."""

    def __init__(self) -> None:
        self.c = ffi.new("struct cg_arena *")
        self.cells = ffi.addressof(self.c[0], "cells")
        self.grow_text(8192)
        self.grow_columns(128)

    def grow_text(self, capacity: int) -> None:
        if capacity > TEXT_LIMIT:
            raise Failure(Status.OS, errno.EFBIG)
        text = self.c.text = uncleared("char[]", capacity)
        self.c.text_capacity = capacity
        self._text = text  # last, since this frees the buffer that C used

    def grow_columns(self, capacity: int) -> None:
        cells = self.cells
        columns = (
            uncleared("uint64_t[]", capacity),
            uncleared("uint8_t[]", capacity),
            uncleared("uint32_t[]", capacity),
            uncleared("uint32_t[]", capacity),
            uncleared("uint32_t[]", capacity),
        )
        cells.value, cells.kind, cells.key, cells.key_end, cells.start = columns
        cells.capacity = capacity
        self._columns = columns  # last, since this frees the buffers that C used

    def grow(self) -> None:
        """Grow the buffer that was too small (CG_SPACE)."""
        if self.c.text_length >= self.c.text_capacity:
            self.grow_text(2 * self.c.text_capacity)
        else:
            self.grow_columns(2 * self.cells.capacity)

    def failure(self, status: int) -> Failure:
        if status == lib.CG_OS:
            return Failure(status, self.c.error)
        if status == lib.CG_FOREIGN:
            return Failure(status)
        offset, length = self.c.offset, self.c.text_length
        excerpt = ffi.buffer(self.c.text + offset, min(EXCERPT, length - offset))[:]
        return Failure(status, 0, offset, excerpt)


# list.pop and list.append are atomic, so no lock is needed: two threads never
# share an arena, and an arena lost to an exception is garbage-collected.
_arenas: list[_Arena] = []


def take_arena() -> _Arena:
    try:
        return _arenas.pop()
    except IndexError:
        return _Arena()


def give_back(arena: _Arena) -> None:
    # Free an arena that has grown for an unusually long file.
    if arena.c.text_capacity <= 1 << 20:
        _arenas.append(arena)


def _slices(text: bytes, starts: Sequence[int], ends: Sequence[int]) -> list[str]:
    if text.isascii():
        whole = text.decode("ascii")
        return [whole[start:end] for start, end in zip(starts, ends)]
    return [text[start:end].decode("utf-8", "surrogateescape") for start, end in zip(starts, ends)]


def _string(text: bytes, packed: int) -> str:
    return text[packed >> 32 : packed & 0xFFFFFFFF].decode("utf-8", "surrogateescape")


_VALUES: dict[int, Callable[[bytes, int], Any]] = {
    lib.CG_UINT: lambda _, value: value,
    lib.CG_NEGATIVE: lambda _, value: value - (1 << 64),
    lib.CG_MAX: lambda *_: MAX,
    lib.CG_CENTI: lambda _, value: value / 100,
    lib.CG_STRING: _string,
    lib.CG_NONE: lambda *_: None,
    lib.CG_ROW: lambda *_: ROW,
}


def unpack_cells(cells: Any, text: Callable[[], bytes]) -> Cells:
    count = cells.count
    values = ffi.unpack(cells.value, count)
    kinds = ffi.buffer(cells.kind, count)[:]
    ends = ffi.unpack(cells.key_end, count)
    plain = not any(kinds)
    if plain and not any(ends):
        return [("", value) for value in values]
    data = text()
    if not plain:
        values = [_VALUES[kind](data, value) for kind, value in zip(kinds, values)]
    return list(zip(_slices(data, ffi.unpack(cells.key, count), ends), values))


def parse(shape: int, data: bytes) -> Cells:
    """Return the cells of a control file's text."""
    arena = take_arena()
    offset = ffi.new("size_t *")
    while True:
        status = lib.cg_parse(shape, data, len(data), arena.cells, offset)
        if status == lib.CG_SPACE:
            arena.grow_columns(2 * arena.cells.capacity)
            continue
        if status != lib.CG_OK:
            give_back(arena)
            at = offset[0]
            raise Failure(status, 0, at, data[at : at + EXCERPT])
        cells = unpack_cells(arena.cells, lambda: data)
        give_back(arena)
        return cells
