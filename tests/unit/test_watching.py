"""What ``watch`` says of captured trees: figures, times, and what it prints where no table can be drawn."""

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

from cgroups import Cgroup, Host
from cgroups.cli import live, render
from cgroups.cli.activity import Activity, Usage


@pytest.fixture
def looks() -> Iterator[Callable[..., dict[str, Usage]]]:
    """``looks(host)``: what one look, after one to begin with, says of each cgroup by its location."""
    opened: list[Activity] = []

    def look(host: Host, top: Cgroup | None = None) -> dict[str, Usage]:
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


def test_memory_of_the_root_of_v1_includes_kernel_memory(v1: Host, looks: Callable[..., dict[str, Usage]]) -> None:
    """The kernel's number leaves it out, and is less than a child's."""
    v1_memory(v1, usage=1000, kernel=500)
    found = looks(v1)
    assert (found["/"].memory, found["/"].working_set) == (1500, 1400)
    child = v1.find_exn("memory:/cgroups-capture")
    assert found["/cgroups-capture"].memory == int(Path(str(child.path), "memory.usage_in_bytes").read_text())


def test_memory_of_the_root_without_a_kernel_counter_is_the_kernels(
    v1: Host, looks: Callable[..., dict[str, Usage]]
) -> None:
    v1_memory(v1, usage=1000, kernel=None)
    assert looks(v1)["/"].memory == 1000


def test_memory_of_a_cgroup_that_is_shown_as_the_root_is_the_kernels(
    v1: Host, looks: Callable[..., dict[str, Usage]]
) -> None:
    """In a container the root of the mount is a cgroup as others are, and its number includes kernel memory."""
    root = v1_memory(v1, usage=1000, kernel=500)
    Path(str(root.path), "release_agent").unlink()
    assert looks(v1)["/"].memory == 1000


# ---- times ---------------------------------------------------------------------------------------


def test_json_has_the_time_of_the_reading_and_what_the_rates_are_of(v2: Host) -> None:
    """Of the reading, and not of the printing."""
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
    (line,) = map(json.loads, render.usages_as_json([usage], 7).splitlines())
    assert line["look"] == 7
    assert begin - 0.001 <= line["time"] <= end + 0.001
    assert 0.02 <= line["elapsed"] <= end - begin + 0.1
    assert line["cpu"] * line["elapsed"] == pytest.approx(0.03)


# ---- output ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("term", "drawn"), [("xterm", True), ("dumb", False), ("", False), (None, False)])
def test_table_is_drawn_only_where_the_terminal_can(
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
