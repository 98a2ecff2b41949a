"""Small programs of users run as root on this host."""

from __future__ import annotations

from pathlib import Path

import pytest
from common import MakeCgroup
from programs_of_users import PROGRAMS, run_program


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_program_runs_here(program: Path, tmp_path: Path, make_ready: MakeCgroup) -> None:
    service = make_ready("memory")
    assert run_program(program, tmp_path, f"{service.hierarchy.spec_head}:{service.location}")
