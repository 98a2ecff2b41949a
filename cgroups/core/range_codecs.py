"""Codecs for lists of CPUs and memory nodes, such as 0-3,8."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .codecs import Converter, read, to_int
from .errors import InvalidValue, ParseError, shown
from .interface import RANGE_LAST, Cells, Shape

__all__ = ["compact", "ranges", "single_range"]


def _decode_ranges(cells: Cells) -> list[int]:
    bounds = [value for _, value in cells]
    found: list[int] = []
    last = -1
    for low, high in sorted(zip(bounds[0::2], bounds[1::2])):
        # Skip numbers up to `last`: overlapping ranges are expanded only once.
        found += range(max(low, last + 1), high + 1)
        last = max(last, high)
    return found


def compact(numbers: Iterable[int]) -> str:
    """Return the canonical text of a set of numbers: merged, ascending ranges."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and number <= ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


def _check_ranged(number: Any) -> int:
    if not 0 <= to_int(number) <= RANGE_LAST:
        message = f"number must be from 0 to {RANGE_LAST}, got {shown(number)}"
        raise InvalidValue(message)
    return to_int(number)


def _encode_ranges(numbers: Iterable[int]) -> str:
    if isinstance(numbers, (str, bytes)) or not isinstance(numbers, Iterable):
        message = f"value must be an iterable of ints, got {shown(numbers)}"
        raise InvalidValue(message)
    return compact(_check_ranged(number) for number in numbers)


def _range_literal(word: str, unit: str) -> list[int]:  # noqa: ARG001 - a Literal
    try:
        return read(ranges, word)
    except ParseError:
        message = f"value must be a list of numbers and ranges, such as 0-3,8, got {word!r}"
        raise InvalidValue(message) from None


ranges: Converter[list[int], Iterable[int]] = Converter(_decode_ranges, _encode_ranges, Shape.RANGES, _range_literal)


def _decode_single_range(cells: Cells) -> tuple[int, int]:
    if len(cells) != 2:  # noqa: PLR2004 - the two bounds of one range
        message = f"value must be one range, got {len(cells) // 2} ranges"
        raise ValueError(message)
    return cells[0][1], cells[1][1]


def _encode_single_range(bounds: tuple[int, int]) -> str:
    if not isinstance(bounds, tuple) or len(bounds) != 2 or _check_ranged(bounds[0]) > _check_ranged(bounds[1]):  # noqa: PLR2004
        message = f"value must be a pair (first, last), got {shown(bounds)}"
        raise InvalidValue(message)
    low, high = bounds
    return str(low) if low == high else f"{low}-{high}"


single_range: Converter[tuple[int, int], tuple[int, int]] = Converter(
    _decode_single_range, _encode_single_range, Shape.RANGES
)
