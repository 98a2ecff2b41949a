"""Files of recorded numbers: a line for each cgroup and tick, a column for each number; by their suffix.

A file is readable at any time: however its program ends, and also if the disk
is full, what was written before can be read.  A reader takes a file that was
cut short, and says what is missing.
"""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from ..errors import CgroupOSError, InvalidValue, shown
from ..sampling.columns import Column
from ..values import MAX

__all__ = ["SUFFIXES", "Row", "Table", "Writer", "create", "header", "read", "title"]

Row = Sequence[Any]
"""A time in Unix nanoseconds, CLOCK_MONOTONIC in nanoseconds, a cgroup, and its numbers.

A number is an int, a float, MAX, or None if there is none.
"""

FIXED = ("time", "monotonic", "cgroup")
"""The first columns: both clocks, since the wall clock may be set while a file is written."""
WITHOUT_MONOTONIC = ("time", "cgroup")
"""Those of files that have one clock."""


def title(column: Column) -> str:
    """A column's name, as the command takes it: ``memory.stat[anon]``."""
    if column.key is None:
        return str(column.parameter)
    keys = column.key if isinstance(column.key, tuple) else (column.key,)
    return f"{column.parameter}[{','.join(map(str, keys))}]"


def header(columns: Iterable[Column]) -> list[str]:
    return [*FIXED, *map(title, columns)]


class Writer(Protocol):
    """Takes rows, and leaves a whole file when it is closed."""

    def write(self, rows: Iterable[Row]) -> None: ...
    def close(self) -> None: ...


class _File:
    """A file that is written in whole pieces: a piece that the disk has no room for is taken back."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        self._regular = stat.S_ISREG(os.fstat(self._fd).st_mode)
        self.end = 0

    def put(self, data: bytes, instead: bytes = b"") -> None:
        """Write a piece at the end.

        Args:
            data: the piece.
            instead: what is at the end now, and is replaced; it is put back if the piece cannot be written.

        Raises:
            CgroupOSError: the piece could not be written.
        """
        at = self.end - len(instead)
        try:
            self._write(data, at)
        except BrokenPipeError:
            raise  # whoever reads has read enough
        except OSError as error:
            with suppress(OSError):
                self._write(instead, at)
                os.ftruncate(self._fd, self.end)
            message, hint = f"cannot write {self._path}: {error.strerror}", "what was recorded before is in the file"
            raise CgroupOSError(message, path=self._path, errno=error.errno, hint=hint) from None
        self.end = at + len(data)

    def _write(self, data: bytes, at: int) -> None:
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._fd, rest, at) if self._regular else os.write(self._fd, rest)
            rest, at = rest[written:], at + written

    def close(self) -> None:
        os.close(self._fd)


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds // 10**9}.{nanoseconds % 10**9 // 1000:06}"


class _Csv:
    """Comma-separated: a heading, ``max`` for no limit, nothing for no number."""

    def __init__(self, path: str, columns: Sequence[Column]) -> None:
        self._file = _File(path)
        self._put([header(columns)])

    def _put(self, rows: Iterable[Sequence[Any]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        self._file.put(text.getvalue().encode())

    def write(self, rows: Iterable[Row]) -> None:
        self._put((_seconds(time), _seconds(monotonic), *rest) for time, monotonic, *rest in rows)

    def close(self) -> None:
        self._file.close()


class _Jsonl:
    """An object a line; a cgroup has not the keys that it has no number for."""

    def __init__(self, path: str, columns: Sequence[Column]) -> None:
        self._file = _File(path)
        self._titles = header(columns)[2:]

    def write(self, rows: Iterable[Row]) -> None:
        self._file.put("".join(map(self._line, rows)).encode())

    def _line(self, row: Row) -> str:
        time, monotonic, *rest = row
        values = {title: plain for title, one in zip(self._titles, rest) if (plain := _plain(one)) is not None}
        return f'{{"time": {_seconds(time)}, "monotonic": {_seconds(monotonic)}, {json.dumps(values)[1:]}\n'

    def close(self) -> None:
        self._file.close()


def _plain(value: Any) -> Any:
    return str(value) if value is MAX else value


SEGMENT_S = 2.0
"""How long rows wait in memory at least, before they are written as a segment of a .parquet file ..."""
SEGMENT_SHARE = 0.05
"""... and which share of the time so far, so that the segments of a long recording do not get many ..."""
SEGMENT_CELLS = 1 << 22
"""... and how many numbers wait at most."""

SEGMENT_ROOM = 1 << 16
"""What a segment may take for a column, besides its numbers."""

SEGMENT = b"cgroups.segment"
"""A mark of the footer of a segment, which is not the whole file's."""
NO_LIMIT = 2**63 - 1
MAGIC = b"PAR1"
"""What a .parquet file begins with, and each segment of it ends with."""


class _Parquet:
    """Columns of int64, or float64 where a number has decimals; 2**63 - 1 is no limit, and null no number.

    Null is also a number that an int64 has not; what is of text has it.

    A file of this format is readable only with a footer at its end, which has the place of all that is before.
    So it is written in segments, each with a footer of its own, and after the last segment there is a footer of all;
    the next segment replaces that one, in one write.  Of a file that was cut short, each whole segment can be read.
    """

    def __init__(self, path: str, columns: Sequence[Column]) -> None:
        self._arrow, self._parquet = _pyarrow()
        pa = self._arrow
        types = [pa.int64() if column.scale == 1 else pa.float64() for column in columns]
        fixed = [pa.timestamp("us", tz="UTC"), pa.float64(), pa.string()]
        self._schema = pa.schema(list(zip(header(columns), [*fixed, *types])))
        self._waiting: list[Any] = []
        self._cells = 0
        self._started = self._written = time.monotonic()
        self._file = _File(path)
        self._footer = b""
        self._metadata: Any = None
        self._put_segment()

    def write(self, rows: Iterable[Row]) -> None:
        columns = list(
            zip(*([time // 1000, mono / 1e9, cgroup, *map(_bounded, rest)] for time, mono, cgroup, *rest in rows))
        )
        if columns:
            arrays = [self._arrow.array(column, type=field.type) for column, field in zip(columns, self._schema)]
            self._waiting.append(self._arrow.RecordBatch.from_arrays(arrays, schema=self._schema))
            self._cells += len(columns) * len(columns[0])
        now = time.monotonic()
        wait = max(SEGMENT_S, SEGMENT_SHARE * (now - self._started))
        if self._waiting and (now - self._written >= wait or self._cells >= SEGMENT_CELLS):
            self._put_segment()

    def _put_segment(self) -> None:
        segment, metadata = self._segment(self._file.end - len(self._footer))
        if self._metadata is None:
            self._metadata = metadata
        else:
            self._metadata.append_row_groups(metadata)
        sink = self._arrow.BufferOutputStream()
        self._metadata.write_metadata_file(sink)
        footer = sink.getvalue().to_pybytes()[len(MAGIC) :]
        self._waiting, self._cells, self._written = [], 0, time.monotonic()
        self._file.put(segment + footer, instead=self._footer)
        self._footer = footer

    def _segment(self, at: int) -> tuple[bytes, Any]:
        """Return what waits as a file, to be written at an offset of another, and its metadata."""
        at = max(at, len(MAGIC))
        waiting = sum(batch.nbytes for batch in self._waiting)
        fd = os.memfd_create("cgroups-record")
        try:
            # A hole, so that the offsets of the segment begin where it is in the other file; and room for more
            # than it can take, of which only what is written is memory.
            os.ftruncate(fd, at + 4 * waiting + SEGMENT_ROOM * len(self._schema))
            path = f"/proc/self/fd/{fd}"
            with self._arrow.memory_map(path, "r+") as sink:
                schema = self._schema.with_metadata({SEGMENT: b""}) if self._waiting else self._schema
                with self._parquet.ParquetWriter(sink, schema) as writer:
                    sink.seek(at)
                    if self._waiting:
                        writer.write_table(self._arrow.Table.from_batches(self._waiting, schema))
                end = sink.tell()
            os.ftruncate(fd, end)
            begin = 0 if at == len(MAGIC) else at
            return os.pread(fd, end - begin, begin), self._parquet.read_metadata(path)
        finally:
            os.close(fd)

    def close(self) -> None:
        try:
            if self._waiting:
                self._put_segment()
        finally:
            self._file.close()


def _bounded(value: Any) -> Any:
    if value is MAX:
        return NO_LIMIT
    return None if isinstance(value, int) and value > NO_LIMIT else value


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError:
        message = "a .parquet file needs pyarrow"
        raise InvalidValue(message, hint="pip install 'cgroups-cffi[arrow]'") from None
    return pa, parquet


# ---- reading ---------------------------------------------------------------------------


class Table(NamedTuple):
    """A file that was read.

    Attributes:
        titles: the names of its numbers.
        rows: a time in seconds, a cgroup and its numbers each.  The time is of CLOCK_MONOTONIC if the file has it.
        missing: what the file lacks, for example because it was cut short; None if it is whole.
    """

    titles: list[str]
    rows: list[tuple[float, str, list[float | None]]]
    missing: str | None = None


def _number(value: Any) -> float | None:
    """Return a number of a file, None for max or nothing; ValueError for anything else."""
    return None if value in ("", "max", None) else float(value)


class _Lines:
    """The lines of a text that was perhaps cut short, and what is left out of it."""

    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:
            whole, newline, rest = file.read().rpartition(b"\n")
        self._text = whole + newline
        self._cut = bool(rest)
        self._damaged = 0

    def __iter__(self) -> Iterator[str]:
        return io.StringIO(self._text.decode("utf-8", "backslashreplace"), newline="\n")

    def rows(self, lines: Iterable[Any], convert: Callable[[Any], Any]) -> list[Any]:
        """Return each line converted; those that are no rows are counted, and left out."""
        rows = []
        for line in lines:
            try:
                rows.append(convert(line))
            except (ValueError, TypeError, KeyError):
                self._damaged += 1
        return rows

    @property
    def missing(self) -> str | None:
        found = ["its last line is cut short, and left out"] * self._cut
        found += [f"{self._damaged} damaged line{'s' * (self._damaged != 1)} left out"] * bool(self._damaged)
        return "; ".join(found) or None


def _read_csv(path: str) -> Table:
    lines = _Lines(path)
    table = csv.reader(lines)
    titles = next(table, [])
    first = _check(titles, path)
    cgroup = first - 1

    def row(fields: list[str]) -> tuple[float, str, list[float | None]]:
        if len(fields) != len(titles):
            raise ValueError
        times = [*map(float, fields[:cgroup])]
        return times[-1], fields[cgroup], [*map(_number, fields[first:])]

    rows = lines.rows(table, row)
    return Table(titles[first:], rows, lines.missing)


def _read_jsonl(path: str) -> Table:
    lines = _Lines(path)
    objects = lines.rows(lines, lambda line: {**json.loads(line)})
    titles = list(dict.fromkeys(name for one in objects for name in one))
    first = _check(titles or FIXED, path)

    def row(one: dict[str, Any]) -> tuple[float, str, list[float | None]]:
        return float(one[clock]), one["cgroup"], [_number(one.get(title)) for title in titles[first:]]

    clock = (titles or FIXED)[first - 2]
    return Table(titles[first:], lines.rows(objects, row), lines.missing)


def _read_parquet(path: str) -> Table:
    pa, parquet = _pyarrow()
    table, missing = None, None
    with suppress(pa.ArrowInvalid):
        table = parquet.read_table(path)
    if table is None or SEGMENT in (table.schema.metadata or {}):
        table, missing = _whole_segments(path), "it is cut short, and its end left out"
    titles = table.column_names
    first = _check(titles, path)
    times = table.column(first - 2).cast("float64" if first == len(FIXED) else "int64").to_pylist()
    columns = [[_unbounded(one) for one in table.column(title).to_pylist()] for title in titles[first:]]
    cgroups = table.column("cgroup").to_pylist()
    rows = zip(*columns) if columns else ((),) * len(times)
    unit = 1 if first == len(FIXED) else 1e6
    found = [(time / unit, cgroup, [*row]) for time, cgroup, row in zip(times, cgroups, rows)]
    return Table(titles[first:], found, missing)


def _whole_segments(path: str) -> Any:
    """Return the rows of all whole segments of a file without a footer."""
    pa, parquet = _pyarrow()
    with open(path, "rb") as file:
        data = file.read()
    tables = []
    at = data.find(MAGIC)
    while at >= 0:
        with suppress(pa.ArrowInvalid, OSError):
            tables.append(parquet.read_table(pa.BufferReader(pa.py_buffer(data).slice(0, at + len(MAGIC)))))
        at = data.find(MAGIC, at + 1)
    if not tables:
        message = f"{path} is not a file that 'cgroups record' has written, or cut short before its first rows"
        raise InvalidValue(message, path=path)
    return pa.concat_tables([table.replace_schema_metadata() for table in tables])


def _unbounded(value: Any) -> Any:
    return None if value == NO_LIMIT else value


def _check(titles: Sequence[str], path: str) -> int:
    """Return how many columns are before the numbers."""
    for fixed in (FIXED, WITHOUT_MONOTONIC):
        if tuple(titles[: len(fixed)]) == fixed:
            return len(fixed)
    begins = f"it begins with {shown(list(titles[:3]))}" if titles else "it has no whole line"
    message = f"{path} is not a file that 'cgroups record' has written: {begins}"
    raise InvalidValue(message, path=path)


# ---- by suffix ---------------------------------------------------------------------------

_KINDS: dict[str, tuple[Callable[[str, Sequence[Column]], Writer], Callable[[str], Table]]] = {
    ".csv": (_Csv, _read_csv),
    ".jsonl": (_Jsonl, _read_jsonl),
    ".parquet": (_Parquet, _read_parquet),
}
SUFFIXES = tuple(_KINDS)


def _kind(path: str) -> tuple[Callable[[str, Sequence[Column]], Writer], Callable[[str], Table]]:
    suffix = os.path.splitext(path)[1]
    if suffix not in _KINDS:
        message = f"{path}: a file's name has to end in one of {', '.join(SUFFIXES)}"
        raise InvalidValue(message, path=path)
    return _KINDS[suffix]


def create(path: str, columns: Sequence[Column]) -> Writer:
    """A file to be written, over one that is there."""
    return _kind(path)[0](path, columns)


def read(path: str) -> Table:
    """A file that was written."""
    return _kind(path)[1](path)
