"""The time of a command in fresh cgroups, compared with no cgroups; and in a systemd scope, with systemd-run."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable

from cgroups import CgroupError, run
from cgroups.core.systemd import is_manager

OWN_BOUND, SCOPE_BOUND = 1.5, 0.7
COMMAND = ["true"]


def _timed(call: Callable[[], object]) -> int:
    began = time.perf_counter_ns()
    call()
    return time.perf_counter_ns() - began


def _median_ratio(ours: Callable[[], object], floor: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Return the median ratio of two calls that take turns, and the median microseconds of the first."""
    ours()
    floor()
    pairs = [(_timed(ours), _timed(floor)) for _ in range(rounds)]
    return statistics.median(one / other for one, other in pairs), statistics.median(one for one, _ in pairs) / 1000


def placing(rounds: int) -> dict[str, float | str]:
    """Measure ratios and microseconds by place; for a place that cannot be measured, return the reason."""
    found: dict[str, float | str] = {}
    try:
        ratio, us = _median_ratio(
            lambda: run(COMMAND, place="own"), lambda: subprocess.run(COMMAND, check=True), rounds
        )
        found |= {"own cgroup, to subprocess.run": ratio, "  us, own cgroup": us}
    except CgroupError as error:
        found["own cgroup"] = str(error)
    program = shutil.which("systemd-run")
    if program is None or not is_manager():
        return {**found, "scope": "no systemd here"}
    words = [program, *(["--user"] if os.geteuid() else []), "--quiet", "--scope", *COMMAND]
    ratio, us = _median_ratio(lambda: run(COMMAND, place="systemd"), lambda: subprocess.run(words, check=True), rounds)
    return {**found, "scope, to systemd-run --scope": ratio, "  us, scope": us}
