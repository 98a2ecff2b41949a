"""Evaluate numbers on a frame, column by column: a frame may have 10,000 rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import compress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..core.errors import CgroupError
from ..core.interface import Cell
from ..core.values import MAX
from ..core.view import location_above
from ..parameters import Memory, Parameters

if TYPE_CHECKING:
    from ..control.verbs import BaseCgroup
    from ..observe import columns
    from ..observe.frames import Frame
    from .numbers import Number

__all__ = ["Column", "Planned", "Series", "Table", "plan"]

PER_SECOND: Final = {"ns": 1e9, "us": 1e6}
"""Units of time; numbers of other units are exported unchanged.  A division rounds better than a product with 1e-9."""

NO_LIMIT: Final = 1 << 62
"""In a statistic of v1, numbers from here on mean no limit: the kernel writes 2^63 less a page."""


class Column(NamedTuple):
    """The rows that have a number, and their numbers: two sequences, since a tuple for each number would cost more."""

    rows: Sequence[int]
    values: Sequence[float]


class Series(NamedTuple):
    """A column, and the labels of its device or size."""

    labels: Mapping[str, str]
    column: Column


class Table:
    """The cells of a frame as flat lists."""

    def __init__(self, frame: Frame[Any]) -> None:
        self.frame = frame
        self._width = len(frame.columns)
        self._values: list[int] = frame.values.cast("B").cast("q").tolist() if len(frame) and self._width else []
        self._states = bytes(frame.status) if len(frame) and self._width else b""

    def column(self, at: int, divisor: float) -> Column:
        """Return the numbers of a column, divided."""
        values, states = self._values[at :: self._width], self._states[at :: self._width]
        rows: Sequence[int] = range(len(states))
        if states.count(Cell.RANGE):  # from 2^63 on
            values = [value % 2**64 if state == Cell.RANGE else value for value, state in zip(values, states)]
        if states.count(Cell.OK) < len(states):
            chosen = [state in (Cell.OK, Cell.RANGE) for state in states]
            rows, values = [*compress(rows, chosen)], [*compress(values, chosen)]
        return Column(rows, values if divisor == 1 else [value / divisor for value in values])

    def gone(self) -> list[bool]:
        """Return, for each row, whether its cgroup was gone when the frame was read."""
        count, width = len(self.frame), self._width
        if not self._states.count(Cell.GONE):
            return [not width and cgroup.is_absent for cgroup in self.frame.cgroups]
        whole = bytes([Cell.GONE]) * width
        return [self._states[row * width : (row + 1) * width] == whole for row in range(count)]


class Planned(NamedTuple):
    """A number of a sampler: its columns with their divisors, its function, and labels of the columns."""

    columns: tuple[tuple[int, float], ...]
    function: Callable[[Table, Planned], Iterator[Series]]
    labels: tuple[Mapping[str, str], ...] = ()


# ---- functions ---------------------------------------------------------------------------


def _plain(table: Table, planned: Planned) -> Iterator[Series]:
    for (at, divisor), labels in zip(planned.columns, planned.labels or ({},)):
        yield Series(labels, table.column(at, divisor))


def _pairs(table: Table, planned: Planned) -> tuple[Sequence[int], Iterable[tuple[float, float]]]:
    """Return the rows that have both numbers, and these."""
    first, second = (table.column(at, divisor) for at, divisor in planned.columns)
    if first.rows == second.rows:
        return first.rows, zip(first.values, second.values)
    others = dict(zip(*second))
    both = [(row, value) for row, value in zip(*first) if row in others]
    return [row for row, _ in both], [(value, others[row]) for row, value in both]


def _difference(table: Table, planned: Planned) -> Iterator[Series]:
    rows, pairs = _pairs(table, planned)
    yield Series({}, Column(rows, [max(whole - part, 0) for whole, part in pairs]))


def _ratio(table: Table, planned: Planned) -> Iterator[Series]:
    rows, pairs = _pairs(table, planned)
    yield _kept(((row, over / under if under else None) for row, (over, under) in zip(rows, pairs)))


def _limit(table: Table, planned: Planned) -> Iterator[Series]:
    for series in _plain(table, planned):
        yield _kept((row, value if value < NO_LIMIT else None) for row, value in zip(*series.column))


def _kept(found: Iterable[tuple[int, float | None]]) -> Series:
    """Return the rows that have a number."""
    kept = [(row, value) for row, value in found if value is not None]
    return Series({}, Column([row for row, _ in kept], [value for _, value in kept]))


def _up_the_tree(table: Table, planned: Planned) -> Iterator[Series]:
    """Yield the lowest limit of each row and its ancestors."""
    ((at, divisor),) = planned.columns
    cgroups = table.frame.cgroups
    own = dict.fromkeys((cgroup.location for cgroup in cgroups), NO_LIMIT)
    own.update({cgroups[row].location: int(value) for row, value in zip(*table.column(at, divisor))})
    lowest: dict[str, int] = {}
    for cgroup in cgroups:
        above = lowest.get(location_above(cgroup.location))
        lowest[cgroup.location] = _lowest(cgroup, own, lowest) if above is None else min(above, own[cgroup.location])
    limits = (lowest[cgroup.location] for cgroup in cgroups)
    yield _kept((row, limit if limit < NO_LIMIT else None) for row, limit in enumerate(limits))


def _lowest(cgroup: BaseCgroup, own: Mapping[str, int], lowest: dict[str, int]) -> int:
    """Return the lowest limit from a cgroup up; ancestors without a row are read."""
    path: list[BaseCgroup] = []
    limit = NO_LIMIT
    for one in cgroup.upwards():
        if one.location in lowest:
            limit = lowest[one.location]
            break
        path.append(one)
    for one in reversed(path):
        limit = min(limit, own[one.location] if one.location in own else _limit_of(one))
        lowest[one.location] = limit
    return limit


def _limit_of(cgroup: BaseCgroup) -> int:
    try:
        limit = Parameters.get(Memory.limit_in_bytes, cgroup)
    except CgroupError:  # a root has no limit
        return NO_LIMIT
    return NO_LIMIT if limit is MAX else limit


FUNCTIONS: Final[Mapping[str, Callable[[Table, Planned], Iterator[Series]]]] = {
    "": _plain,
    "device": _plain,
    "size": _plain,
    "-": _difference,
    "/": _ratio,
    "limit": _limit,
    "up the tree": _up_the_tree,
}
"""By :attr:`Source.combine`, the function."""


# ---- plans -------------------------------------------------------------------------------


def plan(number: Number, columns: Sequence[columns.Column], device: Callable[[str], str]) -> Planned | None:
    """Return the columns of a number: those of its first source that has them; None if no source has.

    Args:
        number: the number.
        columns: the columns of a frame.
        device: returns the name of a device.
    """
    places = {(column.parameter, column.key): at for at, column in enumerate(columns)}
    for source in number.sources:
        if source.combine == "device":
            ((parameter, key),) = source.terms
            found = [(at, str(dev)) for (one, (dev, last)), at in _tables(places, parameter) if last == key]
            labels: tuple[Mapping[str, str], ...] = tuple({"device": device(dev)} for _, dev in found)
            chosen = [at for at, _ in found]
        else:
            found_terms = [(places[term], term[0]) for term in source.terms if term in places]
            is_whole = source.combine == "size" or len(found_terms) == len(source.terms)
            chosen = [at for at, _ in found_terms] if is_whole else []
            labels = (
                tuple({"pagesize": str(one).split(".")[1]} for _, one in found_terms)
                if source.combine == "size"
                else ()
            )
        if chosen:
            units = {at: 1 if source.combine == "/" else PER_SECOND.get(columns[at].unit, 1) for at in chosen}
            divisors = tuple((at, unit / number.factor) for at, unit in units.items())
            return Planned(divisors, FUNCTIONS[source.combine], labels)
    return None


def _tables(places: Mapping[tuple[Any, Any], int], parameter: Any) -> Iterator[tuple[tuple[Any, Any], int]]:
    """Yield the places of a parameter whose keys are a device and a name."""
    for (one, key), at in places.items():
        if one is parameter and isinstance(key, tuple):
            yield (one, key), at
