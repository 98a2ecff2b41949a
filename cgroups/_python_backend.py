"""The Python backend: the specification of the native one, readable before fast.

It keeps no file open, so that the budget is without effect here; all else is
the same, value for value, and for a text that does not parse, error for error
and offset for offset.
"""

from __future__ import annotations

import ctypes
import errno
import math
import os
import select
import stat
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from ._interface import (
    CHANGED,
    EXCERPT,
    FOREIGN,
    NUMERIC,
    O_PATH,
    OTHER_ROWS,
    RANGE_LAST,
    ROW,
    SAME,
    Cell,
    Cells,
    Failure,
    Flag,
    FramePlaces,
    Layout,
    MountRow,
    Shape,
    Spawn,
    Spawned,
    Status,
    Target,
    decode_name,
    encode_name,
    learn,
)
from .core.pidfd import open_process
from .errors import NativeRequired
from .values import MAX

NAME: Final = "python"


# ---- scanning --------------------------------------------------------------------


CONTROL: Final = 0x20
"""Bytes below are control characters."""


class Field(NamedTuple):
    """A run of bytes without blanks, and where it starts."""

    text: bytes
    at: int


class _Bad(Exception):
    """Parsing stops here: a status and an offset."""


def _fields(line: bytes, start: int) -> Iterator[Field]:
    """The fields of a line; one with a control character stops the parse when it is reached."""
    at = 0
    for part in line.replace(b"\t", b" ").split(b" "):
        if part:
            if min(part) < CONTROL:
                raise _Bad(Status.SYNTAX, start + at)
            yield Field(part, start + at)
        at += len(part) + 1


def _lines(data: bytes) -> Iterator[Iterator[Field]]:
    at = 0
    for line in data.split(b"\n"):
        yield _fields(line, at)
        at += len(line) + 1


def _words(data: bytes) -> Iterator[Field]:
    for line in _lines(data):
        yield from line


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def _is_digits(text: bytes) -> bool:
    # bytes.isdigit is ASCII alone, as it has to be.
    return text.isdigit()


def _number(text: bytes, at: int) -> Any:
    """An int or MAX; None when the text is no number."""
    if text == b"max":
        return MAX
    digits = text.removeprefix(b"-")
    if not _is_digits(digits):
        return None
    value = _to_int(text)
    if not -(1 << 63) <= value < 1 << 64:
        raise _Bad(Status.RANGE, at)
    return value


def _to_int(text: bytes) -> int:
    """``int``, which refuses thousands of digits since CPython 3.11: any value out of range does."""
    digits = text.removeprefix(b"-").lstrip(b"0")
    value = 1 << 64 if len(digits) > 20 else int(digits or b"0")  # noqa: PLR2004 - more digits than 2^64 has
    return -value if text.startswith(b"-") else value


def _expect_number(text: bytes, at: int) -> Any:
    value = _number(text, at)
    if value is None:
        raise _Bad(Status.SYNTAX, at)
    return value


def _any(text: bytes, at: int, *, centi: bool) -> Any:
    """A number; where it may be, a number with two decimals; else the text."""
    value = _number(text, at)
    if value is not None:
        return value
    whole, point, part = text.rpartition(b".")
    if centi and point and len(text) <= 18 and len(part) == 2 and _is_digits(part) and _is_digits(whole):  # noqa: PLR2004
        return int(whole + part) / 100
    return _decode(text)


# ---- one function a shape ------------------------------------------------------------


def _parse_value(data: bytes) -> Cells:
    words = _words(data)
    first = next(words, None)
    if first is None:
        raise _Bad(Status.EMPTY, len(data))
    value = _expect_number(*first)
    for other in words:
        raise _Bad(Status.SYNTAX, other.at)
    return [("", value)]


def _parse_values(data: bytes) -> Cells:
    return [("", _expect_number(*word)) for word in _words(data)]


def _parse_keyed(data: bytes) -> Cells:
    cells: Cells = []
    for line in _lines(data):
        match list(line):
            case [key]:
                cells.append((_decode(key.text), None))
            case [key, number, *_]:
                cells.append((_decode(key.text), _expect_number(*number)))
    return cells


def _parse_nested(data: bytes) -> Cells:
    cells: Cells = []
    for line in _lines(data):
        in_row = False
        for text, at in line:
            key, equals, value = text.partition(b"=")
            if not equals:
                cells.append((_decode(text), ROW))
            else:
                if not key:
                    raise _Bad(Status.SYNTAX, at)
                if not in_row:
                    cells.append(("", ROW))
                cells.append((_decode(key), _any(value, at, centi=True)))
            in_row = True
    return cells


def _parse_triples(data: bytes) -> Cells:
    cells: Cells = []
    row = None
    for line in _lines(data):
        match list(line):
            case []:
                continue
            case [name]:
                row = _decode(name.text)
                cells.append((row, ROW))
                continue
            case [key, number]:
                name_text = ""
            case [name, key, number, *_]:
                name_text = _decode(name.text)
        if name_text != row:
            row = name_text
            cells.append((row, ROW))
        cells.append((_decode(key.text), _expect_number(*number)))
    return cells


def _parse_table(data: bytes) -> Cells:
    cells: Cells = []
    for line in _lines(data):
        for i, (text, at) in enumerate(line):
            cells.append(("", _any(text, at, centi=False)) if i else (_decode(text), ROW))
    return cells


def _parse_ranges(data: bytes) -> Cells:
    cells: Cells = []
    words = _words(data)
    ranges = next(words, None)
    if ranges is None:
        return cells
    at = ranges.at
    for item in ranges.text.split(b","):
        first, dash, last = item.partition(b"-")
        bounds = (first, last if dash else first)
        if not all(map(_is_digits, bounds)):
            raise _Bad(Status.SYNTAX, at)
        low, high = map(_to_int, bounds)
        if max(low, high) > RANGE_LAST:
            raise _Bad(Status.RANGE, at)
        if low > high:
            raise _Bad(Status.SYNTAX, at)
        cells += [("", low), ("", high)]
        at += len(item) + 1
    for other in words:
        raise _Bad(Status.SYNTAX, other.at)
    return cells


def _parse_words(data: bytes) -> Cells:
    return [("", _decode(word.text)) for word in _words(data)]


def _parse_text(data: bytes) -> Cells:
    return [("", _decode(data.removesuffix(b"\n")))]


_PARSERS: dict[int, Callable[[bytes], Cells]] = {
    Shape.VALUE: _parse_value,
    Shape.VALUES: _parse_values,
    Shape.KEYED: _parse_keyed,
    Shape.NESTED: _parse_nested,
    Shape.TRIPLES: _parse_triples,
    Shape.TABLE: _parse_table,
    Shape.RANGES: _parse_ranges,
    Shape.WORDS: _parse_words,
    Shape.TEXT: _parse_text,
}


def parse(shape: int, data: bytes) -> Cells:
    """The cells of a control file's text."""
    try:
        return _PARSERS[shape](data)
    except _Bad as bad:
        status, at = bad.args
        raise Failure(status, 0, at, data[at : at + EXCERPT]) from None


def _is_whole(shape: int, data: bytes) -> bool:
    """Whether a text ends as the kernel ends one: cg.h, cg_is_whole."""
    return not data or data.endswith(b"\n") or shape == Shape.TEXT or (shape == Shape.NESTED and data.endswith(b" "))


def _parse_whole(shape: int, data: bytes) -> Cells:
    """The same of a text as it was read: one without its end was cut, and so may be its last number."""
    cells = parse(shape, data)
    if not _is_whole(shape, data):
        raise Failure(Status.SYNTAX, 0, len(data))
    return cells


# ---- the mount table ------------------------------------------------------------------


_OCTAL = frozenset(b"01234567")


def _unescape(text: bytes) -> str:
    """``\\040`` and its like, as the kernel writes space, tab, newline and backslash."""
    first, *parts = text.split(b"\\")
    decoded = first
    for part in parts:
        code = part[:3]
        if len(code) == 3 and _OCTAL.issuperset(code) and code[0] <= ord("3"):  # noqa: PLR2004 - \ooo
            decoded += bytes([int(code, 8)]) + part[3:]
        else:
            decoded += b"\\" + part
    return decode_name(decoded)


def _is_u32(text: bytes) -> bool:
    return _is_digits(text) and _to_int(text) < 1 << 32


def _parse_mount(line: bytes) -> MountRow | None:
    """The mount of a line, None when it is no cgroup's; ValueError when it is no line."""
    fields = line.split(b" ")
    if len(fields) < 7:  # noqa: PLR2004 - proc(5): six fields and the separator
        raise ValueError
    number, parent, device, root, point, flags = fields[:6]
    major, _, minor = device.partition(b":")
    if not all(map(_is_u32, (number, parent, major, minor))):
        raise ValueError
    # The separator is the first field that is a hyphen; a source may be empty.
    kind, _source, options = (*fields[fields.index(b"-", 6) + 1 :], b"", b"", b"")[:3]
    if not all((root, point, flags, kind, options)):
        raise ValueError
    version = {b"cgroup": 1, b"cgroup2": 2}.get(kind)
    if version is None:
        return None
    strings = (_unescape(root), _unescape(point), decode_name(flags), decode_name(options))
    return MountRow((version, _to_int(major), _to_int(minor), *strings))


def parse_mountinfo(data: bytes) -> list[MountRow]:
    """The cgroup mounts of a mountinfo table, in its order."""
    rows = []
    at = 0
    for line in data.split(b"\n"):
        if line:
            try:
                row = _parse_mount(line)
            except ValueError:
                raise Failure(Status.SYNTAX, 0, at, data[at : at + EXCERPT]) from None
            if row is not None:
                rows.append(row)
        at += len(line) + 1
    return rows


def _read_all(fd: int) -> bytes:
    """The whole of an open file: a short read is not its end, only an empty one is."""
    parts: list[bytes] = []
    length = 0
    try:
        while part := os.pread(fd, 65536, length):
            parts.append(part)
            length += len(part)
    except OSError as error:
        raise Failure(Status.OS, error.errno or errno.EIO) from None
    return b"".join(parts)


def scan_mounts(fd: int) -> list[MountRow]:
    """The same of an open /proc/PID/mountinfo."""
    return parse_mountinfo(_read_all(fd))


def root_identity() -> Any:
    try:
        namespace = os.stat("/proc/thread-self/ns/mnt")
        root = os.stat("/")
    except OSError as error:
        raise Failure(Status.OS, error.errno or errno.EIO) from None
    return namespace.st_ino, root.st_ino, root.st_dev


def identity_key(identity: Any) -> tuple[int, int, int]:
    key: tuple[int, int, int] = identity
    return key


def mounts_state(fd: int, identity: Any) -> int:
    try:
        if root_identity() != identity:
            return FOREIGN
        poll = select.poll()
        poll.register(fd, select.POLLPRI)
        return CHANGED if poll.poll(0) else SAME
    except Failure as failure:
        return -failure.errno


# ---- files -------------------------------------------------------------------------------

_BENEATH = O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC


def _open_beneath(directory: int, path: str, flags: int) -> int:
    """Opens component by component, so that no symbolic link is followed wherever it stands."""
    if path.startswith("/") or ".." in path.split("/"):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    if flags & (os.O_CREAT | os.O_TRUNC):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    *parents, name = path.split("/")
    at = directory
    try:
        for parent in parents:
            below = os.open(parent or ".", _BENEATH, dir_fd=at)
            if at != directory:
                os.close(at)
            at = below
        fd = os.open(name or ".", flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
        # O_PATH opens a link itself.
        if flags & O_PATH and stat.S_ISLNK(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        return fd
    finally:
        if at != directory:
            os.close(at)


class Directory:
    """The mount point of a hierarchy, or any directory (version 0)."""

    __slots__ = ("_path", "_version")

    def __init__(self, path: str, version: int) -> None:
        self._path = path
        self._version = version

    def file(self, path: str, *, listing: bool = False) -> File:  # noqa: ARG002 - nothing is kept here, lists or not
        return File(self, path)

    def open(self, path: str, flags: int) -> int:
        try:
            root = os.open(self._path, O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if self._version and _cgroup_version(root) != self._version:
                    raise Failure(Status.FOREIGN)
                return _open_beneath(root, path, flags)
            finally:
                os.close(root)
        except OSError as error:
            raise Failure(Status.OS, error.errno or errno.EIO) from None

    def write(self, path: str, data: bytes) -> None:
        fd = self.open(path, os.O_WRONLY)
        try:
            written = os.write(fd, data)
        except OSError as error:
            raise Failure(Status.OS, error.errno or errno.EIO) from None
        finally:
            os.close(fd)
        if written != len(data):
            raise Failure(Status.OS, errno.EIO)

    def inode(self, path: str) -> int:
        try:
            fd = self.open(path, O_PATH | os.O_DIRECTORY)
        except Failure as failure:
            return -(failure.errno or errno.ENODEV)
        try:
            return os.fstat(fd).st_ino
        finally:
            os.close(fd)

    def device(self) -> tuple[int, int]:
        fd = self.open("", O_PATH | os.O_DIRECTORY)
        try:
            device = os.fstat(fd).st_dev
        finally:
            os.close(fd)
        return os.major(device), os.minor(device)


open_directory = Directory


_MAGIC = {0x27E0EB: 1, 0x63677270: 2}
"""CGROUP_SUPER_MAGIC and CGROUP2_SUPER_MAGIC, and the versions that they are."""

_libc = ctypes.CDLL(None, use_errno=True)


def _cgroup_version(fd: int) -> int:
    """1 or 2; 0 for another file system.  os.fstatvfs does not tell; f_type is the first member of the C struct."""
    status = ctypes.create_string_buffer(256)
    if _libc.fstatfs(fd, status) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return _MAGIC.get(ctypes.c_long.from_buffer(status).value, 0)


class File:
    """A control file, by name; opened for each read."""

    __slots__ = ("_directory", "_path")

    def __init__(self, directory: Directory, path: str) -> None:
        self._directory = directory
        self._path = path

    def _text(self) -> bytes:
        fd = self._directory.open(self._path, os.O_RDONLY)
        try:
            return _read_all(fd)
        finally:
            os.close(fd)

    def int_call(self) -> tuple[Callable[[Any], int], Any]:
        return File._read_int, self

    def _read_int(self) -> int:
        try:
            [(_, value)] = _parse_whole(Shape.VALUE, self._text())
        except Failure:
            return -2
        if value is MAX:
            return -1
        return value if isinstance(value, int) and 0 <= value < 1 << 63 else -2

    def read(self, shape: int) -> Cells:
        data = self._text()
        return _parse_whole(shape, data if _is_whole(shape, data) else self._text())

    def read_keyed(self, layout: Layout | None) -> tuple[Layout, list[Any]]:
        cells = self.read(Shape.KEYED)
        return learn(cells, layout, Layout), [value for _, value in cells]

    def close(self) -> None:
        """Nothing is kept."""


_budget = 0


def set_fd_budget(budget: int) -> None:
    """Kept for the interface: this backend keeps no file open."""
    global _budget  # noqa: PLW0603 - what fd_budget answers
    _budget = budget


def fd_budget() -> int:
    return _budget


def kept_fds() -> int:
    return 0


# ---- sampling -------------------------------------------------------------------------


I64_MAX: Final = (1 << 63) - 1
U64_MAX: Final = (1 << 64) - 1

_NOT_THERE: Final = (errno.ENOENT, errno.ENODEV)


class Program(NamedTuple):
    """How the numbers of a control file become cells."""

    shape: int
    targets: Sequence[Target]


class _Row(NamedTuple):
    directory: Directory
    path: str
    sources: Sequence[tuple[str, Program]]


def _numbered(cells: Cells) -> Iterator[tuple[str, str, int, Any]]:
    """Row, key, place among the row's numbers without a key, and value."""
    row, ordinal = "", 0
    for key, value in cells:
        if value is ROW:
            row, ordinal = key, 0
        elif key:
            yield row, key, 0, value
        else:
            yield row, "", ordinal, value
            ordinal += 1


def _cell(target: Target, value: Any) -> tuple[Cell, int]:
    """The status and the number that a value is in a frame."""
    if value is MAX or (value == -1 and target.flags & Flag.UNSET):
        return Cell.MAX, I64_MAX
    if isinstance(value, float):
        number = round(value * 100) * target.scale
    elif isinstance(value, int) and (value >= 0 or target.flags & Flag.SIGNED):
        if 0 < target.threshold <= value:
            return Cell.MAX, I64_MAX
        number = value * target.scale * (100 if target.flags & Flag.CENTI else 1)
    else:
        return Cell.ERROR, errno.EBADMSG
    return _number_cell(number)


def _number_cell(number: int) -> tuple[Cell, int]:
    """The cell of a number: of more than int64 has, that of a uint64; of yet more an errno."""
    if not -I64_MAX - 1 <= number <= U64_MAX:
        return Cell.ERROR, errno.EOVERFLOW
    return (Cell.OK, number) if number <= I64_MAX else (Cell.RANGE, number - (1 << 64))


class _Cells:
    """A row of a frame as it is filled."""

    def __init__(self, columns: int) -> None:
        self.values = [0] * columns
        self.statuses = [Cell.ABSENT] * columns
        self.errors = [0] * columns

    def put(self, target: Target, status: Cell, value: int, error: int = 0) -> None:
        column = target.column
        if column < 0:
            return
        had = self.statuses[column]
        if target.flags & Flag.SECOND and had is not Cell.ABSENT:
            return
        if target.flags & Flag.ADD:
            numbers = (Cell.OK, Cell.RANGE)
            if had not in (*numbers, Cell.MAX) or (had is Cell.MAX and status in numbers):
                return
            if status in numbers:
                parts = ((had, self.values[column]), (status, value))
                status, value = _number_cell(sum(one % (1 << 64) if is_ is Cell.RANGE else one for is_, one in parts))
                if status is Cell.ERROR:
                    value, error = 0, value
        self.values[column], self.statuses[column], self.errors[column] = value, status, error

    def fail(self, program: Program, status: Cell, error: int) -> None:
        for target in program.targets:
            self.put(target, status, 0, error)

    def fill(self, program: Program, parsed: Cells) -> bool:
        """Whether there was a number without a target."""
        known: dict[tuple[str, str, int], list[Target]] = {}
        for target in program.targets:
            known.setdefault(target[:3], []).append(target)
        unknown = False
        for row, key, ordinal, value in _numbered(parsed):
            targets = known.get((row, key, ordinal))
            unknown |= targets is None and (value is MAX or isinstance(value, (int, float)))
            for target in targets or ():
                status, number = _cell(target, value)
                failed = status is Cell.ERROR
                self.put(target, status, 0 if failed else number, number if failed else 0)
        return unknown


def _read_beneath(directory: int, name: str, shape: int) -> tuple[Cells, int]:
    """The cells of a file, or an errno."""
    try:
        fd = os.open(encode_name(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except OSError as error:
        return [], error.errno or errno.EIO
    try:
        data = _read_all(fd)
        return _parse_whole(shape, data if _is_whole(shape, data) else _read_all(fd)), 0
    except Failure as failure:
        return [], failure.errno or errno.EBADMSG
    finally:
        os.close(fd)


class Sampler:
    """The specification of cg_sampler.c: each row opens its directory, and its files beneath that."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._rows: list[_Row] = []
        self._inodes: list[int] = []
        self._unknown: dict[tuple[int, int], bool] = {}

    def add(self, directory: Directory, path: str, sources: Sequence[tuple[str, Program]]) -> None:
        for _, program in sources:
            if program.shape not in NUMERIC or any(one.column >= self._columns for one in program.targets):
                raise Failure(Status.OS, errno.EINVAL)
        self._rows.append(_Row(directory, path, list(sources)))
        self._inodes.append(max(directory.inode(path), 0))

    def remove(self, rows: Sequence[int]) -> None:
        gone = set(rows)
        kept = [at for at in range(len(self._rows)) if at not in gone]
        moved = {at: to for to, at in enumerate(kept)}
        self._rows = [self._rows[at] for at in kept]
        self._inodes = [self._inodes[at] for at in kept]
        self._unknown = {(moved[row], at): True for row, at in self._unknown if row in moved}

    def sample(self, rows: int) -> tuple[memoryview, FramePlaces]:
        if rows != len(self._rows):
            raise RuntimeError(OTHER_ROWS.format(len(self._rows), rows))
        places = FramePlaces(rows, self._columns)
        start = time.monotonic_ns()
        times: list[int] = []
        filled: list[_Cells] = []
        for at in range(rows):
            times.append(time.monotonic_ns())
            filled.append(self._read(at))
        view = memoryview(bytearray(places.size))
        parts = (
            ("q", 0, [start, time.monotonic_ns() - start]),
            ("q", places.UNKNOWN, [len(self._unknown)]),
            ("q", places.times, times),
            ("q", places.values, [value for cells in filled for value in cells.values]),
            ("Q", places.inodes, self._inodes),
            ("i", places.errors, [error for cells in filled for error in cells.errors]),
            ("B", places.statuses, [status for cells in filled for status in cells.statuses]),
        )
        for code, at, numbers in parts:
            data = array(code, numbers).tobytes()
            view[at : at + len(data)] = data
        return view, places

    def _read(self, at: int) -> _Cells:
        cells, row = _Cells(self._columns), self._rows[at]
        try:
            directory = row.directory.open(row.path, O_PATH | os.O_DIRECTORY)
        except Failure as failure:
            # Only what is not there is gone: without a descriptor left, say, it still is.
            gone = failure.status is Status.FOREIGN or failure.errno in _NOT_THERE
            for _, program in row.sources:
                cells.fail(program, *((Cell.GONE, errno.ENODEV) if gone else (Cell.ERROR, failure.errno)))
            return cells
        try:
            self._inodes[at] = os.fstat(directory).st_ino
            for place, (name, program) in enumerate(row.sources):
                parsed, error = _read_beneath(directory, name, program.shape)
                if error in _NOT_THERE:
                    inode = row.directory.inode(row.path)
                    if inode < 0 and -inode not in _NOT_THERE:
                        cells.fail(program, Cell.ERROR, -inode)
                    else:
                        there = inode == self._inodes[at]
                        cells.fail(program, *((Cell.ABSENT, errno.ENOENT) if there else (Cell.GONE, errno.ENODEV)))
                elif error:
                    cells.fail(program, Cell.ERROR, error)
                elif cells.fill(program, parsed):
                    self._unknown[at, place] = True
        finally:
            os.close(directory)
        return cells

    def unknown(self) -> list[tuple[int, int]]:
        """The sources that have had numbers without a target: row, and place among the row's."""
        return sorted(self._unknown)

    def record(self, interval: int, capacity: int, ticks: int) -> Any:  # noqa: ARG002 - what it cannot do
        message = "recording is done by a thread of C, and this is the Python backend"
        raise NativeRequired(message, hint="call sample() in a loop, or install the package with a C compiler")


# ---- spawning --------------------------------------------------------------------------

spawn: Callable[[Spawn], Spawned] | None = None


class Watch:
    """Stamps nothing: for that there has to be a thread that runs without Python."""

    def ended_ns(self) -> int:
        return 0


def wait_child(pid: int, deadline: int | None) -> int:
    """Wait until a child has ended, without reaping it.  The clock is read once Python runs again."""
    if deadline is None:
        _has_ended(pid, 0)
        return time.monotonic_ns()
    try:
        fd = open_process(pid)
    except OSError:
        fd = -1
    if fd < 0:
        return _look_often(pid, deadline)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        while True:
            left = max(0, deadline - time.monotonic_ns())
            if poll.poll(min(math.ceil(left / 1e6), (1 << 31) - 1)):
                return time.monotonic_ns()
            if time.monotonic_ns() >= deadline:
                return 0
    finally:
        os.close(fd)


def _look_often(pid: int, deadline: int) -> int:
    """Before Linux 5.3, and under a filter that knows no pidfd_open(2)."""
    while not _has_ended(pid, os.WNOHANG):
        if time.monotonic_ns() >= deadline:
            return 0
        time.sleep(0.001)
    return time.monotonic_ns()


def _has_ended(pid: int, options: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | options) is not None
    except ChildProcessError:
        return True  # where SIGCHLD is ignored the kernel reaps it, and waitid waits for that
