"""Share types, facts of this machine, and looks at control files between the tests of this tier."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import cgroups
from cgroups import Cgroup, Device, Hierarchy, Subsystem

MakeCgroup = Callable[..., Cgroup]
Spawn = Callable[..., "subprocess.Popen[bytes]"]
Need = Callable[[str], None]

MIB = 1 << 20

# Set where the whole machine is the tests' own, as a virtual machine is.
OWN_HOST = os.environ.get("CGROUPS_TESTS_OWN_HOST") == "1"

SCALE = float(os.environ.get("CGROUPS_TESTS_SCALE", "1"))
SLOW = 1 if SCALE == 1 else 10
"""How much longer all takes under emulation."""


def _disk() -> Device | None:
    for line in Path("/proc/partitions").read_text().splitlines()[2:]:
        major, minor, _, name = line.split()
        if os.path.isdir(f"/sys/block/{name}") and not name.startswith(("ram", "loop", "zram", "fd", "sr")):
            return Device(int(major), int(minor))
    return None


DISK = _disk()
"""A disk of this machine."""


def sub(cgroup: Cgroup, name: str) -> Cgroup:
    """A cgroup below, for which on v2 no controllers are enabled: so that there may be processes in both."""
    return Hierarchy.find_or_create(f"{cgroup}/{name}")


def fill(cgroup: Cgroup, spawn: Spawn, count: int = 1, **keywords: Any) -> list[subprocess.Popen[bytes]]:
    """Sleepers in it."""
    children = [spawn("sleep", "1000", **keywords) for _ in range(count)]
    for child in children:
        cgroup.add_process(child.pid)
    return children


def codes(children: list[subprocess.Popen[bytes]]) -> list[int]:
    """Return the exit statuses of children."""
    return [child.wait(30 * SLOW) for child in children]


def path_of(cgroup: Cgroup, file: str) -> Path:
    return Path(str(cgroup.path)) / file


def text_of(cgroup: Cgroup, file: str) -> str:
    return path_of(cgroup, file).read_text().removesuffix("\n")


def says(cgroup: Cgroup, file: str, wanted: str) -> bool:
    """Return whether a text is that of a file, or one of its lines."""
    text = text_of(cgroup, file)
    return text == wanted or (wanted != "" and wanted in text.splitlines())


def files_of(cgroup: Cgroup, mask: int) -> list[str]:
    """The control files with one of these mode bits."""
    entries = sorted(Path(str(cgroup.path)).iterdir())
    return [entry.name for entry in entries if entry.is_file() and entry.stat().st_mode & mask]


def users_of(file: str, version: int, kind: Any) -> list[Any]:
    """The parameters of a kind that stand for a file."""
    return [one for one in Subsystem.parameters() if isinstance(one, kind) and file in one.files(version)]


def needs(backend: str, *tools: str) -> Callable[[Callable[..., None]], Any]:
    """A test that says nothing elsewhere: it is not there with another backend, nor without these programs."""
    there = cgroups.backend == backend and all(map(shutil.which, tools))
    return lambda test: test if there else None


# Until its cgroup has no more room.
BOMB = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""


class Terminal:
    """A program on a terminal of its own, in a session of its own, so that Ctrl-C reaches all of it."""

    left: ClassVar[list[Terminal]] = []
    """Terminals that no test has waited for yet."""

    def __init__(self, *words: str) -> None:
        self.pid, self._ours = pty.fork()
        self.left.append(self)
        if self.pid == 0:
            os.chdir("/")
            # readline, which pytest imports, puts a size behind Python's back into what execv passes on.
            sizes = {"LINES", "COLUMNS"}
            environment = {name: text for name, text in os.environ.items() if name not in sizes}
            os.execve(words[0], words, {**environment, "TERM": "xterm-256color"})
        self.text = ""

    def read(self, until: str | None = None, *, again: bool = False) -> str:
        """Return the output up to and including a text, or to its end; ``again``: wait for one more occurrence."""
        deadline = time.monotonic() + 30
        wanted = self.text.count(until) + 1 if until is not None and again else 1
        while until is None or self.text.count(until) < wanted:
            ready, _, _ = select.select([self._ours], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"nothing came after {self.text!r}"
            try:
                part = os.read(self._ours, 65536)
            except OSError:  # EIO: the other side is closed
                part = b""
            if not part:
                assert until is None, self.text
                break
            self.text += part.decode().replace("\r\n", "\n")
        return self.text

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def forget(self) -> None:
        """Discard the output so far."""
        self.text = ""

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def wait(self) -> int:
        """Its exit status, of which everything has been read."""
        self.read()
        os.close(self._ours)
        self.left.remove(self)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    @classmethod
    def end_all(cls) -> None:
        """Kill what a failed test has left: its children would be in the way of other tests."""
        while cls.left:
            terminal = cls.left.pop()
            os.kill(terminal.pid, signal.SIGKILL)
            os.close(terminal._ours)
            os.waitpid(terminal.pid, 0)


CTRL_C = "\x03"

# A session's leader, such as a shell: it starts the command, says when that is stopped, and continues it at SIGUSR1.
SHELL = """
import os, signal, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
pid = os.fork()
if pid == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.argv[1], sys.argv[1:])
_, status = os.waitpid(pid, os.WUNTRACED)
assert os.WIFSTOPPED(status), status
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print("STOPPED", flush=True)
signal.sigwait({signal.SIGUSR1})
os.kill(pid, signal.SIGCONT)
_, status = os.waitpid(pid, 0)
print("ENDED", os.waitstatus_to_exitcode(status), flush=True)
"""


@contextmanager
def started(words: list[str], **streams: Any) -> Iterator[subprocess.Popen[str]]:
    """Start a command; kill it at the end of the block, in which a test may have failed."""
    with subprocess.Popen(words, cwd="/", text=True, **(streams or {"stderr": subprocess.PIPE})) as process:
        try:
            yield process
        finally:
            process.kill()
