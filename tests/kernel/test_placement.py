"""Where a job's cgroups are made on a host without systemd: below its own cgroup, with room made there, or nowhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from common import SLOW, MakeCgroup

import cgroups
from cgroups import AccessDenied, Cgroup, CgroupExists, CgroupOSError, Group, Guard, Hierarchy, InvalidValue, Memory


@pytest.fixture
def own(make_ready: MakeCgroup) -> Cgroup:
    """A cgroup of v2 that has pids, for a caller to be in."""
    if Hierarchy.find_exn("pids").version == 1:
        pytest.skip("pids is on v1, which needs no room")
    return make_ready("pids")


INSIDE = """
    own = Hierarchy.find_exn(sys.argv[1])
    own.add_process(os.getpid())
    def place():
        return Hierarchy.own("pids").location
"""


def test_run_of_a_caller_that_is_alone_makes_room_in_its_own_cgroup(own: Cgroup, run_script: Any) -> None:
    run_script(
        INSIDE
        + """
    for _ in range(2):
        report = run(["cat", "/proc/self/cgroup"], pids=5, capture_output=True, text=True)
        assert f"0::{own.location}/cgroups-run-" in report.stdout, report.stdout
        assert report.place.startswith("below its own ") and report.refused == {}, report
        assert place() == f"{own.location}/cgroups-caller"
    assert [one.name for one in own.children()] == ["cgroups-caller"]
    with Group.temporary("job", ["pids"], pids=7, parent=None) as group:
        assert group.get(Pids.max) == 7 and group.cgroups[0].parent == own
    """,
        f"pids:{own.location}",
    )


def test_run_of_a_caller_in_company_is_refused_a_limit_until_all_may_be_moved(own: Cgroup, run_script: Any) -> None:
    run_script(
        INSIDE
        + """
    import subprocess
    other = subprocess.Popen(["sleep", "1000"])
    try:
        error = raises(CgroupBusy, lambda: run(["true"], pids=5))
        assert "no internal processes" in str(error), error
        report = run(["true"])
        assert report.cpu_ns is not None and report.place.startswith("below its own "), report
        assert place() == own.location
        report = run(["true"], pids=5, move_self=True)
        assert report.returncode == 0 and set(own.child("cgroups-caller").processes()) == {os.getpid(), other.pid}
    finally:
        other.kill()
        other.wait()
    """,
        f"pids:{own.location}",
    )


def test_run_on_a_read_only_mount_measures_and_refuses_limits(run_unshared: Any) -> None:
    run_unshared(
        """
        for hierarchy in Hierarchy.scan():
            for one in hierarchy.mounts:
                bind(one.path, one.path)
                mount(None, one.path, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)
        report = run(["true"])
        assert report.place == "no cgroup" and "read-only" in report.refused["own"], report
        assert report.cpu_ns is not None and "cpu_ns" in report.estimated
        error = raises(AccessDenied, lambda: run(["true"], pids=5))
        assert "read-only" in str(error), error
        """
    )


def test_run_without_a_cgroup_kills_what_the_command_leaves(tmp_path: Any) -> None:
    # The tree is known by samples, which a slow machine takes later.
    script = f"sleep 1000 & echo $!; wait $! & sleep {0.3 * SLOW}"
    report = cgroups.run(["sh", "-c", script], place="none", capture_output=True, text=True)
    assert isinstance(report.stdout, str)
    pid = int(report.stdout.split()[0])
    assert report.killed >= 1
    assert not (tmp_path.__class__("/proc") / str(pid)).exists() or _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize("error", [CgroupOSError, AccessDenied, CgroupExists])
def test_run_that_can_make_no_cgroup_measures_without(error: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def create(*_: Any, **__: Any) -> None:
        message = "cannot create it: some reason"
        raise error(message)

    monkeypatch.setattr("cgroups.control.create.Creation.create", create)
    report = cgroups.run(["true"])
    assert (report.returncode, report.place) == (0, "no cgroup")
    assert "some reason" in report.refused["own"]
    with pytest.raises(error, match="some reason"):
        cgroups.run(["true"], pids=5)
    with pytest.raises(error, match="some reason"):
        cgroups.run(["true"], place="own")


def test_run_that_cannot_tell_its_own_cgroups_measures_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        message = "cannot read /proc"
        raise CgroupOSError(message)

    monkeypatch.setattr("cgroups.core.trees.Trees.cgroups_of", fail)
    report = cgroups.run(["true"])
    assert (report.returncode, report.place, report.refused["own"]) == (0, "no cgroup", "cannot read /proc")


def test_run_without_a_cgroup_gives_descendants_their_grace(tmp_path: Path) -> None:
    mark = tmp_path / "saved"
    child = f"trap '' TERM; sleep {0.5 * SLOW}; touch {mark}"
    script = f"trap 'exit 3' TERM; sh -c '{child.replace(chr(39), chr(39) + chr(92) + chr(39) + chr(39))}' & wait"
    report = cgroups.run(["sh", "-c", script], place="none", timeout=0.3 * SLOW, grace=10 * SLOW)
    assert report.timed_out
    assert mark.exists()


def test_run_without_a_cgroup_ends_the_command_if_a_signal_comes_at_its_start(
    run_script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_script(
        """
        import signal
        from cgroups.jobs import process_tree
        run(["true"], place="none")
        began = process_tree.ProcessTree.__init__
        def interrupted(self, pid, *words):
            print(pid, flush=True)
            signal.raise_signal(signal.SIGTERM)
            began(self, pid, *words)
        process_tree.ProcessTree.__init__ = interrupted
        try:
            run(["sleep", "1000"], place="none")
        except SystemExit as error:
            assert error.code == 128 + signal.SIGTERM
        else:
            raise AssertionError("it was not interrupted")
        assert subprocess_children() == []
        """.replace("subprocess_children()", "open('/proc/thread-self/children').read().split()")
    )


def test_temporary_group_can_be_entered_again(own_place: list[Cgroup]) -> None:
    block = Group.temporary("cgroups-test-again", ["cpuacct"], limits={}, place="own")
    seen = []
    for _ in range(2):
        with block as group:
            seen.append(group.cgroups)
            assert group.exists
            assert group.spawn(["true"]).wait() == 0
        assert not any(one.exists for one in seen[-1])
    assert own_place


@pytest.fixture
def own_place() -> list[Cgroup]:
    return Hierarchy.process_info(os.getpid())


def test_run_names_the_oom_killer_before_a_guard(parents: list[Cgroup], need: Any) -> None:
    need("memory")
    guard = lambda group: Guard(group, Memory.usage_in_bytes, above=1, action=lambda _: None)  # noqa: E731
    command = ["sh", "-c", f"sleep 0.5; exec {sys.executable} -S -c 'x = bytearray(256 << 20)'"]
    report = cgroups.run(command, parent=parents, memory="48M", guards=[guard])
    assert (report.ended_by, len(report.fired)) == ("oom", 1), report
    report = cgroups.run(["sh", "-c", "sleep 0.5; kill -SEGV $$"], parent=parents, guards=[guard])
    assert (report.ended_by, len(report.fired)) == ("signal", 1), report


def test_run_in_the_place_none_refuses_what_needs_a_cgroup() -> None:
    with pytest.raises(InvalidValue, match="cannot use limits or guards with place 'none': it has no cgroup"):
        cgroups.run(["true"], place="none", memory="64M")
    with pytest.raises(InvalidValue, match="place must be one of auto, own, systemd, none, got 'elsewhere'"):
        cgroups.run(["true"], place="elsewhere")
