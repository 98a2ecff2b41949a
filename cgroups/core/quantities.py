"""Parse human-readable numbers by their unit: ``512Mi`` bytes, ``10ms``, ``1.5`` CPUs.

Only the unit of the parameter determines the allowed suffixes: ``500m`` is
500 MiB for bytes, half a CPU for CPU time, and an error for a count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from .errors import InvalidValue, shown
from .values import MAX, Limit

if TYPE_CHECKING:
    from fractions import Fraction

__all__ = ["NO_LIMIT", "TIMES", "cpus", "limit", "number", "protection", "seconds", "whole"]

NO_LIMIT: Final = frozenset({"max", "unlimited", "infinity", "none", "-1"})
"""Words for no limit: the kernel's, systemd's, the container runtimes', and v1's number."""

_NUMBER: Final = re.compile(r"(-?[0-9]{1,40}(?:\.[0-9]{1,40})?) *([a-zµ]*|%)", re.IGNORECASE)
_CPUS: Final = re.compile(r"([0-9]{1,6}\.[0-9]{1,9})|([0-9]{1,8}(?:\.[0-9]{1,9})?)(%|m)")

_BYTES: Final = {
    **dict.fromkeys(("", "b"), 1),
    **{
        f"{letter}{rest}": 1 << 10 * power
        for power, letter in enumerate("kmgtpe", 1)
        for rest in ("", "b", "i", "ib")
    },
}  # fmt: skip

_NANOSECONDS: Final = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "min": 60 * 10**9,
    "h": 3600 * 10**9,
}

TIMES: Final = frozenset({"ns", "us", "ms", "s"})
"""Units of time."""

_SUFFIXES: Final[Mapping[str, Mapping[str, int]]] = {
    "bytes": _BYTES,
    "percent": {"": 1, "%": 1},
    **{unit: {**_NANOSECONDS, "": _NANOSECONDS[unit]} for unit in TIMES},
}
"""Unit to suffixes and their factors; for times in nanoseconds."""

_EXAMPLES: Final = {
    "bytes": "bytes, such as 1000, 512M or 0.5Gi",
    "percent": "a percentage, such as 12.5 or 50%",
    "ns": "a time, such as 10ms, 2s or 1000 (nanoseconds)",
    "us": "a time, such as 10ms, 2s or 1000 (microseconds)",
    "ms": "a time, such as 10ms, 2s or 1000 (milliseconds)",
    "s": "a time, such as 10ms, 2s or 0.5 (seconds)",
}


def _base(unit: str) -> str:
    """Return the unit without its rate: ``bytes`` for ``bytes/s``."""
    return unit.partition("/")[0]


def _expected(unit: str) -> str:
    return _EXAMPLES.get(_base(unit), "a whole number, such as 512")


def number(word: str, unit: str) -> Fraction:
    """Return the exact number that a word stands for, in the unit.

    Args:
        word: a decimal number, optionally with a suffix of this unit.
        unit: a parameter's unit, such as ``bytes``, ``us`` or ``count``.

    Raises:
        InvalidValue: the word is not such a number.
    """
    match = _NUMBER.fullmatch(word.strip())
    factor = None if match is None else _SUFFIXES.get(_base(unit), {"": 1}).get(match[2].lower())
    if match is None or factor is None:
        message = f"value must be {_expected(unit)}, got {shown(word)}"
        raise InvalidValue(message)
    from fractions import Fraction  # noqa: PLC0415 - keep the import cheap

    base = _base(unit)
    return Fraction(match[1]) * factor / (_NANOSECONDS[base] if base in TIMES else 1)


def whole(word: str, unit: str) -> int:
    """Return the integer that a word stands for; raise InvalidValue for a fraction, such as 0.3 bytes."""
    value = number(word, unit)
    if value.denominator != 1:
        unit_s = f" {unit}" if _base(unit) in _SUFFIXES else ""
        message = f"value must be a whole number of{unit_s or ' units'}, got {shown(word)}"
        raise InvalidValue(message)
    return value.numerator


def limit(word: str, unit: str) -> Limit:
    """Return the limit that a word stands for: MAX for one of :data:`NO_LIMIT`, else an integer."""
    return MAX if word.strip().lower() in NO_LIMIT else whole(word, unit)


def protection(word: str, unit: str) -> Limit:
    """Return the amount to protect that a word stands for.

    A protection of MAX protects everything, so words such as "none", which could mean
    the opposite, are refused.
    """
    if word.strip().lower() in NO_LIMIT - {"max", "infinity"}:
        message = f"value must be an amount, max to protect all, or 0 to protect nothing, got {shown(word)}"
        raise InvalidValue(message)
    return limit(word, unit)


def cpus(word: str) -> Fraction | None:
    """Return a number of CPUs (``0.5``, ``150%``, ``500m``); None for another form, such as an integer."""
    match = _CPUS.fullmatch(word.strip())
    if match is None:
        return None
    from fractions import Fraction  # noqa: PLC0415

    plain, amount, suffix = match.groups()
    return Fraction(plain) if plain else Fraction(amount) / (100 if suffix == "%" else 1000)


def seconds(word: str) -> float:
    """Return a time in seconds: ``2s``, ``10ms``, ``0.5``."""
    return float(number(word, "s"))
