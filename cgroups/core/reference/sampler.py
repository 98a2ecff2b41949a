"""Sample columns of numbers: csrc/cg_sampler.c in Python."""

from __future__ import annotations

import errno
import os
import time
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from ..errors import NativeRequired
from ..interface import (
    NUMERIC,
    O_PATH,
    OTHER_ROWS,
    ROW,
    Cell,
    Cells,
    Failure,
    Flag,
    FrameLayout,
    Status,
    Target,
    encode_name,
)
from ..values import MAX
from .files import Directory
from .mountinfo import read_all
from .parse import is_whole, parse_whole

__all__ = ["I64_MAX", "U64_MAX", "Program", "Sampler"]

I64_MAX: Final = (1 << 63) - 1
U64_MAX: Final = (1 << 64) - 1

_NOT_THERE: Final = (errno.ENOENT, errno.ENODEV)


class Program(NamedTuple):
    """The conversion of a control file's numbers to cells of a frame."""

    shape: int
    targets: Sequence[Target]


class _Row(NamedTuple):
    directory: Directory
    path: str
    sources: Sequence[tuple[str, Program]]


def _numbered(cells: Cells) -> Iterator[tuple[str, str, int, Any]]:
    """Yield row, key, index among the row's numbers without a key, and value."""
    row, ordinal = "", 0
    for key, value in cells:
        if value is ROW:
            row, ordinal = key, 0
        elif key:
            yield row, key, 0, value
        else:
            yield row, "", ordinal, value
            ordinal += 1


def _cell(target: Target, value: Any) -> tuple[Cell, int]:
    """Return the status and the number of a value in a frame."""
    if value is MAX or (value == -1 and target.flags & Flag.MINUS_ONE_IS_MAX):
        return Cell.MAX, I64_MAX
    if isinstance(value, float):
        number = round(value * 100) * target.scale
    elif isinstance(value, int) and (value >= 0 or target.flags & Flag.SIGNED):
        if 0 < target.threshold <= value:
            return Cell.MAX, I64_MAX
        number = value * target.scale * (100 if target.flags & Flag.CENTI else 1)
    else:
        return Cell.ERROR, errno.EBADMSG
    return _number_cell(number)


def _number_cell(number: int) -> tuple[Cell, int]:
    """Return the cell of a number: beyond int64 as the bits of a uint64 (RANGE), beyond uint64 as an errno."""
    if not -I64_MAX - 1 <= number <= U64_MAX:
        return Cell.ERROR, errno.EOVERFLOW
    return (Cell.OK, number) if number <= I64_MAX else (Cell.RANGE, number - (1 << 64))


class _Cells:
    """A row of a frame while it is filled."""

    def __init__(self, columns: int) -> None:
        self.values = [0] * columns
        self.statuses = [Cell.ABSENT] * columns
        self.errors = [0] * columns

    def put(self, target: Target, status: Cell, value: int, error: int = 0) -> None:
        column = target.column
        if column < 0:
            return
        had = self.statuses[column]
        if target.flags & Flag.FALLBACK and had is not Cell.ABSENT:
            return
        if target.flags & Flag.ADD:
            numbers = (Cell.OK, Cell.RANGE)
            if had not in (*numbers, Cell.MAX) or (had is Cell.MAX and status in numbers):
                return
            if status in numbers:
                parts = ((had, self.values[column]), (status, value))
                status, value = _number_cell(sum(one % (1 << 64) if is_ is Cell.RANGE else one for is_, one in parts))
                if status is Cell.ERROR:
                    value, error = 0, value
        self.values[column], self.statuses[column], self.errors[column] = value, status, error

    def fail(self, program: Program, status: Cell, error: int) -> None:
        for target in program.targets:
            self.put(target, status, 0, error)

    def fill(self, program: Program, parsed: Cells) -> bool:
        """Fill the cells; return whether a number had no target."""
        known: dict[tuple[str, str, int], list[Target]] = {}
        for target in program.targets:
            known.setdefault(target[:3], []).append(target)
        unknown = False
        for row, key, ordinal, value in _numbered(parsed):
            targets = known.get((row, key, ordinal))
            unknown |= targets is None and (value is MAX or isinstance(value, (int, float)))
            for target in targets or ():
                status, number = _cell(target, value)
                failed = status is Cell.ERROR
                self.put(target, status, 0 if failed else number, number if failed else 0)
        return unknown


def _read_beneath(directory: int, name: str, shape: int) -> tuple[Cells, int]:
    """Return the cells of a file and an errno, 0 on success."""
    try:
        fd = os.open(encode_name(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except OSError as error:
        return [], error.errno or errno.EIO
    try:
        data = read_all(fd)
        return parse_whole(shape, data if is_whole(shape, data) else read_all(fd)), 0
    except Failure as failure:
        return [], failure.errno or errno.EBADMSG
    finally:
        os.close(fd)


class Sampler:
    """The specification of cg_sampler.c: each row opens its directory, and its files beneath the directory."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._rows: list[_Row] = []
        self._inodes: list[int] = []
        self._unknown: dict[tuple[int, int], bool] = {}

    def add(self, directory: Directory, path: str, sources: Sequence[tuple[str, Program]]) -> None:
        for _, program in sources:
            if program.shape not in NUMERIC or any(one.column >= self._columns for one in program.targets):
                raise Failure(Status.OS, errno.EINVAL)
        self._rows.append(_Row(directory, path, list(sources)))
        self._inodes.append(max(directory.inode(path), 0))

    def remove(self, rows: Sequence[int]) -> None:
        gone = set(rows)
        kept = [at for at in range(len(self._rows)) if at not in gone]
        moved = {at: to for to, at in enumerate(kept)}
        self._rows = [self._rows[at] for at in kept]
        self._inodes = [self._inodes[at] for at in kept]
        self._unknown = {(moved[row], at): True for row, at in self._unknown if row in moved}

    def sample(self, rows: int) -> tuple[memoryview, FrameLayout]:
        if rows != len(self._rows):
            raise RuntimeError(OTHER_ROWS.format(len(self._rows), rows))
        places = FrameLayout(rows, self._columns)
        start = time.monotonic_ns()
        times: list[int] = []
        filled: list[_Cells] = []
        for at in range(rows):
            times.append(time.monotonic_ns())
            filled.append(self._read(at))
        view = memoryview(bytearray(places.size))
        parts = (
            ("q", 0, [start, time.monotonic_ns() - start]),
            ("q", places.UNKNOWN, [len(self._unknown)]),
            ("q", places.times, times),
            ("q", places.values, [value for cells in filled for value in cells.values]),
            ("Q", places.inodes, self._inodes),
            ("i", places.errors, [error for cells in filled for error in cells.errors]),
            ("B", places.statuses, [status for cells in filled for status in cells.statuses]),
        )
        for code, at, numbers in parts:
            data = array(code, numbers).tobytes()
            view[at : at + len(data)] = data
        return view, places

    def _read(self, at: int) -> _Cells:
        cells, row = _Cells(self._columns), self._rows[at]
        try:
            directory = row.directory.open(row.path, O_PATH | os.O_DIRECTORY)
        except Failure as failure:
            # Gone only if the directory does not exist: another error, such as EMFILE, says nothing about it.
            gone = failure.status is Status.FOREIGN or failure.errno in _NOT_THERE
            for _, program in row.sources:
                cells.fail(program, *((Cell.GONE, errno.ENODEV) if gone else (Cell.ERROR, failure.errno)))
            return cells
        try:
            self._inodes[at] = os.fstat(directory).st_ino
            for place, (name, program) in enumerate(row.sources):
                parsed, error = _read_beneath(directory, name, program.shape)
                if error in _NOT_THERE:
                    inode = row.directory.inode(row.path)
                    if inode < 0 and -inode not in _NOT_THERE:
                        cells.fail(program, Cell.ERROR, -inode)
                    else:
                        there = inode == self._inodes[at]
                        cells.fail(program, *((Cell.ABSENT, errno.ENOENT) if there else (Cell.GONE, errno.ENODEV)))
                elif error:
                    cells.fail(program, Cell.ERROR, error)
                elif cells.fill(program, parsed):
                    self._unknown[at, place] = True
        finally:
            os.close(directory)
        return cells

    def unknown(self) -> list[tuple[int, int]]:
        """Return the sources that had numbers without a target: the row, and the index in the row."""
        return sorted(self._unknown)

    def record(self, interval: int, capacity: int, ticks: int) -> Any:  # noqa: ARG002 - always refused
        message = "cannot record: recording needs the native backend, and this is the Python backend"
        raise NativeRequired(message, hint="call sample() in a loop, or install the package with a C compiler")
