"""The state of this machine outside of the guests: mounts, cgroups, files and processes."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# The system's files, the interpreter's, and this checkout; not what any running program may write to at any moment.
WATCHED = (*("/boot", "/etc", "/opt", "/srv", "/usr"), sys.base_prefix, sys.prefix, str(Path(__file__).parents[2]))
# Task lists, and what changes by itself: counters and high-water marks.
NO_SETTINGS = re.compile(r"tasks|cgroup\.(procs|threads)|cpuacct\.usage|.*\.pressure|.*\.(max_usage_in_bytes|failcnt)")
CACHES = {"__pycache__", ".git", ".pytest_cache", ".hypothesis", ".mypy_cache", ".ruff_cache"}


@dataclass(frozen=True)
class Machine:
    mounts: frozenset[str]
    cgroups: frozenset[str]  # named as tests name theirs; other programs make and remove their own at any moment
    settings: dict[str, str]  # of the roots
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


def cgroup_mounts() -> list[str]:
    table = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in table if " - cgroup" in line]


def tests_cgroups() -> Iterator[str]:
    for mount in cgroup_mounts():
        for directory, names, _ in os.walk(mount):
            yield from (f"{directory}/{name}" for name in names if name.startswith("cgroups-"))


def root_settings() -> Iterator[tuple[str, str]]:
    """Return what can be read and written in a root."""
    for mount in cgroup_mounts():
        for file in sorted(Path(mount).iterdir()):
            mode = file.stat().st_mode
            if stat.S_ISREG(mode) and mode & 0o600 == 0o600 and not NO_SETTINGS.fullmatch(file.name):
                yield str(file), file.read_text()


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
        frozenset(tests_cgroups()),
        dict(root_settings()),
        {path: what for top in dict.fromkeys(WATCHED) for path, what in below(top)},
        dict(processes()),
    )
