"""The Python backend: the specification of the native one, readable before fast.

It keeps no file open, so that the budget is without effect here; all else is
the same, value for value, and for a text that does not parse, error for error
and offset for offset.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import stat
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from ._interface import (
    CHANGED,
    EXCERPT,
    FOREIGN,
    RANGE_LAST,
    ROW,
    SAME,
    Cells,
    Failure,
    Layout,
    MountRow,
    Shape,
    Status,
    decode_name,
    learn,
)
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

_BENEATH = os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC


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
        if flags & os.O_PATH and stat.S_ISLNK(os.fstat(fd).st_mode):
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
            root = os.open(self._path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
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
            fd = self.open(path, os.O_PATH | os.O_DIRECTORY)
        except Failure as failure:
            return -(failure.errno or errno.ENODEV)
        try:
            return os.fstat(fd).st_ino
        finally:
            os.close(fd)

    def device(self) -> tuple[int, int]:
        fd = self.open("", os.O_PATH | os.O_DIRECTORY)
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
            [(_, value)] = parse(Shape.VALUE, self._text())
        except Failure:
            return -2
        if value is MAX:
            return -1
        return value if isinstance(value, int) and 0 <= value < 1 << 63 else -2

    def read(self, shape: int) -> Cells:
        return parse(shape, self._text())

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


# ---- many files in one call ------------------------------------------------------------------


class Batch:
    """Files that are read together; here, one after the other."""

    def __init__(self, files: Sequence[File], layouts: Sequence[Layout | None]) -> None:
        self.firsts = [0]
        for layout in layouts:
            self.firsts.append(self.firsts[-1] + (1 if layout is None else len(layout.keys)))
        self._files = list(zip(files, layouts, self.firsts))
        self.values = [0] * self.firsts[-1]
        self.kinds = [0] * len(files)
        self.statuses = [0] * len(files)
        self.errors = [0] * len(files)

    def read(self) -> None:
        for i, (file, layout, first) in enumerate(self._files):
            self.statuses[i] = self.errors[i] = self.kinds[i] = 0
            try:
                if layout is None:
                    [(_, value)] = file.read(Shape.VALUE)
                    self.kinds[i] = 2 if value is MAX else 1 if value < 0 else 0
                    values = [0 if value is MAX else value % (1 << 64)]
                else:
                    learned, values = file.read_keyed(layout)
                    if learned is not layout:
                        self.statuses[i] = 6
                        continue
            except Failure as failure:
                self.statuses[i], self.errors[i] = failure.status, failure.errno
                continue
            self.values[first : first + len(values)] = values
