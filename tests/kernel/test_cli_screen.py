"""The full screen of ``watch`` through a real terminal: keys, actions on cgroups of the tests' own, and its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from common import CTRL_C, MIB, SHELL, SLOW, MakeCgroup, Need, Spawn, Terminal, fill

from cgroups import Cgroup, Freezer, Hierarchy, Memory, Parameters

pytest.importorskip("textual")

WORDS = [sys.executable, "-m", "cgroups", "watch"]
ENTER, LEAVE, SHOWN = "\x1b[?1049h", "\x1b[?1049l", "\x1b[?25h"
HEADING = "CGROUP"


def on(screen: str) -> list[str]:
    """The lines of a terminal of 40 lines after some output: only cursor movements to lines are followed."""
    lines = [""] * 60
    for part in re.split(r"\x1b\[(?=\d+;\d+H)", screen)[1:]:
        line, column, text = re.match(r"(\d+);(\d+)H(.*)", part, re.DOTALL).groups()  # type: ignore[union-attr]
        for below, piece in enumerate(text.split("\n")):
            at, begin = int(line) - 1 + below, int(column) - 1 if below == 0 else 0
            plain = re.sub(r"\x1b(\[[0-9;?<>=]*[A-Za-z]|[78=>])", "", piece)
            if at < len(lines) and plain:
                whole = lines[at].ljust(begin)
                lines[at] = whole[:begin] + plain + whole[begin + len(plain) :]
    return lines


class Watch:
    """``watch`` on a terminal of 40 lines and 150 columns."""

    def __init__(self, *words: str) -> None:
        self.terminal = Terminal(*WORDS, *words)
        self.terminal.resize(40, 150)

    def lines(self) -> list[str]:
        return on(self.terminal.text.replace("\r", ""))

    def until(self, is_there: Callable[[list[str]], Any]) -> list[str]:
        """The lines of the screen once they are as wanted."""
        deadline = time.monotonic() + 30 * SLOW
        while not is_there(lines := self.lines()):
            assert time.monotonic() < deadline, "\n".join(lines)
            self.terminal.read("\x1b[", again=True)
        return lines

    def row(self, name: str) -> str:
        """The row of a cgroup, once there is one."""
        return next(line for line in self.until(lambda lines: _row(lines, name)) if _is_row(line, name))

    def says(self, text: str) -> list[str]:
        return self.until(lambda lines: any(text in line for line in lines))

    def type(self, text: str) -> None:
        self.terminal.type(text)

    def select(self, name: str) -> None:
        """Filter by a name, and go to its row, the last one."""
        self.row(name)
        self.type(f"/{name}\r")
        self.says(f"match {name}")
        self.type("\x1b[F")
        self.row(name)

    def quit(self) -> None:
        self.type("q")
        assert self.terminal.wait() == 0
        left = self.terminal.text.rpartition(LEAVE)[2]
        assert LEAVE in self.terminal.text
        assert SHOWN in left
        assert "Traceback" not in self.terminal.text


def _is_row(line: str, name: str) -> bool:
    return line.replace("▾", " ").replace("▸", " ").split()[:1] == [name]


def _row(lines: list[str], name: str) -> bool:
    return any(_is_row(line, name) for line in lines)


@pytest.fixture
def tree(make_cgroup: MakeCgroup) -> Cgroup:
    """A cgroup with two children, one of which has a child."""
    top = make_cgroup("pids")
    top.make_sub("one").make_sub("inner")
    top.make_sub("two")
    return top


# ---- the table -----------------------------------------------------------------------------------


def test_screen_sorts_filters_folds_and_quits(tree: Cgroup, spawn: Spawn, need: Need) -> None:
    need("pids")
    fill(Hierarchy.find_exn(f"{tree}/two"), spawn, 2)
    screen = Watch(str(tree), "--interval", "0.1", "--sort", "pids")
    lines = screen.until(lambda lines: _row(lines, "two") and _row(lines, "inner"))
    assert screen.terminal.text.count(ENTER) == 1
    assert any(line.startswith(HEADING) for line in lines)
    order = [name for line in lines for name in ("one", "two", "inner") if _is_row(line, name)]
    assert order == ["two", "one", "inner"]
    screen.type("N")
    screen.until(
        lambda lines: [name for line in lines for name in ("one", "two") if _is_row(line, name)] == ["one", "two"]
    )
    screen.type("\x1b[B\x1b[D")  # down to one, and left: fold it
    screen.until(lambda lines: not _row(lines, "inner"))
    screen.type("\x1b[C")
    screen.until(lambda lines: _row(lines, "inner"))
    screen.type("/tw")
    screen.says("Filter: tw")
    screen.until(lambda lines: _row(lines, "two") and not _row(lines, "one"))
    screen.type("\r")
    screen.says("1 of 4 match tw")
    screen.type("6")
    screen.says("PIDS LIMIT")
    screen.quit()


def test_screen_follows_cgroups_that_come_and_go(tree: Cgroup) -> None:
    screen = Watch(str(tree), "--interval", "0.1")
    screen.row("two")
    new = tree.make_sub("three")
    screen.row("three")
    new.remove()
    screen.until(lambda lines: not _row(lines, "three"))
    screen.quit()


def test_screen_pause_keeps_the_past(tree: Cgroup) -> None:
    screen = Watch(str(tree), "--interval", "0.1")
    screen.row("two")
    screen.type("p")
    screen.says("PAUSED")
    new = tree.make_sub("three")
    time.sleep(0.5)
    assert not _row(screen.lines(), "three")
    screen.type("p")
    screen.row("three")
    new.remove()
    screen.until(lambda lines: not _row(lines, "three"))
    screen.type("[")
    for _ in range(20):  # the update in which it was there last is the first one back, or a few before it
        lines = screen.says("PAUSED")
        if _row(lines, "three"):
            break
        screen.type("[")
        time.sleep(0.2)
    screen.row("three")
    screen.quit()


# ---- one cgroup ----------------------------------------------------------------------------------


def test_screen_page_lists_limits_and_processes(make_ready: Callable[..., Cgroup], spawn: Spawn, need: Need) -> None:
    need("memory")
    top = make_ready("memory")
    Parameters.set(Memory.limit_in_bytes, top, 64 * MIB)
    inner = Hierarchy.find_or_create(f"{top}/inner")
    (child,) = fill(inner, spawn)
    screen = Watch(str(top), "--interval", "0.1")
    screen.select("inner")
    screen.type("\r")
    lines = screen.says("this one limits")
    process = next(line for line in lines if "sleep 1000" in line)
    assert process.split()[0] == str(child.pid)
    assert any("64.0 MiB" in line and "this one limits" in line and top.location in line for line in lines)
    screen.type("\x1b")
    screen.says("Enter Page")
    screen.type("6")
    screen.says("LIMITED BY")
    # On hybrid hosts the unified hierarchy has no cgroup there, and so no limit.
    both = ("inner", top.location)
    screen.until(lambda lines: sum("64.0 MiB" in line for line in lines for name in both if _is_row(line, name)) == 2)
    screen.quit()


@pytest.fixture
def freezable(make_cgroup: MakeCgroup, need: Need) -> Iterator[Cgroup]:
    """A cgroup that can be frozen and has figures: on v1 one of the freezer, and one of pids at the same location."""
    need("pids")
    counted = make_cgroup("pids")
    freezer = Hierarchy.find_or_create(f"freezer:{counted.location}") if counted.version == 1 else counted
    yield freezer
    if freezer != counted:
        freezer.remove(kill=True)


def test_screen_freezes_and_thaws_after_a_question(freezable: Cgroup, spawn: Spawn) -> None:
    fill(freezable, spawn)
    screen = Watch(f"pids:{freezable.location}", "--interval", "0.1")
    screen.row(freezable.location)
    screen.type("f")
    screen.says(f"Freeze the only process in {freezable.location} and below? [y/N]")
    screen.type("n")
    screen.says("Enter Page")
    assert Parameters.get(Freezer.state, freezable) == "THAWED"
    screen.type("f")
    screen.says("[y/N]")
    screen.type("y")
    screen.says("is frozen")
    assert Parameters.get(Freezer.state, freezable) == "FROZEN"
    screen.type("u")
    screen.says("Thaw")
    screen.type("y")
    screen.says("is thawed")
    assert Parameters.get(Freezer.state, freezable) == "THAWED"
    screen.quit()


def test_screen_signals_and_kills_after_a_question(make_ready: Callable[..., Cgroup], spawn: Spawn, need: Need) -> None:
    need("pids")
    cgroup = make_ready("pids")
    first, second = fill(cgroup, spawn, 2)
    screen = Watch(str(cgroup), "--interval", "0.1")
    screen.row(cgroup.location)
    screen.type("k")
    screen.says("Signal: TERM")
    screen.type("\x15USR1\r")
    screen.says(f"Send SIGUSR1 to all 2 processes in {cgroup.location} and below? [y/N]")
    screen.type("y")
    screen.says("processes signalled")
    assert [one.wait(30 * SLOW) for one in (first, second)] == [-signal.SIGUSR1] * 2
    third, *_ = fill(cgroup, spawn)
    screen.type("K")
    screen.says(f"Kill the only process in {cgroup.location} and below? [y/N]")
    screen.type("y")
    screen.says("processes killed")
    assert third.wait(30 * SLOW) == -signal.SIGKILL
    screen.quit()


def test_screen_sets_a_limit_after_a_question(make_ready: Callable[..., Cgroup], need: Need) -> None:
    need("memory")
    cgroup = make_ready("memory")
    screen = Watch(str(cgroup), "--interval", "0.1")
    screen.row(cgroup.location)
    screen.type("lmemory.max=64M\r")
    screen.says(f"Set memory.max of {cgroup.location} from max to 64.0 MiB? [y/N]")
    screen.type("y")
    screen.says("is 64.0 MiB")
    assert Parameters.get(Memory.limit_in_bytes, cgroup) == 64 * MIB
    screen.type("lmemory.maximum=1\r")
    screen.says("unknown parameter")
    screen.quit()


HOG = f"import mmap\nm = mmap.mmap(-1, {64 * MIB})\nfor at in range(0, len(m), 4096): m[at] = 1\n"


def test_screen_oom_kill_stays_on_its_line(make_ready: Callable[..., Cgroup], spawn: Spawn, need: Need) -> None:
    need("memory")
    cgroup = make_ready("memory")
    Parameters.set(Memory.limit_in_bytes, cgroup, 16 * MIB)
    screen = Watch(str(cgroup), "--interval", "0.1")
    screen.row(cgroup.location)
    hog = spawn(sys.executable, "-S", "-c", "input()\n" + HOG, stdin=subprocess.PIPE)
    cgroup.add_process(hog.pid)
    hog.stdin.write(b"\n")
    hog.stdin.flush()
    assert hog.wait(30 * SLOW) == -signal.SIGKILL
    screen.says(f"OOM kill in {cgroup.location}")
    screen.quit()


# ---- the terminal --------------------------------------------------------------------------------


def test_screen_ctrl_c_is_the_normal_end(tree: Cgroup) -> None:
    screen = Watch(str(tree), "--interval", "0.1")
    screen.row("two")
    screen.type(CTRL_C)
    assert screen.terminal.wait() == 0
    assert LEAVE in screen.terminal.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_screen_ended_by_a_signal_restores_the_terminal(number: signal.Signals, tree: Cgroup) -> None:
    screen = Watch(str(tree), "--interval", "0.1")
    screen.row("two")
    os.kill(screen.terminal.pid, number)
    assert screen.terminal.wait() == -number
    assert SHOWN in screen.terminal.text.rpartition(LEAVE)[2]
    assert "Traceback" not in screen.terminal.text


def test_screen_stopped_by_ctrl_z_gives_the_terminal_back_and_goes_on(tree: Cgroup) -> None:
    terminal = Terminal(sys.executable, "-c", SHELL, *WORDS, str(tree), "--interval", "0.1")
    terminal.resize(40, 150)
    terminal.read(tree.name)
    terminal.type("\x1a")
    text = terminal.read("STOPPED")
    assert SHOWN in text.rpartition(LEAVE)[2]
    terminal.forget()
    os.kill(terminal.pid, signal.SIGUSR1)
    assert ENTER in terminal.read(tree.name)
    terminal.type("q")
    assert "ENDED 0" in terminal.read("ENDED 0")
    assert terminal.wait() == 0


def test_screen_count_ends_after_some_updates(tree: Cgroup) -> None:
    screen = Watch(str(tree), "--interval", "0.1", "--count", "2")
    assert screen.terminal.wait() == 0
    assert ENTER in screen.terminal.text
    assert LEAVE in screen.terminal.text


@pytest.mark.parametrize("words", [("--plain",), ("--once",), ("--json",)])
def test_watch_words_that_ask_for_text_open_no_screen(words: tuple[str, ...], tree: Cgroup) -> None:
    screen = Watch(str(tree), "--interval", "0.05", "--count", "1", *words)
    assert screen.terminal.wait() == 0
    assert "F10" not in screen.terminal.text
    assert tree.name in screen.terminal.text


def test_watch_without_textual_draws_the_plain_table_and_says_what_to_install(tree: Cgroup, tmp_path: Path) -> None:
    code = (
        "import importlib.util as u\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'textual' else find(name, *rest)\n"
        "from cgroups.cli import main\n"
        "main()\n"
    )
    terminal = Terminal(sys.executable, "-c", code, "watch", str(tree), "--interval", "0.05", "--count", "1")
    terminal.resize(20, 120)
    assert terminal.wait() == 0
    assert "pip install 'cgroups-cffi[tui]'" in terminal.text
    assert "F10" not in terminal.text


def test_screen_replays_a_recording(make_cgroup: MakeCgroup, tmp_path: Path) -> None:
    cgroup = make_cgroup("cpuacct")
    path = str(tmp_path / "a.csv")
    words = [sys.executable, "-m", "cgroups", "record", str(cgroup), "-o", path, "-i", "0.05", "-d", "0.5"]
    assert subprocess.run(words, capture_output=True, timeout=120, cwd="/", check=False).returncode == 0
    screen = Watch("--replay", path)
    screen.says("REPLAY")
    assert cgroup.location in screen.row(cgroup.location)
    screen.says("REPLAY, PAUSED")
    screen.quit()
