"""Recording: a thread of C that samples on a timer, and the blocks in which Python takes what it read.

The thread is csrc/cg_recorder.c's; it never needs the interpreter, so that
nothing that Python does costs a tick.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from .._interface import FramePlaces, RawBlock, Recording
from ..errors import InvalidValue, shown
from .table import Frame, Index, array_interface, part

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from ..hierarchy import Cgroup
    from .columns import Column

__all__ = ["Block", "Recorder", "nanoseconds", "ticks_in"]

SHORTEST_NS = 10_000
LONGEST_NS = 10**9 * 86400


def nanoseconds(interval: Any) -> int:
    """An interval, given in seconds."""
    number = isinstance(interval, (int, float)) and not isinstance(interval, bool)
    # A float that is no number fails every comparison.
    if not number or not SHORTEST_NS <= interval * 10**9 <= LONGEST_NS:
        message = f"interval {shown(interval)}: seconds are expected, from {SHORTEST_NS / 10**9:f} to a day"
        raise InvalidValue(message)
    ticks: int = round(interval * 10**9)
    return ticks


def ticks_in(duration: Any, interval_ns: int) -> int:
    """How many ticks there are in a time, given in seconds; InvalidValue if there is none."""
    number = isinstance(duration, (int, float)) and not isinstance(duration, bool)
    if not number or not interval_ns <= duration * 10**9 < 1 << 62:
        message = f"duration must be seconds, at least the interval of {interval_ns / 10**9:g}, got {shown(duration)}"
        raise InvalidValue(message)
    # As a decimal: 0.3 s are three ticks of 0.1 s.
    ticks: int = round(duration * 10**9) // interval_ns
    return ticks


class Block:
    """Frames that were recorded one after another: what one :meth:`Recorder.read` took.

    Attributes:
        cgroups: the rows.
        columns: the columns.
    """

    __slots__ = ("_at", "_raw", "_unknown", "cgroups", "columns")

    def __init__(
        self, raw: RawBlock, cgroups: tuple[Cgroup, ...], columns: tuple[Column, ...], at: Index, unknown: int
    ) -> None:
        self.cgroups = cgroups
        self.columns = columns
        self._raw = raw
        self._unknown = unknown  # files with numbers without a column, when the last of the frames was read, or later
        self._at = at

    def __len__(self) -> int:
        """How many frames."""
        return self._raw.frames

    @property
    def _shape(self) -> list[int]:
        return [len(self), len(self.cgroups), len(self.columns)]

    @property
    def times(self) -> memoryview:
        """int64, shape (frames,): CLOCK_MONOTONIC in nanoseconds, when the reads of a frame began."""
        return part(self._raw.timestamps, "q", [len(self)])

    @property
    def values(self) -> memoryview:
        """int64, shape (frames, cgroups, columns): as :attr:`Frame.values`."""
        return part(self._raw.values, "q", self._shape)

    @property
    def status(self) -> memoryview:
        """uint8, shape (frames, cgroups, columns): :class:`Cell`, which says what a value is."""
        return part(self._raw.statuses, "B", self._shape)

    @property
    def inodes(self) -> memoryview:
        """uint64, shape (frames, cgroups): of each row's directory."""
        return part(self._raw.inodes, "Q", self._shape[:2])

    @property
    def row_times(self) -> memoryview:
        """int64, shape (frames, cgroups): CLOCK_MONOTONIC in ns when each row was read."""
        return part(self._raw.times, "q", self._shape[:2])

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """``numpy.asarray(block)`` is ``values``, without a copy, and keeps the block's memory."""
        return array_interface(self._raw.values, self._shape)

    def frame(self, at: int) -> Frame:
        """One frame of it, as a copy.  Of a recorded frame neither the duration nor ``errno`` is kept: both are 0."""
        at = range(len(self))[at]
        rows, columns = self._shape[1:]
        places = FramePlaces(rows, columns)
        raw = self._raw
        sizes = (8 * rows * columns, 8 * rows, 8 * rows, rows * columns)
        values, inodes, times, statuses = (
            bytes(memory[at * size : (at + 1) * size])
            for memory, size in zip((raw.values, raw.inodes, raw.times, raw.statuses), sizes)
        )
        head = bytearray(places.HEAD)
        for offset, number in ((0, self.times[at]), (places.UNKNOWN, self._unknown)):
            head[offset : offset + 8] = number.to_bytes(8, sys.byteorder)
        errors = bytes(places.statuses - places.errors)
        memory = memoryview(b"".join((head, values, inodes, times, errors, statuses)))
        return Frame(memory, places, self.cgroups, self.columns, self._at)

    def __repr__(self) -> str:
        return f"<Block of {len(self)} frames of {len(self.cgroups)} cgroups and {len(self.columns)} columns>"


class Recorder:
    """Frames taken at each tick of a timer, in a thread of their own, until :meth:`stop`.

    Made by :meth:`Sampler.record`.  The thread ends by itself after its
    duration, and when every cgroup is gone.  From then on ``ticks``,
    ``missed`` and ``overruns`` are together all ticks that were due.  A forked child has no such thread, and can still
    take what was recorded before.

    Attributes:
        interval_ns: between two ticks.
        capacity: how many frames wait at most to be read.
        start_ns: CLOCK_MONOTONIC when the first tick is due; the others follow by the interval.
    """

    def __init__(
        self,
        raw: Any,
        cgroups: tuple[Cgroup, ...],
        columns: tuple[Column, ...],
        at: Index,
        interval_ns: int,
        capacity: int,
    ) -> None:
        self._raw = raw
        self._cgroups, self._columns, self._at = cgroups, columns, at
        self.interval_ns = interval_ns
        self.capacity = capacity
        self.start_ns = self._state().first

    def _state(self) -> Recording:
        state: Recording = self._raw.state()
        return state

    @property
    def running(self) -> bool:
        """Whether there will be more frames."""
        return self._state().running

    @property
    def ticks(self) -> int:
        """How many frames were taken."""
        return self._state().taken

    @property
    def late(self) -> int:
        """How many of them began more than a tenth of the interval after they were due."""
        return self._state().late

    @property
    def missed(self) -> int:
        """How many ticks gave no frame, as the one before took until after they were over, or the end was too near."""
        return self._state().missed

    @property
    def overruns(self) -> int:
        """How many ticks gave no frame, as ``capacity`` frames were waiting to be read."""
        return self._state().overrun

    def read(self) -> Block:
        """The frames that are waiting, which may be none; each is given once, to one thread.  Never waits itself."""
        raw = self._raw.take()
        return Block(raw, self._cgroups, self._columns, self._at, self._state().unknown)

    def stop(self) -> None:
        """Ends the thread, after the frame that it is reading; what was recorded can still be read."""
        self._raw.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Recorder of {len(self._cgroups)} cgroups and {len(self._columns)} columns>"
