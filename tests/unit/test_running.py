"""run, as far as no cgroup is needed: what it refuses, and how a report is told."""

from __future__ import annotations

import json
import math
import pickle
import subprocess
from typing import Any

import pytest

import cgroups
from cgroups import InvalidValue, Memory, Report, Stall
from cgroups.cli.common.report import data, text


@pytest.mark.parametrize(
    ("args", "keywords", "words"),
    [
        ("ls -l", {}, "a program and its arguments"),
        (b"ls", {}, "a program and its arguments"),
        ([], {}, "a program and its arguments"),
        (None, {}, "a program and its arguments"),
        ({"ls"}, {}, "a program and its arguments"),
        (["ls", 1], {}, "int"),
        (["ls"], {"sample": 0}, "sample must be seconds greater than 0, or None, got 0"),
        (["ls"], {"sample": -0.5}, "sample must be seconds greater than 0, or None, got -0.5"),
        (["ls"], {"sample": math.nan}, "sample must be seconds greater than 0, or None, got nan"),
        (["ls"], {"sample": math.inf}, "sample must be seconds greater than 0, at most 1000000000, or None, got inf"),
        (["ls"], {"sample": "1"}, "sample must be seconds greater than 0, or None, got '1'"),
        (["ls"], {"timeout": 0}, "timeout must be seconds greater than 0, or None, got 0"),
        (["ls"], {"timeout": True}, "timeout must be seconds greater than 0, or None, got True"),
        (["ls"], {"timeout": 1, "grace": 0}, "grace must be seconds greater than 0, or None, got 0"),
        (["ls"], {"grace": 1}, "without a timeout"),
        (["ls"], {"stdin": subprocess.PIPE}, "stdin"),
        (["ls"], {"limits": {"memory.colour": 1}}, "unknown parameter"),
        (["ls"], {"limits": {Memory.stat: 1}}, "parameter must be one that can be set"),
        (["ls"], {"parent": 7}, "parent must be a spec, .*, got 7"),
        (["ls"], {"parent": [7]}, "must contain only specs and Cgroups"),
        (["ls"], {"parent": "mem\nory:/x"}, "controller"),
    ],
)
def test_run_invalid_arguments_are_refused(
    args: Any, keywords: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("something was started")

    monkeypatch.setattr(subprocess.Popen, "__init__", never)
    with pytest.raises(InvalidValue, match=words):
        cgroups.run(args, **keywords)


NOTHING = dict.fromkeys(Report._fields)
BARE = Report(**{**NOTHING, "args": ("a\nb",), "returncode": 0, "timed_out": False, "killed": 0, "wall_ns": 1_500_000,
                 "memory_sampled": False, "samples": (), "fired": (), "abandoned": (), "notes": (),
                 "missing": {"memory": "no such thing"}})  # fmt: skip
FULL = BARE._replace(
    returncode=-9, timed_out=True, killed=2, wall_ns=2_000_000_000, cpu_ns=3_000_000_000, user_ns=2_500_000_000,
    system_ns=500_000_000, memory_peak=3 << 20, memory_sampled=True, read_bytes=4096, reads=1, written_bytes=0,
    writes=0, cpu_stall=Stall(10_000_000, None), memory_stall=Stall(2_000, 1_000), oom_kills=1, missing={},
    anon_peak=1 << 20, swap_peak=4096, page_faults=7, major_faults=2, voluntary_switches=3, involuntary_switches=4,
    ended_by="timeout", place="below its own :/a", estimated=("cpu_ns",),
)  # fmt: skip


def test_text_unmeasured_figures_are_named() -> None:
    assert text(BARE).splitlines() == [
        "command      a\\nb",
        "ended        exit status 0",
        "time         1.500 ms",
        *(f"{name:12} -" for name in ("cpu", "memory", "read", "written")),
        *(f"{name:12} -" for name in ("cpu stall", "memory stall", "io stall", "oom kills")),
        "memory was not measured: no such thing",
    ]


def test_text_has_every_figure() -> None:
    assert text(FULL).splitlines()[1:] == [
        "ended        ended by SIGKILL, timed out; processes killed: 2",
        "time         2.000 s",
        "cpu          3.000 s (1.50 CPUs, user 2.500 s, system 500.000 ms)",
        "memory       3.0 MiB at most (sampled), 1.0 MiB without page cache (sampled)",
        "swap         4.0 KiB at most",
        "read         4.0 KiB in 1 requests",
        "written      0 B in 0 requests",
        "cpu stall    some 10.000 ms",
        "memory stall some 0.002 ms, full 0.001 ms",
        "io stall     -",
        "oom kills    1",
        "faults       7 of pages, 2 with a read",
        "switches     3 waiting, 4 preempted",
        "place        below its own :/a",
        "estimates, from rusage and /proc: cpu",
    ]


def test_data_unknown_and_zero_differ() -> None:
    told = json.loads(json.dumps(data(FULL)))
    assert (told["written_bytes"], told["io_stall"], told["cpu_stall"]) == (
        0,
        None,
        {"some_ns": 10**7, "full_ns": None},
    )
    assert (told["exit_code"], told["signal"], told["samples"]) == (137, 9, [])
    told = data(BARE)
    assert told["cpu_ns"] is None
    assert told["missing"] == {"memory": "no such thing"}
    assert not {"stdout", "stderr"} & told.keys()


def test_text_cgroup_of_a_killed_runner_is_named() -> None:
    last = text(BARE._replace(abandoned=("pids:/a b/cgroups-run-1-x",))).splitlines()[-1]
    assert last == (
        "pids:/a b/cgroups-run-1-x was left by a killed runner; to remove it: "
        "cgroups remove -rk 'pids:/a b/cgroups-run-1-x'"
    )


def test_text_signal_without_a_name_is_its_number() -> None:
    assert "ended by signal 40" in text(BARE._replace(returncode=-40))


def test_report_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(FULL)) == FULL
