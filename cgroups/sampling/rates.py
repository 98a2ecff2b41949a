"""What cgroups did between two frames: rates, and the figures that people ask for.

Of a cgroup that was made again in between, and of a counter that was reset,
nothing is known: None, never a number that means nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Union

from .._interface import Cell
from ..errors import InvalidValue, shown
from ..subsystem import Blkio, Cpu, Cpuacct, Io, Memory
from .table import Frame

if TYPE_CHECKING:
    from ..hierarchy import Cgroup
    from ..subsystem.parameter import Readable
    from .columns import Column

__all__ = ["VITALS", "Rate", "Rates", "rates"]

NS: Final = 1_000_000_000

VITALS: Final[tuple[Readable[Any], ...]] = (
    *(Cpuacct.usage, Cpu.stat),
    *(Memory.usage_in_bytes, Memory.stat),
    *(Blkio.throttle_io_service_bytes_recursive, Blkio.throttle_io_serviced_recursive),
    *(Cpu.pressure, Memory.pressure, Io.pressure),
)
"""All that the figures of a :class:`Rate` are made of.  For hosts without v2, those without files there left out."""


# ---- which columns a figure is made of -------------------------------------------------

_Source = tuple["Readable[Any]", Union[str, None], int]
_BYTES: Final = (Blkio.throttle_io_service_bytes_recursive, Blkio.throttle_io_service_bytes)
_OPERATIONS: Final = (Blkio.throttle_io_serviced_recursive, Blkio.throttle_io_serviced)


def _transferred(key: str, operation: str, *tables: Readable[Any]) -> tuple[_Source, ...]:
    return (Io.stat, key, 1), *((table, operation, 1) for table in tables)


# By figure: where it may come from, the first that a row has, as parameter, last part of the key, and factor.
# A parameter with several such keys, as a table of devices has, gives their sum.
_SOURCES: Final[dict[str, tuple[_Source, ...]]] = {
    "cpu": ((Cpuacct.usage, None, 1), (Cpu.stat, "usage_usec", 1000)),
    "usage": ((Memory.usage_in_bytes, None, 1), (Memory.current, None, 1)),
    # On v1 the one that counts all below, as the usage does, where there is one.
    "inactive": ((Memory.stat, "total_inactive_file", 1), (Memory.stat, "inactive_file", 1)),
    "periods": ((Cpu.stat, "nr_periods", 1),),
    "throttled": ((Cpu.stat, "nr_throttled", 1),),
    "read_bytes": _transferred("rbytes", "Read", *_BYTES),
    "write_bytes": _transferred("wbytes", "Write", *_BYTES),
    "reads": _transferred("rios", "Read", *_OPERATIONS),
    "writes": _transferred("wios", "Write", *_OPERATIONS),
}
_TABLES: Final = frozenset({"read_bytes", "write_bytes", "reads", "writes"})
_PRESSURES: Final = {"cpu": Cpu.pressure, "memory": Memory.pressure, "io": Io.pressure}

_Group = tuple[int, tuple[int, ...]]
"""A factor, and the columns whose sum it is of."""


class _Figures:
    """By figure, its columns, in groups of which the first counts that a row has."""

    def __init__(self, columns: tuple[Column, ...]) -> None:
        by_key: dict[tuple[Any, Any], list[int]] = {}
        for at, column in enumerate(columns):
            last = column.key[-1] if isinstance(column.key, tuple) else column.key
            by_key.setdefault((column.parameter, last), []).append(at)
        self.groups: dict[str, list[_Group]] = {
            figure: [(factor, tuple(by_key[one, key])) for one, key, factor in sources if (one, key) in by_key]
            for figure, sources in _SOURCES.items()
        }
        self.pressures = {
            (resource, column.key[0]): at
            for resource, parameter in _PRESSURES.items()
            for at, column in enumerate(columns)
            if column.parameter == parameter and column.key[-1] == "total"
        }


# ---- rates ------------------------------------------------------------------------------


class Rate:
    """What one cgroup did between two frames, and what it has.

    A figure is None where its parameter was not sampled, where the cgroup has no such file, and, of what is a
    difference, where the cgroup was not there before or a counter went backwards; figures of devices also from when
    the cgroup used one that the sampler has no column for.  What is per second is over the time between the cgroup's
    own two readings.  :data:`VITALS` are all the parameters that the figures are made of.

    Example::

        rate = rates(previous, current)[cgroup]
        rate.cpu                        # 1.5: one and a half CPUs busy
        rate[Memory.stat]["pgfault"]    # faults a second
    """

    __slots__ = ("_before", "_of", "_row")

    def __init__(self, of: Rates, row: int, before: int | None) -> None:
        self._of, self._row, self._before = of, row, before

    @property
    def cgroup(self) -> Cgroup:
        """Whose rate it is."""
        return self._of.current.cgroups[self._row]

    @property
    def inode(self) -> int:
        """Of its directory."""
        inode: int = self._of.current.inodes[self._row]
        return inode

    @property
    def timestamp_ns(self) -> int:
        """CLOCK_MONOTONIC when it was read for the later frame."""
        return self._of.times[self._row]

    @property
    def seconds(self) -> float | None:
        """From its reading for the earlier frame to that for the later one; None if it was not there before."""
        return None if self._before is None else self._elapsed / NS

    @property
    def _elapsed(self) -> int:
        """From the one reading to the other, in ns."""
        of = self._of
        before = of.earlier[self._row if self._before is None else self._before]
        return max(of.times[self._row] - before, 1)

    # ---- parameters

    def __getitem__(self, parameter: Readable[Any]) -> Any:
        """A parameter's change per second, in its columns' units, or a dict by key where it has several.

        What is no counter may fall.
        """
        if self._before is None:
            return self.delta(parameter)  # None, of each key
        seconds = self._elapsed / NS
        return self._by_key(parameter, lambda change: change / seconds)

    def delta(self, parameter: Readable[Any]) -> Any:
        """A parameter's change from the one frame to the other, or a dict by key where it has several."""
        return self._by_key(parameter, lambda change: change)

    def _by_key(self, parameter: Readable[Any], convert: Callable[[int], float]) -> Any:
        current = self._of.current
        found: dict[Any, float | None] = {}
        for at in current.places(parameter):
            _, key, _, scale, _ = current.columns[at]
            change = self._change(at)
            if change is not None:
                found[key] = convert(change) if scale == 1 else convert(change) / scale
            else:
                found[key] = None
        return found.get(None, found)

    def now(self, parameter: Readable[Any]) -> Any:
        """What the later frame has of a parameter, as ``frame[cgroup, parameter]``."""
        return self._of.current[self.cgroup, parameter]

    # ---- figures

    @property
    def cpu(self) -> float | None:
        """CPUs that were busy for it: 1.5 is one and a half."""
        change = self._figure("cpu", self._change)
        return None if change is None else change / self._elapsed

    @property
    def memory(self) -> int | None:
        """Bytes that it has now, caches among them."""
        return self._figure("usage", self._now)

    @property
    def working_set(self) -> int | None:
        """Bytes that it has now, less the files' pages that were not used lately."""
        usage, inactive = self.memory, self._figure("inactive", self._now)
        return None if usage is None or inactive is None else max(usage - inactive, 0)

    @property
    def throttled(self) -> float | None:
        """The share, 0 to 1, of the periods of its CPU limit in which it was held back; None where there were none."""
        periods, throttled = (self._figure(name, self._change) for name in ("periods", "throttled"))
        return throttled / periods if periods and throttled is not None else None

    @property
    def read_bytes(self) -> float | None:
        """Bytes read from block devices, a second."""
        return self._a_second("read_bytes")

    @property
    def write_bytes(self) -> float | None:
        """Bytes written to block devices, a second."""
        return self._a_second("write_bytes")

    @property
    def reads(self) -> float | None:
        """Read operations of block devices, a second."""
        return self._a_second("reads")

    @property
    def writes(self) -> float | None:
        """Write operations of block devices, a second."""
        return self._a_second("writes")

    @property
    def pressure(self) -> dict[tuple[str, str], float | None]:
        """By resource and kind, as ``("memory", "some")``: the share of the time, 0 to 1, that tasks stalled for it."""
        changes = {name: self._change(at) for name, at in self._of.figures.pressures.items()}
        return {name: None if one is None else 1000 * one / self._elapsed for name, one in changes.items()}

    def _a_second(self, figure: str) -> float | None:
        change = self._figure(figure, self._change)
        return None if change is None else change * NS / self._elapsed

    def _figure(self, figure: str, what: Callable[[int], int | None]) -> int | None:
        states = self._of.now.states[self._row]
        groups = self._of.figures.groups[figure]
        if figure in _TABLES and self._of.is_incomplete(self.cgroup, figure):
            return None
        for factor, columns in groups:
            parts = [what(at) for at in columns if states[at] == Cell.OK]
            if parts:
                return None if None in parts else factor * sum(part for part in parts if part is not None)
        # A table without a line for any of the devices: it has not used them.
        lines = any(self._of.now.has_file(self._row, at) for _, columns in groups for at in columns)
        return 0 if lines and figure in _TABLES else None

    def _now(self, column: int) -> int | None:
        return self._of.now.number(self._row, column)

    def _change(self, column: int) -> int | None:
        of = self._of
        now = of.now.number(self._row, column)
        if now is None or self._before is None:
            return None
        then = of.then.number(self._before, column)
        counter = of.current.columns[column].counter
        if then is None and counter and of.then.has_file(self._before, column):
            then = 0  # a device that was first used in between
        return None if then is None or (counter and now < then) else now - then


class _Cells:
    """The parts of a frame, at hand."""

    def __init__(self, frame: Frame) -> None:
        width = len(frame.columns)
        starts = [row * width for row in range(len(frame))]
        values, states = frame.values.cast("B").cast("q").tolist(), bytes(frame.status)
        self.values = [values[at : at + width] for at in starts]
        self.states = [states[at : at + width] for at in starts]
        self._errno = frame.errno

    def number(self, row: int, column: int) -> int | None:
        value: int = self.values[row][column]
        return value if self.states[row][column] == Cell.OK else None

    def has_file(self, row: int, column: int) -> bool:
        """Of a cell without a number: whether its file is there, and has no such line."""
        return self.states[row][column] == Cell.ABSENT and self._errno[row, column] == 0


class Rates(Mapping["Cgroup", Rate]):
    """What each cgroup of a frame did since another frame: a mapping of cgroup to :class:`Rate`.

    Attributes:
        previous: the earlier frame.
        current: the later one, whose rows these are.
        seconds: from the beginning of the one to that of the other; a cgroup's own readings are :attr:`Rate.seconds`
            apart.
    """

    def __init__(self, previous: Frame, current: Frame) -> None:
        self.previous = previous
        self.current = current
        self.seconds = (current.timestamp_ns - previous.timestamp_ns) / NS
        self.earlier, self.times = previous.row_times, current.row_times
        self.uncounted = current.uncounted
        self.figures: _Figures = current.remembered(_Figures)
        self.then, self.now = _Cells(previous), _Cells(current)
        self._before, self._inodes = previous.inodes, current.inodes

    def is_incomplete(self, cgroup: Cgroup, figure: str) -> bool:
        """Whether a file that a figure is made of has lines that no column is of."""
        if not self.uncounted:
            return self.uncounted is None
        files = {file for parameter, _, _ in _SOURCES[figure] for file in parameter.files(cgroup.version)}
        return any((cgroup, file) in self.uncounted for file in files)

    def __getitem__(self, cgroup: Cgroup) -> Rate:
        return self._at(self.current.place(cgroup))

    def _at(self, row: int) -> Rate:
        before: int | None = row
        if self.previous.cgroups is not self.current.cgroups:
            try:
                before = self.previous.place(self.current.cgroups[row])
            except KeyError:
                before = None
        if before is not None and self._before[before] != self._inodes[row]:
            before = None
        return Rate(self, row, before)

    def __iter__(self) -> Iterator[Cgroup]:
        return iter(self.current.cgroups)

    def __len__(self) -> int:
        return len(self.current)

    def values(self) -> list[Rate]:  # type: ignore[override]
        """The rates, in the order of the rows."""
        return [self._at(row) for row in range(len(self))]

    def __repr__(self) -> str:
        return f"<Rates of {len(self)} cgroups over {self.seconds:.3f} s>"


def rates(previous: Frame, current: Frame) -> Rates:
    """What each cgroup did from one frame to a later one of the same sampler.

    Example::

        previous = sampler.sample()
        time.sleep(1)
        for cgroup, rate in rates(previous, current := sampler.sample()).items():
            print(cgroup, rate.cpu, rate.working_set)

    Cgroups are told apart by their inodes: one that was made again under its
    name has no past.

    Raises:
        InvalidValue: frames of different columns, or the later one first.
    """
    for one in (previous, current):
        if not isinstance(one, Frame):
            message = f"{shown(one)} is not a frame"
            raise InvalidValue(message, hint="Sampler.sample() gives one")
    if previous.columns is not current.columns and previous.columns != current.columns:
        message = "the frames have different columns: they are of different samplers"
        raise InvalidValue(message)
    if previous.timestamp_ns >= current.timestamp_ns:
        message = "the first frame is not earlier than the second"
        raise InvalidValue(message)
    return Rates(previous, current)
