"""``python -m benchmarks.screen``: the CPU time of ``watch`` full screen against its plain table, and its start.

Both run at the same time on terminals of 50 lines, on the same new cgroups, so the load of the machine affects both.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .__main__ import figures
from .world import fresh_cgroups

BOUNDS = {"screen / plain": 2.0, "start of the screen": 0.5}
SETTLE_S = 3.0
HEADING = b"CGROUP"
TICKS = os.sysconf("SC_CLK_TCK")


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, words: Sequence[str]) -> None:
        self._started = time.monotonic()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.chdir("/")
            os.execve(words[0], words, {**os.environ, "TERM": "xterm-256color"})
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
        self.written = 0

    def read(self, seconds: float, until: bytes | None = None) -> float:
        """Read what is drawn, for some time or until a text; return the seconds since the start."""
        end, seen = time.monotonic() + seconds, b""
        while time.monotonic() < end and (until is None or until not in seen):
            if select.select([self._fd], [], [], 0.02)[0]:
                part = os.read(self._fd, 1 << 16)
                self.written += len(part)
                seen = seen[-100:] + part
        return time.monotonic() - self._started

    @property
    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def end(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._fd)


@contextmanager
def started(*words: str) -> Iterator[Terminal]:
    terminal = Terminal([sys.executable, "-m", "cgroups", "watch", *words])
    try:
        yield terminal
    finally:
        terminal.end()


def cost(spec: str, seconds: float) -> dict[str, float]:
    """Measure the CPU time per second of both, in milliseconds, and their ratio."""
    with ExitStack() as stack:
        both = {
            name: stack.enter_context(started(spec, *more)) for name, more in (("screen", []), ("plain", ["--plain"]))
        }
        _drain(both.values(), SETTLE_S)
        before = {name: (one.cpu_s, one.written) for name, one in both.items()}
        _drain(both.values(), seconds)
        spent = {name: (one.cpu_s - before[name][0]) / seconds * 1000 for name, one in both.items()}
        written = {name: (one.written - before[name][1]) / seconds for name, one in both.items()}
    found = {f"{name}: CPU, ms per second": value for name, value in spent.items()}
    found |= {f"{name}: bytes written per second": value for name, value in written.items()}
    return {"screen / plain": spent["screen"] / spent["plain"], **found}


def _drain(terminals: Iterator[Terminal], seconds: float) -> None:
    end, terminals = time.monotonic() + seconds, [*terminals]
    while time.monotonic() < end:
        for one in terminals:
            one.read(0.05)


def start(spec: str, rounds: int) -> dict[str, float]:
    """Measure the seconds from the start of the program to the first drawing, and the CPU time until then."""
    taken, spent = [], []
    for _ in range(rounds):
        with started(spec) as terminal:
            taken.append(terminal.read(30, HEADING))
            spent.append(terminal.cpu_s)
    return {
        "start of the screen, median, s": statistics.median(taken),
        "start of the screen, fastest, s": min(taken),
        "its CPU time, median, s": statistics.median(spent),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screen", description=__doc__)
    parser.add_argument("--controllers", default="pids", help="comma-separated; default: pids")
    parser.add_argument("--cgroups", type=int, default=1000, help="number of cgroups; default: 1000")
    parser.add_argument("--seconds", type=float, default=20, help="seconds to measure; default: 20")
    parser.add_argument("--rounds", type=int, default=7, help="number of starts; default: 7")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        made = [
            stack.enter_context(fresh_cgroups(one, arguments.cgroups, "cgroups-test-screen"))
            for one in arguments.controllers.split(",")
        ]
        spec = str(made[0][0].parent)
        figures(f"{arguments.cgroups} cgroups of {arguments.controllers}", cost(spec, arguments.seconds), BOUNDS)
        figures("start", start(spec, arguments.rounds), BOUNDS)


if __name__ == "__main__":
    main()
