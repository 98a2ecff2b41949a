"""What the two backends share: the shapes, the failure they raise, and the names they must have.

The interface is a module's: ``_native_backend`` and ``_python_backend`` each
define everything that :class:`Backend` lists.  Parsing yields *cells*, a list
of ``(key, value)``; a value is an int, MAX, a float (two decimals), a str,
None (a key without a value) or ROW (the key opens a row).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, IntEnum, IntFlag
from typing import Any, Final, NamedTuple, Protocol


class Shape(IntEnum):
    """What a control file's text looks like.  cg_abi.h defines each of them."""

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
"""The shapes whose numbers a sampler can take: each is a whole field."""


class Status(IntEnum):
    """The statuses of a failure, as in cg_abi.h."""

    OS = 1
    SYNTAX = 2
    RANGE = 3
    EMPTY = 4
    FOREIGN = 7


O_PATH: Final = getattr(os, "O_PATH", 0o10000000)
"""O_PATH of open(2), which PyPy does not name; the number is that of all architectures that PyPy runs on."""

_FILE_SYSTEM: Final = (sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())


def encode_name(name: str) -> bytes:
    """A cgroup's name or path as the kernel has it: os.fsencode, without its detours."""
    return name.encode(*_FILE_SYSTEM)


def decode_name(name: bytes) -> str:
    """The way back: what is listed, and what is in a mount table, is what open() takes."""
    return name.decode(*_FILE_SYSTEM)


RANGE_LAST: Final = 65535
"""The last CPU or memory node that a range may name (CG_RANGE_LAST)."""


class Row(Enum):
    """The one value of a cell that opens a row."""

    ROW = "row"


ROW: Final = Row.ROW

Value = "int | float | str | Max | Row | None"
Cells = list[tuple[str, Any]]

_REASONS = {
    Status.OS: "system call failed",
    Status.SYNTAX: "not what such a file contains",
    Status.RANGE: "a number out of range",
    Status.EMPTY: "a value is missing",
    Status.FOREIGN: "not a cgroup file system",
}


class Failure(Exception):
    """What a backend raises; the façade turns it into an exception of errors.py, in one place."""

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
"""How much of a text that does not parse an error quotes."""


class Layout:
    """The keys of a flat keyed file, learned at one read and expected at the next."""

    __slots__ = ("keys", "native")

    def __init__(self, keys: tuple[str, ...], native: Any = None) -> None:
        self.keys = keys
        self.native = native


def learn(cells: Cells, layout: Layout | None, make: Callable[[tuple[str, ...]], Layout]) -> Layout:
    """The layout after a full read: the same object only where it would have fit.

    That is, where the keys are the same and each has a number, none of them
    negative; whoever keeps a layout has then nothing to check again.
    """
    keys = tuple(key for key, _ in cells)
    if not all(isinstance(value, int) and value >= 0 for _, value in cells):
        return Layout(keys)
    return layout if layout is not None and layout.keys == keys else make(keys)


# ---- sampling: cg_abi.h, "sampling" ----------------------------------------------------


class Cell(IntEnum):
    """The status of a cell of a frame, as in cg_abi.h."""

    OK = 0
    MAX = 1
    GONE = 2
    ABSENT = 3
    RANGE = 4
    ERROR = 5


class Flag(IntFlag):
    """What else there is to know of a target."""

    ADD = 1
    SECOND = 2
    CENTI = 4
    UNSET = 8
    SAME = 16
    SIGNED = 32


class Target(NamedTuple):
    """Where a number of a control file goes: cg_abi.h, struct cg_target."""

    row: str
    key: str
    ordinal: int
    column: int
    flags: int
    scale: int
    threshold: int


class Numbers(NamedTuple):
    """How the cells of a text are numbers, for whoever samples them.

    Attributes:
        scale: what each is multiplied by.
        threshold: from here on a number stands for no limit; 0 where none does.
        unset: whether -1 does.
        hundredths: the keys that have two decimals.
        aliases: further names of keys.
        scaled: further numbers, or others under the key's own name: name to key and factor.
        name: what a column is called, of a row, a key and an ordinal; None leaves the number out.
        signed: whether a number may be negative; elsewhere a negative number is an error.
    """

    scale: int = 1
    threshold: int = 0
    unset: bool = False
    hundredths: frozenset[str] = frozenset()
    aliases: Mapping[str, str] = {}
    scaled: Mapping[str, tuple[str, int]] = {}
    name: Callable[[str, str, int], Any] | None = None
    signed: bool = False


class FramePlaces:
    """Where in its memory the parts of a frame are, in bytes: what C has of it comes first.

    That is struct cg_frame, whose first two numbers are when its reads began, and what they took.  At UNKNOWN it has
    how many files have numbers without a column.
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
"""The message of a RuntimeError: whoever asks for a frame has other rows in mind than the backend has."""


class RawBlock(NamedTuple):
    """What a recorder gives: the parts of its frames, one frame after another."""

    frames: int
    timestamps: memoryview
    values: memoryview
    statuses: memoryview
    inodes: memoryview
    times: memoryview


class Recording(NamedTuple):
    """How a recording goes: cg_abi.h, struct cg_recording."""

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
    """A control file, by name; opened when it is read."""

    def int_call(self) -> tuple[Callable[[Any], int], Any]:
        """A function and its argument that read one number: not negative; -1 for ``max``; less to use :meth:`read`.

        Apart, since calling a C function with one argument is cheaper than calling anything that wraps it.
        """

    def read(self, shape: int) -> Cells: ...
    def read_keyed(self, layout: Layout | None) -> tuple[Layout, list[Any]]:
        """The values of a flat keyed file, and their layout: the one given only where it fits, each value an int."""

    def close(self) -> None: ...


class Directory(Protocol):
    """The mount point of a hierarchy; everything is opened beneath it."""

    def file(self, path: str, *, listing: bool = False) -> File: ...
    def open(self, path: str, flags: int) -> int: ...
    def write(self, path: str, data: bytes) -> None: ...
    def inode(self, path: str) -> int:
        """The inode of a directory, or -errno: a find asks on every call, and absence is no exception there."""

    def device(self) -> tuple[int, int]:
        """Major and minor of its file system's device, as mountinfo has them."""


class Sampler(Protocol):
    """Rows of cgroups and columns of numbers: cg_abi.h, "sampling"."""

    def add(self, directory: Any, path: str, sources: Sequence[tuple[str, Any]]) -> None: ...
    def remove(self, rows: Sequence[int]) -> None: ...
    def sample(self, rows: int) -> tuple[memoryview, FramePlaces]: ...
    def unknown(self) -> list[tuple[int, int]]: ...
    def record(self, interval: int, capacity: int, ticks: int) -> Recorder:
        """Starts a recorder of the rows as they are; NativeRequired of a backend without threads of its own."""


class Recorder(Protocol):
    """A thread that samples into a ring: cg_abi.h, "recording"."""

    def take(self) -> RawBlock: ...
    def state(self) -> Recording: ...
    def stop(self) -> None: ...


class Watch(Protocol):
    """Stamps the end of a program when it comes: cg_abi.h, struct cg_watch."""

    def ended_ns(self) -> int: ...


class Spawn(NamedTuple):
    """A program to start: cg_abi.h, struct cg_spawn and struct cg_place.  Without ``env`` it gets os.environ."""

    program: bytes
    path: bytes | None
    args: list[bytes]
    env: list[bytes] | None
    cwd: bytes | None
    places: Sequence[tuple[Any, str, int]]
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
    watch: Any = None


class Step(IntEnum):
    """What of a start failed: cg_abi.h, enum cg_spawn_step."""

    CLONE = 0
    FROZEN = 1
    JOIN = 2
    PREPARE = 3
    CWD = 4
    EXECUTE = 5
    TIMEOUT = 6
    KILLED = 7


class Spawned(NamedTuple):
    """The result of a start: cg_abi.h, struct cg_spawned.  With an error, ``pid`` is a child to be reaped, or 0."""

    began: int
    pid: int
    step: int
    at: int
    error: int


class Backend(Protocol):
    """The functions of a backend module."""

    NAME: str

    def open_directory(self, path: str, version: int) -> Directory: ...
    def parse(self, shape: int, data: bytes) -> Cells: ...
    def parse_mountinfo(self, data: bytes) -> list[MountRow]: ...
    def scan_mounts(self, fd: int) -> list[MountRow]: ...
    def root_identity(self) -> Any: ...
    def mounts_state(self, fd: int, identity: Any) -> int: ...
    def Program(self, shape: int, targets: Sequence[Target]) -> Any: ...  # noqa: N802 - a class
    def Sampler(self, columns: int) -> Sampler: ...  # noqa: N802 - a class

    spawn: Callable[[Spawn], Spawned] | None
    """Starts a program as by vfork; None of a backend that cannot, where subprocess forks."""

    def Watch(self) -> Watch: ...  # noqa: N802 - a class
    def wait_child(self, pid: int, deadline: int | None) -> int:
        """Wait until a child has ended, without reaping it: the clock right after, or 0 if the deadline passed first.

        The clock and the deadline are CLOCK_MONOTONIC, in nanoseconds.
        """
        ...

    def set_fd_budget(self, budget: int) -> None: ...
    def fd_budget(self) -> int: ...
    def kept_fds(self) -> int: ...


SAME, CHANGED, FOREIGN = range(3)
"""What mounts_state answers: cg_abi.h, enum cg_mounts_state."""
