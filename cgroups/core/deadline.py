"""Deadlines of operations that wait."""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .errors import CgroupTimeout
from .seconds import check_seconds

if TYPE_CHECKING:
    from .tree import Place

__all__ = ["DEFAULT_TIMEOUT_S", "Deadline"]

DEFAULT_TIMEOUT_S: Final = 10.0
"""Default timeout in seconds of operations that wait, such as a kill and a removal."""

GRACE: Final = 0.5
"""Seconds that a round over all cgroups may take after the deadline, so that a timeout of 0 still tries once."""

SHORTEST, LONGEST = 0.0005, 0.02
"""Shortest and longest pause, in seconds, between polls of a state without a notification."""

MAX_POLL_S, FOREVER_S = 86_400.0, 1e9
"""Seconds: the longest wait of one poll(2), whose milliseconds are an int; and a timeout as good as infinite."""


class Deadline:
    """The end of a timeout in seconds; a timeout of None never ends."""

    def __init__(self, timeout: float | None) -> None:
        check_seconds("timeout", timeout, most=math.inf, optional=True)
        self._timeout = timeout
        self._end = math.inf if timeout is None else time.monotonic() + min(timeout, FOREVER_S)
        self._pause = SHORTEST

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._end

    def left(self, most: float = math.inf) -> float:
        """Return the seconds until the deadline, at most ``most``."""
        return min(most, max(0.0, self._end - time.monotonic()))

    @property
    def milliseconds(self) -> int:
        """Milliseconds for one poll(2).  If poll(2) times out, check the deadline and poll again."""
        return math.ceil(1000 * self.left(MAX_POLL_S))

    def pause(self) -> None:
        """Sleep with exponential back-off, between polls of a state without a notification."""
        time.sleep(self.left(self._pause))
        self._pause = min(2 * self._pause, LONGEST)

    def check(self, tried: str, tops: Sequence[Place], hint: str | None = None) -> None:
        """Raise CgroupTimeout if the deadline has passed."""
        if self.is_over:
            raise self._timed_out(tried, tops, hint)

    def check_round(self, tried: str, tops: Sequence[Place]) -> None:
        """Raise CgroupTimeout if a round over all cgroups has passed the deadline by more than GRACE."""
        if time.monotonic() >= self._end + GRACE:
            raise self._timed_out(tried, tops, "too many cgroups for this timeout: use a longer one, or try again")

    def _timed_out(self, tried: str, tops: Sequence[Place], hint: str | None) -> CgroupTimeout:
        return CgroupTimeout(
            f"{tried}: timed out after {self._timeout:g} s", path=tops[0].path, errno=errno.ETIMEDOUT, hint=hint
        )
