"""Files of recorded numbers: what is in them, what stays when their program is killed, and how they are read."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer

from cgroups import MAX, CgroupOSError, InvalidValue, Memory
from cgroups.cli import plot
from cgroups.cli.common import panels, tables
from cgroups.cli.common import parquet as segments
from cgroups.cli.common.render import printable
from cgroups.observe.columns import Column

SUFFIXES = [".csv", ".jsonl", ".parquet"]
COLUMNS = (
    Column(Memory.usage_in_bytes, None, "bytes", 1, False),  # noqa: FBT003 - a named tuple
    Column(Memory.pressure, ("some", "avg10"), "percent", 100, False),  # noqa: FBT003
)
SECOND = 10**9


def rows(count: int, since: int = 0, wall: int = 1_700_000_000) -> list[tables.Row]:
    """Rows of two cgroups, a second apart; a cell that is MAX, and one without a number."""
    return [
        ((wall + at) * SECOND, (100 + at) * SECOND, name, MAX if at == 1 else at * 4096, None if at == 2 else at / 4)
        for at in range(since, since + count)
        for name in ("memory:/a", "memory:/b,c")
    ]


@pytest.fixture(params=SUFFIXES)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == ".parquet":
        pytest.importorskip("pyarrow")
    return tmp_path / f"out{request.param}"


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each write of rows is a segment."""
    monkeypatch.setattr(segments, "SEGMENT_S", 0.0)
    monkeypatch.setattr(segments, "SEGMENT_SHARE", 0.0)


def written(path: Path, *blocks: Sequence[tables.Row]) -> Path:
    file = tables.create(str(path), COLUMNS)
    for block in blocks:
        file.write(block)
    file.close()
    return path


def read_back(given: Sequence[tables.Row]) -> list[tuple[float, str, list[float | None]]]:
    """Return the rows that a reader returns: with the monotonic clock, and no number for MAX."""
    return [
        (monotonic / SECOND, cgroup, [None if one is MAX or one is None else float(one) for one in numbers])
        for _, monotonic, cgroup, *numbers in given
    ]


def test_file_has_both_clocks_and_all_rows(path: Path) -> None:
    table = tables.read(str(written(path, rows(3), rows(2, since=3))))
    assert table.titles == ["memory.usage_in_bytes", "memory.pressure[some,avg10]"]
    assert table.rows == read_back(rows(5))
    assert table.missing is None


def test_parquet_by_another_reader_has_times_and_numbers(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(written(tmp_path / "out.parquet", rows(3))).to_pylist()
    first = table[0]
    assert list(first) == ["time", "monotonic", "cgroup", "memory.usage_in_bytes", "memory.pressure[some,avg10]"]
    assert (first["time"].timestamp(), first["monotonic"], first["cgroup"]) == (1_700_000_000, 100.0, "memory:/a")
    assert [one["memory.usage_in_bytes"] for one in table[::2]] == [0, 2**63 - 1, 8192]


# ---- a program that is killed, a disk that is full ---------------------------------------------------


def test_file_is_readable_while_it_is_written(path: Path, eager: None) -> None:
    """Without a close, which is what SIGKILL leaves."""
    file = tables.create(str(path), COLUMNS)
    for at in range(4):
        file.write(rows(1, since=at))
        table = tables.read(str(path))
        assert (table.rows, table.missing) == (read_back(rows(at + 1)), None)
    file.close()
    assert tables.read(str(path)).rows == read_back(rows(4))


def test_parquet_without_rows_is_readable(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "out.parquet"
    file = tables.create(str(path), COLUMNS)
    assert parquet.read_table(path).num_rows == 0
    file.close()
    assert parquet.read_table(path).num_rows == 0


def test_parquet_segments_are_few_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small writes are one row group; what waits is written when it is much, or when time has passed."""
    parquet = pytest.importorskip("pyarrow.parquet")
    now = [0.0]
    monkeypatch.setattr(segments.time, "monotonic", lambda: now[0])
    path = tmp_path / "out.parquet"
    file = tables.create(str(path), COLUMNS)
    for at in range(1000):
        now[0] += 0.2
        file.write(rows(1, since=at))
    assert parquet.read_table(path).num_rows >= 2 * 1000 * 0.9
    assert parquet.ParquetFile(path).num_row_groups < 70
    monkeypatch.setattr(segments, "SEGMENT_CELLS", 1)
    file.write(rows(1, since=1000))
    assert parquet.read_table(path).num_rows == 2 * 1001
    file.close()


def test_file_on_a_full_disk_keeps_what_was_written(path: Path, eager: None, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tables.create(str(path), COLUMNS)
    file.write(rows(2))
    before = path.read_bytes()
    with monkeypatch.context() as patched:
        fill(patched, room=10)
        with pytest.raises(CgroupOSError) as caught:
            file.write(rows(50, since=2))
    assert caught.value.errno == errno.ENOSPC
    assert str(caught.value).startswith(f"cannot write {path}: No space left on device")
    assert "the file has all rows recorded before" in str(caught.value)
    assert path.read_bytes() == before
    assert tables.read(str(path)).rows == read_back(rows(2))


def fill(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """Make a disk full after a number of bytes, once."""
    write = os.pwrite
    left = [room]

    def pwrite(fd: int, data: Any, at: int) -> int:
        if left[0] == 0:
            left[0] = 1 << 40  # what is put back has room: it was there
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = write(fd, bytes(data)[: left[0]], at)
        left[0] -= done
        return done

    monkeypatch.setattr(os, "pwrite", pwrite)


ENDLESS = """
import itertools, sys
from cgroups import Memory
from cgroups.cli.common import parquet, tables
from cgroups.observe.columns import Column

parquet.SEGMENT_S = parquet.SEGMENT_SHARE = 0.0
file = tables.create(sys.argv[1], [Column(Memory.usage_in_bytes, None, "bytes", 1, False)])
for at in itertools.count():
    file.write([(at * 10**9, at * 10**9, f"memory:/{name}", at) for name in range(200)])
    print(at, flush=True)
"""
"""Write rows forever; print the number of each write that has returned."""


@pytest.mark.slow
def test_file_of_a_killed_program_has_all_rows_whose_write_returned(path: Path) -> None:
    """SIGKILL at any moment, also within a write."""
    command = [sys.executable, "-c", ENDLESS, str(path)]
    for round_ in range(8):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            written = int(child.stdout.readline())
            time.sleep(0.013 * round_)
            child.kill()
            written = int((child.stdout.read().splitlines() or [str(written)])[-1])
        table = tables.read(str(path))
        moments = [moment for moment, _, _ in table.rows]
        # In a text file the last write may be there in part; a segment is there as a whole, or not at all.
        whole = len(moments) // 200 * 200
        assert whole == len(moments) or path.suffix != ".parquet"
        assert moments == [float(at // 200) for at in range(len(moments))]
        assert whole // 200 in (written + 1, written + 2)


# ---- a file that was cut short ----------------------------------------------------------------------


@pytest.mark.slow
def test_read_of_a_file_cut_anywhere_gives_whole_rows_and_says_so(path: Path, eager: None) -> None:
    """Cut inside a number, 4096 must not be read as 40."""
    written(path, rows(2), rows(2, since=2))
    data, wanted = path.read_bytes(), read_back(rows(4))
    step = 7 if path.suffix == ".parquet" else 1
    kept = set()
    for end in range(0, len(data), step):
        path.write_bytes(data[:end])
        try:
            table = tables.read(str(path))
        except InvalidValue:
            continue  # nothing whole is in it
        assert table.rows == wanted[: len(table.rows)], end
        assert table.missing is not None or path.suffix != ".parquet" and data[end - 1 : end] in (b"\n", b""), end
        kept.add(len(table.rows))
    assert len(kept) >= 3


def test_max_of_a_number_with_decimals_is_read_as_no_number(path: Path) -> None:
    cells = [(1, 0.5), (MAX, MAX), (3, 1.5)]
    block = [(at * SECOND, at * SECOND, "a", *two) for at, two in enumerate(cells)]
    numbers = [found for _, _, found in tables.read(str(written(path, block))).rows]
    assert numbers == [[1, 0.5], [None, None], [3, 1.5]]


@pytest.mark.parametrize("damage", ['"', "\0" * 200_000, "nan", "inf"])
def test_read_of_a_damaged_line_loses_only_this_line(damage: str, tmp_path: Path) -> None:
    path = written(tmp_path / "out.csv", rows(4))
    lines = path.read_text().splitlines(keepends=True)
    lines[3] = lines[3].rpartition(",")[0] + f",{damage}\n" if damage != '"' else '"' + lines[3]
    path.write_text("".join(lines))
    table = tables.read(str(path))
    assert table.rows == [*read_back(rows(4))[:2], *read_back(rows(4))[3:]]
    assert table.missing == "1 damaged line left out"


def test_read_of_damaged_lines_leaves_them_out_and_says_so(tmp_path: Path) -> None:
    path = written(tmp_path / "out.csv", rows(4))
    lines = path.read_text().splitlines(keepends=True)
    lines[1] = lines[1].replace(",0,", ",4x0,")
    lines[2] = "half a li" + lines[2]
    lines[3] = "1,2\n"
    path.write_text("".join(lines))
    table = tables.read(str(path))
    assert table.rows == read_back(rows(4))[3:]
    assert table.missing == "3 damaged lines left out"


@pytest.mark.parametrize(("name", "data"), [("a.csv", b""), ("a.csv", b"time,mono"), ("a.parquet", b"PAR1")])
def test_read_of_a_file_without_a_whole_line_is_refused(name: str, data: bytes, tmp_path: Path) -> None:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InvalidValue, match="cannot read .*: not a file that 'cgroups record' has written"):
        tables.read(str(tmp_path / name))


def test_plot_of_a_file_without_rows_is_refused(path: Path) -> None:
    with pytest.raises(InvalidValue, match="it has no rows"):
        plot.plot(str(written(path)), str(path.with_name("chart.svg")))


def test_plot_of_a_file_cut_short_draws_what_is_whole(path: Path, eager: None, monkeypatch: pytest.MonkeyPatch) -> None:
    written(path, rows(3), rows(1, since=3))
    path.write_bytes(path.read_bytes()[:-3])
    drawn: list[Any] = []
    told: list[str] = []
    monkeypatch.setattr(plot, "draw", lambda charts, _, **__: drawn.append({one.title: one.lines for one in charts}))
    monkeypatch.setattr(typer, "echo", lambda text, **_: told.append(text))
    plot.plot(str(path), str(path.with_name("chart.svg")))
    (message,) = told
    assert message.startswith(f"cgroups: {path}: it")
    assert "cut short" in message
    assert len(drawn[0]["memory.usage_in_bytes"]["memory:/a"]) >= 2


# ---- clocks -----------------------------------------------------------------------------------------


def test_plot_rates_are_by_the_monotonic_clock(path: Path) -> None:
    """While the wall clock was set an hour forward."""
    counter = (Column(Memory.stat, "pgfault", "count", 1, True),)  # noqa: FBT003
    file = tables.create(str(path), counter)
    for at, step in ((0, 0), (1, 0), (2, 3600), (3, 3600)):
        file.write([((1_700_000_000 + at + step) * SECOND, (50 + at) * SECOND, "memory:/a", at * 100)])
    file.close()
    lines = panels.lines_of(tables.read(str(path)), "memory.stat[pgfault]")
    assert lines == {"memory:/a": [(51.0, 100.0), (52.0, 100.0), (53.0, 100.0)]}


def test_read_of_a_file_without_the_monotonic_clock(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("time,cgroup,memory.usage_in_bytes\n5.5,memory:/a,4096\n")
    assert tables.read(str(path)).rows == [(5.5, "memory:/a", [4096.0])]


# ---- names -------------------------------------------------------------------------------------------


def test_name_that_is_no_utf8_has_one_spelling(path: Path, recorded_rows: Callable[[str], list[tables.Row]]) -> None:
    name = os.fsdecode(b"bad\xff")
    file = tables.create(str(path), COLUMNS[:1])
    file.write(recorded_rows(name))
    file.close()
    assert [cgroup for _, cgroup, _ in tables.read(str(path)).rows] == [printable(f":/{name}")] == [r":/bad\xff"]
    if path.suffix != ".parquet":
        assert rb"\udc" not in path.read_bytes()


@pytest.fixture
def recorded_rows(v2: Any) -> Callable[[str], list[tables.Row]]:
    """Rows as ``record`` takes them from a frame of one cgroup of that name."""
    from cgroups import Sampler  # noqa: PLC0415 - beside its one use
    from cgroups.cli.common.ticks import Raw  # noqa: PLC0415

    def make(name: str) -> list[tables.Row]:
        cgroup = v2.find_exn(":/job/a")
        os.mkdir(os.path.join(os.path.dirname(os.path.dirname(str(cgroup.path))), name))
        with Sampler([v2.find_exn(f":/{name}")], [Memory.usage_in_bytes]) as sampler:
            return [*Raw(sampler).of_frame(sampler.sample())]

    return make
