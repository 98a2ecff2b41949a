"""Sampler: many cgroups, many numbers, one call a frame.

A frame is a table: a row for each cgroup, a column for each number.  The
reading and its layout are the backend's (csrc/cg_sampler.c); which numbers
are columns is columns.py's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ._backend import backend
from ._interface import Cell, Failure, RawFrame, Shape
from .columns import Column, Plan, places_of, plan
from .errors import CgroupError, CgroupNotFound, InvalidValue, shown
from .hierarchy import Cgroup
from .values import MAX

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from ._interface import Cells
    from .subsystem.parameter import Readable

__all__ = ["Cell", "Column", "Frame", "Sampler"]


class Frame:
    """What one :meth:`Sampler.sample` read.  It never changes; its memory is used again when nothing refers to it.

    Attributes:
        cgroups: the rows.
        columns: the columns.
        timestamp_ns: CLOCK_MONOTONIC when the reads began.
        duration_ns: how long they took.
    """

    __slots__ = ("_at", "_raw", "cgroups", "columns", "duration_ns", "timestamp_ns")

    def __init__(self, raw: RawFrame, cgroups: tuple[Cgroup, ...], columns: tuple[Column, ...], at: _Index) -> None:
        self.cgroups = cgroups
        self.columns = columns
        self.timestamp_ns = raw.timestamp
        self.duration_ns = raw.duration
        self._raw = raw
        self._at = at

    def _part(self, start: int, end: int, code: str, shape: list[int]) -> memoryview:
        part = self._raw.memory[start:end].toreadonly().cast("B")
        # A view of several dimensions cannot be empty.
        view: memoryview = part.cast(code, shape) if all(shape) else part.cast(code)  # type: ignore[call-overload]
        return view

    @property
    def _shape(self) -> list[int]:
        return [len(self.cgroups), len(self.columns)]

    @property
    def values(self) -> memoryview:
        """int64, shape (cgroups, columns): 2**63 - 1 where the status is MAX or RANGE, 0 where there is no number."""
        places = self._raw.places
        return self._part(0, places.inodes, "q", self._shape)

    @property
    def inodes(self) -> memoryview:
        """uint64, shape (cgroups,): of each row's directory.  Another one is another cgroup, of the same name."""
        places = self._raw.places
        return self._part(places.inodes, places.errors, "Q", [len(self.cgroups)])

    @property
    def errno(self) -> memoryview:
        """int32, shape (cgroups, columns): why a cell is GONE, ABSENT or ERROR."""
        places = self._raw.places
        return self._part(places.errors, places.statuses, "i", self._shape)

    @property
    def status(self) -> memoryview:
        """uint8, shape (cgroups, columns): :class:`Cell`, which says what a value is."""
        places = self._raw.places
        return self._part(places.statuses, places.size, "B", self._shape)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """``numpy.asarray(frame)`` is ``values``, without a copy, and keeps the frame's memory."""
        memory = self._raw.memory[: self._raw.places.inodes].toreadonly()
        return {"shape": tuple(self._shape), "typestr": "=i8", "data": memory, "version": 3}

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

    def _cell(self, row: int, column: int) -> Any:
        places = self._raw.places
        at = row * places.columns + column
        status = self._raw.memory[places.statuses + at]
        if status == Cell.MAX:
            return MAX
        if status not in (Cell.OK, Cell.RANGE):
            return None
        value: int = self._raw.memory[: places.inodes].cast("q")[at]
        scale = self.columns[column].scale
        return value if scale == 1 else value / scale

    def __repr__(self) -> str:
        return f"<Frame of {len(self.cgroups)} cgroups and {len(self.columns)} columns at {self.timestamp_ns} ns>"


class _Index:
    """Where rows and columns are, made when first asked for."""

    def __init__(
        self, cgroups: tuple[Cgroup, ...], parameters: tuple[Readable[Any], ...], columns: tuple[Column, ...]
    ) -> None:
        self._cgroups, self._parameters, self._columns = cgroups, parameters, columns
        self._rows: dict[Cgroup, int] | None = None
        self._by_parameter: dict[Any, list[int]] | None = None

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


class Sampler:
    """Reads some parameters of some cgroups, again and again, in one call each time.

    Example::

        with Sampler(cgroups, [Memory.usage_in_bytes, Cpuacct.usage, Memory.stat]) as sampler:
            frame = sampler.sample()
            frame[cgroup, Memory.usage_in_bytes]
            numpy.asarray(frame)                    # (cgroups, columns), int64

    Each control file is read by one pread(2) a frame, without the
    interpreter's lock, from a file that is kept open; past the budget of
    :func:`cgroups.set_fd_budget` it is opened for each frame.  A cgroup that
    goes makes its own cells GONE, and one made again under its name answers
    from the next frame on, under its own inode.

    Columns are fixed at the start: a keyed file has one for each key that any of the
    cgroups has then.  ``new_keys`` says what has come since.

    Args:
        cgroups: the rows; of any hierarchy and version.  A cell that a
            cgroup cannot have is ABSENT.
        parameters: what is read: numbers, and tables of numbers.

    Raises:
        InvalidValue: a parameter without numbers, or given twice.
        CgroupNotFound: a cgroup that no mount of this namespace shows.
    """

    def __init__(self, cgroups: Iterable[Cgroup], parameters: Iterable[Readable[Any]]) -> None:
        self._cgroups = tuple(cgroups)
        parameters = tuple(parameters)
        _check(self._cgroups, parameters)
        versions = sorted({cgroup.version for cgroup in self._cgroups})
        self._plan: Plan = plan(parameters, versions, self._look)
        self._programs = {
            version: [(file, backend.Program(shape, targets)) for file, (shape, targets) in files.items()]
            for version, files in self._plan.files.items()
        }
        self._sampler: Any = backend.Sampler(len(self.columns))
        for cgroup in self._cgroups:
            directory, below = cgroup.place()
            self._sampler.add(directory, below, self._programs[cgroup.version])
        self._index = _Index(self._cgroups, parameters, self.columns)
        self._unknown = 0

    def _look(self, version: int, file: str, shape: Shape) -> Iterator[Cells]:
        if shape is Shape.VALUE:
            return
        for cgroup in self._cgroups:
            if cgroup.version == version:
                try:
                    directory, below = cgroup.place()
                    yield directory.file(f"{below}/{file}" if below else file).read(shape)
                except (Failure, CgroupError):
                    continue  # a cell's own business

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns, in the order of the parameters given and of their keys in the control files."""
        return self._plan.columns

    @property
    def cgroups(self) -> tuple[Cgroup, ...]:
        """The rows of the next frame."""
        return self._cgroups

    def sample(self) -> Frame:
        """One frame."""
        raw = self._open().sample(len(self._cgroups))
        self._unknown = raw.unknown
        return Frame(raw, self._cgroups, self._plan.columns, self._index)

    def _open(self) -> Any:
        sampler = self._sampler
        if sampler is None:
            message = "the sampler is closed"
            raise ValueError(message)
        return sampler

    @property
    def new_keys(self) -> Mapping[str, tuple[Any, ...]]:
        """By control file, the keys that some cgroup has and no column is of: a device that came, a newer kernel's key.

        A sampler made anew has columns for them.
        """
        found = self._open().unknown() if self._unknown else []
        new: dict[str, dict[Any, None]] = {}
        for row, at in found:
            cgroup = self._cgroups[row]
            file, (shape, targets) = list(self._plan.files[cgroup.version].items())[at]
            known = {target[:3] for target in targets}
            try:
                places = places_of(cgroup.read_cells(file, shape))
            except CgroupError:
                continue
            keys = ((row, key) if row else key or at for row, key, at in places if (row, key, at) not in known)
            new.setdefault(file, {}).update(dict.fromkeys(keys))
        return {file: tuple(keys) for file, keys in new.items()}

    def close(self) -> None:
        """Closes the files.  Frames that are held stay."""
        self._sampler = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Sampler of {len(self._cgroups)} cgroups and {len(self.columns)} columns>"


def _check(cgroups: tuple[Any, ...], parameters: tuple[Any, ...]) -> None:
    for cgroup in cgroups:
        if not isinstance(cgroup, Cgroup):
            message = f"{shown(cgroup)} is not a Cgroup"
            raise InvalidValue(message, hint="Hierarchy.find_exn(spec) gives one")
        if cgroup.path is None:
            message = f"cannot sample {cgroup}: no mount of this namespace shows it"
            raise CgroupNotFound(message)
    for what, given in (("cgroup", cgroups), ("parameter", parameters)):
        if len(set(given)) < len(given):
            twice = next(one for at, one in enumerate(given) if one in given[:at])
            message = f"the {what} {twice} is given twice"
            raise InvalidValue(message)
