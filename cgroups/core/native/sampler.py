"""Samplers and recorders: csrc/cg_sampler.c and csrc/cg_recorder.c."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any

from ..._native import ffi, lib
from ..interface import OTHER_ROWS, Failure, FrameLayout, RawBlock, Recording, Status, Target, encode_name
from .arena import uncleared
from .files import Directory, cache, checked

__all__ = ["Program", "Recorder", "Sampler"]

_sample, _buffer = lib.cg_sampler_sample, ffi.buffer  # looked up once: a frame may be a single number


class Program:
    """The numbers to take from one control file.  A sampler keeps its own copy in C."""

    __slots__ = ("shape", "targets")

    def __init__(self, shape: int, targets: Sequence[Target]) -> None:
        self.shape = shape
        self.targets = tuple(targets)


class _Pool:
    """Memory for frames of the same size.  A piece returns to the pool when its last reference is dropped."""

    def __init__(self, rows: int, columns: int) -> None:
        self.places = FrameLayout(rows, columns)
        self._free: list[Any] = []

    def take(self) -> Any:
        """Return a struct cg_frame, followed in the same piece by the memory that it points to."""
        free = self._free
        try:
            piece = free.pop()
        except IndexError:
            piece = self._make()
        return ffi.gc(piece, free.append)  # a reference to the list, not the pool: a frame may outlive its sampler

    def _make(self) -> Any:
        places = self.places
        piece = uncleared("struct cg_frame[]", -(-places.size // ffi.sizeof("struct cg_frame")))
        at = ffi.cast("char *", piece)
        frame = piece[0]
        frame.capacity = places.rows
        frame.values = ffi.cast("int64_t *", at + places.values)
        frame.inodes = ffi.cast("uint64_t *", at + places.inodes)
        frame.times = ffi.cast("int64_t *", at + places.times)
        frame.errors = ffi.cast("int32_t *", at + places.errors)
        frame.statuses = ffi.cast("uint8_t *", at + places.statuses)
        return piece


def _check(status: int) -> None:
    """Raise the error of a call's result, which is 0 or -errno."""
    if status == -errno.ENOMEM:
        raise MemoryError
    if status:
        raise Failure(Status.OS, -status)


class Sampler:
    """A struct cg_sampler: cg_abi.h, "sampling"."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._c = ffi.gc(checked(lib.cg_sampler_create(cache, columns)), lib.cg_sampler_destroy)
        self._programs: dict[tuple[str, Program], int] = {}  # to the number in C
        self._pool = _Pool(0, columns)

    def _number(self, name: str, program: Program) -> int:
        key = name, program
        if key not in self._programs:
            texts = {text for target in program.targets for text in (target.row, target.key)}
            strings = {text: ffi.new("char[]", text.encode("utf-8", "surrogateescape")) for text in texts}
            targets = [(strings[row], strings[key], *rest) for row, key, *rest in program.targets]
            number = ffi.new("uint32_t *")
            array = ffi.new("struct cg_target[]", targets)
            _check(lib.cg_sampler_program(self._c, encode_name(name), program.shape, array, len(targets), number))
            self._programs[key] = number[0]
        return self._programs[key]

    def add(self, directory: Directory, path: str, sources: Sequence[tuple[str, Program]]) -> None:
        numbers = [self._number(name, program) for name, program in sources]
        directory_c = directory._c  # noqa: SLF001 - same package
        _check(lib.cg_sampler_add(self._c, directory_c, encode_name(path), numbers, len(numbers)))

    def remove(self, rows: Sequence[int]) -> None:
        lib.cg_sampler_remove(self._c, ffi.new("uint32_t[]", list(rows)), len(rows))

    def sample(self, rows: int) -> tuple[memoryview, FrameLayout]:
        """Sample one frame.  ``rows`` must be the number of rows that were added."""
        pool = self._pool
        places = pool.places
        if places.rows != rows:
            pool = self._pool = _Pool(rows, self._columns)
            places = pool.places
        frame = pool.take()
        if _sample(self._c, frame):
            raise RuntimeError(OTHER_ROWS.format(self._rows(), rows))
        return memoryview(_buffer(frame, places.size)), places

    def _rows(self) -> int:
        rows = ffi.new("size_t *")
        lib.cg_sampler_size(self._c, rows, ffi.new("size_t *"))
        return int(rows[0])

    def unknown(self) -> list[tuple[int, int]]:
        """Return the sources that had numbers without a target: the row, and the index in the row."""
        capacity, count = 64, 65
        while count > capacity:
            capacity = max(capacity, count)
            pairs = ffi.new("uint32_t[]", 2 * capacity)
            count = lib.cg_sampler_unknown(self._c, pairs, capacity)
        found = ffi.unpack(pairs, 2 * count)
        return list(zip(found[::2], found[1::2]))

    def record(self, interval: int, capacity: int, ticks: int) -> Recorder:
        """Start a recorder of the current rows for a number of ticks; 0 is no limit."""
        return Recorder(self._c, interval, capacity, ticks)


class Recorder:
    """A struct cg_recorder: cg_abi.h, "recording"."""

    def __init__(self, sampler: Any, interval: int, capacity: int, ticks: int) -> None:
        made = ffi.new("struct cg_recorder **")
        _check(lib.cg_recorder_start(sampler, interval, capacity, ticks, made))
        self._c = ffi.gc(made[0], lib.cg_recorder_destroy)
        self._size = ffi.new("size_t[2]")
        lib.cg_recorder_size(self._c, self._size, self._size + 1)

    def take(self) -> RawBlock:
        rows, cells = self._size
        frames = lib.cg_recorder_waiting(self._c)
        sizes = (8 * frames, 8 * frames * cells, frames * cells, 8 * frames * rows, 8 * frames * rows)
        memory = [uncleared("char[]", max(size, 1)) for size in sizes]
        types = ("int64_t *", "int64_t *", "uint8_t *", "uint64_t *", "int64_t *")
        parts = [ffi.cast(one, part) for one, part in zip(types, memory)]
        block = ffi.new("struct cg_block *", (frames, *parts))
        taken = lib.cg_recorder_take(self._c, block)
        # Fewer than were waiting, if another thread took some in between.
        used = (8 * taken, 8 * taken * cells, taken * cells, 8 * taken * rows, 8 * taken * rows)
        return RawBlock(taken, *(memoryview(ffi.buffer(part, size)) for part, size in zip(memory, used)))

    def state(self) -> Recording:
        state = ffi.new("struct cg_recording *")
        lib.cg_recorder_state(self._c, state)
        counts = (state.taken, state.late, state.missed, state.overrun, state.unknown)
        return Recording(*counts, state.first, bool(state.running))

    def stop(self) -> None:
        lib.cg_recorder_stop(self._c)
