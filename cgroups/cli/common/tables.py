"""Files of recorded numbers, by suffix: a line for each cgroup and tick, a column for each number.

A file is readable at any time: rows that were written survive a killed program
and a full disk.  A reader accepts a file that was cut short, and reports what
is missing.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ...core.errors import InvalidValue
from ...core.values import MAX
from .parquet import Parquet, read_parquet
from .rows import FIXED, File, Heading, Row, Table, Writer, check, header, number, seconds

__all__ = ["SUFFIXES", "create", "read"]


class _Csv:
    """Comma-separated values with a header.  ``max`` means no limit, and a missing number is empty."""

    def __init__(self, path: str, columns: Sequence[Heading]) -> None:
        self._file = File(path)
        self._put([header(columns)])

    def _put(self, rows: Iterable[Sequence[Any]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        self._file.put(text.getvalue().encode())

    def write(self, rows: Iterable[Row]) -> None:
        self._put((seconds(time), seconds(monotonic), *rest) for time, monotonic, *rest in rows)

    def close(self) -> None:
        self._file.close()


class _Jsonl:
    """One JSON object per line, without the keys of missing numbers."""

    def __init__(self, path: str, columns: Sequence[Heading]) -> None:
        self._file = File(path)
        self._titles = header(columns)[2:]

    def write(self, rows: Iterable[Row]) -> None:
        self._file.put("".join(map(self._line, rows)).encode())

    def _line(self, row: Row) -> str:
        time, monotonic, *rest = row
        values = {title: plain for title, one in zip(self._titles, rest) if (plain := _plain(one)) is not None}
        return f'{{"time": {seconds(time)}, "monotonic": {seconds(monotonic)}, {json.dumps(values)[1:]}\n'

    def close(self) -> None:
        self._file.close()


def _plain(value: Any) -> Any:
    return str(value) if value is MAX else value


class _Lines:
    """The complete lines of a text that may be cut short, and a report of the others."""

    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:
            whole, newline, rest = file.read().rpartition(b"\n")
        self._text = whole + newline
        self._cut = bool(rest)
        self._damaged = 0

    def __iter__(self) -> Iterator[str]:
        return io.StringIO(self._text.decode("utf-8", "backslashreplace"), newline="\n")

    def rows(self, lines: Iterable[Any], convert: Callable[[Any], Any]) -> list[Any]:
        """Convert each line to a row; count and skip damaged lines."""
        rows = []
        for line in lines:
            try:
                rows.append(convert(line))
            except (ValueError, TypeError, KeyError, csv.Error):
                self._damaged += 1
        return rows

    @property
    def missing(self) -> str | None:
        found = ["its last line is cut short and left out"] * self._cut
        found += [f"{self._damaged} damaged line{'s' * (self._damaged != 1)} left out"] * bool(self._damaged)
        return "; ".join(found) or None


def _read_csv(path: str) -> Table:
    lines = _Lines(path)
    texts = iter(lines)
    titles = next(csv.reader([next(texts, "")]), [])
    first = check(titles, path)
    cgroup = first - 1

    def row(line: str) -> tuple[float, str, list[float | None]]:
        # One line at a time: a stray quotation mark would join the lines after it.
        fields = next(csv.reader([line]), [])
        if len(fields) != len(titles):
            raise ValueError
        times = [*map(float, fields[:cgroup])]
        return times[-1], fields[cgroup], [*map(number, fields[first:])]

    rows = lines.rows(texts, row)
    return Table(titles[first:], rows, lines.missing)


def _read_jsonl(path: str) -> Table:
    lines = _Lines(path)
    objects = lines.rows(lines, lambda line: {**json.loads(line)})
    titles = list(dict.fromkeys(name for one in objects for name in one))
    first = check(titles or FIXED, path)

    def row(one: dict[str, Any]) -> tuple[float, str, list[float | None]]:
        return float(one[clock]), one["cgroup"], [number(one.get(title)) for title in titles[first:]]

    clock = (titles or FIXED)[first - 2]
    return Table(titles[first:], lines.rows(objects, row), lines.missing)


# ---- by suffix ---------------------------------------------------------------------------

_KINDS: dict[str, tuple[Callable[[str, Sequence[Heading]], Writer], Callable[[str], Table]]] = {
    ".csv": (_Csv, _read_csv),
    ".jsonl": (_Jsonl, _read_jsonl),
    ".parquet": (Parquet, read_parquet),
}
SUFFIXES = tuple(_KINDS)


def _kind(path: str) -> tuple[Callable[[str, Sequence[Heading]], Writer], Callable[[str], Table]]:
    suffix = os.path.splitext(path)[1]
    if suffix not in _KINDS:
        message = f"FILE must end in one of {', '.join(SUFFIXES)}, got {path!r}"
        raise InvalidValue(message, path=path)
    return _KINDS[suffix]


def create(path: str, columns: Sequence[Heading]) -> Writer:
    """Create a file for rows; replace an existing one."""
    return _kind(path)[0](path, columns)


def read(path: str) -> Table:
    """Return the content of a file."""
    return _kind(path)[1](path)
