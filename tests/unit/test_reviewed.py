"""Findings of a review, each as it was shown."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cgroups import (
    Blkio,
    Cgroup,
    CgroupGone,
    Cpu,
    Cpuacct,
    CpuMax,
    Device,
    Hierarchy,
    Host,
    InvalidValue,
    Memory,
    ParameterNotSupported,
    Parameters,
    ParseError,
    converter,
    set_fd_budget,
)
from cgroups.core import diagnosis, mounts
from cgroups.core.backend import backend


def test_get_key_without_a_number_raises(job: Cgroup) -> None:
    Path(str(job.path), "cpu.stat").write_text("usage_usec\n")
    with pytest.raises(ParseError):
        Parameters.get(Cpuacct.usage, job)


def test_scan_failed_reread_is_not_cached(v1: Host, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_create_invalid_owner_is_refused(job: Cgroup, owner: str) -> None:
    with pytest.raises(InvalidValue):
        job.make_sub("new", owner=owner)


@pytest.mark.slow
def test_find_reentered_by_a_signal_does_not_hang() -> None:
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


# ---- forks ---------------------------------------------------------------------------


def _run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=False,
        timeout=60,
        cwd="/",
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode(errors="replace")


def test_fork_file_collected_meanwhile_works() -> None:
    """Another package's fork hook may run the garbage collector, and that may close a file of ours."""
    code = """
import gc, os
os.register_at_fork(before=gc.collect, after_in_parent=gc.collect, after_in_child=gc.collect)
from cgroups.core.backend import backend
directory = backend.open_directory("/proc/self", 0)
gc.disable()
def litter():
    class Cycle: pass
    for _ in range(10):
        one = Cycle()
        one.itself, one.file = one, directory.file("status")
        one.file.read(8)
for _ in range(5):
    litter()
    pid = os.fork()
    if pid == 0:
        directory.file("status").read(8)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""
    _run(code)


def test_fork_hooks_that_read_work() -> None:
    code = """
import os
def use():
    if "file" in globals():
        file.read(8)
        file.close()
        file.read(8)
os.register_at_fork(before=use, after_in_parent=use, after_in_child=use)
from cgroups.core.backend import backend
file = backend.open_directory("/proc/self", 0).file("status")
for _ in range(5):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""
    _run(code)


# ---- what is learned at one read -----------------------------------------------------------


def test_get_stat_second_read_is_as_strict_as_the_first(job: Cgroup) -> None:
    file = Path(str(job.path), "memory.stat")
    for text in ("anon 1\nfile 2\n", "anon max\nfile 2\n", "anon 1\nfile\n", "anon 1\nfile 1.50\n"):
        file.write_text(text)
        if text.startswith("anon 1\nfile 2"):
            assert Parameters.get(Memory.stat, job)["file"] == 2
            continue
        with pytest.raises(ParseError):
            Parameters.get(Memory.stat, job)
    file.write_text("anon 3\nfile 4\n")
    assert Parameters.get(Memory.stat, job)["file"] == 4


@pytest.fixture
def nothing_kept() -> Iterator[None]:
    """Files are opened at each read: on another file system than the kernel's own, a kept one outlives its name."""
    before = backend.fd_budget()
    set_fd_budget(0)
    yield
    set_fd_budget(before)


@pytest.mark.usefixtures("nothing_kept")
def test_get_first_of_several_files_is_tried_again(v1: Host) -> None:
    """An IO scheduler may be loaded, and another be unloaded, at any time."""
    cgroup = v1.find_exn("blkio:/cgroups-capture/inner")
    paths = [Path(f"{cgroup.path}/{name}") for name in ("blkio.weight_device", "blkio.bfq.weight_device")]
    for path in paths:
        path.unlink(missing_ok=True)
    with pytest.raises(ParameterNotSupported):
        Parameters.get(Blkio.weight_device, cgroup)
    for path in (*paths, *reversed(paths)):
        path.write_text("8:0 300\n")
        assert Parameters.get(Blkio.weight_device, cgroup) == {Device(8, 0): 300}
        path.unlink()
    with pytest.raises(ParameterNotSupported):
        Parameters.get(Blkio.weight_device, cgroup)


# ---- undoing -----------------------------------------------------------------------------


def test_set_table_interrupted_is_restored(recorded_v1: Callable[[str], Any]) -> None:
    """The interrupted line is restored too: whether the kernel has accepted it is unknown."""
    recorded = recorded_v1("blkio")
    name = "blkio.throttle.read_bps_device"
    recorded.put(name, "8:0 100\n")

    def interrupt() -> None:
        raise KeyboardInterrupt

    recorded.when(name, "8:16 6", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Parameters.set(Blkio.throttle_read_bps_device, recorded.cgroup, {Device(8, 0): 5, Device(8, 16): 6})
    assert recorded.writes == [(name, "8:0 5"), (name, "8:16 6"), (name, "8:16 0"), (name, "8:0 100")]


def test_find_or_create_cgroup_that_vanishes_is_created(recorded_v2: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """find_or_create looks twice, at the directory and at its controllers."""
    looks: list[object] = []
    target = f"memory:{recorded_v2.cgroup.location}"

    def subsystems(cgroup: Cgroup) -> tuple[str, ...]:
        if str(cgroup) == f":{recorded_v2.cgroup.location}" and not looks:
            looks.append(cgroup)
            raise CgroupGone("gone")
        return ("memory",)

    monkeypatch.setattr(Cgroup, "subsystems", property(subsystems))
    assert str(recorded_v2.cgroup.hierarchy.host.find_or_create(target)) == str(recorded_v2.cgroup)
    assert looks


# ---- what a kernel lacks --------------------------------------------------------------------


def test_get_missing_file_is_retried_only_once(make_cgroup: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop over parameters meets the same refusals in each cgroup, each time around."""
    if os.getuid() != 0 or not Hierarchy.scan():
        pytest.skip("making a cgroup needs root and a hierarchy")
    hierarchy = Hierarchy.scan()[0]
    cgroups = [make_cgroup(hierarchy.spec_head) for _ in range(2)]
    missing = Parameters.mk_get("cgroup", "never_heard_of", converter.int)
    slept: list[float] = []
    monkeypatch.setattr(diagnosis.time, "sleep", slept.append)
    for _ in range(3):
        for cgroup in cgroups:
            with pytest.raises(ParameterNotSupported):
                Parameters.get(missing, cgroup)
    assert len(slept) <= 1


# ---- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONUTF8": "1"}, {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}],
    ids=["utf-8", "ascii"],
)
def test_cgroup_names_are_equal_from_every_source(v1_root: Path, environment: dict[str, str]) -> None:
    """A directory listing, /proc/PID/cgroup, a spec and open() mean one cgroup by one str, in every locale."""
    name = "caf\u00e9".encode() + b"-\xff"
    directory = os.fsencode(v1_root) + b"/sys/fs/cgroup/memory/" + name
    os.mkdir(directory)
    Path(os.fsdecode(directory + b"/memory.usage_in_bytes")).write_text("4096\n")
    v1_root.joinpath("proc/77").mkdir()
    v1_root.joinpath("proc/77/cgroup").write_bytes(b"4:memory:/" + name + b"\n")
    code = f"""
import os
from cgroups import Host, Memory, Parameters
host = Host({str(v1_root)!r})
[listed] = [one for one in host.find_exn("memory").children() if one.name.startswith("caf")]
assert host.process_info(77) == [listed], host.process_info(77)
assert host.find_exn(str(listed)) == listed
assert Parameters.get(Memory.usage_in_bytes, listed) == 4096
assert os.path.isdir(listed.path)
assert os.fsencode(listed.name) == {name!r}
"""
    _run(code, **environment)


# ---- what a kernel takes and means otherwise ------------------------------------------------------


def test_set_quota_that_would_overflow_is_refused(recorded_v2: Any, recorded_v1: Callable[[str], Any]) -> None:
    """cpu.max is multiplied by 1000 without a look: 2^64 / 1000 and 50 ms more would be a quota of 50 ms."""
    quota = (1 << 64) // 1000 + 50_001
    for recorded in (recorded_v2, recorded_v1("cpu")):
        for parameter, value in ((Cpu.max, CpuMax(quota)), (Cpu.cfs_quota_us, quota)):
            with pytest.raises(InvalidValue, match="value must be MAX or from 1000"):
                Parameters.set(parameter, recorded.cgroup, value)
        assert recorded.writes == []
