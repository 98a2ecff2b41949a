"""Formats of limits: a number or no limit, in the form of each version."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core import codecs, quantities
from ..core.codecs import Converter as Converter
from ..core.codecs import Reader as Reader
from ..core.codecs import Writer as Writer
from ..core.codecs import bounded_int as bounded_int
from ..core.codecs import to_int
from ..core.errors import Advice, InvalidValue, shown
from ..core.interface import Cells, Numbers, Shape
from ..core.values import MAX, Limit

if TYPE_CHECKING:
    from ..core.interface import File

__all__ = [
    "HUGE_LIMIT",
    "I64_MAX",
    "INT_MAX",
    "PAGE_LIMIT",
    "QUOTA_LIMIT",
    "U64_MAX",
    "LimitCodec",
    "huge_limit_v1",
    "huge_limit_v2",
    "limit",
    "limit_v1",
    "protection",
    "quota_v1",
    "quota_v2",
]

U64_MAX = (1 << 64) - 1
I64_MAX = (1 << 63) - 1
INT_MAX = (1 << 31) - 1

PAGE_LIMIT = I64_MAX // mmap.PAGESIZE * mmap.PAGESIZE
"""v1's number of bytes for no limit: 2^63 − 1, rounded down to a page."""

HUGE_LIMIT = I64_MAX - (1 << 36) + 1
"""Numbers from here mean no limit: 2^63 − 1 rounded down to a huge page of any size up to 64 GiB."""


class LimitCodec(Converter[Limit, Limit]):
    """An integer in a range, or MAX.  MAX is written as ``unlimited``; a number from ``threshold`` on reads as MAX."""

    def __init__(
        self,
        minimum: int = 0,
        maximum: int = U64_MAX,
        *,
        unlimited: str = "max",
        threshold: int = U64_MAX + 1,
        literal: codecs.Literal = quantities.limit,
    ) -> None:
        super().__init__(self._decode, self._encode, Shape.VALUE, literal)
        self.minimum, self.maximum = minimum, maximum
        self.unlimited, self.threshold = unlimited, threshold
        # v1 writes no limit as -1; v2 has `max`.
        self.takes_unset = unlimited == "-1"
        self.numbers = Numbers(threshold=threshold if threshold <= U64_MAX else 0, unset=self.takes_unset)

    def _decode(self, cells: Cells) -> Limit:
        [(_, value)] = cells
        if value is MAX or (value == -1 and self.takes_unset) or value >= self.threshold:
            return MAX
        if value < 0:
            message = f"value must be a number or max, got {value}"
            raise ValueError(message)
        number: int = value
        return number

    def _encode(self, value: Limit) -> str:
        if value is MAX:
            return self.unlimited
        number = to_int(value)
        if not self.minimum <= number <= self.maximum:
            message = f"value must be MAX or from {self.minimum} to {self.maximum}, got {shown(number)}"
            raise InvalidValue(
                message, hint=Advice("no limit is cgroups.MAX", "no limit is max") if number == -1 else None
            )
        return str(number)

    def bind(self, file: File, slow: codecs.Slow) -> Callable[[Any], Any]:
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
huge_limit_v2 = LimitCodec(threshold=HUGE_LIMIT)  # v2 shows this number until a limit is set

QUOTA_LIMIT = U64_MAX // 1000
"""The kernel converts a quota to nanoseconds, and on v2 does not check for overflow."""

quota_v1 = LimitCodec(1000, QUOTA_LIMIT, unlimited="-1")
quota_v2 = LimitCodec(1000, QUOTA_LIMIT)
