"""Sampler.follow on the real kernel: cgroups that come and go, and how little it costs to know."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from common import MakeCgroup, needs, text_of

from cgroups import (
    Cell,
    Cgroup,
    CgroupError,
    Core,
    Cpuacct,
    Hierarchy,
    InvalidValue,
    Memory,
    Parameters,
    Pids,
    Sampler,
    rates,
)

HEADS = [head for head in ("pids", "", "name=systemd") if Hierarchy.find(f"{head}:/") is not None]


@pytest.fixture(params=HEADS)
def top(request: pytest.FixtureRequest, make_cgroup: MakeCgroup) -> Cgroup:
    return make_cgroup(request.param)


def parameter_of(cgroup: Cgroup) -> Any:
    """Something that every cgroup of the hierarchy has, and a test can set."""
    return (
        Core.max_descendants
        if cgroup.version == 2
        else Pids.max
        if "pids" in cgroup.subsystems
        else Core.clone_children
    )


@contextlib.contextmanager
def following(top: Cgroup, **how: Any) -> Iterator[Callable[[], list[str]]]:
    """``names()``: the rows' names below the top, in the next frame."""
    with Sampler.follow(top, [parameter_of(top)], **how) as sampler:

        def names() -> list[str]:
            frame = sampler.sample()
            assert set(frame.status.cast("B")) <= {Cell.OK, Cell.MAX}
            assert frame.inodes.tolist() == [cgroup.inode for cgroup in frame.cgroups]
            return sorted(cgroup.location.removeprefix(top.location) for cgroup in frame.cgroups)

        yield names


def test_cgroups_come_and_go(top: Cgroup) -> None:
    top.make("a/b")
    with following(top) as names:
        assert names() == ["", "/a", "/a/b"]
        top.make("a/b/c/d")
        top.make_sub("e")
        assert names() == ["", "/a", "/a/b", "/a/b/c", "/a/b/c/d", "/e"]
        top.child("a").child("b").remove(recursive=True)
        assert names() == ["", "/a", "/e"]
        top.child("e").remove()
        top.make("e/f")
        assert names() == ["", "/a", "/e", "/e/f"]
        top.make_sub("g").remove()
        assert names() == ["", "/a", "/e", "/e/f"]


def test_follow_name_that_is_not_utf8(top: Cgroup) -> None:
    with following(top) as names:
        top.make_sub(os.fsdecode(b"a\xff b"))
        assert names() == ["", os.fsdecode(b"/a\xff b")]


def test_follow_cgroup_created_again_is_another_row(top: Cgroup) -> None:
    child = top.make_sub("a")
    parameter = parameter_of(top)
    Parameters.set(parameter, child, 1 if parameter is not Core.clone_children else True)
    with Sampler.follow(top, [parameter]) as sampler:
        before = sampler.sample()
        child.remove()
        child = top.make_sub("a")
        after = sampler.sample()
        assert after.status.tolist() == [[Cell.OK]] * 2 or Cell.MAX in after.status.cast("B")
        assert after[child, parameter] != before[child, parameter]
        assert rates(before, after)[child].inode == child.inode
        assert rates(before, after)[child].delta(parameter) is None


def test_depth_and_name(top: Cgroup) -> None:
    for path in ("x.service/y.service", "x.slice/z.service/w"):
        top.make(path)
    with (
        following(top, depth=0) as names,
        following(top, depth=1) as near,
        following(top, name="*.service") as services,
    ):
        assert names() == [""]
        assert near() == ["", "/x.service", "/x.slice"]
        assert services() == ["/x.service", "/x.service/y.service", "/x.slice/z.service"]
        top.make("v.service/u")
        top.make("x.slice/t.service")
        assert names() == [""]
        assert near() == ["", "/v.service", "/x.service", "/x.slice"]
        assert "/v.service" in services()
        assert "/x.slice/t.service" in services()
        assert "/v.service/u" not in services()


def test_follow_without_cgroups_is_empty(make_cgroup: MakeCgroup) -> None:
    """Columns are there for what is to come."""
    top = make_cgroup("memory")
    with Sampler.follow(
        top, [Memory.stat, Cpuacct.usage] if top.version == 2 else [Memory.stat], name="job*"
    ) as sampler:
        assert len(sampler.sample()) == 0
        assert len(sampler.columns) > 5
        job = top.make_sub("job1")
        frame = sampler.sample()
        assert frame.cgroups == (job,)
        assert set(frame[job, Memory.stat]) == {line.split()[0] for line in text_of(job, "memory.stat").splitlines()}


def test_follow_root_removed_and_created_again(make_cgroup: MakeCgroup) -> None:
    top = make_cgroup("pids").make_sub("top")
    top.make_sub("a")
    with Sampler.follow(top, [Pids.current if top.version == 1 else Core.max_depth]) as sampler:
        assert len(sampler.sample()) == 2
        top.remove(recursive=True)
        frame = sampler.sample()
        assert frame.cgroups == (top,)
        assert frame.status.tolist() == [[Cell.GONE]]
        top.hierarchy.root().make(top.location)
        top.make_sub("b")
        deadline = time.monotonic() + 60
        while len(frame := sampler.sample()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert [cgroup.name for cgroup in frame.cgroups] == ["top", "b"]
        assert frame.status.tolist() != [[Cell.GONE]] * 2


def test_follow_v1_rename(make_cgroup: MakeCgroup) -> None:
    top = make_cgroup("name=systemd")
    top.make("a/b")
    with following(top) as names:
        assert names() == ["", "/a", "/a/b"]
        os.rename(f"{top.path}/a", f"{top.path}/c")
        assert names() == ["", "/c", "/c/b"]
        top.child("c").make_sub("d")
        assert names() == ["", "/c", "/c/b", "/c/d"]


# ---- while it changes ----------------------------------------------------------------------------


class Storm:
    """A thread that makes and removes cgroups as fast as it can."""

    def __init__(self, top: Cgroup) -> None:
        self.top = top
        self.made = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._end.is_set():
            names = [f"{self.made + one}" for one in range(10)]
            for name in names:
                os.mkdir(f"{self.top.path}/{name}")
                os.mkdir(f"{self.top.path}/{name}/x")
            self.made += 20
            for name in names:
                os.rmdir(f"{self.top.path}/{name}/x")
                os.rmdir(f"{self.top.path}/{name}")

    def __enter__(self) -> Storm:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


def test_follow_storm_of_cgroups_breaks_no_frame(top: Cgroup) -> None:
    kept = top.make_sub("kept")
    inode, frames = kept.inode, 0
    with Sampler.follow(top, [parameter_of(top)]) as sampler, Storm(top) as storm:
        end = time.monotonic() + 2
        while time.monotonic() < end:
            frame = sampler.sample()
            row = frame.row_index(kept)
            assert frame.inodes[row] == inode
            assert frame.status.tolist()[row][0] in (Cell.OK, Cell.MAX)
            frames += 1
        assert frames > 5
        assert storm.made > 100
    with following(top) as names:
        assert names() == ["", "/kept"]


def test_follow_after_an_overflow_finds_all(make_cgroup: MakeCgroup) -> None:
    """The queue holds a limited number of events; cgroups of lost events are found by another walk."""
    queue = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    top = make_cgroup(HEADS[-1])
    with following(top) as names:
        names()
        for _ in range(queue // 2 + 10):
            os.mkdir(f"{top.path}/a")
            os.rmdir(f"{top.path}/a")
        top.make("b/c")
        assert names() == ["", "/b", "/b/c"]
        top.child("b").make_sub("d")
        assert names() == ["", "/b", "/b/c", "/b/d"]


def test_too_few_watches(top: Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    from cgroups.core import inotify
    from cgroups.observe import subtree

    def refuse(self: Any, path: str) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(inotify.Watcher, "watch", refuse)
    monkeypatch.setattr(subtree, "CHECK_NS", 1)
    with pytest.warns(RuntimeWarning, match="max_user_watches"), following(top) as names:
        top.make("a/b")
        assert names() == ["", "/a", "/a/b"]
        top.child("a").remove(recursive=True)
        assert names() == [""]


OTHER_NAMESPACE = """
import ctypes, time
top = Hierarchy.find_exn(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
print("ready", flush=True)
sys.stdin.readline()
assert libc.unshare(0x02000000 | 0x00020000) == 0  # CLONE_NEWCGROUP, CLONE_NEWNS
mount("none", "/", None, 0x44000)  # MS_REC | MS_PRIVATE
mount("cgroup2", "/mnt", "cgroup2")
os.mkdir("/mnt/made-inside")
print("made", flush=True)
sys.stdin.readline()
os.rmdir("/mnt/made-inside")
print("removed", flush=True)
sys.stdin.readline()
"""


def test_follow_cgroup_of_a_namespace_is_seen_within_a_second(make_cgroup: MakeCgroup, script: Any) -> None:
    """Its mount is another super block, of which inotify tells nothing here."""
    top = make_cgroup("")
    with (
        following(top) as names,
        subprocess.Popen(
            script(OTHER_NAMESPACE, str(top)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as inside,
    ):
        assert inside.stdin is not None
        assert inside.stdout is not None

        def step(word: str) -> None:
            assert inside.stdout is not None
            assert inside.stdout.readline() == f"{word}\n"

        def go_on() -> None:
            assert inside.stdin is not None
            inside.stdin.write("\n")
            inside.stdin.flush()

        def seen(wanted: list[str]) -> None:
            deadline = time.monotonic() + 60
            while names() != wanted:
                assert time.monotonic() < deadline
                time.sleep(0.1)

        step("ready")
        top.add_process(inside.pid)
        names()
        go_on()
        step("made")
        seen(["", "/made-inside"])
        go_on()
        step("removed")
        seen([""])
        go_on()
        inside.wait(60)


# ---- what it costs -------------------------------------------------------------------------------

STEADY = """
import gc
from cgroups import Sampler
sampler = Sampler.follow(Hierarchy.find_exn(sys.argv[1]), [Core.max_depth])
gc.collect()
gc.disable()
for _ in range(50):
    frame = sampler.sample()
for _ in range(4):
    os.getppid()
    frame = sampler.sample()
os.getppid()
"""


MEMORY = ("mmap", "munmap", "brk", "madvise")


@needs("native", "strace")
def test_follow_steady_frame_lists_no_directory(make_cgroup: MakeCgroup, script: Any, tmp_path: Path) -> None:
    """One read of the events, and a pread for each file."""
    top = make_cgroup("")
    for number in range(5):
        top.make_sub(str(number))
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-qq", "-o", str(trace), *script(STEADY, str(top))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    calls = [re.sub(r"^\d+ +", "", line) for line in trace.read_text().splitlines()]
    marks = [at for at, call in enumerate(calls) if call.startswith("getppid")][-5:]
    # A memory allocator may ask for more at any time.
    names = [call.split("(")[0] for call in calls]
    frames = [[name for name in names[start + 1 : end] if name not in MEMORY] for start, end in zip(marks, marks[1:])]
    # Once a second there is a look at the kernel's count.
    assert frames.count(["read", *["pread64"] * 6]) >= 3
    assert not any("getdents64" in frame for frame in frames)


# ---- processes and ends ----------------------------------------------------------------------------


def test_follow_after_a_fork_works_in_both(top: Cgroup) -> None:
    with following(top) as names:
        names()
        top.make_sub("a")
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if names() == names() == ["", "/a"] else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert names() == ["", "/a"]


def test_close_leaves_no_descriptor(top: Cgroup) -> None:
    before = len(os.listdir("/proc/self/fd"))
    sampler = Sampler.follow(top, [parameter_of(top)])
    sampler.sample()
    sampler.close()
    sampler.close()
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # the hierarchy's own directory
    with pytest.raises(ValueError, match="closed"):
        sampler.sample()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"depth": -1}, "depth"),
        ({"depth": True}, "depth"),
        ({"depth": "1"}, "depth"),
        ({"name": ""}, "pattern"),
        ({"name": None}, "pattern"),
    ],
)
def test_what_is_refused(top: Cgroup, how: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        Sampler.follow(top, [parameter_of(top)], **how)


def test_what_else_is_refused(top: Cgroup) -> None:
    with pytest.raises(InvalidValue, match="root must be a Cgroup"):
        Sampler.follow("pids:/", [Pids.max])  # type: ignore[arg-type]
    with (
        Sampler.follow(top, [parameter_of(top)]) as sampler,
        pytest.raises(InvalidValue, match="cannot record a sampler that follows a subtree"),
    ):
        sampler.record(1)
    with pytest.raises(CgroupError), Sampler.follow(top, ["nothing"]):  # type: ignore[list-item]
        pass


# ---- a user who makes more than is listed ------------------------------------------------------


def test_follow_more_than_one_call_lists_goes_on_at_the_next(
    make_cgroup: MakeCgroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cgroups.observe import subtree

    monkeypatch.setattr(subtree, "FIRST_ROUND_S", 0.0)
    monkeypatch.setattr(subtree, "ROUND_S", 0.002)
    top = make_cgroup("pids")
    for number in range(300):
        os.makedirs(f"{top.path}/{number}/below")
    with Sampler.follow(top, [Pids.current]) as sampler:
        counts = [len(sampler.sample().cgroups)]
        while counts[-1] < 601 and len(counts) < 2000:
            counts.append(len(sampler.sample().cgroups))
        assert counts[0] < 601
        assert len(set(sampler.cgroups)) == 601
    assert {one.location for one in sampler.cgroups} == {one.location for one in top.walk()}


def test_follow_path_past_path_max_is_left_out_with_a_warning(make_cgroup: MakeCgroup) -> None:
    top = make_cgroup("pids")
    fd = os.open(str(top.path), os.O_RDONLY)
    for _ in range(20):
        os.mkdir("n" * 250, dir_fd=fd)
        below = os.open("n" * 250, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    with pytest.warns(RuntimeWarning, match="PATH_MAX"):
        sampler = Sampler.follow(top, [Pids.current])
    with sampler:
        assert max(len(one.location) for one in sampler.sample().cgroups) <= 4096
        assert len(sampler.cgroups) == 17
    top.remove(recursive=True)
