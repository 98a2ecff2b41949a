"""The modes in which the kernel tier runs inside a guest: which kernel, and what is mounted where."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

# What every guest starts with is cgroup2 at /sys/fs/cgroup; a mode with v1 takes it away first.
UNIFIED = ":"
BARE = """
umount /sys/fs/cgroup
mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
hierarchy() { # directory type options
    mkdir "/sys/fs/cgroup/$1"
    mount -t "$2" -o "$3" cgroup "/sys/fs/cgroup/$1"
}
"""


@dataclass(frozen=True)
class Mode:
    """A kernel series, and the hierarchies: those of v1 as old distributions co-mount them, and cgroup2's place."""

    name: str
    series: str
    v1: tuple[str, ...]
    v2: str | None  # its mount point
    controllers: frozenset[str]  # that v2 has, in its root's cgroup.controllers
    cpus: int = 1  # an emulated second one makes all three times slower
    only: tuple[str, ...] = ()  # modules of the tests: those that may differ in this mode

    def kernel(self, boot: Path = Path("/boot")) -> Path | None:
        """The newest installed kernel of the series; the cloud kernels cannot mount what a guest's root is on."""
        found = [path for path in boot.glob(f"vmlinuz-{self.series}.*") if "cloud" not in path.name]
        return max(found, key=lambda path: [int(digits) for digits in re.findall(r"\d+", path.name)], default=None)

    def skips(self) -> Path:
        """The committed list of what is skipped in this mode."""
        return Path(__file__).parent / "skips" / f"{self.name}.txt"

    def mounts(self) -> str:
        """Return the shell lines that a guest runs as root before the tests."""
        if not self.v1:
            return UNIFIED
        lines = [BARE]
        lines += [f"hierarchy {name} cgroup {name}" for name in self.v1]
        lines.append("hierarchy systemd cgroup none,name=systemd")
        if self.v2:
            lines.append(f"hierarchy {Path(self.v2).name} cgroup2 rw")
        return "\n".join(lines)


# Debian's 6.12 is built without the v1 memory and cpuset controllers, its 6.1 with them.
ALL_V2 = frozenset({"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"})
ALL_V1 = (
    *("cpu,cpuacct", "net_cls,net_prio", "memory", "cpuset", "blkio", "devices"),
    *("freezer", "pids", "hugetlb", "perf_event", "rdma", "misc"),
)
UNIFIED_BESIDE = "/sys/fs/cgroup/unified"
HYBRID_V1 = ("cpu,cpuacct", "net_cls,net_prio", "blkio", "freezer", "devices")

# What asks the kernel most: its files, and what it does with them.
FILES = (
    *("capacity", "containers", "delegation", "enforcement", "every_file", "excepted_files", "export", "namespaces"),
    *("parameters", "placement", "seed", "translated_readings", "translation", "v2"),
)
# How processes start and end, which events they cause, and what is read again and again.
PROCESSES = (
    *("aio", "events", "following", "group", "guards", "lifecycle", "processes", "recorder", "sampler", "spawning"),
    *("starts_under_attack", "transactions", "vitals"),
)

MODES = (
    Mode("v2-6.1", "6.1", (), "/sys/fs/cgroup", ALL_V2, only=(*FILES, *PROCESSES, "screen_in_tmux")),
    Mode("v2-6.12", "6.12", (), "/sys/fs/cgroup", ALL_V2, only=(*FILES, "writing")),
    Mode("v1-6.1", "6.1", ALL_V1, None, frozenset(), only=(*FILES, *PROCESSES, "hierarchy", "writing")),
    Mode(
        *("hybrid-6.12", "6.12", HYBRID_V1, UNIFIED_BESIDE, ALL_V2 - {"cpu", "io"}),
        only=(*FILES, "cli", "writing"),
    ),
)
