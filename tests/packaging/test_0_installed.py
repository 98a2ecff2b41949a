"""First of all: what is tested is the installed wheel, and the backend that was asked for."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from pathlib import Path

import pytest

import cgroups

CHECKOUT = Path(__file__).resolve().parents[2]


def test_what_is_tested_is_the_installed_wheel() -> None:
    where = Path(cgroups.__file__).resolve()
    if "CGROUPS_DIST" not in os.environ:
        pytest.skip("not run by tests/run.sh")
    assert where.is_relative_to(Path(sys.prefix).resolve())
    assert not where.is_relative_to(CHECKOUT)


def test_the_backend_is_native() -> None:
    assert cgroups.backend == os.environ.get("CGROUPS_BACKEND", "native") == "native"


def test_the_version_is_the_distribution_s() -> None:
    assert metadata.version("cgroups-cffi") == cgroups.__version__
