"""Where the built distributions are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def dist() -> Path:
    """The directory with the sdist and the wheel under test; run.sh builds them."""
    directory = os.environ.get("CGROUPS_DIST")
    if directory is None:
        pytest.skip("no distributions were built: run tests/run.sh")
    return Path(directory)


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    [path] = dist.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def sdist(dist: Path) -> Path:
    [path] = dist.glob("*.tar.gz")
    return path
