"""The blocks of README and guide, run as they stand in each of these places; a mark says which need root."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import guide_pages
import pytest
from conftest import PLACE, WHOLE, at
from guide_pages import AS_ROOT, AS_USER, Block

PYTHON = guide_pages.blocks("python")
IS_ROOT = PLACE in ("root", "hybrid")
# Root runs what only root can; what anybody can runs as an ordinary user.
BLOCKS = [block for block in PYTHON if (IS_ROOT if block.mark == AS_ROOT else WHOLE or not IS_ROOT)]
# README and tutorial begin with the same one.
[FIRST_SCREEN] = {block.text for block in guide_pages.blocks("sh") if block.mark == AS_USER}


def test_pages_have_blocks_for_ordinary_users() -> None:
    assert len([block for block in PYTHON if block.mark != AS_ROOT]) >= 15


@at("session", "root", whole=("service",))
@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_block_runs_here(block: Block, tmp_path: Path) -> None:
    words = [sys.executable, "-W", "error::DeprecationWarning", "-c", block.text]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr


@at("session", whole=("root", "service"))
def test_first_commands_limit_and_report(tmp_path: Path) -> None:
    command = tmp_path / "cgroups"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m cgroups "$@"\n')
    command.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    first, second = FIRST_SCREEN.splitlines()
    for line, status, text in ((first, 137, "by the kernel: out of memory"), (second, 0, "MEMORY")):
        words = ["sh", "-c", line]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, env=environment, check=False)
        assert done.returncode == status, done.stderr
        assert text in done.stdout + done.stderr
