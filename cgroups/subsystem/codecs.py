"""The codecs of the tables: what converter.py has, and what only control files need."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .. import converter
from .._interface import ROW, Cells, Failure, Layout, Numbers, Shape
from ..converter import Converter as Converter
from ..converter import Reader as Reader
from ..converter import Writer as Writer
from ..converter import bounded_int as bounded_int
from ..converter import device_of, to_int
from ..core import quantities
from ..errors import Advice, InvalidValue, shown
from ..values import (
    MAX,
    DeviceRule,
    DeviceTable,
    Limit,
    NumaStat,
    Pressure,
    PressureLine,
    Stat,
)

if TYPE_CHECKING:
    from .._interface import File

S = TypeVar("S", bound="Stat[Any]")
V = TypeVar("V")

U64_MAX = (1 << 64) - 1
I64_MAX = (1 << 63) - 1
INT_MAX = (1 << 31) - 1

PAGE_LIMIT = I64_MAX // mmap.PAGESIZE * mmap.PAGESIZE
"""What v1 shows for no limit in bytes: 2^63 − 1, rounded down to a page."""

HUGE_LIMIT = I64_MAX - (1 << 36) + 1
"""The same rounded down to a huge page: above this, whatever the size up to 64 GiB."""

boolean = converter.bool
count = bounded_int(min=0)
text = converter.string
cpu_list = converter.range


# ---- limits -----------------------------------------------------------------------


class LimitCodec(Converter[Limit, Limit]):
    """An integer in a range, or MAX; ``unlimited`` is how MAX is written, ``threshold`` from where a number is MAX."""

    def __init__(
        self,
        minimum: int = 0,
        maximum: int = U64_MAX,
        *,
        unlimited: str = "max",
        threshold: int = U64_MAX + 1,
        literal: converter.Literal = quantities.limit,
    ) -> None:
        super().__init__(self._decode, self._encode, Shape.VALUE, literal)
        self.minimum, self.maximum = minimum, maximum
        self.unlimited, self.threshold = unlimited, threshold
        # -1 is how v1 writes no limit, and reads where there is none; v2 has `max`.
        self.takes_unset = unlimited == "-1"
        self.numbers = Numbers(threshold=threshold if threshold <= U64_MAX else 0, unset=self.takes_unset)

    def _decode(self, cells: Cells) -> Limit:
        [(_, value)] = cells
        if value is MAX or (value == -1 and self.takes_unset) or value >= self.threshold:
            return MAX
        if value < 0:
            message = f"{value} where a number or max is expected"
            raise ValueError(message)
        number: int = value
        return number

    def _encode(self, value: Limit) -> str:
        if value is MAX:
            return self.unlimited
        number = to_int(value)
        if not self.minimum <= number <= self.maximum:
            message = f"{shown(number)} is neither MAX nor from {self.minimum} to {self.maximum}"
            raise InvalidValue(
                message, hint=Advice("no limit is cgroups.MAX", "no limit is max") if number == -1 else None
            )
        return str(number)

    def bind(self, file: File, slow: converter.Slow) -> Callable[[Any], Any]:
        (read_int, handle), threshold = file.int_call(), self.threshold

        def read_limit(cgroup: Any) -> Any:
            value = read_int(handle)
            if 0 <= value < threshold:
                return value
            return MAX if value >= -1 else slow(cgroup)

        return read_limit


limit = LimitCodec()
protection = LimitCodec(literal=quantities.protection)
limit_v1 = LimitCodec(unlimited="-1", threshold=PAGE_LIMIT)
huge_limit_v1 = LimitCodec(unlimited="-1", threshold=HUGE_LIMIT)
huge_limit_v2 = LimitCodec(threshold=HUGE_LIMIT)  # which shows the number until one is set

QUOTA_LIMIT = U64_MAX // 1000
"""The kernel makes nanoseconds of a quota, and on v2 does not look whether they fit."""

quota_v1 = LimitCodec(1000, QUOTA_LIMIT, unlimited="-1")
quota_v2 = LimitCodec(1000, QUOTA_LIMIT)


# ---- lists ------------------------------------------------------------------------


def _plain_ints(cells: Cells) -> list[int]:
    values = [value for _, value in cells]
    if not all(isinstance(value, int) for value in values):
        message = f"{values} where integers are expected"
        raise ValueError(message)
    return values


int_list: Reader[list[int]] = Reader(_plain_ints, Shape.VALUES, Numbers())
words: Reader[tuple[str, ...]] = Reader(lambda cells: tuple(word for _, word in cells), Shape.WORDS)
raw_text: Reader[str] = Reader(lambda cells: str(cells[0][1]), Shape.TEXT)


no_value: Writer[Any] = Writer(str)
"""Of a file that is only ever reset."""


def one_of(*allowed: str) -> Writer[str]:
    """A word of a few."""

    def encode(value: str) -> str:
        if value not in allowed:
            message = f"{shown(value)} is not one of {', '.join(allowed)}"
            raise InvalidValue(message)
        return value

    return Writer(encode)


def word_of(*allowed: str) -> Converter[Any, Any]:
    """The same, both ways; reading takes what the kernel says."""
    return Converter(lambda cells: str(cells[0][1]), one_of(*allowed).encode)


# ---- keyed files --------------------------------------------------------------------


class StatCodec(Reader[S], Generic[S]):
    """A flat keyed file as a Stat.

    ``aliases`` gives a key a second name, ``scaled`` makes a key, maybe its
    own, of another times a factor; both only where the source is there.
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
        """Where each key's value is, and which values are appended: made once for each layout."""
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
            if len(self._plans) > 64:  # noqa: PLR2004 - layouts of one file there have ever been
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

    def bind(self, file: File, slow: converter.Slow) -> Callable[[Any], Any]:
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
                # A layout is kept when all of its values were numbers.
                if not all(isinstance(value, int) and value >= 0 for value in values):
                    return slow(cgroup)
                plan = plan_of(learned.keys)
                known = (learned, plan)
            return make(plan, values)

        return read_stat


def _check_numbers(cells: Cells) -> None:
    for key, value in cells:
        if not isinstance(value, int):
            message = f"the key {key!r} has the value {value}, not a number"
            raise ValueError(message)  # noqa: TRY004 - what a decoder raises


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
    """Cells cut where a row opens."""
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
        # Words of a key that nobody knows yet are left out; those of a known one are an error.
        numbers = {key: value for key, value in items if isinstance(value, (int, float))}
        if not numbers or any(key in _PRESSURE_KEYS and key not in numbers for key, _ in items):
            message = f"the line {shown(name)} has no averages"
            raise ValueError(message)
        lines[name] = PressureLine.of(numbers)
    if not lines:
        message = "there are no lines in it"
        raise ValueError(message)
    result: Pressure = Pressure.of(lines)
    return result


pressure: Reader[Pressure] = Reader(_decode_pressure, Shape.NESTED, Numbers(hundredths=_PRESSURE_KEYS - {"total"}))


def numa_stat(unit: int) -> Reader[NumaStat]:
    """Make the reader of memory.numa_stat, whose numbers are of this many bytes each.

    A line of a name and plain numbers, such as a vendor's ``numa_locality 0 0``, is left out.
    """

    def decode(cells: Cells) -> NumaStat:
        kinds: dict[str, dict[int, int]] = {}
        totals: dict[str, int] = {}
        for name, items in _numa_lines(cells):
            kind, nodes = name, {}
            for key, value in items:
                if kind and not _is_node(key):
                    continue  # a further column of a newer kernel
                if not isinstance(value, int):
                    message = f"{key}={value} is no number"
                    raise ValueError(message)  # noqa: TRY004 - what a decoder raises
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
    """Return the lines of a kind and its numbers by node; raise ValueError for any other but a vendor's.

    A field without ``=`` opens a row of its own: a vendor's ``numa_locality 0 0``
    is three rows without items, of which all but the first are named by numbers.
    """
    lines: list[tuple[str, list[tuple[str, Any]]]] = []
    plain = False  # the row below this one is a plain number
    for name, items in reversed(rows_of(cells)):
        if not items and name.isdigit():
            plain = True
        elif not items and name and plain and not _is_node(name):
            plain = False
        elif items and not plain and (name or not _is_node(items[0][0])):
            lines.append((name, items))
        else:
            message = f"the line {shown(name or items[0][0])} is not a kind of memory and its numbers by node"
            raise ValueError(message)
    if plain:
        message = "the first line is a plain number"
        raise ValueError(message)
    return lines[::-1]


def _device_table(rows: Iterable[tuple[str, Any]]) -> tuple[dict[Any, Any], dict[str, Any]]:
    devices: dict[Any, Any] = {}
    others: dict[str, Any] = {}
    for name, row in rows:
        device = device_of(name)
        if device is None:
            others[name] = row
        else:
            devices[device] = row
    return devices, others


def _decode_device_rows(cells: Cells) -> DeviceTable[Any]:
    rows: dict[str, dict[str, Any]] = {}
    total = None
    for name, items in rows_of(cells):
        if not name and len(items) == 1 and items[0][0] == "Total":
            total = items[0][1]
        else:
            rows.setdefault(name, {}).update(items)
    devices, others = _device_table(rows.items())
    return DeviceTable(devices, total=total, others=others)


device_rows: Reader[DeviceTable[dict[str, Any]]] = Reader(_decode_device_rows, Shape.NESTED, Numbers())
"""io.stat, io.max: device → {key: number}."""

device_operations: Reader[DeviceTable[dict[str, int]]] = Reader(_decode_device_rows, Shape.TRIPLES, Numbers())
"""v1's blkio.*: device → {operation: number}, and the total."""


def device_numbers(convert: Callable[[int], int] = int) -> Reader[DeviceTable[int]]:
    """A number for each device, and maybe a default, each converted: io.weight, blkio.time."""

    def decode(cells: Cells) -> DeviceTable[int]:
        default = None
        rows = []
        for key, value in cells:
            if value is not None and not isinstance(value, int):
                message = f"{key} has the value {value}, not a number"
                raise ValueError(message)
            if key == "default":
                default = None if value is None else convert(value)
            elif value is not None:
                rows.append((key, convert(value)))
        devices, others = _device_table(rows)
        return DeviceTable(devices, default=default, others=others)

    numbers = Numbers(name=lambda _row, key, _ordinal: None if key == "default" else key)
    return Reader(decode, Shape.KEYED, numbers if convert is int else None)


def _decode_named_rows(cells: Cells) -> dict[str, dict[str, Any]]:
    return {name: dict(items) for name, items in rows_of(cells)}


named_rows: Reader[dict[str, dict[str, Limit]]] = Reader(_decode_named_rows, Shape.NESTED, Numbers())
"""rdma.max: device name → {resource: limit}."""


def _decode_device_rules(cells: Cells) -> list[DeviceRule]:
    return [_device_rule([name, *(value for _, value in items)]) for name, items in rows_of(cells)]


def _checked_rule(rule: DeviceRule) -> DeviceRule:
    """Return a rule that the kernel could have; raise ValueError for another."""
    if rule.type not in ("a", "b", "c"):
        message = f"{shown(rule.type)} is not a type of device: a, b or c"
        raise ValueError(message)
    for number in (rule.major, rule.minor):
        if number is not None and not 0 <= to_int(number) <= converter.U32_MAX:
            message = f"{shown(number)} is not the number of a device"
            raise ValueError(message)
    if not isinstance(rule.access, str) or not rule.access or set(rule.access) - set("rwm"):
        message = f"access {shown(rule.access)} is not of the letters r, w and m"
        raise ValueError(message)
    return rule


def _device_rule(fields: list[Any]) -> DeviceRule:
    if len(fields) != 3 or fields[0] not in ("a", "b", "c"):  # noqa: PLR2004 - type, device, access
        message = f"{' '.join(map(str, fields))!r} is not a line such as 'c 1:3 rwm'"
        raise ValueError(message)
    kind, device, access = map(str, fields)
    numbers = device.split(":")
    if len(numbers) != 2 or not all(number == "*" or number.isdigit() for number in numbers):  # noqa: PLR2004
        message = f"{device!r} is not the major:minor of a device"
        raise ValueError(message)
    major, minor = (None if number == "*" else int(number) for number in numbers)
    return _checked_rule(DeviceRule(kind, major, minor, access))


device_rules: Reader[list[DeviceRule]] = Reader(_decode_device_rules, Shape.TABLE)


def _encode_device_rule(rule: DeviceRule | str) -> str:
    """A rule, or its text; all numbers and letters are looked at before anything is written."""
    if not isinstance(rule, (DeviceRule, str)):
        message = f"{shown(rule)} is not a DeviceRule of type a, b or c"
        raise InvalidValue(message)
    try:
        if isinstance(rule, str):
            rule = DeviceRule("a", None, None, "rwm") if rule == "a" else _device_rule(rule.split())
        return str(_checked_rule(rule))
    except InvalidValue:
        raise
    except ValueError as error:
        raise InvalidValue(str(error)) from None


device_rule: Writer[DeviceRule | str] = Writer(_encode_device_rule)
