"""Each Python block of README and guide runs in a fresh process, as it stands; names of cgroups are replaced."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import guide_pages
import pytest
from guide_pages import Block

import cgroups
from cgroups import Cgroup, Hierarchy

BLOCKS = guide_pages.blocks("python")

# Names of cgroups and of groups in the blocks.
NAMES = re.compile(r'(?<=[":/])(jobs?|watched|foobar)(?=["/])')

# What a block may end in where this machine does not have what it shows.
MISSING = {"Scope.obtain": "SystemdError", "PressureTrigger": "pressure stall information is off"}
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
    """Yield a name that no cgroup has, and remove its cgroups after the test."""
    name = f"cgroups-test-{os.getpid()}-readme"
    yield name
    for one in _ours(name):
        one.remove(recursive=True, kill=True)
    assert _ours(name) == []


def test_pages_have_blocks() -> None:
    assert len(BLOCKS) >= 19
    assert len({NAMES.sub("", block.text) for block in BLOCKS}) == len(BLOCKS)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_block_runs_by_itself(block: Block, name: str, need: Callable[[str], None], tmp_path: Path) -> None:
    for controller in ("memory", "cpuacct", "pids", "freezer"):
        need(controller)
    text = NAMES.sub(rf"{name}-\1", block.text)
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", text],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
        check=False,
    )
    if done.returncode != 0:
        excuses = [error for word, error in MISSING.items() if word in block.text]
        assert any(error in done.stderr for error in excuses), done.stderr
