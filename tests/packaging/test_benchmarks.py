"""The benchmarks, in their short form: what they measure is there, and nothing of theirs is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cgroups import Hierarchy

CHECKOUT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, "-m", "benchmarks", "--quick"]


@pytest.fixture(autouse=True)
def can_make_cgroups() -> None:
    memory = Hierarchy.find("memory")
    if memory is None or not os.access(str(memory.path), os.W_OK):
        pytest.skip("no writable memory hierarchy")


def left() -> list[str]:
    return [str(one) for root in Hierarchy.scan() for one in root.root().children() if "cgroups-bench" in one.name]


def test_the_short_form(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [*COMMAND, "--json", str(figures)], cwd=CHECKOUT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(figures.read_text())
    assert "200 cgroups, one integer" in found["tables"]
    for title, results in found["tables"].items():
        names = [result["name"] for result in results]
        assert names[0].startswith("floor"), title
        assert "Sampler.sample" in names, title
        assert all(result["ratio"] > 0.1 and result["ns"] > 0 for result in results), title
        assert results[0]["ratio"] == 1
    assert found["machine"]["kernel"] == os.uname().release
    peers = {"cgroupspy", "BenchExec", "libcgroup", "containerd/cgroups, all of a controller"}
    assert found["peers"].keys() | found["missing"].keys() == peers
    assert all(install.startswith(("pip install ", "apt-get install ")) for install in found["missing"].values())
    assert found["recorder"]["ticks"] > 100
    assert found["memory"]["bytes_a_cell"] > 20
    if "missing" not in found["instructions"]:
        counts = found["instructions"]["instructions"]
        assert counts["memory.stat, layout known"] < counts["memory.stat"] / 2
    assert left() == []


def test_an_interrupt_leaves_no_cgroups(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "--json", str(tmp_path / "figures.json")],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # What a shell starts in the background ignores it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as running:
        deadline = time.monotonic() + 60
        while not left():
            assert running.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
        assert running.returncode != 0
    assert left() == []
