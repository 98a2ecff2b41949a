"""Small programs of users run in each of these places."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import at
from programs_of_users import PROGRAMS, run_program


@at(whole=("session", "root", "service"))
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_program_runs_here(program: Path, tmp_path: Path) -> None:
    assert run_program(program, tmp_path, "dbus.service")
