"""The output of ``watch`` for captured trees: figures, times, and text where no table can be drawn."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cgroups import MAX, Cgroup, Host
from cgroups.cli.common import live, render
from cgroups.cli.common.activity import Activity, CgroupUsage, tightest_limits
from cgroups.cli.watch import usages_as_json


@pytest.fixture
def looks() -> Iterator[Callable[..., dict[str, CgroupUsage]]]:
    """``looks(host)``: what one look, after one to begin with, says of each cgroup by its location."""
    opened: list[Activity] = []

    def look(host: Host, top: Cgroup | None = None) -> dict[str, CgroupUsage]:
        activity = Activity(host, top, None)
        opened.append(activity)
        assert activity.step() == []
        time.sleep(0.01)
        return {one.location: one for one in activity.step()}

    yield look
    for activity in opened:
        activity.close()


def write(cgroup: Cgroup, name: str, text: str) -> None:
    Path(str(cgroup.path), name).write_text(text)


# ---- figures -------------------------------------------------------------------------------------


def v1_memory(host: Host, usage: int, kernel: int | None) -> Cgroup:
    """The root of a memory hierarchy, with the files that only a root has."""
    root = host.find_exn("memory:/")
    write(root, "release_agent", "\n")
    write(root, "memory.usage_in_bytes", f"{usage}\n")
    write(root, "memory.stat", "inactive_file 100\ntotal_inactive_file 100\n")
    if kernel is not None:
        write(root, "memory.kmem.usage_in_bytes", f"{kernel}\n")
    return root


def test_watch_memory_of_the_v1_root_includes_kernel_memory(
    v1: Host, looks: Callable[..., dict[str, CgroupUsage]]
) -> None:
    """The kernel's number leaves it out, and is less than a child's."""
    v1_memory(v1, usage=1000, kernel=500)
    found = looks(v1)
    assert (found["/"].memory, found["/"].working_set) == (1500, 1400)
    child = v1.find_exn("memory:/cgroups-capture")
    assert found["/cgroups-capture"].memory == int(Path(str(child.path), "memory.usage_in_bytes").read_text())


def test_watch_memory_of_the_root_without_a_kernel_counter_is_the_kernels(
    v1: Host, looks: Callable[..., dict[str, CgroupUsage]]
) -> None:
    v1_memory(v1, usage=1000, kernel=None)
    assert looks(v1)["/"].memory == 1000


def test_watch_memory_of_a_cgroup_shown_as_the_root_is_the_kernels(
    v1: Host, looks: Callable[..., dict[str, CgroupUsage]]
) -> None:
    """In a container the root of the mount is a cgroup as others are, and its number includes kernel memory."""
    root = v1_memory(v1, usage=1000, kernel=500)
    Path(str(root.path), "release_agent").unlink()
    assert looks(v1)["/"].memory == 1000


# ---- details -------------------------------------------------------------------------------------


def detailed(host: Host, top: Cgroup | None = None) -> dict[str, CgroupUsage]:
    """The usage of each cgroup with its details, by location."""
    with closing(Activity(host, top, None, is_detailed=True)) as activity:
        activity.step()
        time.sleep(0.01)
        return {one.location: one for one in activity.step()}


def test_watch_without_details_reads_none_of_them(v2: Host, looks: Callable[..., dict[str, CgroupUsage]]) -> None:
    (one,) = {looks(v2)["/job/a"][CgroupUsage._fields.index("cpu_full_pressure") :]}
    assert set(one) == {None}


def test_watch_details_of_v2(v2: Host) -> None:
    job = v2.find_exn(":/job/a")
    write(job, "cpu.max", "150000 100000\n")
    write(job, "pids.max", "max\n")
    write(job, "pids.events", "max 4\n")
    write(job, "memory.swap.current", "4096\n")
    write(job, "memory.events.local", "low 0\nhigh 0\nmax 5\noom 2\noom_kill 1\n")
    found = detailed(v2)["/job/a"]
    assert (found.cpu_limit, found.pids_limit, found.refused_forks_total) == (1.5, MAX, 4)
    assert (found.swap, found.oom_kills_total, found.limit_hits_total) == (4096, 1, 5)


def test_watch_details_of_v1(v1: Host) -> None:
    write(v1.find_exn("cpu:/cgroups-capture"), "cpu.cfs_quota_us", "50000\n")
    write(v1.find_exn("cpu:/cgroups-capture"), "cpu.cfs_period_us", "100000\n")
    write(v1.find_exn("memory:/cgroups-capture"), "memory.failcnt", "9\n")
    write(v1.find_exn("memory:/cgroups-capture"), "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    found = detailed(v1)["/cgroups-capture"]
    assert (found.cpu_limit, found.limit_hits_total, found.oom_kills_total) == (0.5, 9, 3)


def test_watch_effective_limit_of_a_top_that_one_hierarchy_lacks(v1: Host) -> None:
    """The unified hierarchy of a hybrid host counts no memory: it must not hide the limit."""
    inner = v1.find_exn("memory:/cgroups-capture/inner")
    write(inner, "memory.limit_in_bytes", "1048576\n")
    found = detailed(v1, inner)[inner.location]
    assert (found.effective_limit, found.limited_by) == (1 << 20, inner.location)


@pytest.mark.parametrize("is_top", [False, True])
def test_watch_effective_limit_is_the_tightest_up_the_tree(is_top: bool, v2: Host) -> None:
    """Also of ancestors that are not shown."""
    job, inner = v2.find_exn(":/job"), v2.find_exn(":/job/a")
    for limits, effective, by in (
        (("1000", "2000"), 1000, "/job"),
        (("2000", "1000"), 1000, "/job/a"),
        (("max", "max"), MAX, None),
        (("1000", "1000"), 1000, "/job/a"),
    ):
        for cgroup, limit in zip((job, inner), limits):
            write(cgroup, "memory.max", f"{limit}\n")
        found = detailed(v2, inner if is_top else None)["/job/a"]
        assert (found.effective_limit, found.limited_by) == (effective, by)


# ---- times ---------------------------------------------------------------------------------------


def test_watch_json_has_time_and_elapsed(v2: Host) -> None:
    """The time is that of the reading, not of the printing."""
    job = v2.find_exn(":/job/a")
    with closing(Activity(v2, job, None)) as activity:
        write(job, "cpu.stat", "usage_usec 0\nuser_usec 0\nsystem_usec 0\n")
        activity.step()
        begin = time.time()
        write(job, "cpu.stat", "usage_usec 30000\nuser_usec 0\nsystem_usec 0\n")
        time.sleep(0.02)
        (usage,) = activity.step()
        end = time.time()
    time.sleep(0.05)
    (line,) = map(json.loads, usages_as_json([usage], 7).splitlines())
    assert line["look"] == 7
    assert begin - 0.001 <= line["time"] <= end + 0.001
    assert 0.02 <= line["elapsed"] <= end - begin + 0.1
    assert line["cpu"] * line["elapsed"] == pytest.approx(0.03)


def test_watch_json_keys_of_before_come_first(v2: Host) -> None:
    with closing(Activity(v2, v2.find_exn(":/job/a"), None, is_detailed=True)) as activity:
        activity.step()
        time.sleep(0.01)
        (line,) = map(json.loads, usages_as_json(activity.step(), 1).splitlines())
    assert [*line][:19] == [
        *("look", "time", "elapsed", "location", "name", "cpu", "throttled", "memory", "working_set", "limit"),
        *("read_bytes", "write_bytes", "reads", "writes", "pids", "cpu_pressure", "memory_pressure", "io_pressure"),
        "cpu_full_pressure",
    ]
    assert {
        "swap",
        "cpu_limit",
        "pids_limit",
        "effective_limit",
        "limited_by",
        "oom_kills_total",
        "limit_hits_total",
    } < {*line}


# ---- output ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("term", "drawn"), [("xterm", True), ("dumb", False), ("", False), (None, False)])
def test_live_possible_follows_term(
    term: str | None,
    drawn: bool,
    monkeypatch: pytest.MonkeyPatch,  # noqa: FBT001 - of a table
) -> None:
    monkeypatch.setattr(live.sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("TERM", raising=False) if term is None else monkeypatch.setenv("TERM", term)
    assert live.possible() is drawn


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_show_ended_by_a_signal_ends_by_that_signal(number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the terminal is as it was; whatever the states are asked for in between is not cut off."""
    sent: list[tuple[int, int]] = []
    closed: list[bool] = []

    def states() -> Iterator[int]:
        try:
            yield 1
            signal.raise_signal(number)
            yield 2
        finally:
            closed.append(True)

    before = signal.getsignal(number)
    monkeypatch.setattr(live.os, "kill", lambda pid, number: sent.append((pid, number)))
    try:
        live.show(lambda *_: "text", states())
    finally:
        for one in live.ENDING:
            signal.signal(one, before)
    assert sent == [(os.getpid(), number)]
    assert closed == [True]


def test_json_name_that_is_no_utf8_is_spelled_as_in_text() -> None:
    name: Any = os.fsdecode(b"bad\xff")
    assert json.loads(render.as_json({name: [name]})) == {r"bad\xff": [r"bad\xff"]}
    assert render.printable(name) == r"bad\xff"


def test_tightest_limits_of_a_root_hold_below() -> None:
    """The root of a cgroup namespace may have a limit."""
    own = {"/": 100, "/a": MAX, "/a/b": None, "/c": 50, "/c/d": 50, "/c/e": 60}
    assert tightest_limits(own) == {
        "/": (100, "/"),
        "/a": (100, "/"),
        "/a/b": (100, "/"),
        "/c": (50, "/c"),
        "/c/d": (50, "/c/d"),
        "/c/e": (50, "/c"),
    }
    assert tightest_limits({"/x/a": MAX, "/x/b": 9}, (7, "/")) == {"/x/a": (7, "/"), "/x/b": (7, "/")}
