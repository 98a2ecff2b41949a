"""Timing: all subjects take turns in each round, and each time is compared with the floor of its round.

Only these ratios are reliable on a shared machine.  The times of one round are
taken within milliseconds of each other; absolute times of two runs are not.
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
    """A subject in another process, which times itself."""

    @abstractmethod
    def __call__(self) -> int:
        """Make a pass, and return its nanoseconds."""


class Result(NamedTuple):
    """The times of one subject: nanoseconds per item, and the ratio to the floor as median and quartiles."""

    name: str
    ns: float
    ratio: float
    low: float
    high: float
    bound: float | None

    @property
    def verdict(self) -> str:
        """'within' or 'OVER'; an empty string without a bound."""
        if self.bound is None:
            return ""
        return "within" if self.ratio <= self.bound else "OVER"


def interleaved(
    subjects: dict[str, Subject], *, items: int, rounds: int = 40, bounds: dict[str, float] | None = None
) -> list[Result]:
    """Time each subject once per round; the first is the floor.

    A subject does ``items`` reads per call.  The garbage collector runs between
    the rounds, because its cost belongs to no subject.
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
                subjects[name]()  # warm the caches with the data of this subject
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
