"""Files of recorded numbers: a line for each cgroup and tick, a column for each number; by their suffix."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from ..errors import InvalidValue, shown
from ..sampling.columns import Column
from ..values import MAX

__all__ = ["SUFFIXES", "Row", "Writer", "create", "header", "read", "title"]

Row = Sequence[Any]
"""A time in Unix nanoseconds, a cgroup, and its numbers: int, float, MAX, or None for no number."""

FIXED = ("time", "cgroup")


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


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds // 10**9}.{nanoseconds % 10**9 // 1000:06}"


class _Csv:
    """Comma-separated: a heading, ``max`` for no limit, nothing for no number."""

    def __init__(self, path: str, columns: Sequence[Column]) -> None:
        self._file = open(path, "w", newline="", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115 - closed by close()
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(header(columns))

    def write(self, rows: Iterable[Row]) -> None:
        self._writer.writerows((_seconds(time), *rest) for time, *rest in rows)
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class _Jsonl:
    """An object a line; a cgroup has not the keys that it has no number for."""

    def __init__(self, path: str, columns: Sequence[Column]) -> None:
        self._file = open(path, "w", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115 - closed by close()
        self._titles = header(columns)[1:]

    def write(self, rows: Iterable[Row]) -> None:
        for time, *rest in rows:
            values = {title: plain for title, one in zip(self._titles, rest) if (plain := _plain(one)) is not None}
            self._file.write(f'{{"time": {_seconds(time)}, {json.dumps(values)[1:]}\n')
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _plain(value: Any) -> Any:
    return str(value) if value is MAX else value


class _Parquet:
    """Columns of int64, or float64 where a number has decimals; 2**63 - 1 is no limit, and null no number."""

    def __init__(self, path: str, columns: Sequence[Column]) -> None:
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ModuleNotFoundError:
            message = "a .parquet file needs pyarrow"
            raise InvalidValue(message, hint="pip install 'cgroups-cffi[arrow]'") from None
        types = [pa.int64() if column.scale == 1 else pa.float64() for column in columns]
        fixed = [pa.timestamp("us", tz="UTC"), pa.string()]
        self._schema = pa.schema(list(zip(header(columns), [*fixed, *types])))
        self._batch = pa.RecordBatch
        self._array = pa.array
        self._writer = parquet.ParquetWriter(path, self._schema)

    def write(self, rows: Iterable[Row]) -> None:
        columns = list(zip(*([time // 1000, cgroup, *map(_bounded, rest)] for time, cgroup, *rest in rows)))
        if columns:
            arrays = [self._array(column, type=field.type) for column, field in zip(columns, self._schema)]
            self._writer.write_batch(self._batch.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


def _bounded(value: Any) -> Any:
    return 2**63 - 1 if value is MAX else value


# ---- reading ---------------------------------------------------------------------------


class Table(NamedTuple):
    """A file that was read: the names of its numbers, and its rows."""

    titles: list[str]
    rows: list[tuple[float, str, list[float | None]]]


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None  # max, or nothing


def _read_csv(path: str) -> Table:
    with open(path, newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        titles = next(lines, [])
        _check(titles, path)
        return Table(titles[2:], [(float(time), cgroup, [*map(_number, rest)]) for time, cgroup, *rest in lines])


def _read_jsonl(path: str) -> Table:
    with open(path, encoding="utf-8") as file:
        objects = [json.loads(line) for line in file]
    titles = list(dict.fromkeys(name for one in objects for name in one))
    _check(titles if objects else FIXED, path)
    titles = titles[2:]
    return Table(
        titles, [(one["time"], one["cgroup"], [_number(one.get(title)) for title in titles]) for one in objects]
    )


def _read_parquet(path: str) -> Table:
    try:
        from pyarrow import parquet
    except ModuleNotFoundError:
        message = "a .parquet file needs pyarrow"
        raise InvalidValue(message, hint="pip install 'cgroups-cffi[arrow]'") from None
    table = parquet.read_table(path)
    titles = table.column_names
    _check(titles, path)
    times = table.column("time").cast("int64").to_pylist()
    columns = [[_unbounded(one) for one in table.column(title).to_pylist()] for title in titles[2:]]
    cgroups = table.column("cgroup").to_pylist()
    rows = zip(*columns) if columns else ((),) * len(times)
    return Table(titles[2:], [(time / 1e6, cgroup, [*row]) for time, cgroup, row in zip(times, cgroups, rows)])


def _unbounded(value: Any) -> Any:
    return None if value == 2**63 - 1 else value


def _check(titles: Sequence[str], path: str) -> None:
    if tuple(titles[:2]) != FIXED:
        message = f"{path} is not a file that 'cgroups record' has written: it begins with {shown(list(titles[:2]))}"
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
