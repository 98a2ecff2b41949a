"""The layout of the package: files that a reader takes in at one sitting."""

from __future__ import annotations

from pathlib import Path

import cgroups

LONGEST = 400
TABLES = {"core/values.py", "parameters/memory.py"}
"""Longer files: each is a table."""


def test_layout_long_files_are_tables() -> None:
    package = Path(cgroups.__file__).parent
    lengths = {
        path.relative_to(package).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in package.rglob("*.py")
    }
    assert {name for name, lines in lengths.items() if lines > LONGEST} == TABLES
