"""CGROUPS_DEBUG=1: one line on stderr for each fallback that is taken, once, and none without it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from common import MakeCgroup

import cgroups

OPENAT2, CLONE3, PIDFD_OPEN, INOTIFY_INIT1, TIMERFD_CREATE = 437, 435, 434, 294, 283
"""Numbers of system calls on x86-64."""

CODE = """
import errno, os, sys
sys.path.insert(0, sys.argv[1])
from denied import deny
deny(int(sys.argv[2]), errno.ENOSYS)
from cgroups import *
cgroup, parent = map(Hierarchy.find_exn, sys.argv[3:])
for _ in range(2):
    Popen(["true"], cgroup=cgroup).wait()
    run(["true"], parent=[parent], timeout=60)
    with Popen(["sleep", "100"], cgroup=cgroup):
        cgroup.signal(9)
    Sampler.follow(cgroup, [Cpuacct.usage]).close()
    with cgroup.events(Threshold(Cpuacct.usage, above=1 << 60), timeout=0.01) as events:
        list(events)
"""

# The fallbacks of C.
NATIVE = {
    OPENAT2: ["no openat2(2): each path is opened component by component"],
    CLONE3: ["no clone3(2) with CLONE_INTO_CGROUP: a child moves itself into its cgroup"],
    PIDFD_OPEN: ["no pidfd_open(2): the exit of a child is polled"],
}
# Those of Python, which both backends share.
SHARED = {
    PIDFD_OPEN: ["no pidfd_open(2): a process is identified by its pid"],
    INOTIFY_INIT1: [
        "no inotify_init1(2): the cgroups of a subtree are listed once per second",
        "no inotify watch: the existence of a cgroup is polled",
    ],
    TIMERFD_CREATE: ["no timerfd_create(2): a thread rings at each time"],
}


CALLS = {
    "openat2": OPENAT2,
    "clone3": CLONE3,
    "pidfd_open": PIDFD_OPEN,
    "inotify_init1": INOTIFY_INIT1,
    "timerfd_create": TIMERFD_CREATE,
}
FALLBACKS = {
    call: [*(NATIVE.get(call, []) if cgroups.backend == "native" else []), *SHARED.get(call, [])]
    for call in CALLS.values()
}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86-64")
@pytest.mark.parametrize("debug", ["1", "0", None])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_debug_reports_each_fallback_once(call: int, debug: str | None, make_cgroup: MakeCgroup) -> None:
    cgroup, parent = make_cgroup(""), make_cgroup("")  # run() enables controllers in its parent
    environment = {name: value for name, value in os.environ.items() if name != "CGROUPS_DEBUG"}
    if debug is not None:
        environment["CGROUPS_DEBUG"] = debug
    arguments = [Path(__file__).parent, call, cgroup, parent]
    words = [sys.executable, "-W", "ignore", "-c", CODE, *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, cwd="/", env=environment, check=False)
    assert done.returncode == 0, done.stderr
    expected = [f"cgroups: {line}" for line in FALLBACKS[call]] if debug == "1" else []
    assert sorted(done.stderr.splitlines()) == sorted(expected)
