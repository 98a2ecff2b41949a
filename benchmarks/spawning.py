"""The time to start a program inside its cgroups, compared with a start outside and bare writes to move it.

Both ways take turns in one process, whose memory is small or large.  Only the
start is timed, from the call to its return, when the child has executed.
"""

from __future__ import annotations

import json
import subprocess
import sys

BOUND = 1.15
SIZES_MB = (30, 1000)
GAPS_S = (0, 0.1)

CODE = """
import json, os, statistics, subprocess, sys, time
from cgroups import Group, Hierarchy, Popen

size, gap, rounds = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
ballast = bytearray(size << 20)
for at in range(0, len(ballast), 4096):
    ballast[at] = 1
name, COMMAND = f"cgroups-bench-{os.getpid()}", ["true"]

def bare(group):
    def start():
        process = subprocess.Popen(COMMAND)
        for cgroup in group:
            fd = os.open(f"{cgroup.path}/cgroup.procs", os.O_WRONLY)
            os.write(fd, b"%d" % process.pid)
            os.close(fd)
        return process
    return start

def here(group):
    return lambda: Popen(COMMAND, cgroup=group)

def timed(start):
    time.sleep(gap)
    began = time.perf_counter_ns()
    process = start()
    took = time.perf_counter_ns() - began
    process.wait()
    return took

hierarchies = Hierarchy.scan()
v1 = [one.subsystems[0] for one in hierarchies if one.version == 1 and one.subsystems and one.subsystems[0] != "cpuset"]
cases, kept = {}, []
if any(one.version == 2 for one in hierarchies):
    for case in ("v2, a cgroup in use", "v2, an empty cgroup"):
        group = Group(f"{name}-{len(kept)}", [""]).create()
        kept.append(group)
        cases[case] = (lambda: subprocess.Popen(COMMAND), here(group))
    kept[0].spawn(["sleep", "1000"])
if v1:
    for case, controllers in (("v1, one cgroup", v1[:1]), (f"v1, {len(v1)} cgroups", v1)):
        group = Group(f"{name}-{len(kept)}", controllers).create()
        kept.append(group)
        cases[case] = (bare(group), here(group))
try:
    taken = {case: ([], []) for case in cases}
    # The cases run in sequence: a write to cgroup.procs slows the next starts on the whole machine.
    for case, pair in cases.items():
        time.sleep(0.5)
        for _ in range(rounds):
            for times, start in zip(taken[case], pair):
                times.append(timed(start))
finally:
    for group in kept:
        group.remove(kill=True)
print(json.dumps({case: [statistics.median(times) for times in pair] for case, pair in taken.items()}))
"""


def spawning(rounds: int) -> dict[str, float]:
    """Measure ratios and microseconds, by case, memory of the parent, and time between two starts."""
    found: dict[str, float] = {}
    for size in SIZES_MB:
        for gap in GAPS_S:
            count = max(rounds // 2, 5) if gap else rounds * 5
            command = [sys.executable, "-c", CODE, str(size), str(gap), str(count)]
            done = subprocess.run(command, check=True, capture_output=True, text=True, cwd="/")
            for case, (floor, ours) in json.loads(done.stdout).items():
                when = f"{gap * 1000:.0f} ms apart" if gap else "back to back"
                found[f"{case}, {size} MB, {when}"] = ours / floor
                found[f"  us, {case}, {size} MB, {when}"] = ours / 1000
    return found
