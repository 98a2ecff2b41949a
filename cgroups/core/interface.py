"""The interface of the two backends: shapes, the failure they raise, and the names they define.

A backend is a module: ``core.native`` and ``core.reference`` each define every
name in :class:`Backend`.  Parsing yields *cells*, a list of ``(key, value)``; a
value is an int, MAX, a float (two decimals), a str, None (a key without a
value) or ROW (the key opens a row).
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, IntEnum, IntFlag
from typing import Any, Final, NamedTuple, Protocol


class Shape(IntEnum):
    """The shape of a control file's text.  cg_abi.h defines each shape."""

    VALUE = 0
    VALUES = 1
    KEYED = 2
    NESTED = 3
    TRIPLES = 4
    TABLE = 5
    RANGES = 6
    WORDS = 7
    TEXT = 8


NUMERIC: Final = frozenset({Shape.VALUE, Shape.VALUES, Shape.KEYED, Shape.NESTED, Shape.TRIPLES})
"""Shapes that a sampler can read: each number is a whole field."""


class Version(IntEnum):
    """The version of a hierarchy of control groups."""

    V1 = 1
    V2 = 2

    __str__ = int.__repr__  # before Python 3.11 str() gives the name


class Status(IntEnum):
    """The status of a failure, with the numbers of cg_abi.h."""

    OS = 1
    SYNTAX = 2
    RANGE = 3
    EMPTY = 4
    FOREIGN = 7


O_PATH: Final = getattr(os, "O_PATH", 0o10000000)
"""O_PATH of open(2).  PyPy does not define the name; the number is the same on all architectures of PyPy."""

_FILE_SYSTEM: Final = (sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())


def encode_name(name: str) -> bytes:
    """Return the bytes of a cgroup's name or path: ``os.fsencode`` without its overhead."""
    return name.encode(*_FILE_SYSTEM)


def decode_name(name: bytes) -> str:
    """Return the text of a name from a directory or a mount table; open() accepts this text."""
    return name.decode(*_FILE_SYSTEM)


RANGE_LAST: Final = 65535
"""The greatest CPU or memory node in a range (CG_RANGE_LAST)."""


class Row(Enum):
    """The type of :data:`ROW`, the value of a cell that opens a row."""

    ROW = "row"


ROW: Final = Row.ROW

Value = "int | float | str | Max | Row | None"
Cells = list[tuple[str, Any]]

ABSENT: Final = frozenset({errno.ENOENT, errno.ENODEV, errno.ENOTDIR})
"""The errnos of a file or a directory that does not exist."""

_REASONS = {
    Status.OS: "system call failed",
    Status.SYNTAX: "unexpected text",
    Status.RANGE: "number out of range",
    Status.EMPTY: "value is missing",
    Status.FOREIGN: "not a cgroup file system",
}


class Failure(Exception):
    """The exception of a backend.  The façade converts the failure to an exception of errors.py."""

    def __init__(self, status: int, errno: int = 0, offset: int = 0, excerpt: bytes = b"") -> None:
        super().__init__(status, errno, offset, excerpt)
        self.status = Status(status)
        self.errno = errno
        self.offset = offset
        self.excerpt = excerpt

    @property
    def reason(self) -> str:
        return _REASONS[self.status]


EXCERPT: Final = 40
"""Bytes of the input that a ParseError quotes."""


class Layout:
    """The keys of a flat keyed file, learned from one read and expected by the next."""

    __slots__ = ("keys", "native")

    def __init__(self, keys: tuple[str, ...], native: Any = None) -> None:
        self.keys = keys
        self.native = native


def learn(cells: Cells, layout: Layout | None, make: Callable[[tuple[str, ...]], Layout]) -> Layout:
    """Return the layout after a full read: the same object only if it fits.

    A layout fits if the keys are the same and each has a number that is not
    negative; the holder of the layout then has nothing to check again.
    """
    keys = tuple(key for key, _ in cells)
    if not all(isinstance(value, int) and value >= 0 for _, value in cells):
        return Layout(keys)
    return layout if layout is not None and layout.keys == keys else make(keys)


# ---- sampling: cg_abi.h, "sampling" ----------------------------------------------------


class Cell(IntEnum):
    """The status of a cell of a frame, with the numbers of cg_abi.h."""

    OK = 0
    MAX = 1
    GONE = 2
    ABSENT = 3
    RANGE = 4
    ERROR = 5


class Flag(IntFlag):
    """Flags of a target: cg_abi.h, enum cg_target_flags."""

    ADD = 1
    FALLBACK = 2
    CENTI = 4
    MINUS_ONE_IS_MAX = 8
    SHARED_NUMBER = 16
    SIGNED = 32


class Target(NamedTuple):
    """The destination of a number of a control file: cg_abi.h, struct cg_target."""

    row: str
    key: str
    ordinal: int
    column: int
    flags: int
    scale: int
    threshold: int


class Numbers(NamedTuple):
    """The cells of a text as numbers, for samplers.

    Attributes:
        scale: factor of each number.
        threshold: numbers from this one on mean no limit; 0 if no number does.
        unset: whether -1 means no limit.
        hundredths: keys whose numbers have two decimals.
        aliases: additional names of keys.
        scaled: additional numbers, or replacements under the key's own name: name to key and factor.
        name: returns the name of a column for a row, a key and an ordinal; None omits the number.
        signed: whether a number may be negative; otherwise a negative number is an error.
    """

    scale: int = 1
    threshold: int = 0
    unset: bool = False
    hundredths: frozenset[str] = frozenset()
    aliases: Mapping[str, str] = {}
    scaled: Mapping[str, tuple[str, int]] = {}
    name: Callable[[str, str, int], Any] | None = None
    signed: bool = False


class FrameLayout:
    """Byte offsets of the parts of a frame in its memory.

    The memory begins with struct cg_frame, whose first two numbers are the start and the duration of the reads.  At
    offset UNKNOWN is the number of files that have numbers without a column.
    """

    HEAD = 88
    UNKNOWN = 32

    __slots__ = ("columns", "errors", "inodes", "rows", "size", "statuses", "times", "values")

    def __init__(self, rows: int, columns: int) -> None:
        cells = rows * columns
        self.rows, self.columns = rows, columns
        self.values = self.HEAD
        self.inodes = self.values + 8 * cells
        self.times = self.inodes + 8 * rows
        self.errors = self.times + 8 * rows
        self.statuses = self.errors + 4 * cells
        self.size = self.statuses + cells


OTHER_ROWS: Final = "cannot sample: the sampler has {} rows, not {}"
"""Message of a RuntimeError: the caller and the backend disagree on the number of rows."""


class RawBlock(NamedTuple):
    """The frames of a recorder, as one array for each part."""

    frames: int
    timestamps: memoryview
    values: memoryview
    statuses: memoryview
    inodes: memoryview
    times: memoryview


class Recording(NamedTuple):
    """The state of a recording: cg_abi.h, struct cg_recording."""

    taken: int
    late: int
    missed: int
    overrun: int
    unknown: int
    first: int
    running: bool


class MountRow(tuple[int, int, int, str, str, str, str]):
    """A line of mountinfo: version, major, minor, root, mount point, per-mount options, super block options."""

    __slots__ = ()


class File(Protocol):
    """A control file by name, opened when it is read."""

    def int_call(self) -> tuple[Callable[[Any], int], Any]:
        """Return a function and its argument that read one number.

        The result is a number of 0 or more, or -1 for ``max``.  If the result is less than -1, call :meth:`read`.
        Function and argument are separate, since a call of a C function with one argument is cheaper than a call of
        any wrapper.
        """

    def read(self, shape: int) -> Cells: ...
    def read_keyed(self, layout: Layout | None) -> tuple[Layout, list[Any]]:
        """Return the layout and the values of a flat keyed file.

        The layout is the given object only if it fits; each value is then an int.
        """

    def close(self) -> None: ...


class Directory(Protocol):
    """The mount point of a hierarchy.  Every path is opened beneath the mount point."""

    def file(self, path: str, *, listing: bool = False) -> File: ...
    def open(self, path: str, flags: int) -> int: ...
    def write(self, path: str, data: bytes) -> None: ...
    def inode(self, path: str) -> int:
        """Return the inode of a directory, or -errno, since an exception would slow down every find."""

    def device(self) -> tuple[int, int]:
        """Return major and minor of the file system's device, as in mountinfo."""


class Sampler(Protocol):
    """Rows of cgroups and columns of numbers: cg_abi.h, "sampling"."""

    def add(self, directory: Any, path: str, sources: Sequence[tuple[str, Any]]) -> None: ...
    def remove(self, rows: Sequence[int]) -> None: ...
    def sample(self, rows: int) -> tuple[memoryview, FrameLayout]: ...
    def unknown(self) -> list[tuple[int, int]]: ...
    def record(self, interval: int, capacity: int, ticks: int) -> Recorder:
        """Start a recorder of the current rows.  A backend without native threads raises NativeRequired."""


class Recorder(Protocol):
    """A thread that samples into a ring: cg_abi.h, "recording"."""

    def take(self) -> RawBlock: ...
    def state(self) -> Recording: ...
    def stop(self) -> None: ...


class Watch(Protocol):
    """A watch that records the time at which a program exits: cg_abi.h, struct cg_watch."""

    def ended_ns(self) -> int: ...


class Spawn(NamedTuple):
    """A program to start: cg_abi.h, struct cg_spawn and struct cg_place.  Without ``env`` it inherits os.environ."""

    program: bytes
    path: bytes | None
    args: list[bytes]
    env: list[bytes] | None
    cwd: bytes | None
    places: Sequence[tuple[Any, str, int, int]]
    files: tuple[int, int, int]
    close_files: bool
    keep: list[int]
    restore_signals: bool
    new_session: bool
    process_group: int
    umask: int
    uid: int
    gid: int
    groups: list[int] | None
    timeout: int
    mover: Callable[[int], None] | None = None  # moves the paused child; not in struct cg_spawn
    watch: Any = None


class Step(IntEnum):
    """The failed step of a start: cg_abi.h, enum cg_spawn_step."""

    CLONE = 0
    FROZEN = 1
    JOIN = 2
    PREPARE = 3
    CWD = 4
    EXECUTE = 5
    TIMEOUT = 6
    KILLED = 7


class Spawned(NamedTuple):
    """The result of a start: cg_abi.h, struct cg_spawned.  After an error, ``pid`` is a child to reap, or 0."""

    began: int
    pid: int
    step: int
    at: int
    error: int


SAME, CHANGED, FOREIGN = range(3)
"""Results of mounts_state: cg_abi.h, enum cg_mounts_state."""
