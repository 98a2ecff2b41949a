"""The command ``plot``: charts of files that ``record`` could have written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # starts processes


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cgroups", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=120, check=False)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    path = tmp_path / "in.csv"
    lines = (f"{t}.5,memory:/{name},{t * 10**9},{t % 3}" for t in range(10) for name in ("a", "b"))
    path.write_text("time,cgroup,cpuacct.usage,memory.usage_in_bytes\n" + "\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(("suffix", "begins"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF")])
def test_a_chart(suffix: str, begins: bytes, recorded: Path) -> None:
    pytest.importorskip("matplotlib")
    chart = recorded.with_name(f"out{suffix}")
    done = run("plot", str(recorded), "-o", str(chart))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert chart.read_bytes().startswith(begins)


def test_a_chart_of_one_column(recorded: Path) -> None:
    pytest.importorskip("matplotlib")
    one, both = recorded.with_name("one.svg"), recorded.with_name("both.svg")
    assert run("plot", str(recorded), "-o", str(both)).returncode == 0
    assert run("plot", str(recorded), "-o", str(one), "-c", "memory.usage_in_bytes").returncode == 0
    assert one.read_text().count('id="axes_') == 1
    assert both.read_text().count('id="axes_') == 1  # CPU time grew evenly: its rate does not move
    assert (
        run("plot", str(recorded), "-o", str(both), "-c", "memory.usage_in_bytes", "-c", "cpuacct.usage").returncode
        == 0
    )
    assert both.read_text().count('id="axes_') == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("{}/in.csv", "-o", "{}/out.txt"), ".svg, .png, .pdf"),
        (("{}/in.csv", "-o", "{}/out.svg", "-c", "none"), "there is no column 'none'"),
        (("{}/none.csv", "-o", "{}/out.svg"), "No such file"),
        (("{}/other.csv", "-o", "{}/out.svg"), "not a file that 'cgroups record' has written"),
    ],
)
def test_charts_that_cannot_be(words: tuple[str, ...], message: str, recorded: Path) -> None:
    recorded.with_name("other.csv").write_text("a,b\n1,2\n")
    done = run("plot", *(word.format(recorded.parent) for word in words))
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not recorded.with_name("out.svg").exists()
