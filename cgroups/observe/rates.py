"""Rates: the change of cgroups between two frames, and the figures derived from it.

A figure is None if the cgroup was created again in between, or a counter was
reset.  A figure is never a meaningless number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, Union

from ..control.verbs import C, C_co
from ..core.errors import InvalidValue, shown
from ..core.interface import Cell
from ..core.seconds import NS_PER_S
from ..parameters import Blkio, Cpu, Cpuacct, Io, Memory
from .frames import Frame

if TYPE_CHECKING:
    from ..control.verbs import BaseCgroup
    from ..parameters.kinds import Readable
    from .columns import Column

__all__ = ["USAGE_PARAMETERS", "Rate", "Rates", "rates", "without_doubles"]


USAGE_PARAMETERS: Final[tuple[Readable[Any], ...]] = (
    *(Cpuacct.usage, Cpu.stat),
    *(Memory.usage_in_bytes, Memory.stat),
    *(Blkio.throttle_io_service_bytes_recursive, Blkio.throttle_io_serviced_recursive),
    *(Cpu.pressure, Memory.pressure, Io.pressure),
)
"""All parameters that the figures of a :class:`Rate` use.  On hosts without v2, omit the parameters that need v2."""


# ---- columns of a figure ----------------------------------------------------------------

_Source = tuple["Readable[Any]", Union[str, None], int]
_BYTES: Final = (Blkio.throttle_io_service_bytes_recursive, Blkio.throttle_io_service_bytes)
_OPERATIONS: Final = (Blkio.throttle_io_serviced_recursive, Blkio.throttle_io_serviced)


def _transferred(key: str, operation: str, *tables: Readable[Any]) -> tuple[_Source, ...]:
    return (Io.stat, key, 1), *((table, operation, 1) for table in tables)


# By figure: its possible sources, in order of preference: parameter, last part of the key, factor.
# If several keys of a parameter match, as in a table of devices, their sum counts.
_SOURCES: Final[dict[str, tuple[_Source, ...]]] = {
    "cpu": ((Cpuacct.usage, None, 1), (Cpu.stat, "usage_usec", 1000)),
    "usage": ((Memory.usage_in_bytes, None, 1), (Memory.current, None, 1)),
    # On v1 the counter that includes descendants, like the usage, if it exists.
    "inactive": ((Memory.stat, "total_inactive_file", 1), (Memory.stat, "inactive_file", 1)),
    "swap": ((Memory.swap_current, None, 1), (Memory.stat, "total_swap", 1), (Memory.stat, "swap", 1)),
    "oom_kills": ((Memory.events, "oom_kill", 1), (Memory.oom_control, "oom_kill", 1)),
    "oom_group_kills": ((Memory.events, "oom_group_kill", 1),),
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
"""A factor, and the columns to sum up."""


class _Figures:
    """By figure, groups of columns.  Only the first group that a row has counts."""

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


def without_doubles(oom_kills: int, oom_group_kills: int | None) -> int:
    """Return the number of killed processes: Linux counts the first process of a group kill twice."""
    return max(oom_kills - (oom_group_kills or 0), min(oom_kills, 1))


# ---- rates ------------------------------------------------------------------------------


class Rate(Generic[C_co]):
    """The change of one cgroup between two frames, and its state in the later one.

    A figure is None if its parameter was not sampled, or the cgroup lacks the parameter's file.  A difference is None
    if the cgroup did not exist before, or if a counter went backwards.  A figure of devices is None if the cgroup
    has used a device without a column.  A rate per second is over the time between the cgroup's own two reads.
    :data:`USAGE_PARAMETERS` has all the parameters that the figures use, except those of ``swap`` on v2 and of
    ``oom_kills``: Memory.swap_current, and Memory.events on v2 or Memory.oom_control on v1.

    Example::

        rate = rates(previous, current)[cgroup]
        rate.cpu                        # 1.5: one and a half CPUs busy
        rate[Memory.stat]["pgfault"]    # page faults per second
    """

    __slots__ = ("_before", "_of", "_row")

    def __init__(self, of: Rates[C_co], row: int, before: int | None) -> None:
        self._of, self._row, self._before = of, row, before

    @property
    def cgroup(self) -> C_co:
        """The cgroup of this rate."""
        return self._of.current.cgroups[self._row]

    @property
    def inode(self) -> int:
        """Inode of the cgroup's directory."""
        inode: int = self._of.current.inodes[self._row]
        return inode

    @property
    def timestamp_ns(self) -> int:
        """CLOCK_MONOTONIC time, in nanoseconds, of the cgroup's read for the later frame."""
        return self._of.times[self._row]

    @property
    def seconds(self) -> float | None:
        """Seconds between the cgroup's reads for the two frames; None if the cgroup did not exist before."""
        return None if self._before is None else self._elapsed / NS_PER_S

    @property
    def _elapsed(self) -> int:
        """Nanoseconds between the two reads, at least 1."""
        of = self._of
        before = of.earlier[self._row if self._before is None else self._before]
        return max(of.times[self._row] - before, 1)

    # ---- parameters

    def __getitem__(self, parameter: Readable[Any]) -> Any:
        """Return a parameter's change per second, in its columns' units, or a dict by key if it has several numbers.

        A number that is not a counter may fall.
        """
        if self._before is None:
            return self.delta(parameter)  # None for each key
        seconds = self._elapsed / NS_PER_S
        return self._by_key(parameter, lambda change: change / seconds)

    def delta(self, parameter: Readable[Any]) -> Any:
        """Return a parameter's change between the two frames, or a dict by key if it has several numbers.

        Raises:
            KeyError: the parameter is not in the frame.
        """
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
        """Return the value of a parameter in the later frame, like ``frame[cgroup, parameter]``."""
        return self._of.current[self.cgroup, parameter]

    # ---- figures

    @property
    def cpu(self) -> float | None:
        """CPU usage in CPUs: 1.5 is one and a half CPUs busy."""
        change = self._figure("cpu", self._change)
        return None if change is None else change / self._elapsed

    @property
    def memory(self) -> int | None:
        """Memory usage now, in bytes, including caches."""
        return self._figure("usage", self._now)

    @property
    def working_set(self) -> int | None:
        """Memory usage now, in bytes, without inactive file pages."""
        usage, inactive = self.memory, self._figure("inactive", self._now)
        return None if usage is None or inactive is None else max(usage - inactive, 0)

    @property
    def swap(self) -> int | None:
        """Swap usage now, in bytes."""
        return self._figure("swap", self._now)

    @property
    def oom_kills(self) -> int | None:
        """Number of processes that the OOM killer killed between the two frames; v1 excludes descendants."""
        kills, groups = (self._figure(name, self._change) for name in ("oom_kills", "oom_group_kills"))
        return None if kills is None else without_doubles(kills, groups)

    @property
    def throttled(self) -> float | None:
        """The share, from 0 to 1, of CPU limit periods in which the cgroup was throttled; None without any period."""
        periods, throttled = (self._figure(name, self._change) for name in ("periods", "throttled"))
        return throttled / periods if periods and throttled is not None else None

    @property
    def read_bytes(self) -> float | None:
        """Bytes read from block devices, per second."""
        return self._a_second("read_bytes")

    @property
    def write_bytes(self) -> float | None:
        """Bytes written to block devices, per second."""
        return self._a_second("write_bytes")

    @property
    def reads(self) -> float | None:
        """Read operations of block devices, per second."""
        return self._a_second("reads")

    @property
    def writes(self) -> float | None:
        """Write operations of block devices, per second."""
        return self._a_second("writes")

    @property
    def pressure(self) -> dict[tuple[str, str], float | None]:
        """The share of time, from 0 to 1, that tasks stalled, by resource and kind such as ``("memory", "some")``."""
        return {name: self.pressure_of(*name) for name in self._of.figures.pressures}

    def pressure_of(self, resource: str, kind: str = "some") -> float | None:
        """Return one share of :attr:`pressure`; None if it was not sampled either."""
        at = self._of.figures.pressures.get((resource, kind))
        change = None if at is None else self._change(at)
        return None if change is None else 1000 * change / self._elapsed

    def _a_second(self, figure: str) -> float | None:
        # A cgroup that did not exist before has no earlier reading, and its tables may be empty.
        change = None if self._before is None else self._figure(figure, self._change)
        return None if change is None else change * NS_PER_S / self._elapsed

    def _figure(self, figure: str, what: Callable[[int], int | None]) -> int | None:
        states = self._of.now.states[self._row]
        groups = self._of.figures.groups[figure]
        if figure in _TABLES and self._of.is_incomplete(self.cgroup, figure):
            return None
        for factor, columns in groups:
            parts = [what(at) for at in columns if states[at] == Cell.OK]
            if parts:
                return None if None in parts else factor * sum(part for part in parts if part is not None)
        # A table without a line for any of the devices: the cgroup has not used them.
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
            then = 0  # a device was first used between the frames
        return None if then is None or (counter and now < then) else now - then


class _Cells:
    """The parts of a frame as Python objects, for fast access."""

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
        """Return whether the file of a cell without a number exists, but has no line for it."""
        return self.states[row][column] == Cell.ABSENT and self._errno[row, column] == 0


class Rates(Mapping[C, Rate[C]]):
    """The changes between two frames: a mapping of cgroup to :class:`Rate`.

    Attributes:
        previous: the earlier frame.
        current: the later frame, which has the rows of the mapping.
        seconds: seconds between the starts of the two frames; those of a cgroup's own reads are :attr:`Rate.seconds`.
    """

    def __init__(self, previous: Frame[C], current: Frame[C]) -> None:
        self.previous = previous
        self.current = current
        self.seconds = (current.timestamp_ns - previous.timestamp_ns) / NS_PER_S
        self.earlier, self.times = previous.row_times, current.row_times
        self.uncounted = current.uncounted
        self.figures: _Figures = current.remembered(_Figures)
        self.then, self.now = _Cells(previous), _Cells(current)
        self._before, self._inodes = previous.inodes, current.inodes

    def is_incomplete(self, cgroup: BaseCgroup, figure: str) -> bool:
        """Return whether a file of a figure has lines without a column."""
        if not self.uncounted:
            return self.uncounted is None
        files = {file for parameter, _, _ in _SOURCES[figure] for file in parameter.files(cgroup.version)}
        return any((cgroup, file) in self.uncounted for file in files)

    def __getitem__(self, cgroup: C) -> Rate[C]:
        return self._at(self.current.row_index(cgroup))

    def _at(self, row: int) -> Rate[C]:
        before: int | None = row
        if self.previous.cgroups is not self.current.cgroups:
            try:
                before = self.previous.row_index(self.current.cgroups[row])
            except KeyError:
                before = None
        if before is not None and self._before[before] != self._inodes[row]:
            before = None
        return Rate(self, row, before)

    def __iter__(self) -> Iterator[C]:
        return iter(self.current.cgroups)

    def __len__(self) -> int:
        return len(self.current)

    def values(self) -> list[Rate[C]]:  # type: ignore[override]
        """Return the rates, in the order of the rows."""
        return [self._at(row) for row in range(len(self))]

    def __repr__(self) -> str:
        return f"<Rates of {len(self)} cgroups over {self.seconds:.3f} s>"


def rates(previous: Frame[C], current: Frame[C]) -> Rates[C]:
    """Return the change of each cgroup between two frames of one sampler.

    Example::

        previous = sampler.sample()
        time.sleep(1)
        for cgroup, rate in rates(previous, current := sampler.sample()).items():
            print(cgroup, rate.cpu, rate.working_set)

    Cgroups are identified by their inodes: a cgroup that was created again under
    the same name has no earlier values.

    Args:
        previous: the earlier frame.
        current: the later frame.

    Raises:
        InvalidValue: the frames have different columns, or ``previous`` is not the earlier one.
    """
    for one in (previous, current):
        if not isinstance(one, Frame):
            message = f"frame must be a Frame, got {shown(one)}"
            raise InvalidValue(message, hint="Sampler.sample() returns a Frame")
    if previous.columns is not current.columns and previous.columns != current.columns:
        message = "cannot compare the frames: they have different columns, of different samplers"
        raise InvalidValue(message)
    if previous.timestamp_ns >= current.timestamp_ns:
        message = "cannot compare the frames: the first is not earlier than the second"
        raise InvalidValue(message)
    return Rates(previous, current)
