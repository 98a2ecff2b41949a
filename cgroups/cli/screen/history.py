"""The history of looks at a host, and the position in it: live, paused, or some looks back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from ..common.activity import CgroupUsage
from .machine import Machine

__all__ = ["History", "Look", "look_of", "spark"]

MOST_LOOKS: Final = 600
MOST_ROWS: Final = 200_000
"""Limits on the history: its looks, and the rows that have changed since the look before (about 0.5 KiB each)."""
SAME_ROWS: Final = 8
"""Number of unchanged rows that take the memory of a changed one."""

SPARK_S: Final = 120
"""Seconds that a sparkline covers, at intervals for which the history is long enough."""


class Look(NamedTuple):
    """The usage of all cgroups at one time.

    Attributes:
        time: the time in Unix seconds.
        usages: the usage of each cgroup, by location.
        machine: the state of the machine; None if it is unknown, as in a recording.
    """

    time: float
    usages: Mapping[str, CgroupUsage]
    machine: Machine | None = None


def look_of(time: float, found: Iterable[CgroupUsage], machine: Machine | None = None) -> Look:
    return Look(time, {one.location: one for one in found}, machine)


class History:
    """The last looks, and the one that is shown.

    Looks are numbered from 0; a number stays valid while older looks are dropped.

    Args:
        looks: the looks of a recording; the first is shown, and no limit applies.
    """

    def __init__(self, looks: Iterable[Look] = ()) -> None:
        self._looks: list[Look] = [*looks]
        self._first = 0
        self._weights: list[int] = []
        self._shown: int | None = 0 if self._looks else None

    def add(self, look: Look) -> Look:
        """Add a look, and drop the oldest looks beyond the limits; return the look as it was added.

        A row whose figures have not changed is the same object in both looks, so idle cgroups take little memory.
        """
        before = self._looks[-1].usages if self._looks else {}
        usages = look.usages.items()
        same = {place: old for place, one in usages if (old := before.get(place)) and old[2:] == one[2:]}
        look = look._replace(usages={**look.usages, **same})
        self._looks.append(look)
        self._weights.append(len(usages) - len(same) + len(same) // SAME_ROWS)
        while len(self._looks) > MOST_LOOKS or (sum(self._weights) > MOST_ROWS and len(self._looks) > 1):
            del self._looks[0], self._weights[0]
            self._first += 1
        return look

    # ---- position

    @property
    def is_paused(self) -> bool:
        return self._shown is not None

    def pause(self) -> None:
        """Keep showing the current look while new ones arrive."""
        self.step(0)

    def resume(self) -> None:
        """Show the latest look again."""
        self._shown = None

    def step(self, count: int) -> bool:
        """Pause, and move by some looks, negative ones backwards; return whether the position changed."""
        if not self._looks:
            return False
        before = self.number
        self._shown = min(max(before + count, self._first), self._last)
        return self._shown != before

    @property
    def _last(self) -> int:
        return self._first + len(self._looks) - 1

    @property
    def number(self) -> int:
        """The number of the shown look."""
        return self._last if self._shown is None else max(self._shown, self._first)

    @property
    def shown(self) -> Look | None:
        return self._looks[self.number - self._first] if self._looks else None

    @property
    def behind_s(self) -> float:
        """Seconds from the shown look to the latest one."""
        shown = self.shown
        return 0.0 if shown is None else self._looks[-1].time - shown.time

    def all(self) -> list[Look]:
        """Return all looks, the oldest first."""
        return self._looks

    def __len__(self) -> int:
        return len(self._looks)

    # ---- the past

    def buckets(self, width: int) -> list[list[Look]]:
        """Return the looks up to the shown one in ``width`` groups of equal length, the oldest first.

        A look stays in its group while time passes, so a drawing of the groups moves without flicker.
        """
        shown = self.shown
        if shown is None:
            return []
        size = self._bucket_size(width)
        last = self.number // size
        return [
            self._looks[max(at * size - self._first, 0) : min((at + 1) * size, self.number + 1) - self._first]
            for at in range(max(last - width + 1, self._first // size), last + 1)
        ]

    def _bucket_size(self, width: int) -> int:
        # The typical interval: from the last looks, because the terminal may have been stopped for a while.
        recent = self._looks[-10:]
        interval = (recent[-1].time - recent[0].time) / (len(recent) - 1) if len(recent) > 1 else 0
        # Rounded, or the jitter of a few milliseconds would change the size from look to look.
        interval = round(interval, 2)
        return max(round(SPARK_S / interval / width), 1) if interval > 0 else 1


BLOCKS: Final = "▁▂▃▄▅▆▇█"


def spark(numbers: Iterable[Any], top: float | None = None) -> str:
    """Return a sparkline: a block for each number, a space for a missing one.

    Args:
        numbers: the numbers; None if missing.
        top: the number of a full block; default: the greatest number.
    """
    found = [*numbers]
    top = top or max((one for one in found if one is not None), default=0) or 1
    steps = len(BLOCKS) - 1
    return "".join(" " if one is None else BLOCKS[min(max(round(one / top * steps), 0), steps)] for one in found)
