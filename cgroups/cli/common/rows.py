"""Rows of a recording, and the interface of files in any format."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from ...core.errors import CgroupOSError, InvalidValue, shown

__all__ = [
    "FIXED",
    "WITHOUT_MONOTONIC",
    "File",
    "Heading",
    "Row",
    "Table",
    "Writer",
    "check",
    "header",
    "number",
    "seconds",
]

Row = Sequence[Any]
"""A time in Unix nanoseconds, CLOCK_MONOTONIC in nanoseconds, a cgroup, and its numbers.

A number is an int, a float, MAX, or None if it is missing.
"""

FIXED = ("time", "monotonic", "cgroup")
"""The first columns; both clocks, because the wall clock may be set during a recording."""
WITHOUT_MONOTONIC = ("time", "cgroup")
"""The first columns of files that have one clock."""


class Heading(Protocol):
    """A column of a file: a Column of a sampler, or a Vital."""

    @property
    def title(self) -> str:
        """The name of the column."""

    @property
    def is_whole(self) -> bool:
        """Whether the numbers are whole ones."""


def header(columns: Iterable[Heading]) -> list[str]:
    return [*FIXED, *(column.title for column in columns)]


class Writer(Protocol):
    """A writer of rows.  The file is complete when the writer is closed."""

    def write(self, rows: Iterable[Row]) -> None: ...
    def close(self) -> None: ...


class File:
    """A file that is written in whole pieces: if the disk is full, the last piece is rolled back."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        self._regular = stat.S_ISREG(os.fstat(self._fd).st_mode)
        self.end = 0

    def put(self, data: bytes, instead: bytes = b"") -> None:
        """Write a piece at the end.

        Args:
            data: the piece.
            instead: the bytes at the end that the piece replaces; they are restored if the write fails.

        Raises:
            CgroupOSError: the piece could not be written.
        """
        at = self.end - len(instead)
        try:
            self._write(data, at)
        except BrokenPipeError:
            raise  # the reader has closed the pipe
        except OSError as error:
            with suppress(OSError):
                self._write(instead, at)
                os.ftruncate(self._fd, self.end)
            message, hint = f"cannot write {self._path}: {error.strerror}", "the file has all rows recorded before"
            raise CgroupOSError(message, path=self._path, errno=error.errno, hint=hint) from None
        self.end = at + len(data)

    def _write(self, data: bytes, at: int) -> None:
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._fd, rest, at) if self._regular else os.write(self._fd, rest)
            rest, at = rest[written:], at + written

    def close(self) -> None:
        os.close(self._fd)


def seconds(nanoseconds: int) -> str:
    return f"{nanoseconds // 10**9}.{nanoseconds % 10**9 // 1000:06}"


class Table(NamedTuple):
    """The content of a file.

    Attributes:
        titles: the names of its numbers.
        rows: the time in seconds, the cgroup and the numbers of each row; CLOCK_MONOTONIC if the file has it.
        missing: the lost parts of the file, for example a last line that was cut short; None if the file is complete.
    """

    titles: list[str]
    rows: list[tuple[float, str, list[float | None]]]
    missing: str | None = None


def number(value: Any) -> float | None:
    """Return a number of a file, or None for max or an empty field; raise ValueError for anything else."""
    if value in ("", "max", None):
        return None
    found = float(value)
    if not math.isfinite(found):
        message = f"number must be finite, got {value!r}"
        raise ValueError(message)
    return found


def check(titles: Sequence[str], path: str) -> int:
    """Return the number of columns before the first number; raise InvalidValue for another file."""
    for fixed in (FIXED, WITHOUT_MONOTONIC):
        if tuple(titles[: len(fixed)]) == fixed:
            return len(fixed)
    begins = f"its first columns are {shown(list(titles[:3]))}" if titles else "it has no complete line"
    message = f"cannot read {path}: not a file that 'cgroups record' has written ({begins})"
    raise InvalidValue(message, path=path)
