"""Times that callers pass in seconds: the check of their range, and the conversion to nanoseconds."""

from __future__ import annotations

from typing import Any, Final

from .errors import InvalidValue, shown

__all__ = ["NS_PER_S", "check_seconds", "to_ns"]

NS_PER_S: Final = 1_000_000_000
"""Nanoseconds in a second."""

_LONGEST_S: Final = 1e9
"""The longest finite time, 32 years."""


def check_seconds(
    name: str, value: Any, *, least: float = 0.0, most: float = _LONGEST_S, above: bool = False, optional: bool = False
) -> None:
    """Raise InvalidValue if a value is not a time in seconds.

    Args:
        name: the name of the argument, for the message.
        value: the value that the caller passed.
        least: the least time.
        most: the greatest time.
        above: whether ``least`` itself is refused.
        optional: whether None is allowed.
    """
    if value is None and optional:
        return
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # NaN fails every comparison.
    if is_number and least <= value <= most and not (above and value == least):
        return
    bounds = f"greater than {_decimal(least)}" if above else f"from {_decimal(least)}"
    if most < _LONGEST_S or (is_number and value > most):
        bounds += f", at most {_decimal(most)}"
    message = f"{name} must be seconds {bounds}{', or None' if optional else ''}, got {shown(value)}"
    raise InvalidValue(message)


def to_ns(seconds: float) -> int:
    """Return the nanoseconds of a time in seconds, rounded: 0.3 s are 300,000,000 ns."""
    return round(seconds * NS_PER_S)


def _decimal(seconds: float) -> str:
    return f"{seconds:.9f}".rstrip("0").rstrip(".")
