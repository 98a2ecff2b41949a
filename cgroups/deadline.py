"""Deadline: until when something is waited for."""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .errors import CgroupTimeout, InvalidValue, shown

if TYPE_CHECKING:
    from .hierarchy import Cgroup

__all__ = ["PATIENCE", "Deadline"]

PATIENCE: Final = 10.0
"""Seconds, where none are given, for what was killed to end, and for its cgroup to be removed."""

GRACE: Final = 0.5
"""Seconds that a round may go on after the deadline, or a timeout of 0 would try nothing."""

SHORTEST, LONGEST = 0.0005, 0.02
"""Pauses, in seconds, before looking again at what the kernel gives no event for."""

A_DAY, EVER = 86_400.0, 1e9
"""Seconds: the longest wait of one call of poll(2), whose milliseconds are an int, and what is as good as for ever."""


class Deadline:
    """When a timeout in seconds is over; None is never."""

    def __init__(self, timeout: float | None) -> None:
        number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
        if timeout is not None and not (number and timeout >= 0):
            message = f"timeout {shown(timeout)}: seconds from 0, or None, are expected"
            raise InvalidValue(message)
        self._timeout = timeout
        self._end = math.inf if timeout is None else time.monotonic() + min(timeout, EVER)
        self._pause = SHORTEST

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._end

    def left(self, most: float = math.inf) -> float:
        """Seconds that may be waited now, at most so many."""
        return min(most, max(0.0, self._end - time.monotonic()))

    @property
    def milliseconds(self) -> int:
        """The same for one call of poll(2), after which one looks again."""
        return math.ceil(1000 * self.left(A_DAY))

    def pause(self) -> None:
        """Waits a little, each time longer: for what the kernel gives no event for."""
        time.sleep(self.left(self._pause))
        self._pause = min(2 * self._pause, LONGEST)

    def check(self, tried: str, tops: Sequence[Cgroup], hint: str | None = None) -> None:
        """CgroupTimeout once it is over."""
        if self.is_over:
            raise self._timed_out(tried, tops, hint)

    def check_round(self, tried: str, tops: Sequence[Cgroup]) -> None:
        """CgroupTimeout once the time of a round over all cgroups is over: the deadline and a grace."""
        if time.monotonic() >= self._end + GRACE:
            raise self._timed_out(tried, tops, "it has too many cgroups for this time: give it more, or try again")

    def _timed_out(self, tried: str, tops: Sequence[Cgroup], hint: str | None) -> CgroupTimeout:
        return CgroupTimeout(
            f"{tried}: not within {self._timeout:g} s", path=tops[0].path, errno=errno.ETIMEDOUT, hint=hint
        )
