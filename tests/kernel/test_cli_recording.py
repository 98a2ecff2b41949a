"""The command ``record``: whole files, of what the kernel counts, however it ends."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from common import CTRL_C, MakeCgroup, Spawn, Terminal, started

from cgroups import Cgroup, Core, Cpuacct, Parameters

WORDS = [sys.executable, "-m", "cgroups"]
SUFFIXES = [".csv", ".jsonl", ".parquet"]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*WORDS, *words], capture_output=True, text=True, cwd="/", timeout=120, check=False)


def record(*words: str) -> str:
    done = run("record", *words)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return done.stderr


def rows_of(path: Path) -> list[dict[str, Any]]:
    """By an independent reader; numbers as numbers, ``max`` as it is, and what is not there left out."""
    if path.suffix == ".parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        rows = parquet.read_table(path).to_pylist()
        return [{key: value for key, value in row.items() if value is not None} for row in rows]
    with path.open(newline="") as file:
        if path.suffix == ".jsonl":
            return [json.loads(line) for line in file]
        return [{key: number(key, text) for key, text in row.items() if text} for row in csv.DictReader(file)]


def number(key: str, text: str) -> Any:
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
def test_no_limit_and_no_number(suffix: str, make_cgroup: MakeCgroup, tmp_path: Path) -> None:
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


def test_by_default_what_watch_shows(make_cgroup: MakeCgroup, tmp_path: Path) -> None:
    cgroup, path = make_cgroup("cpuacct"), tmp_path / "out.csv"
    record(str(cgroup), "-o", str(path), "--interval", "0.01", "--duration", "0.1")
    assert rows_of(path)[0]["cpuacct.usage"] == 0


# ---- how it ends ---------------------------------------------------------------------------------


def test_it_ends_when_the_cgroup_is_gone(make_cgroup: MakeCgroup, tmp_path: Path) -> None:
    cgroup, path = make_cgroup("cpuacct"), tmp_path / "out.csv"
    words = ["record", str(cgroup), "-p", "cpuacct.usage", "-o", str(path), "--interval", "0.01"]
    with started([*WORDS, *words]) as recording:
        until(lambda: path.exists() and len(path.read_text().splitlines()) > 3)
        cgroup.remove()
        assert recording.wait(60) == 0
    rows = rows_of(path)
    assert "cpuacct.usage" in rows[0]
    assert "cpuacct.usage" not in rows[-1]


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
        until(lambda: path.exists() and path.stat().st_size and len(rows_of(path)) > 1)
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
        (("-o", "{}/out.csv", "-p", "cpuacct.usage[none]"), 1, "no keys"),
        (("-o", "{}/out.csv", "-p", "cpuacct.stat[none]"), 1, "none of the cgroups has cpuacct.stat[none]"),
        ((), 2, "--output"),
    ],
)
def test_what_is_refused(
    words: tuple[str, ...], code: int, message: str, make_cgroup: MakeCgroup, tmp_path: Path
) -> None:
    done = run("record", str(make_cgroup("cpuacct")), *(word.format(tmp_path) for word in words), "--duration", "0.1")
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
