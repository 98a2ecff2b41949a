"""What a review found, each as it was shown."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cgroups import Cgroup, Cpuacct, Host, InvalidValue, Parameters, ParseError, mounts


def test_a_key_without_a_number_is_no_value(job: Cgroup) -> None:
    Path(str(job.path), "cpu.stat").write_text("usage_usec\n")
    with pytest.raises(ParseError):
        Parameters.get(Cpuacct.usage, job)


def test_a_table_that_could_not_be_read_again_is_not_kept(v1: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    before = v1.scan()
    asked = iter([1])
    monkeypatch.setattr(mounts, "mounts_state", lambda *_: next(asked, 0))

    def refuse(_: int) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(mounts.backend, "scan_mounts", refuse)
        with pytest.raises(MemoryError):
            v1.scan()
    assert v1.scan() == before


@pytest.mark.parametrize("owner", ["\u00b2", "99999999999:0", "0:99999999999"])
def test_owners_that_are_none(job: Cgroup, owner: str) -> None:
    with pytest.raises(InvalidValue):
        job.make_sub("new", owner=owner)


def test_a_find_within_a_find_does_not_hang() -> None:
    """A signal handler may look for cgroups too, whatever the main thread is at."""
    code = """
import signal, time
from cgroups import Hierarchy
inside = False
def handler(*_):
    global inside
    if not inside:
        inside = True
        Hierarchy.scan()
        inside = False
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
end = time.monotonic() + 2
while time.monotonic() < end:
    Hierarchy.scan()
signal.setitimer(signal.ITIMER_REAL, 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd="/")
