"""Write and read recordings as Parquet, in segments that a killed writer leaves readable."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from ...core.advice import install
from ...core.errors import InvalidValue
from ...core.values import MAX
from .rows import FIXED, File, Heading, Row, Table, check, header

__all__ = [
    "MAGIC",
    "NO_LIMIT",
    "SEGMENT",
    "SEGMENT_CELLS",
    "SEGMENT_ROOM",
    "SEGMENT_S",
    "SEGMENT_SHARE",
    "Parquet",
    "read_parquet",
]

SEGMENT_S = 2.0
"""The shortest time that rows wait in memory before a segment of a .parquet file is written."""
SEGMENT_SHARE = 0.05
"""The shortest wait as a share of the recording's time, so that a long recording has few segments."""
SEGMENT_CELLS = 1 << 22
"""The most numbers that wait in memory."""

SEGMENT_ROOM = 1 << 16
"""Bytes that a segment may need for a column besides its numbers."""

SEGMENT = b"cgroups.segment"
"""A key in the footer of a segment, to tell it from the footer of the whole file."""
NO_LIMIT = 2**63 - 1
MAGIC = b"PAR1"
"""The first bytes of a .parquet file, and the last bytes of each segment."""


class Parquet:
    """Columns of int64, or float64 for numbers with decimals; null means a missing number.

    No limit is 2**63 - 1 in a column of int64, and infinity in one of float64.

    A number that does not fit in an int64 is null too; the text formats keep such a number.

    A Parquet file is readable only with a footer at its end, which locates all data before.
    So the file is written in segments, each with its own footer.  After the last segment comes a footer for all;
    the next segment replaces that footer in one write.  In a file that was cut short, each whole segment is readable.
    """

    def __init__(self, path: str, columns: Sequence[Heading]) -> None:
        self._arrow, self._parquet = _pyarrow()
        pa = self._arrow
        types = [pa.int64() if column.is_whole else pa.float64() for column in columns]
        self._no_limits = [NO_LIMIT if column.is_whole else math.inf for column in columns]
        fixed = [pa.timestamp("us", tz="UTC"), pa.float64(), pa.string()]
        self._schema = pa.schema(list(zip(header(columns), [*fixed, *types])))
        self._waiting: list[Any] = []
        self._cells = 0
        self._started = self._written = time.monotonic()
        self._file = File(path)
        self._footer = b""
        self._metadata: Any = None
        self._put_segment()

    def write(self, rows: Iterable[Row]) -> None:
        columns = list(
            zip(
                *(
                    [time // 1000, mono / 1e9, cgroup, *map(_bounded, rest, self._no_limits)]
                    for time, mono, cgroup, *rest in rows
                )
            )
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
        """Return the waiting rows as a segment for an offset of the file, and its metadata."""
        at = max(at, len(MAGIC))
        waiting = sum(batch.nbytes for batch in self._waiting)
        fd = os.memfd_create("cgroups-record")
        try:
            # The hole before the segment gives the segment the offsets of the other file.  The size is an upper bound;
            # only written pages take memory.
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


def _bounded(value: Any, no_limit: float) -> Any:
    if value is MAX:
        return no_limit
    return None if isinstance(value, int) and value > NO_LIMIT else value


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError:
        message = "a .parquet file needs pyarrow"
        raise InvalidValue(message, hint=install("arrow")) from None
    return pa, parquet


def read_parquet(path: str) -> Table:
    pa, parquet = _pyarrow()
    table, missing = None, None
    with suppress(pa.ArrowInvalid):
        table = parquet.read_table(path)
    if table is None or SEGMENT in (table.schema.metadata or {}):
        table, missing = _whole_segments(path), "it is cut short, and its end is left out"
    titles = table.column_names
    first = check(titles, path)
    times = table.column(first - 2).cast("float64" if first == len(FIXED) else "int64").to_pylist()
    columns = [[_unbounded(one) for one in table.column(title).to_pylist()] for title in titles[first:]]
    cgroups = table.column("cgroup").to_pylist()
    rows = zip(*columns) if columns else ((),) * len(times)
    unit = 1 if first == len(FIXED) else 1e6
    found = [(time / unit, cgroup, [*row]) for time, cgroup, row in zip(times, cgroups, rows)]
    return Table(titles[first:], found, missing)


def _whole_segments(path: str) -> Any:
    """Return the rows of all complete segments of a file without a footer."""
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
        message = f"cannot read {path}: not a file that 'cgroups record' has written, or cut short before any row"
        raise InvalidValue(message, path=path)
    return pa.concat_tables([table.replace_schema_metadata() for table in tables])


def _unbounded(value: Any) -> Any:
    return None if value in (NO_LIMIT, math.inf) else value
