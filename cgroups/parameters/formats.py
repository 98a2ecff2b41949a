"""Codecs for the tables of parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..core import codecs, range_codecs
from ..core.codecs import Converter as Converter
from ..core.codecs import Reader as Reader
from ..core.codecs import Writer as Writer
from ..core.codecs import bounded_int as bounded_int
from ..core.errors import InvalidValue, shown
from ..core.interface import ROW, Cells, Failure, Layout, Numbers, Shape
from ..core.values import Limit, NumaStat, Pressure, PressureLine, Stat

if TYPE_CHECKING:
    from ..core.interface import File

__all__ = [
    "S",
    "StatCodec",
    "V",
    "boolean",
    "count",
    "cpu_list",
    "int_list",
    "keyed_limits",
    "no_value",
    "numa_stat",
    "one_of",
    "pressure",
    "raw_text",
    "rows_of",
    "stat_of",
    "text",
    "word_of",
    "words",
]

S = TypeVar("S", bound="Stat[Any]")
V = TypeVar("V")

boolean = codecs.boolean
count = bounded_int(min=0)
text = codecs.string
cpu_list = range_codecs.ranges


# ---- lists ------------------------------------------------------------------------


def _plain_ints(cells: Cells) -> list[int]:
    values = [value for _, value in cells]
    if not all(isinstance(value, int) for value in values):
        message = f"values must be integers, got {values}"
        raise ValueError(message)
    return values


int_list: Reader[list[int]] = Reader(_plain_ints, Shape.VALUES, Numbers())
words: Reader[tuple[str, ...]] = Reader(lambda cells: tuple(word for _, word in cells), Shape.WORDS)
raw_text: Reader[str] = Reader(lambda cells: str(cells[0][1]), Shape.TEXT)


no_value: Writer[Any] = Writer(str)
"""A writer for a file that is only reset."""


def one_of(*allowed: str) -> Writer[str]:
    """Return a writer that accepts only the given words."""

    def encode(value: str) -> str:
        if value not in allowed:
            message = f"value must be one of {', '.join(allowed)}, got {shown(value)}"
            raise InvalidValue(message)
        return value

    return Writer(encode)


def word_of(*allowed: str) -> Converter[Any, Any]:
    """Return a converter that writes only the given words, and reads any text."""
    return Converter(lambda cells: str(cells[0][1]), one_of(*allowed).encode)


# ---- keyed files --------------------------------------------------------------------


class StatCodec(Reader[S], Generic[S]):
    """A flat keyed file as a Stat.

    ``aliases`` maps a second name to a key.  ``scaled`` maps a name, which may
    be an existing key, to a key and a factor.  Aliases and scaled names apply only if the key exists.
    """

    def __init__(
        self,
        kind: type[S],
        *,
        aliases: Mapping[str, str] | None = None,
        scaled: Mapping[str, tuple[str, int]] | None = None,
    ) -> None:
        self.kind = kind
        self.aliases = dict(aliases or {})
        self.scaled = dict(scaled or {})
        super().__init__(self._decode, Shape.KEYED, Numbers(aliases=self.aliases, scaled=self.scaled))
        self._plans: dict[tuple[str, ...], tuple[dict[str, int], list[tuple[int, int]]]] = {}

    def _plan(self, keys: tuple[str, ...]) -> tuple[dict[str, int], list[tuple[int, int]]]:
        """Return the index of each key and the values to append, computed once for each layout."""
        plan = self._plans.get(keys)
        if plan is None:
            index = {key: at for at, key in enumerate(keys)}
            for alias, key in self.aliases.items():
                if key in index:
                    index.setdefault(alias, index[key])
            factors: list[tuple[int, int]] = []
            source = dict(index)
            for name, (key, factor) in self.scaled.items():
                if key in source:
                    index[name] = len(keys) + len(factors)
                    factors.append((source[key], factor))
            if len(self._plans) > 64:  # noqa: PLR2004 - more layouts than any kernel has
                self._plans.clear()
            plan = self._plans[keys] = (index, factors)
        return plan

    def _make(self, plan: tuple[dict[str, int], list[tuple[int, int]]], values: list[Any]) -> S:
        index, factors = plan
        if factors:
            values += [values[at] * factor for at, factor in factors]
        return self.kind(index, values)

    def _decode(self, cells: Cells) -> S:
        _check_numbers(cells)
        return self._make(self._plan(tuple(key for key, _ in cells)), [value for _, value in cells])

    def bind(self, file: File, slow: codecs.Slow) -> Callable[[Any], Any]:
        known: tuple[Layout | None, Any] = (None, None)
        make, plan_of = self._make, self._plan

        def read_stat(cgroup: Any) -> Any:
            nonlocal known
            layout, plan = known
            try:
                learned, values = file.read_keyed(layout)
            except Failure:
                return slow(cgroup)
            if learned is not layout:
                # Keep a layout only if all of its values are numbers.
                if not all(isinstance(value, int) and value >= 0 for value in values):
                    return slow(cgroup)
                plan = plan_of(learned.keys)
                known = (learned, plan)
            return make(plan, values)

        return read_stat


def _check_numbers(cells: Cells) -> None:
    for key, value in cells:
        if not isinstance(value, int):
            message = f"value of the key {key!r} must be a number, got {value}"
            raise ValueError(message)  # noqa: TRY004 - decoders raise ValueError


def stat_of(
    kind: type[S],
    *,
    aliases: Mapping[str, str] | None = None,
    scaled: Mapping[str, tuple[str, int]] | None = None,
) -> StatCodec[S]:
    return StatCodec(kind, aliases=aliases, scaled=scaled)


def _decode_keyed_limits(cells: Cells) -> dict[str, Limit]:
    for key, value in cells:
        if value is None:
            message = f"the key {key!r} has no value"
            raise ValueError(message)
    return dict(cells)


keyed_limits: Reader[dict[str, Limit]] = Reader(_decode_keyed_limits, Shape.KEYED, Numbers())
"""A flat keyed file of limits: misc.max."""


# ---- rows -----------------------------------------------------------------------------


def rows_of(cells: Cells) -> list[tuple[str, list[tuple[str, Any]]]]:
    """Split cells into rows."""
    rows: list[tuple[str, list[tuple[str, Any]]]] = []
    for key, value in cells:
        if value is ROW:
            rows.append((key, []))
        elif value is not None:
            rows[-1][1].append((key, value))
    return rows


_PRESSURE_KEYS = frozenset({"avg10", "avg60", "avg300", "total"})


def _decode_pressure(cells: Cells) -> Pressure:
    lines: dict[str, PressureLine] = {}
    for name, items in rows_of(cells):
        # A word is skipped for an unknown key, and an error for a known one.
        numbers = {key: value for key, value in items if isinstance(value, (int, float))}
        if not numbers or any(key in _PRESSURE_KEYS and key not in numbers for key, _ in items):
            message = f"the line {shown(name)} has no averages"
            raise ValueError(message)
        lines[name] = PressureLine.of(numbers)
    if not lines:
        message = "the file has no lines"
        raise ValueError(message)
    result: Pressure = Pressure.of(lines)
    return result


pressure: Reader[Pressure] = Reader(_decode_pressure, Shape.NESTED, Numbers(hundredths=_PRESSURE_KEYS - {"total"}))


def numa_stat(unit: int) -> Reader[NumaStat]:
    """Return the reader of memory.numa_stat, whose numbers count units of ``unit`` bytes.

    A line of a name and plain numbers, such as a vendor's ``numa_locality 0 0``, is skipped.
    """

    def decode(cells: Cells) -> NumaStat:
        kinds: dict[str, dict[int, int]] = {}
        totals: dict[str, int] = {}
        for name, items in _numa_lines(cells):
            kind, nodes = name, {}
            for key, value in items:
                if kind and not _is_node(key):
                    continue  # an additional column of a newer kernel
                if not isinstance(value, int):
                    message = f"{key} must be a number, got {value}"
                    raise ValueError(message)  # noqa: TRY004 - decoders raise ValueError
                if not kind:
                    kind = key
                    totals[key] = value * unit
                else:
                    nodes[int(key[1:])] = value * unit
            kinds[kind] = nodes
        result: NumaStat = NumaStat.of(kinds)
        result.totals = totals
        return result

    return Reader(decode, Shape.NESTED, Numbers(scale=unit))


def _is_node(key: str) -> bool:
    return key[:1] == "N" and key[1:].isdigit()


def _numa_lines(cells: Cells) -> list[tuple[str, list[tuple[str, Any]]]]:
    """Return the lines with a kind and its numbers by node, without vendor lines; raise ValueError for any other.

    Each field without ``=`` opens a row: a vendor's ``numa_locality 0 0`` is three
    rows without items, and all but the first are named by numbers.
    """
    lines: list[tuple[str, list[tuple[str, Any]]]] = []
    plain = False  # the next row is a plain number
    for name, items in reversed(rows_of(cells)):
        if not items and name.isdigit():
            plain = True
        elif not items and name and plain and not _is_node(name):
            plain = False
        elif items and not plain and (name or not _is_node(items[0][0])):
            lines.append((name, items))
        else:
            message = f"line must be a kind of memory and its numbers by node, got {shown(name or items[0][0])}"
            raise ValueError(message)
    if plain:
        message = "the first line is a plain number"
        raise ValueError(message)
    return lines[::-1]
