"""The ticks of a recording: frames on a timer, and their rows in one of two forms."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from ...core.errors import NativeRequired
from ...core.values import MAX
from ...observe.frames import Frame
from ...observe.recorder import Block, ticks_in
from ...observe.sampler import Cell, Sampler
from .render import printable
from .rows import Heading, Row
from .vitals import Vitals

__all__ = ["LAST_S", "Figures", "Form", "Looped", "Raw", "Recorded", "Told", "start"]

WAITING_BYTES = 256 << 20
WAITING_S = 30
"""Limits on the frames that wait to be written: their total bytes, and the seconds that they cover."""
DRAIN_S = 0.2
LAST_S = 0.01
"""Seconds between two reads of frames: during the recording, and after its end until the last frame."""


# ---- forms -------------------------------------------------------------------------------


class Form(Protocol):
    """A sampler, and the conversion of its frames to rows.

    Attributes:
        sampler: the sampler.
        count: the number of rows of a frame.
    """

    sampler: Sampler
    count: int

    @property
    def columns(self) -> Sequence[Heading]:
        """The columns of the rows."""

    def of_block(self, block: Block) -> Iterator[Row]:
        """Yield the rows of recorded frames."""

    def of_frame(self, frame: Frame) -> Iterator[Row]:
        """Yield the rows of one frame."""


class Raw:
    """The kernel's own numbers: a row for each cgroup of a sampler, in the columns of the sampler."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler, self.count = sampler, len(sampler.cgroups)
        self.columns: Sequence[Heading] = sampler.columns

    def of_block(self, block: Block) -> Iterator[Row]:
        return _raw_rows(self.sampler, block.row_times.tolist(), block.values, block.status)

    def of_frame(self, frame: Frame) -> Iterator[Row]:
        return _raw_rows(self.sampler, [frame.row_times.tolist()], [frame.values], [frame.status])


class Figures:
    """The vitals of cgroups.  The first row is compared with a frame that is read now."""

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals
        self.sampler, self.count = vitals.sampler(), len(vitals)
        self.columns: Sequence[Heading] = vitals.columns
        vitals.start(self.sampler.sample())

    def of_block(self, block: Block) -> Iterator[Row]:
        return self._vitals.rows(map(block.frame, range(len(block))))

    def of_frame(self, frame: Frame) -> Iterator[Row]:
        return self._vitals.rows([frame])


def _raw_rows(sampler: Sampler, times: Any, values: Any, statuses: Any) -> Iterator[Row]:
    """Yield frames as rows of a file."""
    since = time.time_ns() - time.monotonic_ns()
    names = [printable(str(cgroup)) for cgroup in sampler.cgroups]
    scaled = [at for at, column in enumerate(sampler.columns) if column.scale != 1]
    for at, read in enumerate(times):
        # One frame at a time: frames as lists take eight times the memory.
        numbers, states = _lists(values, at), _lists(statuses, at)
        for name, taken, row, marks in zip(names, read, numbers, states):
            for column in scaled:
                row[column] /= sampler.columns[column].scale
            yield (since + taken, taken, name, *(map(_cell, row, marks) if any(marks) else row))


def _lists(frames: Any, at: int) -> list[list[Any]]:
    """Return one frame as lists, from the memory of a block or from a list of frames."""
    if isinstance(frames, list):
        table: list[list[Any]] = frames[at].tolist()
        return table
    _, rows, columns = frames.shape
    flat = frames.cast("B").cast(frames.format)[at * rows * columns : (at + 1) * rows * columns].tolist()
    return [flat[start : start + columns] for start in range(0, rows * columns, columns)]


def _cell(value: Any, mark: int) -> Any:
    if mark == Cell.MAX:
        return MAX
    if mark == Cell.RANGE:
        return value % 2**64
    return value if mark == Cell.OK else None


# ---- ticks -------------------------------------------------------------------------------


class Told(NamedTuple):
    """The counts of ticks so far: those with a frame, those of them that began late, and those without a frame."""

    ticks: int
    late: int
    lost: int


class Recorded:
    """Ticks of the recorder, which is a C thread."""

    def __init__(self, form: Form, interval: int, duration: float | None) -> None:
        sampler = form.sampler
        cells = len(sampler.cgroups) * len(sampler.columns)
        room = WAITING_BYTES // (9 * cells + 16 * len(sampler.cgroups) + 8)
        wanted = WAITING_S * 10**9 // interval
        self._recorder = sampler.record(interval / 10**9, capacity=max(min(room, wanted), 2), duration=duration)
        self._form = form

    def wait(self) -> float:
        return DRAIN_S

    def take(self) -> Iterator[Row]:
        return self._form.of_block(self._recorder.read())

    def stop(self) -> None:
        self._recorder.stop()

    @property
    def running(self) -> bool:
        return self._recorder.running

    def told(self) -> Told:
        one = self._recorder
        return Told(one.ticks, one.late, one.missed + one.overruns)


class Looped:
    """Ticks of a Python loop, for a backend without a recorder."""

    def __init__(self, form: Form, interval: int, duration: float | None) -> None:
        self._form, self._interval = form, interval
        self._due = time.monotonic_ns() + interval
        self._left = None if duration is None else ticks_in(duration, interval)
        self._told = Told(0, 0, 0)
        self.running = True

    def wait(self) -> float:
        return max(0.0, (self._due - time.monotonic_ns()) / 1e9)

    def take(self) -> Iterator[Row]:
        if not self.running or time.monotonic_ns() < self._due:
            return iter(())
        frame = self._form.sampler.sample()
        late = frame.timestamp_ns - self._due > self._interval // 10
        self._due += self._interval
        self._told = Told(self._told.ticks + 1, self._told.late + late, self._told.lost)
        self._end_ticks(1)
        self._lose()
        states: Any = frame.status.tolist()
        self.running &= not all(Cell.GONE in row for row in states)
        return self._form.of_frame(frame)

    def _end_ticks(self, count: int) -> None:
        if self._left is not None:
            self._left -= count
            self.running &= self._left > 0

    def _lose(self) -> None:
        """Count the ticks that were due but missed."""
        passed = max((time.monotonic_ns() - self._due) // self._interval + 1, 0)
        lost = passed if self._left is None else min(passed, self._left)
        self._told = self._told._replace(lost=self._told.lost + lost)
        self._due += lost * self._interval
        self._end_ticks(lost)

    def stop(self) -> None:
        if self.running:
            self._lose()
        self.running = False

    def told(self) -> Told:
        return self._told


def start(form: Form, interval: int, duration: float | None) -> Recorded | Looped:
    """Start to record; use a Python loop if the backend cannot record."""
    try:
        return Recorded(form, interval, duration)
    except NativeRequired:
        return Looped(form, interval, duration)
