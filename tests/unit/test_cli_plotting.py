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
def test_plot_draws_a_chart(suffix: str, begins: bytes, recorded: Path) -> None:
    pytest.importorskip("matplotlib")
    chart = recorded.with_name(f"out{suffix}")
    done = run("plot", str(recorded), "-o", str(chart))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert chart.read_bytes().startswith(begins)


def test_plot_one_column_draws_only_it(recorded: Path) -> None:
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


def vitals(path: Path) -> Path:
    """A recording of vitals."""
    path.write_text(
        "time,monotonic,cgroup,cpu,memory,limit,oom_kills\n"
        + "".join(f"{t}.5,{t}.5,/{name},0.5,{t * 4096},65536,{int(t == 5)}\n" for t in range(10) for name in ("a", "b"))
    )
    return path


def test_plot_vitals_in_light_and_dark(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = vitals(tmp_path / "in.csv")
    light, dark = tmp_path / "light.svg", tmp_path / "dark.svg"
    assert run("plot", str(path), "-o", str(light)).returncode == 0
    assert run("plot", str(path), "-o", str(dark), "--dark").returncode == 0
    assert light.read_text().count('id="axes_') == dark.read_text().count('id="axes_') == 2
    assert "fill: #ffffff" in light.read_text()
    assert "fill: #0d1117" in dark.read_text()
    assert "fill: #ffffff" not in dark.read_text()


def test_plot_parameter_and_column_are_one_option(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path, chart = vitals(tmp_path / "in.csv"), tmp_path / "out.svg"
    for option in ("-p", "--parameter", "-c", "--column"):
        done = run("plot", str(path), "-o", str(chart), option, "memory")
        assert (done.returncode, done.stderr) == (0, "")
        assert chart.read_text().count('id="axes_') == 1
        chart.unlink()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("{}/in.csv", "-o", "{}/out.txt"), ".svg, .png, .pdf"),
        (("{}/in.csv", "-o", "{}/out.svg", "-c", "none"), "unknown column 'none'"),
        (("{}/none.csv", "-o", "{}/out.svg"), "No such file"),
        (("{}/other.csv", "-o", "{}/out.svg"), "not a file that 'cgroups record' has written"),
    ],
)
def test_plot_invalid_words_are_refused(words: tuple[str, ...], message: str, recorded: Path) -> None:
    recorded.with_name("other.csv").write_text("a,b\n1,2\n")
    done = run("plot", *(word.format(recorded.parent) for word in words))
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not recorded.with_name("out.svg").exists()
