"""The programs of tests/programs, as users write them: at most 15 lines each, the same on every host."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.py"))
MOST_LINES = 15


def run_program(program: Path, tmp_path: Path, service: str) -> str:
    """Run one to its end, and return what it printed."""
    lines = [line for line in program.read_text().splitlines() if line.strip()]
    assert len(lines) <= MOST_LINES, f"{program.name} has {len(lines)} lines"
    words = [sys.executable, str(program), service]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
