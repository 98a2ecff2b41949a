"""The command ``watch``: figures that are the kernel's, on a terminal, in a pipe, and for everybody."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from common import CTRL_C, MIB, SHELL, MakeCgroup, Need, Spawn, Terminal, started

from cgroups import Cgroup, Cpuacct, Hierarchy, Memory, Parameters, Pids

WORDS = [sys.executable, "-m", "cgroups", "watch"]
BURN = "while True: pass"
HOLD = f"x = bytearray({32 * MIB}); import time; print('ready', flush=True); time.sleep(600)"


@pytest.fixture
def ready(make_ready: Callable[..., Cgroup], need: Need) -> Callable[[str], Cgroup]:
    """A cgroup of a controller, in which processes may be."""

    def make(controller: str) -> Cgroup:
        need(controller)
        return make_ready(controller)

    return make


def watch(*words: str, **keywords: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*WORDS, *words], capture_output=True, text=True, cwd="/", timeout=120, check=False, **keywords
    )


def lines_of(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


# ---- figures -------------------------------------------------------------------------------------


def test_cpu_is_what_the_kernel_counts(ready: Callable[[str], Cgroup], spawn: Spawn) -> None:
    cgroup = ready("cpuacct")
    cgroup.add_process(spawn(sys.executable, "-S", "-c", BURN).pid)
    began, used = time.monotonic_ns(), Parameters.get(Cpuacct.usage, cgroup)
    (line,) = lines_of(watch(str(cgroup), "--once", "--json", "--interval", "2"))
    used, took = (Parameters.get(Cpuacct.usage, cgroup) - used) / 1e9, (time.monotonic_ns() - began) / 1e9
    assert line["location"] == cgroup.location
    # It looked for two seconds of these, and in the rest one process can have used one CPU at most.
    assert used - (took - 2) - 0.1 <= 2 * line["cpu"] <= used + 0.1
    assert line["cpu"] > 0.1


def test_memory_and_its_limit(ready: Callable[[str], Cgroup], spawn: Spawn) -> None:
    cgroup = ready("memory")
    Parameters.set(Memory.limit_in_bytes, cgroup, 512 * MIB)
    holder = spawn(sys.executable, "-S", "-c", "input(); " + HOLD, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    cgroup.add_process(holder.pid)
    holder.stdin.write(b"\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == b"ready\n"
    (line,) = lines_of(watch(str(cgroup), "--once", "--json", "--interval", "0.1"))
    assert line["limit"] == 512 * MIB
    assert 32 * MIB <= line["memory"] < 64 * MIB
    assert line["memory"] == pytest.approx(Parameters.get(Memory.usage_in_bytes, cgroup), abs=MIB)
    assert 0 < line["working_set"] <= line["memory"]


def test_pids(ready: Callable[[str], Cgroup], spawn: Spawn) -> None:
    cgroup = ready("pids")
    for _ in range(3):
        cgroup.add_process(spawn("sleep", "600").pid)
    (line,) = lines_of(watch(str(cgroup), "--once", "--json", "--interval", "0.1"))
    assert line["pids"] == Parameters.get(Pids.current, cgroup) == 3


def test_each_cgroup_once_on_whichever_hierarchies(make_cgroup: MakeCgroup, need: Need) -> None:
    top = make_cgroup("memory")
    others = []
    for controller in ("cpuacct", "memory", "pids"):
        need(controller)
        others.append(Hierarchy.find_or_create(f"{controller}:{top.location}"))
    try:
        (line,) = lines_of(watch(str(top), "--once", "--json", "--interval", "0.1"))
    finally:
        for one in others:
            if one != top and one.exists:
                one.remove()
    assert line["location"] == top.location
    assert (line["cpu"], line["pids"]) == (0, 0)
    assert line["memory"] is not None


def test_watch_busiest_come_first(ready: Callable[[str], Cgroup], spawn: Spawn) -> None:
    top = ready("pids")
    for name, count in (("a", 1), ("b", 3), ("c", 2)):
        child = top.make_sub(name)
        for _ in range(count):
            child.add_process(spawn("sleep", "600").pid)
    lines = lines_of(watch(str(top), "--once", "--json", "--interval", "0.1", "--sort", "pids"))
    assert [(line["location"].removeprefix(top.location), line["pids"]) for line in lines] == [
        ("", 6),
        ("/b", 3),
        ("/c", 2),
        ("/a", 1),
    ]
    lines = lines_of(watch(str(top), "--once", "--json", "--interval", "0.1", "--sort", "name", "--depth", "0"))
    assert [line["location"] for line in lines] == [top.location]


def test_watch_name_is_readable(make_cgroup: MakeCgroup) -> None:
    top = make_cgroup("cpuacct")
    top.make("system.slice/nginx.service")
    top.make(f"docker/{'0123456789abcdef' * 4}/init")
    lines = lines_of(watch(str(top), "--once", "--json", "--interval", "0.1"))
    names = {line["name"] for line in lines}
    assert {"nginx.service", "system.slice", "docker 0123456789ab", "docker 0123456789ab/init", top.location} <= names


# ---- in a pipe -----------------------------------------------------------------------------------


def test_plain_text_in_a_pipe(make_cgroup: MakeCgroup) -> None:
    top = make_cgroup("cpuacct")
    top.make_sub("inner")
    done = watch(str(top), "--count", "3", "--interval", "0.05", "--sort", "name")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    looks = done.stdout.split("\n\n")
    assert len(looks) == 3
    for look in looks:
        titles, *lines = look.strip("\n").splitlines()
        assert titles.split()[0] == "CPU"
        assert [line.split()[-1] for line in lines] == [top.location, f"{top.location}/inner"]
        assert {line.split()[0] for line in lines} == {"0.00"}


def test_cgroups_that_come_and_go(make_cgroup: MakeCgroup) -> None:
    top = make_cgroup("cpuacct")
    with started([*WORDS, str(top), "--json", "--interval", "0.05"], stdout=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        inner = f"{top.location}/inner"

        def until(there: bool) -> None:
            assert watching.stdout is not None
            seen: dict[int, set[str]] = {}
            for line in watching.stdout:
                one = json.loads(line)
                seen.setdefault(one["look"], set()).add(one["location"])
                whole = list(seen.values())[:-1]  # the last may continue
                if any((inner in look) is there for look in whole):
                    return

        until(there=False)
        child = top.make_sub("inner")
        until(there=True)
        child.remove()
        until(there=False)
        watching.send_signal(2)
        watching.stdout.read()
        assert watching.wait(60) == 0


@pytest.mark.anywhere
def test_watch_closed_pipe_exits_quietly(make_cgroup: MakeCgroup) -> None:
    command = f"{' '.join(WORDS)} {make_cgroup('cpuacct')} --json --interval 0.05 | head -n 2"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, timeout=120, cwd="/"
    )
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 2)


# ---- on a terminal -------------------------------------------------------------------------------

ENTER, LEAVE, HOME = "\x1b[?1049h", "\x1b[?1049l", "\x1b[H"
HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"


@pytest.mark.anywhere
def test_watch_resized_terminal_is_redrawn_until_ctrl_c(make_cgroup: MakeCgroup) -> None:
    top = make_cgroup("cpuacct")
    for number in range(30):
        top.make_sub(f"a-rather-long-name-of-a-cgroup-{number}")
    terminal = Terminal(*WORDS, str(top), "--plain", "--interval", "0.1", "--sort", "name")
    terminal.resize(20, 200)
    assert ENTER in terminal.read("READ/S")
    for lines, columns in ((20, 200), (10, 60), (40, 120)):
        terminal.resize(lines, columns)
        terminal.forget()
        # Each look begins at the upper left; the first ones may have begun before, and the last is not whole.
        while len(looks := terminal.text.split(HOME)) < 5:
            terminal.read(HOME, again=True)
        look = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", looks[-2]).replace("\r", "").splitlines()
        assert len(look) <= lines
        assert max(map(len, look)) <= columns
        assert any("THROTTLED" in line for line in look) is (columns > 60)
    terminal.type(CTRL_C)
    text = terminal.read(LEAVE)
    assert terminal.wait() == 0
    assert "Traceback" not in text
    # What was seen last stays.
    assert top.name in terminal.text.partition(LEAVE)[2]


@pytest.mark.anywhere
def test_count_on_a_terminal(make_cgroup: MakeCgroup) -> None:
    terminal = Terminal(*WORDS, str(make_cgroup("cpuacct")), "--plain", "--interval", "0.05", "--count", "2")
    terminal.resize(20, 100)
    assert terminal.wait() == 0
    once = Terminal(*WORDS, str(make_cgroup("cpuacct")), "--interval", "0.05", "--once")
    assert once.wait() == 0
    assert ENTER not in once.text


@pytest.mark.anywhere
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_watch_ended_by_a_signal_restores_the_terminal(number: signal.Signals, make_cgroup: MakeCgroup) -> None:
    terminal = Terminal(*WORDS, str(make_cgroup("cpuacct")), "--plain", "--interval", "0.1")
    terminal.resize(20, 100)
    terminal.read("READ/S")
    terminal.forget()
    os.kill(terminal.pid, number)
    text = terminal.read(LEAVE)
    assert terminal.wait() == -number
    assert text.rindex(SHOWN) > text.rfind(HIDDEN)
    assert "Traceback" not in terminal.text


@pytest.mark.anywhere
def test_watch_stopped_by_ctrl_z_gives_the_terminal_back_and_goes_on(make_cgroup: MakeCgroup) -> None:
    top = make_cgroup("cpuacct")
    terminal = Terminal(sys.executable, "-c", SHELL, *WORDS, str(top), "--plain", "--interval", "0.1")
    terminal.resize(20, 100)
    terminal.read("READ/S")
    terminal.forget()
    terminal.type("\x1a")
    text = terminal.read("STOPPED")
    assert text.rindex(LEAVE) > text.rfind(ENTER)
    assert text.rindex(SHOWN) > text.rfind(HIDDEN)
    terminal.forget()
    os.kill(terminal.pid, signal.SIGUSR1)
    text = terminal.read("READ/S")
    assert ENTER in text
    assert HIDDEN in text
    terminal.type(CTRL_C)
    assert "ENDED 0" in terminal.read("ENDED 0")
    assert terminal.wait() == 0


@pytest.mark.anywhere
def test_watch_on_a_dumb_terminal_prints_plain_text(make_cgroup: MakeCgroup) -> None:
    top = make_cgroup("cpuacct")
    terminal = Terminal("/usr/bin/env", "TERM=dumb", *WORDS, str(top), "--interval", "0.05", "--count", "2")
    assert terminal.wait() == 0
    assert "\x1b" not in terminal.text
    assert terminal.text.count(top.name) == 2


# ---- for everybody -------------------------------------------------------------------------------

# The interpreter may be where only root may look, so it has to load all that it needs before.
AS_NOBODY = """
import contextlib, io, os, sys
from cgroups.cli import main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    main()
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
main()
"""


def test_watch_unprivileged_user_sees_the_tree(make_cgroup: MakeCgroup) -> None:
    top = make_cgroup("cpuacct")
    words = [str(top), "--once", "--json", "--interval", "0.05"]
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, "watch", *words], capture_output=True, text=True, timeout=120, cwd="/"
    )
    (line,) = lines_of(done)
    assert line["cpu"] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--interval", "0.01"), "--interval"),
        (("--sort", "colour"), "colour"),
        (("--count", "0"), "--count"),
        (("--depth", "-1"), "--depth"),
    ],
)
def test_words_that_are_no_command(words: tuple[str, ...], message: str) -> None:
    done = watch(*words)
    assert done.returncode == 2
    assert message in done.stderr


def test_watch_missing_cgroup_fails() -> None:
    done = watch("cpuacct:/cgroups-test-none", "--once")
    assert done.returncode == 1
    assert done.stderr.startswith("cgroups: ")
    assert done.stderr.count("\n") == 1
