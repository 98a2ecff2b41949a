"""Timing: subjects in turn, round after round, and each round's ratio to its floor.

These are the only figures that hold on a machine that is shared: two times of
one round were taken within milliseconds of each other, two absolute times of
two runs were not.
"""

from __future__ import annotations

import gc
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

Subject = Callable[[], object]


class Remote(ABC):
    """A subject that times itself, as it is in a process of its own."""

    @abstractmethod
    def __call__(self) -> int:
        """Makes a pass: its nanoseconds."""


class Result(NamedTuple):
    """What one subject took: nanoseconds an item, and times the floor, as median and quartiles."""

    name: str
    ns: float
    ratio: float
    low: float
    high: float
    bound: float | None

    @property
    def verdict(self) -> str:
        """Whether the bound, if there is one, was met."""
        if self.bound is None:
            return ""
        return "within" if self.ratio <= self.bound else "OVER"


def interleaved(
    subjects: dict[str, Subject], *, items: int, rounds: int = 40, bounds: dict[str, float] | None = None
) -> list[Result]:
    """Times each subject once a round; the first is the floor.

    A subject does ``items`` reads a call.  The garbage collector runs between
    the rounds, not within them: it is nobody's cost in particular.
    """
    bounds = bounds or {}
    names = list(subjects)
    for subject in subjects.values():
        subject()
    times: dict[str, list[int]] = {name: [] for name in names}
    gc.disable()
    try:
        for _ in range(rounds):
            for name in names:
                subjects[name]()  # the caches are warm with its own data, not with its predecessor's
                times[name].append(_time(subjects[name]))
            gc.collect(0)
    finally:
        gc.enable()
    floor = times[names[0]]
    return [_result(name, times[name], floor, items, bounds.get(name)) for name in names]


def _time(subject: Subject) -> int:
    if isinstance(subject, Remote):
        return subject()
    start = time.perf_counter_ns()
    subject()
    return time.perf_counter_ns() - start


def _result(name: str, taken: list[int], floor: list[int], items: int, bound: float | None) -> Result:
    ratios = [one / least for one, least in zip(taken, floor)]
    low, _, high = statistics.quantiles(ratios, n=4)
    return Result(name, statistics.median(taken) / items, statistics.median(ratios), low, high, bound)
