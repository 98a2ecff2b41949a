"""Units that people read: the scale of a panel, chosen for its greatest number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ...core.errors import InvalidValue
from ...core.values import UNKNOWN, Quantity
from .values import named
from .vitals import VITALS

__all__ = ["Scale", "is_counter", "quantity", "scale_of"]


class Scale(NamedTuple):
    """The unit of the drawn numbers, and the factor from the numbers of a file, or from their rise per second."""

    unit: str
    factor: float = 1.0
    is_plain: bool = False


BINARY: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def _bytes(highest: float, suffix: str = "") -> Scale:
    power = min(max((int(highest).bit_length() - 1) // 10, 0), len(BINARY) - 1)
    return Scale(f"{BINARY[power]}{suffix}", 1 / (1 << 10 * power))


_BY_UNIT: Final[dict[str, Callable[[float], Scale]]] = {
    "bytes": _bytes,
    "bytes per second": lambda highest: _bytes(highest, "/s"),
    "bytes/s": lambda highest: _bytes(highest, "/s"),
    "percent": lambda _: Scale("%"),
    "CPUs": lambda _: Scale("CPUs"),
}
TIMES: Final = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3}
"""Seconds of a unit of time."""


def quantity(title: str) -> Quantity:
    """Return the quantity of a raw column of a file, UNKNOWN if this version has no such parameter."""
    try:
        return named(title).quantity
    except InvalidValue:
        return UNKNOWN


def is_counter(title: str) -> bool:
    """Return whether a column of a file is drawn as its rise per second."""
    return title not in VITALS and quantity(title).counter


def scale_of(title: str, highest: float) -> Scale:
    """Return the scale of a column whose greatest number, or rise per second, is ``highest``."""
    if title in VITALS:
        unit, counter = VITALS[title].unit, False
    else:
        unit, counter = quantity(title)
    if counter and unit in TIMES:
        return _time(title, TIMES[unit])
    if unit.startswith("share"):
        return Scale(unit.replace("share", "%").partition(",")[0], 100)
    whole = f"{unit} per second" if counter and unit else unit
    known = _BY_UNIT.get(whole)
    return Scale(whole, is_plain=True) if known is None else known(highest)


def _time(title: str, seconds: float) -> Scale:
    """Return the scale of time per second: CPU time in CPUs, any other time as a share."""
    is_cpu = title.startswith(("cpuacct.", "cpu.stat"))
    return Scale("CPUs", seconds) if is_cpu else Scale("% of time", 100 * seconds)
