"""The command events, and the guards of run, on real cgroups."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

import pytest
from common import MakeCgroup, Need, Spawn

import cgroups
from cgroups import Cgroup, Guard, Hierarchy, InvalidValue, Memory, Pids
from cgroups.cli.common.conditions import guard_named, threshold_named, trigger_named

Command = "subprocess.CompletedProcess[str]"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cgroups", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def lines(process: subprocess.Popen[bytes], count: int) -> list[dict[str, Any]]:
    assert process.stdout is not None
    return [json.loads(process.stdout.readline()) for _ in range(count)]


def test_events_are_printed_as_they_happen(make_cgroup: MakeCgroup, spawn: Spawn) -> None:
    """A process comes and goes, and the cgroup is removed, which ends it."""
    if Hierarchy.find(":/") is None:
        pytest.skip("no unified hierarchy is mounted here")
    cgroup = make_cgroup("")
    command = [sys.executable, "-m", "cgroups", "events", "--json", str(cgroup)]
    # The command says nothing until something happens: a flip tells that it has begun to watch.
    telling = spawn(*command, stdout=subprocess.PIPE, cwd="/")
    assert telling.stdout is not None
    first: list[bytes] = []
    import threading

    reader = threading.Thread(target=lambda: first.append(telling.stdout.readline()))
    reader.start()
    while reader.is_alive():
        child = spawn("sleep", "1000")
        cgroup.add_process(child.pid)
        reader.join(0.1)
        child.kill()
        child.wait()
        reader.join(0.1)
    event = json.loads(first[0])
    assert event["cgroup"] == str(cgroup)
    assert (event["what"], event["source"], event["file"]) == ("populated", "kernel", "cgroup.events")
    assert {event["before"], event["after"]} == {0, 1}
    cgroup.remove(timeout=10)
    rest = [json.loads(line) for line in telling.stdout]
    assert rest[-1]["what"] == "removed"
    assert telling.wait(30) == 0


def test_for_a_time(make_cgroup: MakeCgroup, head: str) -> None:
    cgroup = make_cgroup(head)
    told = run("events", str(cgroup), "--timeout", "0.2")
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")


def test_events_when_a_number_is_passed(make_cgroup: MakeCgroup, need: Need, spawn: Spawn) -> None:
    need("pids")
    cgroup = make_cgroup("pids")
    for _ in range(2):
        cgroup.add_process(spawn("sleep", "1000").pid)
    told = run("events", str(cgroup), "--when", "pids.current>1", "--timeout", "1")
    assert told.returncode == 0, told.stderr
    [line] = told.stdout.splitlines()
    assert f"{cgroup}  above  pids.current" in line
    assert line.endswith("2  (sampled)")


@pytest.mark.parametrize(
    "words",
    [
        ("--when", "pids.current"),
        ("--when", "pids.colour>1"),
        ("--when", "pids.current>x"),
        ("--when", "pids.current/s<1"),
        ("--when", "pids.current>1:TERM"),
        ("--pressure", "memory:some"),
        ("--pressure", "memory:some:150"),
        ("--interval", "0"),
    ],
)
def test_words_that_are_none(make_cgroup: MakeCgroup, head: str, words: tuple[str, ...]) -> None:
    told = run("events", str(make_cgroup(head)), *words)
    assert told.returncode == 2, told
    assert told.stdout == ""


def test_run_guard_fires(parents: list[Cgroup], need: Need) -> None:
    need("pids")
    words = [word for parent in parents for word in ("--parent", str(parent))]
    script = "for i in 1 2 3; do sleep 1000 & done; trap 'exit 3' TERM; wait"
    told = run(
        "run", *words, "--json", "--guard", "pids.current>3:TERM:20", "--interval", "0.05", "--", "sh", "-c", script
    )
    report = json.loads(told.stderr)
    assert told.returncode == report["exit_code"] == 3
    [fired] = report["fired"]
    assert (fired["what"], fired["file"]) == ("above", "pids.current")
    assert fired["after"] > 3
    plain = run("run", *words, "--guard", "pids.current>3:KILL", "--", "sh", "-c", script)
    assert plain.returncode == 128 + signal.SIGKILL
    assert "guards       pids.current above: " in plain.stderr


def test_guards_of_the_library_s_run(parents: list[Cgroup], need: Need) -> None:
    need("pids")
    told = cgroups.run(
        # The shell may see its children end before its own signal comes.
        ["sh", "-c", "sleep 1000 & sleep 1000 & wait; sleep 1000"],
        guards=[
            lambda group: Guard(group, Pids.current, above=1000),
            lambda group: Guard(group, Pids.current, above=2),
        ],
        parent=parents,
    )
    assert told.returncode == -signal.SIGTERM
    [event] = told.fired
    assert event.what == "above"


def test_what_the_words_say() -> None:
    guard = guard_named("memory.usage_in_bytes>500M:USR1:2.5", 0.5)
    assert guard == (Memory.usage_in_bytes, {"above": 500 << 20}, signal.SIGUSR1, 2.5, 0.5)
    assert guard_named("memory.pressure[some,avg10]>12.5", 1).what == Memory.pressure["some", "avg10"]
    assert guard_named("cpuacct.usage/s>1.5", 1)[1:] == ({"rate_above": 1_500_000_000}, signal.SIGTERM, None, 1)
    assert guard_named("pids.current<2", 1).wanted == {"below": 2}
    assert repr(threshold_named("pids.current>2", 0.1)) == "Threshold(pids.current, above=2)"
    assert repr(trigger_named("memory:some:150/2000")) == "PressureTrigger('memory', 'some', 150000, 2000000)"
    with pytest.raises(InvalidValue):
        trigger_named("memory:some:150/100")
