"""Captured trees as hosts of their own, a recorder of what would be written to them, and the command on them."""

from __future__ import annotations

import gc
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cgroups import Cgroup, CgroupError, Host
from cgroups.core.interface import Failure, Status

V1_CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids")


def _copy_v1(capture: Path, root: Path) -> Path:
    (root / "proc/self").mkdir(parents=True)
    shutil.copy(capture / "proc_self_mountinfo", root / "proc/self/mountinfo")
    shutil.copy(capture / "proc_cgroups", root / "proc/cgroups")
    for name in (*V1_CONTROLLERS, "unified"):
        shutil.copytree(capture / name, root / "sys/fs/cgroup" / name, copy_function=shutil.copyfile)
    # The captures are of the cgroups below; of the roots, the one file that says what is there.
    (root / "sys/fs/cgroup/unified/cgroup.controllers").write_text("")
    (root / "sys/fs/cgroup/systemd/cgroups-capture/inner").mkdir(parents=True)
    (root / "proc/5447").mkdir()
    shutil.copy(capture / "proc_pid_cgroup", root / "proc/5447/cgroup")
    return root


def _copy_v2(capture: Path, root: Path) -> Path:
    (root / "proc/self").mkdir(parents=True)
    shutil.copy(capture / "proc_self_mountinfo", root / "proc/self/mountinfo")
    shutil.copy(capture / "proc_cgroups", root / "proc/cgroups")
    ignored = shutil.ignore_patterns("proc_*")
    shutil.copytree(capture, root / "sys/fs/cgroup", ignore=ignored, copy_function=shutil.copyfile)
    (root / "proc/252").mkdir()
    shutil.copy(capture / "proc_pid_cgroup", root / "proc/252/cgroup")
    return root


@pytest.fixture
def v1_root(tmp_path: Path, fixtures: Path) -> Path:
    """The captured hybrid host: v1 controllers, each on its own hierarchy, and an empty unified one."""
    return _copy_v1(fixtures / "linux-6.18-v1", tmp_path / "v1")


@pytest.fixture
def v2_root(tmp_path: Path, fixtures: Path) -> Path:
    """The captured host with only the unified hierarchy."""
    return _copy_v2(fixtures / "linux-6.1-v2", tmp_path / "v2")


@pytest.fixture(scope="session")
def shared_v1(tmp_path_factory: pytest.TempPathFactory, fixtures: Path) -> Host:
    """The same host once for all tests that change nothing in it."""
    return Host(str(_copy_v1(fixtures / "linux-6.18-v1", tmp_path_factory.mktemp("shared") / "v1")))


@pytest.fixture(scope="session")
def shared_v2(tmp_path_factory: pytest.TempPathFactory, fixtures: Path) -> Host:
    return Host(str(_copy_v2(fixtures / "linux-6.1-v2", tmp_path_factory.mktemp("shared") / "v2")))


@pytest.fixture
def v1(v1_root: Path) -> Host:
    return Host(str(v1_root))


@pytest.fixture
def v2(v2_root: Path) -> Host:
    return Host(str(v2_root))


INNER = "/cgroups-capture/inner"


@pytest.fixture
def v1_cgroup(v1: Host) -> Callable[[str], Cgroup]:
    """The captured cgroup of a v1 controller; of ``''`` that of the unified hierarchy."""
    return lambda controller: v1.find_exn(f"{controller}:{INNER}")


@pytest.fixture
def memory(v1_cgroup: Callable[[str], Cgroup]) -> Cgroup:
    """The captured v1 cgroup of the memory controller."""
    return v1_cgroup("memory")


@pytest.fixture
def job(v2: Host) -> Cgroup:
    """The captured v2 cgroup, the one that has limits and a process."""
    return v2.find_exn(":/job/a")


# ---- a host whose writes are recorded -------------------------------------------------


class Recorder:
    """A backend's Directory whose writes go to a list instead; all else is the directory's own."""

    def __init__(self, directory: Any) -> None:
        self._directory = directory
        self.writes: list[tuple[str, str]] = []
        self.refusals: dict[tuple[str, str], int] = {}
        self.reactions: dict[tuple[str, str], Callable[[], object]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._directory, name)

    def write(self, path: str, data: bytes) -> None:
        """One write(2): recorded, and refused or reacted to as the test has arranged."""
        written = path.rpartition("/")[2], data.decode()
        self.writes.append(written)
        if written in self.refusals:
            raise Failure(Status.OS, self.refusals[written])
        self.reactions.get(written, lambda: None)()


class Recorded:
    """A cgroup of a captured tree that takes writes: the texts are kept, the files stay as they are."""

    def __init__(self, cgroup: Cgroup, undo: ExitStack) -> None:
        [self._mount] = cgroup.hierarchy.mounts
        undo.callback(self._restore, self._mount.directory, self._mount.state)
        self._undo = undo
        self.recorder = Recorder(self._mount.directory)
        self._restore(self.recorder, "cgroup")  # a captured tree is read-only otherwise
        self.cgroup = Cgroup(cgroup.hierarchy, cgroup.location)
        self.directory = Path(cgroup.path or "")

    def _restore(self, directory: Any, state: str) -> None:
        self._mount.directory = directory
        self._mount._state = state  # noqa: SLF001 - there is no other way, and no other reason

    @property
    def writes(self) -> list[tuple[str, str]]:
        """The writes since the previous call: (file, text)."""
        writes = self.recorder.writes[:]
        self.recorder.writes.clear()
        return writes

    def put(self, name: str, text: str) -> None:
        """Set the text of a file for the rest of the test."""
        path = self.directory / name
        self._undo.callback(path.write_bytes, path.read_bytes()) if path.exists() else self._undo.callback(path.unlink)
        path.write_text(text)

    def refuse(self, name: str, text: str, errno: int) -> None:
        """The kernel's answer to a write."""
        self.recorder.refusals[(name, text)] = errno

    def when(self, name: str, text: str, reaction: Callable[[], object]) -> None:
        """Set the effect of a write."""
        self.recorder.reactions[(name, text)] = reaction


@pytest.fixture
def recorded_v1(shared_v1: Host) -> Iterator[Callable[[str], Recorded]]:
    """``recorded_v1("memory")``: the captured cgroup of a v1 controller, its writes recorded."""
    with ExitStack() as undo:
        yield lambda controller: Recorded(shared_v1.find_exn(f"{controller}:{INNER}"), undo)


@pytest.fixture
def recorded_v2(shared_v2: Host) -> Iterator[Recorded]:
    """The same of the captured v2 cgroup /job/a."""
    with ExitStack() as undo:
        yield Recorded(shared_v2.find_exn(":/job/a"), undo)


def _tree(root: Path) -> dict[str, tuple[int, bytes | None]]:
    return {
        str(path.relative_to(root)): (path.lstat().st_mode, path.read_bytes() if path.is_file() else None)
        for path in sorted(root.rglob("*"))
    }


@pytest.fixture
def tree_of() -> Callable[[Path], dict[str, tuple[int, bytes | None]]]:
    """Every path below a directory, with its mode and content: to compare before and after."""
    return _tree


def _make_tree(root: Path, table: str, *directories: str) -> Host:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/mountinfo").write_text(table)
    for directory in directories:
        (root / directory.lstrip("/")).mkdir(parents=True)
    return Host(str(root))


@pytest.fixture
def tree() -> Callable[..., Host]:
    """``tree(root, table, *directories)``: a host with this mount table and these directories."""
    return _make_tree


def _open_fds() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def open_fds() -> Callable[[], int]:
    """Return a function that counts the open descriptors after a garbage collection.

    A host and its hierarchies form a reference cycle.
    """
    return _open_fds


def _make_host(root: Path, *mounts: str, directories: tuple[str, ...] = ()) -> Host:
    """A tree with this mount table (``POINT ROOT TYPE OPTIONS`` each) and these directories."""
    (root / "proc/self").mkdir(parents=True)
    lines = []
    for number, mount in enumerate(mounts):
        point, part, kind, options = mount.split(" ")
        lines.append(f"{40 + number} 31 0:{40 + number} {part} {point} rw,nosuid - {kind} src {options}\n")
        (root / point.lstrip("/")).mkdir(parents=True, exist_ok=True)
    (root / "proc/self/mountinfo").write_text("".join(lines))
    for directory in directories:
        (root / directory.lstrip("/")).mkdir(parents=True)
    return Host(str(root))


def _write_cgroup(host: Host, pid: int, text: str) -> list[Cgroup]:
    path = Path(host.root) / f"proc/{pid}"
    path.mkdir(exist_ok=True)
    (path / "cgroup").write_bytes(text.encode("utf-8", "surrogateescape"))
    return host.process_info(pid)


@pytest.fixture
def make_host() -> Callable[..., Host]:
    """``make_host(root, "POINT ROOT TYPE OPTIONS", …, directories=())``: a host with these mounts."""
    return _make_host


@pytest.fixture
def write_cgroup() -> Callable[[Host, int, str], list[Cgroup]]:
    """``write_cgroup(host, pid, text)``: process_info of a process with this /proc/PID/cgroup."""
    return _write_cgroup


# ---- the command ----------------------------------------------------------------------


class Ran(NamedTuple):
    code: int
    out: str
    err: str


class Command:
    """The command ``cgroups``: in this process, as a program, and on a terminal."""

    Ran = Ran

    @staticmethod
    def run(*words: str, root: Path | None = None) -> Ran:
        """In this process."""
        from typer.testing import CliRunner

        from cgroups.cli.app import app

        where = [] if root is None else ["--root", str(root)]
        done = CliRunner().invoke(app, [*where, *words], prog_name="cgroups")
        # All that may leave it is an exit code.
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        return Ran(done.exit_code, done.stdout, done.stderr)

    @staticmethod
    def words(*words: str, root: Path) -> list[str]:
        """Its command line."""
        return [sys.executable, "-m", "cgroups", "--root", str(root), *words]

    def program(self, *words: str, root: Path, **keywords: Any) -> Ran:
        """As a program of its own."""
        keywords = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **keywords}
        done = subprocess.run(self.words(*words, root=root), timeout=60, check=False, **keywords)
        return Ran(done.returncode, done.stdout or "", done.stderr or "")

    def on_terminal(self, *words: str, root: Path, columns: int = 120, styled: bool = False, **environment: str) -> str:
        """Return the output on a terminal; without bold and colours, unless ``styled``."""
        ours, its = pty.openpty()
        variables = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm", **environment}
        with subprocess.Popen(self.words(*words, root=root), stdout=its, stdin=its, env=variables) as child:
            os.close(its)
            drawn = b""
            try:
                while data := os.read(ours, 65536):
                    drawn += data
            except OSError:  # EIO: the other end is closed
                pass
            os.close(ours)
        assert child.returncode == 0, drawn
        text = drawn.decode().replace("\r\n", "\n")
        return text if styled else re.sub(r"\x1b\[[\d;]*m", "", text)

    @staticmethod
    def code(code: str, *words: str) -> Ran:
        """A program of Python."""
        command = [sys.executable, "-c", code, *words]
        done = subprocess.run(command, timeout=60, check=False, capture_output=True, text=True)
        return Ran(done.returncode, done.stdout, done.stderr)

    @staticmethod
    def failed(ran: Ran) -> str:
        """Exit code 1, nothing printed, and one line on stderr: that line."""
        assert (ran.code, ran.out) == (1, ""), ran
        assert ran.err.startswith("cgroups: "), ran
        assert ran.err.endswith("\n"), ran
        assert ran.err.count("\n") == 1, ran
        return ran.err

    @staticmethod
    def misused(ran: Ran) -> str:
        """Exit code 2, nothing printed, and how it is used: that."""
        assert (ran.code, ran.out) == (2, ""), ran
        assert "Usage: cgroups " in ran.err
        assert "Traceback" not in ran.err
        return ran.err


@pytest.fixture(scope="session")
def command() -> Command:
    return Command()


# ---- errors -----------------------------------------------------------------------------


def _raises(kind: type[CgroupError], function: Callable[[], object], *words: str, **facts: Any) -> CgroupError:
    with pytest.raises(CgroupError) as caught:
        function()
    error = caught.value
    assert type(error) is kind, repr(error)
    for word in words:
        assert word in str(error), str(error)
    for name, value in facts.items():
        assert getattr(error, name) == value
    return error


@pytest.fixture
def raises() -> Callable[..., CgroupError]:
    """``raises(kind, function, *words, **facts)``: the error of a call, with these words in its message."""
    return _raises
