"""Samples of a running command for a chart: few enough for any duration."""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import Event, Thread
from typing import TYPE_CHECKING

from ...core.seconds import NS_PER_S
from ...core.threads import thread_limit
from ...core.values import MAX
from ...hierarchy import Cgroup
from ...observe.frames import Frame
from .rows import Table
from .vitals import VITALS, Vitals

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["FIRST_S", "MOST", "Thinned"]

FIRST_S = 0.01
"""Seconds between two samples, at first."""
MOST = 2000
"""Most frames in memory.  When they are as many, each second one is dropped, and the interval is doubled."""


class Thinned:
    """A thread that samples the vitals of a job's cgroups, between enter and exit.

    A dropped frame loses no count: a rate covers the time between two frames that are kept.

    Args:
        label: the name of the command.
        cgroups: its cgroups.
        interval: seconds between two samples, which then are never dropped.
    """

    def __init__(self, label: str, cgroups: Sequence[Cgroup], interval: float | None = None) -> None:
        self._vitals = Vitals({label: cgroups})
        self._sampler = self._vitals.sampler()
        self._interval, self._most = interval or FIRST_S, None if interval else MOST
        self._frames: list[Frame] = []
        self._over = Event()
        self._thread = Thread(target=self._go, daemon=True)

    def __enter__(self) -> Self:
        self._vitals.start(self._sampler.sample())
        with thread_limit("cannot sample the command"):
            self._thread.start()
        return self

    def _go(self) -> None:
        due = time.monotonic()
        while True:
            due = max(due + self._interval, time.monotonic())
            if self._over.wait(due - time.monotonic()):
                return
            self._frames.append(self._sampler.sample())
            if self._most is not None and len(self._frames) >= self._most:
                # The last one of each pair: the first pair begins with the frame before all.
                del self._frames[::2]
                self._interval *= 2

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        last = self._sampler.sample()
        if self._frames and last.timestamp_ns - self._frames[-1].timestamp_ns < self._interval * NS_PER_S / 2:
            self._frames.pop()  # a rate over so short a time is only noise
        self._frames.append(last)

    def table(self) -> Table:
        """Return the vitals, after the exit."""
        with self._sampler:  # it knows until here which devices lack a column
            rows = [*self._vitals.rows(self._frames)]
        found = [
            (taken / NS_PER_S, label, [None if one is MAX else one for one in row]) for _, taken, label, *row in rows
        ]
        return Table(list(VITALS), found)
