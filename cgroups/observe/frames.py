"""Frames: tables of the numbers read from cgroups.

A frame has a row for each cgroup and a column for each number, over memory that the backend has filled.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..control.verbs import C_co
from ..core.errors import shown
from ..core.interface import Cell, FrameLayout
from ..core.values import MAX

if TYPE_CHECKING:
    from ..control.verbs import BaseCgroup
    from ..parameters.kinds import Readable
    from .columns import Column

    Uncounted = frozenset[tuple[BaseCgroup, str]]

T = TypeVar("T")

__all__ = ["Frame", "Index", "array_interface", "joined", "part"]


def part(memory: memoryview, code: str, shape: list[int]) -> memoryview:
    """Return a part of some memory as a read-only array."""
    memory = memory.toreadonly().cast("B")
    # An empty memoryview cannot be cast to several dimensions.
    view: memoryview = memory.cast(code, shape) if all(shape) else memory.cast(code)  # type: ignore[call-overload]
    return view


def joined(
    timestamp_ns: int, unknown: int, values: bytes, inodes: bytes, times: bytes, errors: bytes, statuses: bytes
) -> memoryview:
    """Return the memory of a frame from its parts, in the order of FrameLayout."""
    head = bytearray(FrameLayout.HEAD)
    for offset, number in ((0, timestamp_ns), (FrameLayout.UNKNOWN, unknown)):
        head[offset : offset + 8] = number.to_bytes(8, sys.byteorder)
    return memoryview(b"".join((head, values, inodes, times, errors, statuses)))


def array_interface(memory: memoryview, shape: list[int]) -> dict[str, Any]:
    """Return the interface from which numpy creates an int64 array without a copy."""
    return {"shape": tuple(shape), "typestr": "=i8", "data": memory.toreadonly(), "version": 3}


class Frame(Generic[C_co]):
    """The immutable result of one :meth:`Sampler.sample`.  The memory is reused when no object refers to the frame.

    Attributes:
        cgroups: the rows.
        columns: the columns.
    """

    __slots__ = ("_at", "_layout", "_memory", "cgroups", "columns")

    def __init__(
        self,
        memory: memoryview,
        places: FrameLayout,
        cgroups: tuple[C_co, ...],
        columns: tuple[Column, ...],
        at: Index,
    ) -> None:
        self.cgroups = cgroups
        self.columns = columns
        self._memory = memory
        self._layout = places
        self._at = at

    @property
    def timestamp_ns(self) -> int:
        """CLOCK_MONOTONIC time, in nanoseconds, at which the reads began."""
        return self._memory[:8].cast("q")[0]

    @property
    def duration_ns(self) -> int:
        """Duration of the reads, in nanoseconds."""
        return self._memory[8:16].cast("q")[0]

    @property
    def _shape(self) -> list[int]:
        return [len(self.cgroups), len(self.columns)]

    @property
    def values(self) -> memoryview:
        """int64, shape (cgroups, columns): 2**63 - 1 if the status is MAX, 0 if the cell has no number.

        If the status is RANGE the number exceeds an int64: the value is ``number % 2**64``, to be read as a uint64.
        """
        places = self._layout
        return part(self._memory[places.values : places.inodes], "q", self._shape)

    @property
    def inodes(self) -> memoryview:
        """uint64, shape (cgroups,): inode of each row's directory.  Another inode means a new cgroup."""
        places = self._layout
        return part(self._memory[places.inodes : places.times], "Q", [len(self.cgroups)])

    @property
    def row_times(self) -> memoryview:
        """int64, shape (cgroups,): CLOCK_MONOTONIC time of each row's read, in ns, for :class:`Rate`.

        The clock is read once for a few files, so adjacent rows may share a time.
        """
        places = self._layout
        return part(self._memory[places.times : places.errors], "q", [len(self.cgroups)])

    @property
    def errno(self) -> memoryview:
        """int32, shape (cgroups, columns): the errno of a cell that is GONE, ABSENT or ERROR."""
        places = self._layout
        return part(self._memory[places.errors : places.statuses], "i", self._shape)

    @property
    def status(self) -> memoryview:
        """uint8, shape (cgroups, columns): the :class:`Cell` that classifies each value."""
        places = self._layout
        return part(self._memory[places.statuses : places.size], "B", self._shape)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """The interface for ``numpy.asarray(frame)``: ``values`` without a copy.  The array keeps the memory."""
        return array_interface(self._memory[self._layout.values : self._layout.inodes], self._shape)

    def __len__(self) -> int:
        return len(self.cgroups)

    def row(self, at: int) -> list[Any]:
        """Return the numbers of a row: int, float if a column has a scale, MAX, or None without a number.

        Args:
            at: the row number; negative numbers count from the end.

        Raises:
            IndexError: the frame has no such row.
        """
        at = range(len(self.cgroups))[at]
        return [self._cell(at, column) for column in range(len(self.columns))]

    def __getitem__(self, key: tuple[BaseCgroup, Readable[Any]]) -> Any:
        """Return the number ``frame[cgroup, parameter]`` like :meth:`row`, or a dict by key if there are several."""
        cgroup, parameter = key
        row, columns = self._at.row(cgroup), self._at.columns(parameter)
        found = {self.columns[column].key: self._cell(row, column) for column in columns}
        return found.get(None, found)

    def row_index(self, cgroup: BaseCgroup) -> int:
        """Return the row number of a cgroup.

        Raises:
            KeyError: the cgroup is not in the frame.
        """
        return self._at.row(cgroup)

    def places(self, parameter: Readable[Any]) -> list[int]:
        """Return the column numbers of a parameter.

        Raises:
            KeyError: the parameter is not in the frame.
        """
        return self._at.columns(parameter)

    @property
    def uncounted(self) -> Uncounted | None:
        """Files with numbers outside the columns, for example those of a device that was first used after the start.

        Each entry is a cgroup and the name of the control file.  The value is None if such files exist but are no
        longer known.
        """
        count = self._memory[FrameLayout.UNKNOWN : FrameLayout.UNKNOWN + 8].cast("Q")[0]
        return self._at.uncounted() if count else frozenset()

    def remembered(self, make: Callable[[tuple[Column, ...]], T]) -> T:
        """Return an object made of the columns, created once for all frames of a sampler."""
        return self._at.remembered(make)

    def _cell(self, row: int, column: int) -> Any:
        places = self._layout
        at = row * places.columns + column
        status = self._memory[places.statuses + at]
        if status == Cell.MAX:
            return MAX
        if status not in (Cell.OK, Cell.RANGE):
            return None
        values = self._memory[places.values : places.inodes].cast("Q" if status == Cell.RANGE else "q")
        value: int = values[at]
        scale = self.columns[column].scale
        return value if scale == 1 else value / scale

    def __repr__(self) -> str:
        return f"<Frame of {len(self.cgroups)} cgroups and {len(self.columns)} columns at {self.timestamp_ns} ns>"


class Index:
    """The numbers of rows and columns, computed on first use."""

    def __init__(
        self,
        cgroups: tuple[BaseCgroup, ...],
        parameters: tuple[Readable[Any], ...],
        columns: tuple[Column, ...],
        uncounted: Callable[[], Uncounted | None],
    ) -> None:
        self._cgroups, self._parameters, self._columns = cgroups, parameters, columns
        self.uncounted = uncounted
        self._rows: dict[BaseCgroup, int] | None = None
        self._made: dict[Any, Any] = {}
        self._by_parameter: dict[Any, list[int]] | None = None

    def of(self, cgroups: tuple[BaseCgroup, ...]) -> Index:
        """Return an index of the same columns for other rows."""
        other = Index(cgroups, self._parameters, self._columns, self.uncounted)
        other._made, other._by_parameter = self._made, self._by_parameter
        return other

    def row(self, cgroup: BaseCgroup) -> int:
        if self._rows is None:
            self._rows = {one: at for at, one in enumerate(self._cgroups)}
        try:
            return self._rows[cgroup]
        except (KeyError, TypeError):
            message = f"{shown(cgroup)} is not sampled"
            raise KeyError(message) from None

    def columns(self, parameter: Any) -> list[int]:
        if self._by_parameter is None:
            found: dict[Any, list[int]] = {parameter: [] for parameter in self._parameters}
            for at, column in enumerate(self._columns):
                found[column.parameter].append(at)
            self._by_parameter = found
        try:
            return self._by_parameter[parameter]
        except (KeyError, TypeError):
            message = f"{shown(parameter)} is not sampled"
            raise KeyError(message) from None

    def remembered(self, make: Callable[[tuple[Column, ...]], T]) -> T:
        if make not in self._made:
            self._made[make] = make(self._columns)
        made: T = self._made[make]
        return made
