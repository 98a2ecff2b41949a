"""Each newer system call denied by a seccomp filter, with both errnos that filters give.

Container runtimes of 2020 answer EPERM for a call that they do not know, and other filters answer ENOSYS as an old
kernel does.  Each line of the table is a call with an errno in a scenario of denied.py.  It works by a fallback, or
gives the one error that UNABLE has for it.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import subprocess
import sys
import tempfile

import denied
import pytest
from common import SLOW, MakeCgroup

from cgroups import Hierarchy

pytestmark = pytest.mark.anywhere

# By architecture; from 424 on a number is the same everywhere.
NUMBERS = {
    "epoll_create1": {"x86_64": 291, "aarch64": 20},
    "eventfd2": {"x86_64": 290, "aarch64": 19},
    "timerfd_create": {"x86_64": 283, "aarch64": 85},
    "inotify_init1": {"x86_64": 294, "aarch64": 26},
    "statx": {"x86_64": 332, "aarch64": 291},
    "pidfd_send_signal": {"x86_64": 424, "aarch64": 424},
    "pidfd_open": {"x86_64": 434, "aarch64": 434},
    "clone3": {"x86_64": 435, "aarch64": 435},
    "close_range": {"x86_64": 436, "aarch64": 436},
    "openat2": {"x86_64": 437, "aarch64": 437},
}
ERRNOS = {"EPERM": errno.EPERM, "ENOSYS": errno.ENOSYS}

# Events are one descriptor that is readable when anything happens, which only an epoll is; asyncio's own loop is
# one too, whatever it is used for.  v1 takes no other descriptor than an eventfd to report that memory ran out.
NO_EPOLL = "CgroupOSError: cannot watch"
UNABLE = {
    ("eventfd2", "out_of_memory"): "eventfd2(2), which v1 needs to notify",
    ("epoll_create1", "out_of_memory"): NO_EPOLL,
    ("epoll_create1", "events"): NO_EPOLL,
    ("epoll_create1", "memory_events"): NO_EPOLL,
    ("epoll_create1", "pressure"): NO_EPOLL,
    ("epoll_create1", "guard"): NO_EPOLL,
    ("epoll_create1", "asyncio_popen"): "Traceback",
}

MACHINE = platform.machine()


Outcomes = dict[str, str]

_outcomes: dict[tuple[str, str], Outcomes] = {}


def outcomes_of(call: str, error: str, make_cgroup: MakeCgroup) -> Outcomes:
    """Return the result of each scenario, all run once by one program that is denied the call."""
    heads = ["memory", "cpuacct", "pids", *([""] if Hierarchy.find(":/") is not None else [])]
    given = {name: {head or "v2": str(make_cgroup(head)) for head in heads} for name in denied.SCENARIOS}
    command = [sys.executable, denied.__file__, str(NUMBERS[call][MACHINE]), str(ERRNOS[error]), json.dumps(given)]
    # Not through pipes, which what a scenario may have left behind would hold.
    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as errors:
        done = subprocess.run(command, stdout=printed, stderr=errors, cwd="/", timeout=300 * SLOW, check=False)
        printed.seek(0)
        errors.seek(0)
        assert done.returncode == 0, errors.read()
        return dict(map(json.loads, printed))


@pytest.mark.skipif(MACHINE not in NUMBERS["statx"], reason="the numbers of this architecture are not known here")
@pytest.mark.parametrize("scenario", denied.SCENARIOS)
@pytest.mark.parametrize("error", ERRNOS)
@pytest.mark.parametrize("call", NUMBERS)
def test_scenario_call_denied_works_or_raises_one_clear_error(
    call: str, error: str, scenario: str, make_cgroup: MakeCgroup
) -> None:
    if (call, error) not in _outcomes:
        _outcomes[call, error] = outcomes_of(call, error, make_cgroup)
    found = _outcomes[call, error][scenario]
    expected = UNABLE.get((call, scenario))
    if expected is None:
        assert found == "works"
    else:
        assert expected in found
        assert error in found or os.strerror(ERRNOS[error]) in found
