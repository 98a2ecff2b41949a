"""What this machine looks like from outside of the guests: mounts, cgroups, files and processes."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# The system's files, the interpreter's, and this checkout; not what any running program may write to at any moment.
WATCHED = (*("/boot", "/etc", "/opt", "/srv", "/usr"), sys.base_prefix, sys.prefix, str(Path(__file__).parents[2]))
CACHES = {"__pycache__", ".git", ".pytest_cache", ".hypothesis", ".mypy_cache", ".ruff_cache"}


@dataclass(frozen=True)
class Machine:
    mounts: frozenset[str]
    cgroups: frozenset[tuple[str, int]]  # directory, inode
    files: dict[str, tuple[int, ...]]
    processes: dict[tuple[int, str], str]  # (process id, start time): cgroups


def below(top: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Each file with what a change of it changes, and each directory."""
    with os.scandir(top) as entries:
        for entry in entries:
            found = entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in CACHES:
                    yield entry.path, (found.st_mode, found.st_uid, found.st_gid)
                    yield from below(entry.path)
            elif stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode):
                yield entry.path, (found.st_ino, found.st_mode, found.st_uid, found.st_size, found.st_mtime_ns)


def cgroup_directories() -> Iterator[tuple[str, int]]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if " - cgroup" in line:
            for directory, _, _ in os.walk(line.split()[4]):
                yield directory, os.stat(directory).st_ino


def processes() -> Iterator[tuple[tuple[int, str], str]]:
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            started = (entry / "stat").read_text().rpartition(")")[2].split()[19]
            yield (int(entry.name), started), (entry / "cgroup").read_text()
        except OSError:  # it has ended
            continue


def look() -> Machine:
    return Machine(
        frozenset(Path("/proc/self/mountinfo").read_text().splitlines()),
        frozenset(cgroup_directories()),
        {path: what for top in dict.fromkeys(WATCHED) for path, what in below(top)},
        dict(processes()),
    )
