"""Each Python block of the README runs by itself, as it stands, in a fresh process; cgroups' names are replaced."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import cgroups
from cgroups import Cgroup, Hierarchy

README = Path(__file__).parent.parent.parent / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL) if README.exists() else []

# Names of cgroups and of groups in the blocks.
NAMES = re.compile(r'(?<=[":/])(job|watched|foobar)(?=["/])')

# What a block may end in where this machine does not have what it shows.
MISSING = {"Cgroup.delegated": "SystemdError", "PressureTrigger": "pressure stall information is off"}
if cgroups.backend == "python":
    MISSING[".record("] = "NativeRequired"


def _ours(name: str) -> list[Cgroup]:
    """Return the cgroups that a block has left, wherever they are."""
    return [
        one
        for hierarchy in Hierarchy.scan()
        for one in hierarchy.root().walk()
        if one.name.startswith(name) and one.parent is not None and not one.parent.name.startswith(name)
    ]


@pytest.fixture
def name() -> Iterator[str]:
    """A name that is no other cgroup's, whose cgroups are gone after the test."""
    name = f"cgroups-test-{os.getpid()}-readme"
    yield name
    for one in _ours(name):
        one.remove(recursive=True, kill=True)
    assert _ours(name) == []


def test_readme_has_blocks() -> None:
    assert len(BLOCKS) >= 10
    assert len({NAMES.sub("", block) for block in BLOCKS}) == len(BLOCKS)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split("\n")[1].removeprefix("from cgroups import "))
def test_readme_block_runs_by_itself(block: str, name: str, need: Callable[[str], None], tmp_path: Path) -> None:
    for controller in ("memory", "cpuacct", "pids", "freezer"):
        need(controller)
    text = NAMES.sub(rf"{name}-\1", block)
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", text],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        check=False,
    )
    if done.returncode != 0:
        excuses = [error for word, error in MISSING.items() if word in block]
        assert any(error in done.stderr for error in excuses), done.stderr
