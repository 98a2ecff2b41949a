"""The recorder at 1 kHz: lost ticks, lateness, and CPU time compared with a floor that does the same reads."""

from __future__ import annotations

import os
import statistics
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cgroups import Memory, Sampler

from .cases import many_files
from .subjects import Part, paths_of
from .world import Floor, fresh_cgroups, open_files

CGROUPS = 100
PARAMETERS = (
    Memory.usage_in_bytes,
    Memory.max_usage_in_bytes,
    Memory.failcnt,
    Memory.limit_in_bytes,
    Memory.swappiness,
)
INTERVAL_NS = 1_000_000
SLICE_S = 1
BOUNDS = {"lost": 0, "p99_lateness_us": 200.0, "cpu": 1.1}


def _cpu_ns(thread: str) -> int:
    return int(Path(f"/proc/self/task/{thread}/schedstat").read_text().split()[0])


def recording(floor: Floor, seconds: float) -> dict[str, Any]:
    """Measure the recorder and the floor in alternate slices, so that the load of the machine affects both."""
    lateness: list[int] = []
    ratios: list[float] = []
    ticks = lost = floor_lost = 0
    slices = max(round(seconds / SLICE_S), 1)
    length = seconds / slices
    with ExitStack() as stack:
        stack.enter_context(many_files(CGROUPS * len(PARAMETERS) * 2))
        cgroups = stack.enter_context(fresh_cgroups("memory", CGROUPS))
        fds = stack.enter_context(open_files(paths_of([Part(cgroups, PARAMETERS)])))
        sampler = stack.enter_context(Sampler(cgroups, PARAMETERS))
        sampler.sample()
        for _ in range(slices):
            before = set(os.listdir("/proc/self/task"))
            with sampler.record(INTERVAL_NS / 1e9, capacity=int(2 * length * 1000) + 100) as recorder:
                (thread,) = set(os.listdir("/proc/self/task")) - before
                time.sleep(length)
                spent, taken = _cpu_ns(thread), recorder.ticks
            lateness += [(began - recorder.start_ns) % INTERVAL_NS for began in recorder.read().times.tolist()]
            ticks += taken
            lost += recorder.missed + recorder.overruns
            floor_spent, floor_missed = floor.ticks(fds, INTERVAL_NS, taken)
            floor_lost += floor_missed
            ratios.append(spent / floor_spent)
    return {
        "ticks": ticks,
        "lost": lost,
        "floor: lost": floor_lost,
        "p50_lateness_us": statistics.median(lateness) / 1000,
        "p99_lateness_us": statistics.quantiles(lateness, n=100)[98] / 1000,
        "cpu": statistics.median(ratios),
    }
