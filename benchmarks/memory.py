"""Memory: bytes per cell of a sampler, and growth over many frames."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from cgroups import Memory

from .world import fresh_cgroups

PARAMETERS = ("usage_in_bytes", "max_usage_in_bytes", "failcnt", "limit_in_bytes", "soft_limit_in_bytes")
BOUND_BYTES = 256
FRAMES = 1_000_000

# RssAnon excludes the kernel's memory for open files.
COST = """
import json, resource, sys
import cgroups
from cgroups import Hierarchy, Memory, Sampler

def used():
    return int(next(line for line in open("/proc/self/status") if line.startswith("RssAnon")).split()[1]) * 1024

top, frames, names = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
rows = Hierarchy.find_exn(top).children()
parameters = [getattr(Memory, name) for name in names]
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
cgroups.set_fd_budget(hard - 1000)
Sampler(rows[:2], parameters).sample()
before = used()
sampler = Sampler(rows, parameters)
frame = sampler.sample()
frame = sampler.sample()
first = used()
for _ in range(frames):
    frame = sampler.sample()
print(json.dumps([len(frame.values) * len(parameters), first - before, used() - first]))
"""


def _cost(cgroups: int, frames: int) -> list[int]:
    with fresh_cgroups("memory", cgroups) as made:
        version = made[0].version
        names = [name for name in PARAMETERS if getattr(Memory, name).files(version)]
        command = [sys.executable, "-c", COST, str(made[0].parent), str(frames), *names]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd="/")
    found: list[int] = json.loads(done.stdout)
    return found


def memory(cgroups: int, *, frames: int = 0) -> dict[str, Any]:
    """Measure bytes per cell of many cgroups, including two frames, and the growth over many frames of two cgroups."""
    cells, first, _ = _cost(cgroups, 0)
    report: dict[str, Any] = {"cells": cells, "bytes_a_cell": first / cells, "bound": BOUND_BYTES}
    if frames:
        _, _, report["growth_bytes"] = _cost(2, frames)
        report["frames"] = frames
    return report
