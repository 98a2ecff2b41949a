"""Finding, scanning and importing: costs that occur once, not for each number."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

from .measure import Result
from .world import in_namespace

# ---- finding, in a mount namespace of its own -----------------------------------------

# The first lookup of a new directory costs the most, because the kernel creates
# its inode then.  So the floor is a bare stat(2) of a new directory.
FIND = """
import json, os, statistics, time
from cgroups import Hierarchy
top = Hierarchy.find_or_create(f"memory:/cgroups-bench-{os.getpid()}")
spec, path = f"{top}/b", f"{top.path}/b"
clock = time.perf_counter_ns

def measure(subject, again):
    os.mkdir(path)
    try:
        if again:
            os.stat(path)
        start = clock()
        assert subject() is not None
        return clock() - start
    finally:
        os.rmdir(path)
        assert Hierarchy.find(spec) is None

subjects = {"stat": lambda: os.stat(path), "find": lambda: Hierarchy.find(spec)}
taken = {(name, again): [] for again in (False, True) for name in subjects}
try:
    for _ in range(ROUNDS * 10):
        for (name, again), times in taken.items():
            times.append(measure(subjects[name], again))
finally:
    top.remove(recursive=True)
print(json.dumps([statistics.median(times) / 1000 for times in taken.values()]))
"""

SCAN = """
import json, os, sys
sys.path.insert(0, CHECKOUT)
from benchmarks.measure import interleaved  # takes the checkout off the path again
from benchmarks.world import Floor
from cgroups import Host

def cold():
    Host().scan()

floor = Floor()
results = interleaved({"floor: reading the table": floor.read_all("/proc/self/mountinfo"), "cold scan": cold},
                      items=1, rounds=ROUNDS, bounds={"cold scan": 1.15})
print(json.dumps([list(result) for result in results]))
"""


def finding(rounds: int) -> dict[str, float]:
    """Measure a warm find of a new directory, and a bare stat for comparison, in microseconds."""
    code = FIND.replace("ROUNDS", str(rounds))
    figures = {}
    for mounts in (20, 2000):
        stat, find, stat_again, find_again = json.loads(in_namespace(mounts, code))
        figures[f"find, just made, {mounts} mounts"] = find
        figures[f"  os.stat of it, {mounts} mounts"] = stat
        figures[f"find, seen once, {mounts} mounts"] = find_again
        figures[f"  os.stat of it again, {mounts} mounts"] = stat_again
    return figures


def scanning(rounds: int, checkout: str) -> tuple[str, list[Result]]:
    """Compare a cold scan of 2,000 mounts with reading the table without parsing."""
    code = SCAN.replace("ROUNDS", str(rounds)).replace("CHECKOUT", repr(checkout))
    return "2,000 mounts, cold scan", [Result(*row) for row in json.loads(in_namespace(2000, code))]


# ---- importing ---------------------------------------------------------------------------


def importing(rounds: int) -> float:
    """Return the time that ``import cgroups`` adds to a bare interpreter, in milliseconds."""

    def run(code: str) -> int:
        start = time.perf_counter_ns()
        subprocess.run([sys.executable, "-c", code], check=True, cwd="/")
        return time.perf_counter_ns() - start

    run("import cgroups")
    added = [run("import cgroups") - run("pass") for _ in range(rounds)]
    return statistics.median(added) / 1e6
