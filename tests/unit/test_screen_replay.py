"""Recordings as looks: the figures are those of the live screen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cgroups import (
    MAX,
    Cpu,
    Cpuacct,
    InvalidValue,
    Io,
    Memory,
    Pids,
)
from cgroups.cli.common import tables
from cgroups.cli.screen import replay
from cgroups.observe.columns import Column

SECOND = 10**9


def column(parameter: Any, key: Any = None) -> Column:
    return Column(parameter, key, "", 1, False)  # noqa: FBT003 - a named tuple


def written(path: Path, columns: Sequence[Column], *rows: tuple[float, str, Sequence[Any]]) -> str:
    file = tables.create(str(path), columns)
    file.write((round(time * SECOND), round(time * SECOND), name, *numbers) for time, name, numbers in rows)
    file.close()
    return str(path)


def test_read_v2_figures_are_rates_and_values(tmp_path: Path) -> None:
    columns = [
        *(column(Cpu.stat, key) for key in ("usage_usec", "nr_periods", "nr_throttled")),
        *(column(Memory.usage_in_bytes), column(Memory.stat, "inactive_file"), column(Memory.limit_in_bytes)),
        *(column(Io.stat, ("8:0", "rbytes")), column(Io.stat, ("8:16", "rbytes"))),
        *(column(Pids.current), column(Cpu.pressure, ("some", "total")), column(Cpu.pressure, ("full", "total"))),
    ]
    path = written(
        tmp_path / "a.csv",
        columns,
        (100.0, ":/job", [0, 10, 0, 5000, 1000, 8000, 0, 100, 3, 0, 0]),
        (102.0, ":/job", [3_000_000, 20, 5, 7000, 1000, 8000, 50, 150, 4, 500_000, 1000]),
    )
    (one,) = replay.read(path).looks
    found = one.usages["/job"]
    assert (one.time, found.elapsed, found.location, found.name) == (2.0, 2.0, "/job", "/job")
    assert (found.cpu, found.throttled, found.memory, found.working_set, found.limit) == (1.5, 0.5, 7000, 6000, 8000)
    assert (found.read_bytes, found.pids) == (50.0, 4)
    assert found.cpu_pressure == 0.25
    assert found.write_bytes is None


def test_read_cgroups_of_one_location_are_one_row(tmp_path: Path) -> None:
    columns = [column(Cpuacct.usage), column(Memory.usage_in_bytes)]
    path = written(
        tmp_path / "a.csv",
        columns,
        *((time, name, numbers) for time in (1.0, 2.0, 3.0) for name, numbers in (
            ("cpu,cpuacct:/job", [time * SECOND, None]),
            ("memory:/job", [None, 4096]),
            ("memory:/other", [None, 1]),
        )),
    )  # fmt: skip
    looks = replay.read(path).looks
    assert [[*one.usages] for one in looks] == [["/job", "/other"]] * 2
    assert (looks[1].usages["/job"].cpu, looks[1].usages["/job"].memory) == (pytest.approx(1.0), 4096)


def test_read_vitals_are_the_figures(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "time,monotonic,cgroup,cpu,memory,oom_kills\n"
        "100.0,1.0,/job:x,0.5,4096,1\n"
        "101.0,2.0,/job:x,1.5,8192,0\n"
        "102.0,3.0,/job:x,1.0,8192,2\n"
    )
    looks = replay.read(str(path)).looks
    found = [one.usages["/job:x"] for one in looks]
    assert [one.cpu for one in found] == [0.5, 1.5, 1.0]
    assert [one.memory for one in found] == [4096, 8192, 8192]
    assert [one.oom_kills_total for one in found] == [1, 1, 3]
    assert [one.elapsed for one in found] == [None, 1.0, 1.0]


def test_read_counter_that_fell_has_no_rate(tmp_path: Path) -> None:
    columns = [column(Cpuacct.usage), column(Memory.usage_in_bytes)]
    rows = [(1.0, "memory:/a", [5, 1]), (2.0, "memory:/a", [3, 1])]
    (one,) = replay.read(written(tmp_path / "a.csv", columns, *rows)).looks
    assert (one.usages["/a"].cpu, one.usages["/a"].memory) == (None, 1)


def test_read_max_is_missing(tmp_path: Path) -> None:
    columns = [column(Memory.usage_in_bytes), column(Memory.limit_in_bytes)]
    rows = [(time, "memory:/a", [1, MAX]) for time in (1.0, 2.0)]
    (one,) = replay.read(written(tmp_path / "a.jsonl", columns, *rows)).looks
    assert one.usages["/a"].limit is None


def test_read_interval_is_the_usual_one(tmp_path: Path) -> None:
    rows = [(time, "memory:/a", [1]) for time in (1.0, 1.5, 2.0, 9.0, 9.5)]
    found = replay.read(written(tmp_path / "a.csv", [column(Memory.usage_in_bytes)], *rows))
    assert found.interval == pytest.approx(0.5)
    assert found.missing is None


def test_read_file_cut_short_reports_it(tmp_path: Path) -> None:
    rows = [(time, "memory:/a", [1]) for time in (1.0, 2.0, 3.0)]
    path = written(tmp_path / "a.csv", [column(Memory.usage_in_bytes)], *rows)
    os.truncate(path, os.path.getsize(path) - 1)
    found = replay.read(path)
    assert len(found.looks) == 1
    assert found.missing is not None


@pytest.mark.parametrize("columns", [[column(Memory.swappiness)], [column(Memory.usage_in_bytes)]])
def test_read_file_without_figures_is_refused(columns: list[Column], tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", columns, (1.0, "memory:/a", [1]))
    with pytest.raises(InvalidValue, match="no cgroup with two readings"):
        replay.read(path)


def command(*words: str) -> subprocess.CompletedProcess[str]:
    words = (sys.executable, "-m", "cgroups", "watch", *words)
    return subprocess.run(words, capture_output=True, text=True, timeout=120, cwd="/", check=False)


def test_watch_replay_prints_the_looks_of_a_recording(tmp_path: Path) -> None:
    columns = [column(Cpuacct.usage), column(Memory.usage_in_bytes)]
    rows = [(float(time), f"memory:/{name}", [time * SECOND, 5]) for time in (1, 2, 3) for name in "ab"]
    path = written(tmp_path / "a.csv", columns, *rows)
    lines = [json.loads(line) for line in command("--replay", path, "--json").stdout.splitlines()]
    assert [(line["look"], line["location"], line["cpu"]) for line in lines] == [
        *((1, "/a", 1.0), (1, "/b", 1.0)),
        *((2, "/a", 1.0), (2, "/b", 1.0)),
    ]
    once = command("--replay", path, "--once")
    assert (once.returncode, once.stderr) == (0, "")
    assert [line.split()[-1] for line in once.stdout.splitlines()] == ["CGROUP", "/a", "/b"]


def test_watch_replay_with_spec_is_a_usage_error(tmp_path: Path) -> None:
    done = command("/jobs", "--replay", str(tmp_path / "a.csv"))
    assert done.returncode == 2
    assert "SPEC must not be given with --replay" in done.stderr


def test_watch_replay_of_a_missing_file_is_one_line(tmp_path: Path) -> None:
    done = command("--replay", str(tmp_path / "none.csv"))
    assert done.returncode == 1
    assert done.stderr == f"cgroups: {tmp_path}/none.csv: ENOENT, No such file or directory\n"


def test_watch_unknown_palette_is_a_usage_error() -> None:
    done = command("--palette", "pink", "--once")
    assert done.returncode == 2
    assert "palette must be one of default, colour-blind, mono, got 'pink'" in " ".join(done.stderr.split())


PURE = ("history", "replay", "tree", "incidents", "machine", "actions", "keys", "palette")


def test_screen_modules_of_the_model_import_no_textual() -> None:
    """And neither does the plain table, whose start would take longer."""
    names = ", ".join(f"cgroups.cli.screen.{name}" for name in PURE)
    code = f"import sys, cgroups.cli.app, {names}; sys.exit('textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd="/", timeout=120, check=False).returncode == 0


def test_read_limits_and_growth_come_from_the_recording(tmp_path: Path) -> None:
    """Ancestors that were not recorded are unknown."""
    columns = [column(Memory.usage_in_bytes), column(Memory.limit_in_bytes)]
    steps = ((100.0, 5000), (102.0, 7000), (104.0, 6000))
    path = written(
        tmp_path / "a.csv",
        columns,
        *(
            (at, name, [memory, limit])
            for at, memory in steps
            for name, limit in ((":/a", 8000), (":/a/b", MAX), (":/a/b/c", 9000), (":/a/d", 8000), (":/e", MAX))
        ),
    )
    first, last = replay.read(path).looks
    found = {place: (one.effective_limit, one.limited_by) for place, one in last.usages.items()}
    assert found == {
        "/a": (8000, "/a"),
        "/a/b": (8000, "/a"),
        "/a/b/c": (8000, "/a"),
        "/a/d": (8000, "/a/d"),
        "/e": (None, None),
    }
    assert (first.usages["/a"].memory_growth, last.usages["/a"].memory_growth) == (None, -500.0)
