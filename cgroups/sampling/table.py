"""Tables of cgroups and numbers, as they were read: frames, and where in them what is.

A frame is a row for each cgroup and a column for each number, over memory that the backend has filled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from .._interface import Cell, FramePlaces
from ..errors import shown
from ..values import MAX

if TYPE_CHECKING:
    from ..hierarchy import Cgroup
    from ..subsystem.parameter import Readable
    from .columns import Column

    Uncounted = frozenset[tuple[Cgroup, str]]

T = TypeVar("T")

__all__ = ["Frame", "Index", "array_interface", "part"]


def part(memory: memoryview, code: str, shape: list[int]) -> memoryview:
    """Some memory as an array that cannot be written."""
    memory = memory.toreadonly().cast("B")
    # A view of several dimensions cannot be empty.
    view: memoryview = memory.cast(code, shape) if all(shape) else memory.cast(code)  # type: ignore[call-overload]
    return view


def array_interface(memory: memoryview, shape: list[int]) -> dict[str, Any]:
    """What numpy makes an int64 array of, without a copy."""
    return {"shape": tuple(shape), "typestr": "=i8", "data": memory.toreadonly(), "version": 3}


class Frame:
    """What one :meth:`Sampler.sample` read.  It never changes; its memory is used again when nothing refers to it.

    Attributes:
        cgroups: the rows.
        columns: the columns.
    """

    __slots__ = ("_at", "_memory", "_places", "cgroups", "columns")

    def __init__(
        self,
        memory: memoryview,
        places: FramePlaces,
        cgroups: tuple[Cgroup, ...],
        columns: tuple[Column, ...],
        at: Index,
    ) -> None:
        self.cgroups = cgroups
        self.columns = columns
        self._memory = memory
        self._places = places
        self._at = at

    @property
    def timestamp_ns(self) -> int:
        """CLOCK_MONOTONIC when the reads began."""
        return self._memory[:8].cast("q")[0]

    @property
    def duration_ns(self) -> int:
        """How long they took."""
        return self._memory[8:16].cast("q")[0]

    @property
    def _shape(self) -> list[int]:
        return [len(self.cgroups), len(self.columns)]

    @property
    def values(self) -> memoryview:
        """int64, shape (cgroups, columns): 2**63 - 1 where the status is MAX, 0 where there is no number.

        Where the status is RANGE the number is more than an int64 has: it is ``value % 2**64``, as a uint64 has it.
        """
        places = self._places
        return part(self._memory[places.values : places.inodes], "q", self._shape)

    @property
    def inodes(self) -> memoryview:
        """uint64, shape (cgroups,): of each row's directory.  Another one is another cgroup, of the same name."""
        places = self._places
        return part(self._memory[places.inodes : places.times], "Q", [len(self.cgroups)])

    @property
    def row_times(self) -> memoryview:
        """int64, shape (cgroups,): CLOCK_MONOTONIC in ns when each row was read; :class:`Rate` divides by them.

        One reading of the clock is for a few files, so rows that were read one after another may share it.
        """
        places = self._places
        return part(self._memory[places.times : places.errors], "q", [len(self.cgroups)])

    @property
    def errno(self) -> memoryview:
        """int32, shape (cgroups, columns): why a cell is GONE, ABSENT or ERROR."""
        places = self._places
        return part(self._memory[places.errors : places.statuses], "i", self._shape)

    @property
    def status(self) -> memoryview:
        """uint8, shape (cgroups, columns): :class:`Cell`, which says what a value is."""
        places = self._places
        return part(self._memory[places.statuses : places.size], "B", self._shape)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """``numpy.asarray(frame)`` is ``values``, without a copy, and keeps the frame's memory."""
        return array_interface(self._memory[self._places.values : self._places.inodes], self._shape)

    def __len__(self) -> int:
        return len(self.cgroups)

    def row(self, at: int) -> list[Any]:
        """The numbers of a row as Python has them: int, float where a column has a scale, MAX, None for no number."""
        at = range(len(self.cgroups))[at]
        return [self._cell(at, column) for column in range(len(self.columns))]

    def __getitem__(self, key: tuple[Cgroup, Readable[Any]]) -> Any:
        """``frame[cgroup, parameter]``: its number as :meth:`row` has it, or a dict by key where it has several."""
        cgroup, parameter = key
        row, columns = self._at.row(cgroup), self._at.columns(parameter)
        found = {self.columns[column].key: self._cell(row, column) for column in columns}
        return found.get(None, found)

    def place(self, cgroup: Cgroup) -> int:
        """Which row a cgroup is."""
        return self._at.row(cgroup)

    def places(self, parameter: Readable[Any]) -> list[int]:
        """Which columns are of a parameter."""
        return self._at.columns(parameter)

    @property
    def uncounted(self) -> Uncounted | None:
        """Files that have numbers without a column, such as those of a device that was first used since the start.

        Each is a cgroup and the name of the control file; None if some are, and it is no longer known which.
        """
        count = self._memory[FramePlaces.UNKNOWN : FramePlaces.UNKNOWN + 8].cast("Q")[0]
        return self._at.uncounted() if count else frozenset()

    def remembered(self, make: Callable[[tuple[Column, ...]], T]) -> T:
        """What is made of the columns, once for all frames of a sampler."""
        return self._at.remembered(make)

    def _cell(self, row: int, column: int) -> Any:
        places = self._places
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
    """Where rows and columns are, made when first asked for."""

    def __init__(
        self,
        cgroups: tuple[Cgroup, ...],
        parameters: tuple[Readable[Any], ...],
        columns: tuple[Column, ...],
        uncounted: Callable[[], Uncounted | None],
    ) -> None:
        self._cgroups, self._parameters, self._columns = cgroups, parameters, columns
        self.uncounted = uncounted
        self._rows: dict[Cgroup, int] | None = None
        self._made: dict[Any, Any] = {}
        self._by_parameter: dict[Any, list[int]] | None = None

    def of(self, cgroups: tuple[Cgroup, ...]) -> Index:
        """The same columns for other rows."""
        other = Index(cgroups, self._parameters, self._columns, self.uncounted)
        other._made, other._by_parameter = self._made, self._by_parameter
        return other

    def row(self, cgroup: Cgroup) -> int:
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
