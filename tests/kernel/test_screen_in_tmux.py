"""The full screen of ``watch`` in tmux, a terminal of its own kind: what a person would see there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from common import SLOW, MakeCgroup, Need, Spawn, fill

from cgroups import Cgroup, Hierarchy

pytest.importorskip("textual")


class Tmux:
    """A shell in tmux, with a server of its own."""

    def __init__(self, directory: Path) -> None:
        self._server = ["tmux", "-f", "/dev/null", "-S", str(directory / "socket")]
        self.run("new-session", "-d", "-x", "110", "-y", "30", "env -u LINES -u COLUMNS PS1='$ ' sh")

    def run(self, *words: str) -> str:
        # readline, which pytest imports, may have set a size: programs would take it for that of the terminal.
        environment = {name: text for name, text in os.environ.items() if name not in ("LINES", "COLUMNS")}
        return subprocess.run(
            [*self._server, *words], check=True, capture_output=True, text=True, timeout=60, env=environment
        ).stdout

    def type(self, text: str) -> None:
        self.run("send-keys", "-l", text)

    def press(self, *keys: str) -> None:
        self.run("send-keys", *keys)

    def click(self, line: int, column: int) -> None:
        """Press and release the left button, as a terminal reports it."""
        self.type(f"\x1b[<0;{column};{line}M\x1b[<0;{column};{line}m")

    def resize(self, lines: int, columns: int) -> None:
        self.run("resize-window", "-x", str(columns), "-y", str(lines))

    def until(self, is_there: Callable[[list[str]], object]) -> list[str]:
        """The lines of the screen once they are as wanted."""
        deadline = time.monotonic() + 30 * SLOW
        while not is_there(lines := self.run("capture-pane", "-p").split("\n")):
            assert time.monotonic() < deadline, "\n".join(lines)
            time.sleep(0.05)
        return lines

    def says(self, text: str) -> list[str]:
        return self.until(lambda lines: any(text in line for line in lines))


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    terminal = Tmux(tmp_path)
    yield terminal
    terminal.run("kill-server")


@pytest.fixture
def tree(make_cgroup: MakeCgroup, need: Need) -> Cgroup:
    need("pids")
    top = make_cgroup("pids")
    top.make_sub("one").make_sub("inner")
    top.make_sub("two")
    return top


def names(lines: list[str]) -> list[str]:
    """The names of the rows, in their order."""
    rows = [line.replace("▾", " ").replace("▸", " ").split()[:1] for line in lines]
    return [name for row in rows for name in row if name in ("one", "inner", "two")]


def test_screen_in_tmux_is_read_filtered_resized_clicked_and_left(tmux: Tmux, tree: Cgroup, spawn: Spawn) -> None:
    fill(Hierarchy.find_exn(f"{tree}/two"), spawn, 2)
    tmux.says("$")
    tmux.type(f"{shlex.join([sys.executable, '-m', 'cgroups', 'watch', str(tree)])} -i 0.2 -s pids; echo ENDED $?\n")
    tmux.until(lambda lines: names(lines) == ["two", "one", "inner"])
    tmux.type("/inner")
    tmux.press("Enter")
    tmux.until(lambda lines: names(lines) == ["one", "inner"] or names(lines) == ["inner"])
    tmux.press("Escape")
    tmux.until(lambda lines: names(lines) == ["two", "one", "inner"])
    tmux.resize(14, 60)
    tmux.until(lambda lines: any(re.fullmatch(r"CGROUP.* \+\d+\s*", line) for line in lines))
    tmux.resize(30, 110)
    lines = tmux.until(lambda lines: names(lines) == ["two", "one", "inner"] and len(lines) >= 30)
    at = next(at for at, line in enumerate(lines, 1) if names([line]) == ["one"])
    tmux.click(at, 8)
    tmux.press("Left")  # folds the row that was clicked
    tmux.until(lambda lines: names(lines) == ["two", "one"])
    tmux.press("Enter")
    tmux.says(f"{tree.location}/one")
    tmux.press("Escape")
    tmux.until(lambda lines: names(lines) == ["two", "one"])
    tmux.type("q")
    lines = tmux.says("ENDED 0")
    assert names(lines) == [], "the shell's own screen is back"
