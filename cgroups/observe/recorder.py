"""Recording: a C thread that samples on a timer, and the blocks in which Python takes the results.

The thread, in csrc/cg_recorder.c, never needs the interpreter, so Python code never
delays a tick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

from ..control.verbs import C_co
from ..core.interface import FrameLayout, RawBlock, Recording
from ..core.seconds import NS_PER_S, check_seconds, to_ns
from .frames import Frame, Index, array_interface, joined, part

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from .columns import Column

__all__ = ["Block", "Recorder", "nanoseconds", "ticks_in"]

SHORTEST_S, LONGEST_S = 0.00001, 86400.0
"""The range of an interval, in seconds."""


def nanoseconds(interval: Any) -> int:
    """Return the nanoseconds of an interval given in seconds; raise InvalidValue if it is out of range."""
    check_seconds("interval", interval, least=SHORTEST_S, most=LONGEST_S)
    return to_ns(interval)


def ticks_in(duration: Any, interval_ns: int) -> int:
    """Return the number of ticks in a duration given in seconds; raise InvalidValue if no tick fits."""
    check_seconds("duration", duration, least=interval_ns / NS_PER_S)
    # Rounded as a decimal: 0.3 s are three ticks of 0.1 s.
    return to_ns(duration) // interval_ns


class Block(Generic[C_co]):
    """Consecutive recorded frames: the result of one :meth:`Recorder.read`.

    Attributes:
        cgroups: the rows.
        columns: the columns.
    """

    __slots__ = ("_at", "_errors", "_raw", "_unknown", "cgroups", "columns")

    def __init__(
        self,
        raw: RawBlock,
        cgroups: tuple[C_co, ...],
        columns: tuple[Column, ...],
        at: Index,
        unknown: int,
        errors: bytes,
    ) -> None:
        self.cgroups = cgroups
        self.columns = columns
        self._raw = raw
        self._errors = errors
        self._unknown = unknown  # count of files with numbers without a column, at the last frame or later
        self._at = at

    def __len__(self) -> int:
        """Return the number of frames."""
        return self._raw.frames

    @property
    def _shape(self) -> list[int]:
        return [len(self), len(self.cgroups), len(self.columns)]

    @property
    def times(self) -> memoryview:
        """int64, shape (frames,): CLOCK_MONOTONIC time, in nanoseconds, at which the reads of each frame began."""
        return part(self._raw.timestamps, "q", [len(self)])

    @property
    def values(self) -> memoryview:
        """int64, shape (frames, cgroups, columns): like :attr:`Frame.values`."""
        return part(self._raw.values, "q", self._shape)

    @property
    def status(self) -> memoryview:
        """uint8, shape (frames, cgroups, columns): the :class:`Cell` that classifies each value."""
        return part(self._raw.statuses, "B", self._shape)

    @property
    def inodes(self) -> memoryview:
        """uint64, shape (frames, cgroups): inode of each row's directory."""
        return part(self._raw.inodes, "Q", self._shape[:2])

    @property
    def row_times(self) -> memoryview:
        """int64, shape (frames, cgroups): CLOCK_MONOTONIC time of each row's read, in nanoseconds."""
        return part(self._raw.times, "q", self._shape[:2])

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """The interface for ``numpy.asarray(block)``: ``values`` without a copy.  The array keeps the memory."""
        return array_interface(self._raw.values, self._shape)

    def frame(self, at: int) -> Frame[C_co]:
        """Return a copy of one frame.

        A recording does not store the duration, which is 0 here, nor ``errno``, which is that of the start.

        Args:
            at: the number of the frame; negative numbers count from the end.

        Raises:
            IndexError: the block has no such frame.
        """
        at = range(len(self))[at]
        rows, columns = self._shape[1:]
        raw = self._raw
        sizes = (8 * rows * columns, 8 * rows, 8 * rows, rows * columns)
        values, inodes, times, statuses = (
            bytes(memory[at * size : (at + 1) * size])
            for memory, size in zip((raw.values, raw.inodes, raw.times, raw.statuses), sizes)
        )
        memory = joined(self.times[at], self._unknown, values, inodes, times, self._errors, statuses)
        return Frame(memory, FrameLayout(rows, columns), self.cgroups, self.columns, self._at)

    def __repr__(self) -> str:
        return f"<Block of {len(self)} frames of {len(self.cgroups)} cgroups and {len(self.columns)} columns>"


class Recorder(Generic[C_co]):
    """A thread that samples a frame at each tick of a timer, until :meth:`stop`.

    :meth:`Sampler.record` creates it.  The thread also ends after its duration, or when
    every cgroup is removed.  Afterwards the sum of ``ticks``, ``missed`` and ``overruns``
    is the number of ticks that were due.  A forked child does not have the thread, but can still
    read the earlier frames.

    Attributes:
        interval_ns: nanoseconds between two ticks.
        capacity: the largest number of unread frames.
        start_ns: CLOCK_MONOTONIC time, in nanoseconds, of the first tick; the others follow at the interval.
    """

    def __init__(
        self,
        raw: Any,
        cgroups: tuple[C_co, ...],
        columns: tuple[Column, ...],
        at: Index,
        interval_ns: int,
        capacity: int,
        errors: bytes,
    ) -> None:
        self._raw = raw
        self._cgroups, self._columns, self._at = cgroups, columns, at
        self._errors = errors  # of a frame read before the start: a file that is missing then has no numbers
        self.interval_ns = interval_ns
        self.capacity = capacity
        self.start_ns = self._state().first

    def _state(self) -> Recording:
        state: Recording = self._raw.state()
        return state

    @property
    def running(self) -> bool:
        """Whether more frames will be recorded."""
        return self._state().running

    @property
    def ticks(self) -> int:
        """Number of recorded frames."""
        return self._state().taken

    @property
    def late(self) -> int:
        """Number of recorded frames that began late, by more than a tenth of the interval."""
        return self._state().late

    @property
    def missed(self) -> int:
        """Number of ticks without a frame because the previous frame took too long, or the end was too near."""
        return self._state().missed

    @property
    def overruns(self) -> int:
        """Number of ticks without a frame because ``capacity`` frames were unread."""
        return self._state().overrun

    def read(self) -> Block[C_co]:
        """Return the unread frames, possibly none, without waiting.  Each frame is returned once, to one thread."""
        raw = self._raw.take()
        return Block(raw, self._cgroups, self._columns, self._at, self._state().unknown, self._errors)

    def stop(self) -> None:
        """End the thread after the frame in progress.  Unread frames can still be read."""
        self._raw.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Recorder of {len(self._cgroups)} cgroups and {len(self._columns)} columns>"
