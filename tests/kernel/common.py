"""What the tests of this tier share besides fixtures: types, facts of this machine, and looks at control files."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cgroups
from cgroups import Cgroup, Device, Subsystem

MakeCgroup = Callable[..., Cgroup]
Spawn = Callable[..., "subprocess.Popen[bytes]"]
Need = Callable[[str], None]

MIB = 1 << 20

# Set where the whole machine is the tests' own, as a virtual machine is.
OWN_HOST = os.environ.get("CGROUPS_TESTS_OWN_HOST") == "1"


def _disk() -> Device | None:
    for line in Path("/proc/partitions").read_text().splitlines()[2:]:
        major, minor, _, name = line.split()
        if os.path.isdir(f"/sys/block/{name}") and not name.startswith(("ram", "loop", "zram", "fd", "sr")):
            return Device(int(major), int(minor))
    return None


DISK = _disk()
"""A disk of this machine."""


def path_of(cgroup: Cgroup, file: str) -> Path:
    return Path(str(cgroup.path)) / file


def text_of(cgroup: Cgroup, file: str) -> str:
    return path_of(cgroup, file).read_text().removesuffix("\n")


def says(cgroup: Cgroup, file: str, wanted: str) -> bool:
    """Whether this is the text of a file, or a line of it."""
    text = text_of(cgroup, file)
    return text == wanted or (wanted != "" and wanted in text.splitlines())


def files_of(cgroup: Cgroup, mask: int) -> list[str]:
    """The control files with one of these mode bits."""
    entries = sorted(Path(str(cgroup.path)).iterdir())
    return [entry.name for entry in entries if entry.is_file() and entry.stat().st_mode & mask]


def users_of(file: str, version: int, kind: Any) -> list[Any]:
    """The parameters of a kind that stand for a file."""
    return [one for one in Subsystem.parameters() if isinstance(one, kind) and file in one.files(version)]


def needs(backend: str, *tools: str) -> Callable[[Callable[..., None]], Any]:
    """A test that says nothing elsewhere: it is not there with another backend, nor without these programs."""
    there = cgroups.backend == backend and all(map(shutil.which, tools))
    return lambda test: test if there else None
