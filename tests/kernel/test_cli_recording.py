"""The command ``record``: whole files, of what the kernel counts, however it ends."""

from __future__ import annotations

import csv
import importlib.util
import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from common import CTRL_C, MIB, SLOW, MakeCgroup, Need, Spawn, Terminal, started

from cgroups import Cgroup, Core, Cpuacct, Hierarchy, Memory, Parameters
from cgroups.cli.common import tables
from cgroups.cli.common.panels import panels_of

WORDS = [sys.executable, "-m", "cgroups"]
SUFFIXES = [".csv", ".jsonl", ".parquet"]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*WORDS, *words], capture_output=True, text=True, cwd="/", timeout=120, check=False)


def record(*words: str) -> str:
    done = run("record", *words)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return done.stderr


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Read a recording independently: numbers as numbers, ``max`` unchanged, and missing values left out."""
    if path.suffix == ".parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        rows = parquet.read_table(path).to_pylist()
        return [{key: value for key, value in row.items() if value is not None} for row in rows]
    with path.open(newline="") as file:
        if path.suffix == ".jsonl":
            return [json.loads(line) for line in file]
        return [{key: number(key, text) for key, text in row.items() if text} for row in csv.DictReader(file)]


def number(key: str, text: str) -> Any:
    """Return a field of a .csv file as a number."""
    if key == "cgroup" or text == "max":
        return text
    return float(text) if "." in text else int(text)


# ---- what is written -----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_numbers_are_the_kernel_s(suffix: str, make_ready: Callable[..., Cgroup], spawn: Spawn, tmp_path: Path) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    cgroup, path = make_ready("cpuacct"), tmp_path / f"out{suffix}"
    cgroup.add_process(spawn(sys.executable, "-S", "-c", "while True: pass").pid)
    before = Parameters.get(Cpuacct.usage, cgroup)
    words = ("-p", "cpuacct.usage", "-o", str(path), "--interval", "0.01", "--duration", "0.5")
    told = record(str(cgroup), *words)
    rows = rows_of(path)
    assert told.startswith(f"{len(rows)} ticks of 1 cgroup in {path}: ")
    assert len(rows) > 5
    usages = [row["cpuacct.usage"] for row in rows]
    assert usages == sorted(usages)
    assert before <= usages[0] < usages[-1] <= Parameters.get(Cpuacct.usage, cgroup)
    assert {row["cgroup"] for row in rows} == {str(cgroup)}
    times = [row["time"].timestamp() if suffix == ".parquet" else row["time"] for row in rows]
    assert times == sorted(times)
    assert abs(times[-1] - time.time()) < 60


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_record_max_and_missing_numbers(suffix: str, make_cgroup: MakeCgroup, tmp_path: Path) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    top, path = make_cgroup(""), tmp_path / f"out{suffix}"
    inner = top.make_sub("inner")
    Parameters.set(Core.max_depth, inner, 3)
    words = ("-p", "cgroup.max.depth", "-o", str(path), "--interval", "0.01", "--duration", "0.2")
    record(str(top), "--recursive", *words)
    rows = rows_of(path)
    found = {row["cgroup"]: row["cgroup.max_depth"] for row in rows}
    assert found == {str(top): 2**63 - 1 if suffix == ".parquet" else "max", str(inner): 3}
    assert len(rows) % 2 == 0


def test_record_all_is_the_columns_of_watch(make_cgroup: MakeCgroup, tmp_path: Path) -> None:
    cgroup, path = make_cgroup("cpuacct"), tmp_path / "out.csv"
    record(str(cgroup), "--all", "-o", str(path), "--interval", "0.01", "--duration", "0.1")
    assert rows_of(path)[0]["cpuacct.usage"] == 0


# ---- vitals --------------------------------------------------------------------------------------


@pytest.fixture
def job(make_ready: Callable[..., Cgroup]) -> Iterator[Callable[..., list[Cgroup]]]:
    """``job("memory", "cpuacct")``: cgroups of one location, on the hierarchies of these controllers."""
    made: list[Cgroup] = []

    def make(first: str, *others: str) -> list[Cgroup]:
        top = make_ready(first)
        for controller in others:
            base = Hierarchy.find(controller or ":/")
            if base is None or (base.version == 2 and top.version == 1 and controller):
                pytest.skip(f"{controller} has no hierarchy of v1 here")
            made.append(Hierarchy.find_or_create(f"{controller}:{top.location}"))
        return [top, *(one for one in made if one.hierarchy != top.hierarchy)]

    yield make
    for cgroup in reversed(made):
        if cgroup.exists:
            cgroup.remove()


VITALS = ["cpu", "throttled", "memory", "working_set", "swap", "limit", "oom_kills"]
VITALS += ["read_bytes", "write_bytes", "reads", "writes", "pids", "cpu_pressure", "memory_pressure", "io_pressure"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_record_default_has_the_cpus_and_the_memory_of_a_known_load(
    suffix: str, job: Callable[..., list[Cgroup]], need: Need, spawn: Spawn, tmp_path: Path
) -> None:
    """One row for all hierarchies: a program that keeps one CPU busy, with 64 MiB of memory."""
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    need("memory")
    cgroups, path = job("memory", "cpuacct", ""), tmp_path / f"out{suffix}"
    script = f"x = bytearray({64 * MIB}); print(flush=True)\nwhile True: pass"
    child = spawn("sh", "-c", 'read line; exec "$@"', "sh", sys.executable, "-S", "-c", script,
                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    for cgroup in cgroups:
        cgroup.add_process(child.pid)
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write(b"\n")
    child.stdin.flush()
    child.stdout.readline()
    with_cpu = next(one for one in (*cgroups[1:], *cgroups) if one.version == 2 or "cpuacct" in one.subsystems)
    with started([*WORDS, "record", cgroups[0].location, "-o", str(path), "--interval", "0.05"]) as recording:
        until(lambda: path.exists() and path.stat().st_size and len(rows_of(path)) > 1)
        began, before = time.monotonic(), Parameters.get(Cpuacct.usage, with_cpu)
        time.sleep(2)
        ended, after = time.monotonic(), Parameters.get(Cpuacct.usage, with_cpu)
        recording.send_signal(signal.SIGINT)
        _, told = recording.communicate(timeout=60 * SLOW)
    rows = rows_of(path)
    assert f"{len(rows)} ticks of 1 cgroup" in told
    assert {row["cgroup"] for row in rows} == {cgroups[0].location}
    assert {*rows[0]} <= {"time", "monotonic", "cgroup", *VITALS}
    within = [(row["cpu"] * passed, passed) for row, passed in steps(rows) if began < row["monotonic"] < ended]
    cpus = sum(used for used, _ in within) / sum(passed for _, passed in within)
    assert cpus == pytest.approx((after - before) / (ended - began) / 1e9, rel=0.15)
    assert 0.1 <= cpus <= 1.05  # one thread, of a machine that others may use
    assert all(64 * MIB <= row["memory"] <= 96 * MIB for row in rows)
    assert all(64 * MIB <= row["working_set"] <= row["memory"] for row in rows)
    assert {row["oom_kills"] for row in rows} == {0}
    assert {row["limit"] for row in rows} == {2**63 - 1 if suffix == ".parquet" else "max"}


def steps(rows: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], float]]:
    """Yield each row but the first, with the seconds since the row before."""
    for before, row in itertools.pairwise(rows):
        yield row, row["monotonic"] - before["monotonic"]


def test_record_oom_kill_is_counted_once_and_is_a_mark(
    make_cgroup: MakeCgroup, need: Need, spawn: Spawn, tmp_path: Path
) -> None:
    need("memory")
    cgroup, path = make_cgroup("memory"), tmp_path / "out.csv"
    Parameters.set(Memory.limit_in_bytes, cgroup, 32 * MIB)
    grow = "x = []\nwhile True: x.append(bytearray(1 << 20))"
    with started([*WORDS, "record", str(cgroup), "-o", str(path), "--interval", "0.02"]) as recording:
        until(lambda: path.exists() and len(path.read_text().splitlines()) > 3)
        child = spawn("sh", "-c", 'read line; exec "$@"', "sh", sys.executable, "-S", "-c", grow,
                      stdin=subprocess.PIPE)  # fmt: skip
        cgroup.add_process(child.pid)
        assert child.stdin is not None
        child.stdin.write(b"\n")
        child.stdin.flush()
        assert child.wait(60) == -signal.SIGKILL
        before = len(path.read_text().splitlines())
        until(lambda: len(path.read_text().splitlines()) > before + 5)
        recording.send_signal(signal.SIGINT)
        recording.communicate(timeout=60)
    rows = rows_of(path)
    assert [row["oom_kills"] for row in rows if row["oom_kills"]] == [1]
    assert {row["limit"] for row in rows} == {32 * MIB}
    assert max(row["memory"] for row in rows) <= 32 * MIB
    (memory,) = panels_of(tables.read(str(path)), ["memory"])
    assert [len(points) for points in memory.kills.values()] == [1]
    if importlib.util.find_spec("matplotlib") is None:
        return
    chart = tmp_path / "out.svg"
    done = run("plot", str(path), "-o", str(chart), "--dark")
    assert (done.returncode, done.stderr) == (0, "")
    assert "OOM kill" in chart.read_text()


@pytest.mark.parametrize("words", [(), ("--all",)], ids=["vitals", "all"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_record_killed_in_its_course_leaves_a_file_that_is_read_and_drawn(
    suffix: str, words: tuple[str, ...], make_cgroup: MakeCgroup, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    cgroup, path, chart = make_cgroup("memory"), tmp_path / f"out{suffix}", tmp_path / "out.png"
    with started([*WORDS, "record", str(cgroup), *words, "-o", str(path), "--interval", "0.01"]) as recording:
        until(lambda: path.exists() and path.stat().st_size and len(rows_of(path)) > 50)
        recording.send_signal(signal.SIGKILL)
        recording.communicate(timeout=60)
    assert recording.returncode == -signal.SIGKILL
    table = tables.read(str(path))
    assert len(table.rows) > 50
    moments = [moment for moment, _, _ in table.rows]
    assert moments == sorted(moments)
    done = run("plot", str(path), "-o", str(chart))
    assert done.returncode == 0, done.stderr
    assert chart.stat().st_size > 1000


# ---- how it ends ---------------------------------------------------------------------------------


def test_record_ends_when_the_cgroup_is_removed(make_cgroup: MakeCgroup, tmp_path: Path) -> None:
    cgroup, path = make_cgroup("cpuacct"), tmp_path / "out.csv"
    words = ["record", str(cgroup), "-p", "cpuacct.usage", "-o", str(path), "--interval", "0.01"]
    with started([*WORDS, *words]) as recording:
        until(lambda: path.exists() and len(path.read_text().splitlines()) > 3)
        cgroup.remove()
        assert recording.wait(60) == 0
    rows = rows_of(path)
    assert "cpuacct.usage" in rows[0]
    assert "cpuacct.usage" not in rows[-1]


def has_rows(path: Path) -> bool:
    """Return whether a recording has more than one row now.  A read during a write may see half of a footer."""
    try:
        return path.exists() and path.stat().st_size > 0 and len(rows_of(path)) > 1
    except ValueError:  # pyarrow's ArrowInvalid is one
        return False


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.anywhere
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_ctrl_c_leaves_a_whole_file(suffix: str, make_cgroup: MakeCgroup, tmp_path: Path) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    cgroup, path = make_cgroup("cpuacct"), tmp_path / f"out{suffix}"
    terminal = Terminal(*WORDS, "record", str(cgroup), "-p", "cpuacct.usage", "-o", str(path), "--interval", "0.001")
    terminal.resize(10, 40)
    terminal.read("ticks")
    terminal.resize(30, 100)
    terminal.read("ticks", again=True)
    terminal.type(CTRL_C)
    assert terminal.wait() == 0
    rows = rows_of(path)
    assert rows
    assert all("cpuacct.usage" in row for row in rows)
    assert f"{len(rows)} ticks of 1 cgroup" in terminal.text
    assert "Traceback" not in terminal.text


@pytest.mark.anywhere
def test_sigterm_does_too(make_cgroup: MakeCgroup, tmp_path: Path) -> None:
    cgroup, path = make_cgroup("cpuacct"), tmp_path / "out.csv"
    words = ["record", str(cgroup), "-p", "cpuacct.usage", "-o", str(path), "--interval", "0.01"]
    with started([*WORDS, *words]) as recording:
        until(lambda: path.exists() and len(path.read_text().splitlines()) > 3)
        recording.send_signal(signal.SIGTERM)
        _, told = recording.communicate(timeout=60)
    assert recording.returncode == 0
    assert told.startswith(f"{len(rows_of(path))} ticks")
    assert path.read_text().endswith("\n")


@pytest.mark.anywhere
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("sent", [signal.SIGHUP, signal.SIGQUIT, signal.SIGKILL])
def test_record_killed_leaves_a_readable_file(
    sent: signal.Signals, suffix: str, make_cgroup: MakeCgroup, tmp_path: Path
) -> None:
    """A .parquet file without its footer was lost as a whole."""
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    cgroup, path = make_cgroup("cpuacct"), tmp_path / f"out{suffix}"
    words = ["record", str(cgroup), "-p", "cpuacct.usage", "-o", str(path), "--interval", "0.01"]
    with started([*WORDS, *words]) as recording:
        until(lambda: has_rows(path))
        recording.send_signal(sent)
        _, told = recording.communicate(timeout=60)
    rows = rows_of(path)
    assert all("cpuacct.usage" in row and "monotonic" in row for row in rows)
    if sent == signal.SIGKILL:
        assert recording.returncode == -sent
        assert len(rows) > 1
    else:
        assert (recording.returncode, told.partition(" of ")[0]) == (0, f"{len(rows)} ticks")


@pytest.mark.anywhere
def test_record_under_nohup_survives_sighup(make_cgroup: MakeCgroup, tmp_path: Path) -> None:
    cgroup, path = make_cgroup("cpuacct"), tmp_path / "out.csv"
    words = ["record", str(cgroup), "-p", "cpuacct.usage", "-o", str(path), "--interval", "0.01"]
    with started(["nohup", *WORDS, *words]) as recording:
        until(lambda: path.exists() and len(path.read_text().splitlines()) > 3)
        recording.send_signal(signal.SIGHUP)
        before = len(path.read_text().splitlines())
        until(lambda: len(path.read_text().splitlines()) > before + 50)
        assert recording.poll() is None
        recording.send_signal(signal.SIGTERM)
        recording.communicate(timeout=60)
    assert recording.returncode == 0


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("-o", "{}/out.txt"), 1, ".csv, .jsonl, .parquet"),
        (("-o", "{}/none/out.csv"), 1, "No such file"),
        (("-o", "{}/out.csv", "-i", "0.0001"), 2, "--interval"),
        (("-o", "{}/out.csv", "-p", "cpuacct.none"), 2, "cgroups parameters"),
        (("-o", "{}/out.csv", "-p", "cpuacct.usage", "--all"), 2, "exclude each other"),
        (("-o", "{}/out.csv", "-p", "cpuacct.usage[none]"), 1, "no keys"),
        (("-o", "{}/out.csv", "-p", "cpuacct.stat[none]"), 1, "no given cgroup has cpuacct.stat[none]"),
        ((), 2, "--output"),
    ],
)
def test_record_invalid_words_are_refused(
    words: tuple[str, ...], code: int, message: str, make_cgroup: MakeCgroup, tmp_path: Path
) -> None:
    done = run("record", str(make_cgroup("cpuacct")), *(word.format(tmp_path) for word in words), "--duration", "0.1")
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
