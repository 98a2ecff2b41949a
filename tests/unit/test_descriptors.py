"""No descriptor is left: no existing cgroup is reported gone, and all works again once descriptors are free."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import cgroups

pytestmark = pytest.mark.slow  # starts processes, which have a limit of their own

HEAD = """
import errno, os, resource, shutil, sys, time
import cgroups
from cgroups import Cell, Host, Memory, Parameters, Pids, Sampler

host = Host(sys.argv[1])
top = host.find_exn(":/job")
job = host.find_exn(":/job/a")
resource.setrlimit(resource.RLIMIT_NOFILE, (200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
held = []

def hold_all():
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        assert error.errno == errno.EMFILE

def give_back(count=200):
    for fd in held[:count]:
        os.close(fd)
    del held[:count]
"""

SCENARIOS = {
    "get_gives_kept_files_back": """
        parameters = [Memory.current, Memory.max, Memory.low, Memory.high, Pids.current, Pids.max]
        wanted = [Parameters.get(one, job) for one in parameters]
        more = [Memory.swap_current, Memory.stat, Memory.events]
        hold_all()
        if cgroups.backend == "python":
            give_back(5)  # which keeps none
        for _ in range(3):
            for one in more:
                Parameters.get(one, job)
            assert wanted == [Parameters.get(one, job) for one in parameters]
    """,
    "sampler_row_is_an_error": """
        cgroups.set_fd_budget(0)
        sampler = Sampler([job], [Memory.current])
        assert sampler.sample().status[0, 0] == Cell.OK
        hold_all()
        for _ in range(3):
            frame = sampler.sample()
            assert (frame.status[0, 0], frame.errno[0, 0]) == (Cell.ERROR, errno.EMFILE)
        give_back()
        assert sampler.sample().status[0, 0] == Cell.OK
    """,
    "sampler_made_meanwhile_goes_on": """
        cgroups.set_fd_budget(0)
        hold_all()
        sampler = Sampler([job], [Memory.current])
        frame = sampler.sample()
        assert (frame.status[0, 0], frame.errno[0, 0]) == (Cell.ERROR, errno.EMFILE)
        give_back()
        assert sampler.sample().status[0, 0] == Cell.OK
    """,
    "sampler_of_unknown_columns_raises": """
        cgroups.set_fd_budget(0)
        hold_all()
        try:
            sampler = Sampler([job], [Memory.stat])
        except cgroups.CgroupError as error:
            assert error.errno == errno.EMFILE, error
        else:
            raise AssertionError(sampler.columns)
    """,
    "recorder_goes_on": """
        if cgroups.backend == "native":
            cgroups.set_fd_budget(0)
            hold_all()
            recorder = Sampler([job], [Memory.current]).record(0.001)
            end = time.monotonic() + 60
            def wait(status):
                while True:
                    seen = set(recorder.read().status.cast("B"))
                    if status in seen:
                        return
                    assert recorder.running and seen <= {Cell.ERROR, Cell.OK} and time.monotonic() < end, seen
                    time.sleep(0.002)
            wait(Cell.ERROR)
            give_back()
            wait(Cell.OK)
            assert recorder.running
    """,
    "follow_keeps_its_rows": """
        cgroups.set_fd_budget(0)
        from cgroups.observe import subtree
        subtree.CHECK_NS = 0
        sampler = Sampler.follow(top, [Memory.current])
        before = sampler.sample().cgroups
        assert job in before
        hold_all()
        sampler._followed.subtree._stale = True  # as after an overflow of events
        for _ in range(3):
            frame = sampler.sample()
            assert frame.cgroups == before
            assert set(frame.status.cast("B")) == {Cell.ERROR}
        give_back()
        shutil.rmtree(job.path)
        frame = sampler.sample()
        assert job not in frame.cgroups and len(frame) == len(before) - 1
    """,
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_descriptor_left_cgroups_are_not_gone(name: str, v2_root: Path) -> None:
    command = [sys.executable, "-c", HEAD + textwrap.dedent(SCENARIOS[name]), str(v2_root)]
    environment = {**os.environ, "CGROUPS_BACKEND": cgroups.backend}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
