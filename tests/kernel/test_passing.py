"""Temporary cgroups and those of a run: their names, what a failed removal does, and what a killed runner leaves."""

from __future__ import annotations

import atexit
import errno
import gc
import re
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from common import Spawn

import cgroups
from cgroups import Cgroup, CgroupError, CgroupOSError, Group
from cgroups.control import temporary

RUN = [sys.executable, "-m", "cgroups", "run"]


def left(parents: list[Cgroup]) -> list[str]:
    return [str(child) for parent in parents for child in parent.children()]


def options(parents: list[Cgroup]) -> list[str]:
    return [word for parent in parents for word in ("--parent", str(parent))]


# ---- names -------------------------------------------------------------------------------


@pytest.mark.anywhere
def test_runs_in_several_pid_namespaces_have_names_of_their_own(parents: list[Cgroup], spawn: Spawn) -> None:
    # In each the runner is process 1.
    words = ["unshare", "--pid", "--fork", *RUN, *options(parents), "--", "sleep", "1"]
    runners = [spawn(*words, cwd="/", stderr=subprocess.PIPE) for _ in range(3)]
    ended = [(runner.wait(60), runner.stderr.read()) for runner in runners]  # type: ignore[union-attr]
    assert [code for code, _ in ended] == [0, 0, 0], ended
    assert left(parents) == []


@pytest.mark.anywhere
def test_run_names_what_a_killed_runner_left(parents: list[Cgroup], spawn: Spawn) -> None:
    words = [*RUN, *options(parents), "--", "sh", "-c", "echo started; exec sleep 100"]
    killed, living = (spawn(*words, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(2))
    for runner in (killed, living):
        assert runner.stdout.readline() == b"started\n"  # type: ignore[union-attr]
    killed.kill()
    killed.wait(30)
    time.sleep(1.5)
    remaining = [str(child) for parent in parents for child in parent.children() if f"-{killed.pid}-" in child.name]
    assert len(remaining) == len(parents)
    ran = subprocess.run([*RUN, *options(parents), "true"], cwd="/", capture_output=True, text=True, check=True)
    named = re.findall(r"^(\S+) was left by a killed runner; to remove it: cgroups remove -rk (\S+)$",
                       ran.stderr, re.MULTILINE)  # fmt: skip
    assert sorted(named) == sorted((spec, spec) for spec in remaining)
    # The advice is a command that works, and then nothing is named any more.
    for spec, _ in named:
        subprocess.run([sys.executable, "-m", "cgroups", "remove", "-rk", spec], cwd="/", check=True)
    assert cgroups.run(["true"], parent=parents).abandoned == ()
    living.terminate()
    assert living.wait(30) == 128 + signal.SIGTERM
    assert left(parents) == []


def test_claims_of_a_cgroup_that_is_young_or_locked_it_is_not_abandoned(parents: list[Cgroup]) -> None:
    from cgroups.control import claims  # noqa: PLC0415 - only for this test

    [one, other] = [parents[0].make_sub(f"cgroups-run-7-{number:016x}") for number in (1, 2)]
    unlike = parents[0].make_sub("cgroups-run-7-short")  # no name that a run gives
    try:
        assert claims.abandoned(parents, "cgroups-run-") == []
        held = claims.Claims()
        held.take(one)
        time.sleep(claims.YOUNG_S + 0.1)
        assert claims.abandoned(parents, "cgroups-run-") == [other]
        assert claims.abandoned(parents, "cgroups-other-") == []
        held.release()
        assert claims.abandoned(parents, "cgroups-run-") == [one, other]
    finally:
        for cgroup in (one, other, unlike):
            cgroup.remove()


# ---- what stays in this process ----------------------------------------------------------


@pytest.mark.anywhere
def test_run_and_temporary_leave_no_entry_of_atexit_and_no_memory(parents: list[Cgroup]) -> None:
    # Only what these files allocate: the interpreter itself keeps strings of re.sub() for a while.
    files = [
        tracemalloc.Filter(True, f"*/cgroups/{name}.py")
        for name in ("control/temporary", "jobs/run", "jobs/job", "core/signals")
    ]

    def kept() -> int:
        gc.collect()
        return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces(files).traces)

    def go() -> None:
        with Group.temporary("job", [""] if parents[-1].version == 2 else ["pids"], parent=parents):
            pass
        assert cgroups.run(["echo", "x"], parent=parents, capture_output=True).stdout == b"x\n"

    tracemalloc.start()
    try:
        for _ in range(10):  # until what is kept once is kept
            go()
        entries = atexit._ncallbacks()
        before = kept()
        for _ in range(ROUNDS):
            go()
        grown = kept() - before
    finally:
        tracemalloc.stop()
    assert atexit._ncallbacks() == entries
    assert grown < ROUNDS * 12, grown


ROUNDS = 50


# ---- a removal that fails ----------------------------------------------------------------


class Failing:
    """A function that fails ``times`` times, and then calls the given one."""

    def __init__(self, function: Callable[..., Any], number: int, times: int) -> None:
        self.function, self.number, self.times = function, number, times
        self.calls = 0

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        self.calls += 1
        if self.calls <= self.times:
            message = f"failure {self.calls}"
            raise CgroupOSError(message, errno=self.number)
        return self.function(*args, **keywords)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], Failing]:
    def fail(number: int, times: int) -> Failing:
        found = Failing(temporary.remove, number, times)
        monkeypatch.setattr(temporary, "remove", found)
        monkeypatch.setattr(temporary, "_is_removed", lambda _: False)  # the quick way
        return found

    return fail


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO])
def test_removal_that_fails_once_is_tried_again_at_once(
    parents: list[Cgroup], failing: Callable[[int, int], Failing], number: int
) -> None:
    failing(number, 1)
    with Group.temporary("job", ["pids"], parent=parents) as group:
        assert group.exists
    assert left(parents) == []
    failing(number, 1)
    assert cgroups.run(["true"], parent=parents).returncode == 0
    assert left(parents) == []


def test_removal_that_always_fails_is_bounded_and_its_first_error_is_told(
    parents: list[Cgroup], failing: Callable[[int, int], Failing]
) -> None:
    broken = failing(errno.EIO, 1000)
    start = time.monotonic()
    block = Group.temporary("job", ["pids"], parent=parents)
    with pytest.raises(CgroupOSError, match="failure 1$"), block:
        pass
    assert time.monotonic() - start < 5
    assert 1 < broken.calls < 10
    # What the block raises is not hidden, and what is left is removed by whoever tries next.
    with pytest.raises(CgroupOSError) as caught, Group.temporary("job", ["pids"], parent=parents):
        raise KeyError("of the block")
    assert isinstance(caught.value.__context__, KeyError)
    broken.times = 0
    temporary._OPEN._end_all()
    assert left(parents) == []


LACKING = """
import errno, resource
parents = sys.argv[1].split("|")

def lack():
    # From the first free number on.
    fd = os.open("/", os.O_RDONLY); os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (fd, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
def later():
    time.sleep(0.03)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

for _ in range(2):
    with Group.temporary("job", ["pids"], parent=parents) as group:
        thread = threading.Thread(target=later)
        lack()
        thread.start()
    thread.join()
    assert not any(one.exists for one in group)
"""


def test_removal_during_a_lack_of_descriptors_succeeds_once_there_are_some(
    parents: list[Cgroup], run_script: Callable[..., str]
) -> None:
    run_script(LACKING, "|".join(map(str, parents)))
    assert left(parents) == []


READ_ONLY = """
import subprocess
for hierarchy in Hierarchy.scan():
    for one in hierarchy.mounts:
        mount(None, one.path, flags=MS_REMOUNT | MS_BIND | MS_RDONLY)
parents = sys.argv[1].split("|")
for go in (lambda: run(["true"], parent=parents), lambda: Group.temporary("job", ["pids"], parent=parents).__enter__()):
    error = raises(CgroupError, go)
    assert str(error).startswith(("cannot create ", "cannot enable ")), error
    print(type(error).__name__, error.errno)
done = subprocess.run([sys.executable, "-m", "cgroups", "run", "--parent", parents[0], "true"],
                      capture_output=True, text=True)
assert done.returncode == 125, done.stderr
assert done.stderr.startswith(("cgroups: cannot create ", "cgroups: cannot enable ")), done.stderr
assert len(done.stderr.splitlines()) == 1, done.stderr
print(done.stderr)
"""


def test_read_only_mount_cannot_create_is_the_one_error(
    parents: list[Cgroup], script: Callable[..., list[str]]
) -> None:
    words = ["unshare", "-m", *script(READ_ONLY, "|".join(map(str, parents)))]
    done = subprocess.run(words, capture_output=True, text=True, cwd="/", check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.count(str(errno.EROFS)) >= 2


def test_creation_that_fails_leaves_nothing_even_if_its_undoing_fails(
    parents: list[Cgroup], monkeypatch: pytest.MonkeyPatch
) -> None:
    from cgroups.control import create  # noqa: PLC0415 - only for this test

    monkeypatch.setattr(create, "_undo", lambda *_: None)
    with pytest.raises(CgroupError):
        cgroups.run(["true"], parent=parents, limits={"pids.max": -5})
    with pytest.raises(CgroupError), Group.temporary("job", [], limits={"pids.max": -5}, parent=parents):
        pass
    assert left(parents) == []


def test_temporary_that_is_below_a_new_cgroup_removes_only_its_own(parents: list[Cgroup]) -> None:
    [pids] = [one for one in parents if one.hierarchy.has("pids")]
    with Group.temporary("above/job", ["pids"], parent=pids) as group:
        [job] = group
        other = Cgroup.make_sub(job.parent, "other")  # type: ignore[arg-type]
    assert not job.exists
    assert other.exists
    for one in (other, other.parent):
        one.remove()  # type: ignore[union-attr]
