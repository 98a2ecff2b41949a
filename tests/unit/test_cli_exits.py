"""How the command ``cgroups`` ends: its exit codes, one line for a failure, and never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from cgroups.cli.app import app

CAPTURE = "/cgroups-capture"


class Ran(NamedTuple):
    code: int
    out: str
    err: str


def run(*words: str, root: Path | None = None) -> Ran:
    """The command, in this process."""
    where = [] if root is None else ["--root", str(root)]
    done = CliRunner().invoke(app, [*where, *words], prog_name="cgroups")
    # All that may leave it is an exit code.
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return Ran(done.exit_code, done.stdout, done.stderr)


def program(*words: str, root: Path, **keywords: Any) -> Ran:
    """The command, as a program of its own."""
    keywords = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **keywords}
    command = [sys.executable, "-m", "cgroups", "--root", str(root), *words]
    done = subprocess.run(command, timeout=60, check=False, **keywords)
    return Ran(done.returncode, done.stdout or "", done.stderr or "")


def run_code(code: str, *words: str) -> Ran:
    done = subprocess.run([sys.executable, "-c", code, *words], timeout=60, check=False, capture_output=True, text=True)
    return Ran(done.returncode, done.stdout, done.stderr)


def assert_failed(ran: Ran) -> str:
    """Exit code 1, nothing printed, and one line on stderr."""
    assert (ran.code, ran.out) == (1, ""), ran
    assert ran.err.startswith("cgroups: "), ran
    assert ran.err.endswith("\n"), ran
    assert ran.err.count("\n") == 1, ran
    return ran.err


# ---- failures, and their exit codes ------------------------------------------------------


FAILURES = [
    (["get", "memory:/nope"], "no cgroup 'memory:/nope'"),
    (["get", ""], "cgroup spec ''"),
    (["get", "memory:/../x"], "'..'"),
    (["get", "nope:/"], "no mounted hierarchy has the controller nope"),
    (["get", "memory:/a\nb"], "newline"),
    (["get", f"memory:{CAPTURE}", "nope"], "there is no parameter 'nope'"),
    (["get", f"memory:{CAPTURE}", "memory.high"], "does not exist in version 1"),
    (["get", f"memory:{CAPTURE}", "cpu.shares"], "find cpu:/cgroups-capture"),
    (["get", f"memory:{CAPTURE}", "memory.stat[nope]"], "has no key 'nope'"),
    (["get", f"memory:{CAPTURE}", "memory.usage_in_bytes", "memory.force_empty"], "cannot be read"),
    (["get", f"memory:{CAPTURE}", "release_agent"], "only the root"),
    (["set", f"memory:{CAPTURE}", "memory.usage_in_bytes", "1"], "cannot be set"),
    (["set", f"memory:{CAPTURE}", "memory.limit_in_bytes", "lots"], "'lots' is not a number"),
    (["set", f"memory:{CAPTURE}", "memory.limit_in_bytes", "-5"], "-5"),
    (["set", f"memory:{CAPTURE}", "nope", "1"], "there is no parameter 'nope'"),
    (["set", "memory:/nope", "memory.limit_in_bytes", "1"], "no cgroup"),
    (["tree", "memory:/nope"], "no cgroup"),
    (["ps", "memory:/nope"], "no cgroup"),
    (["remove", "memory:/nope"], "no cgroup"),
    (["attach", "memory:/nope", "1"], "no cgroup"),
    (["attach", f"memory:{CAPTURE}", "0"], "process 0"),
    (["attach", f"memory:{CAPTURE}", "99999999999"], "99999999999"),
    (["create", "nope:/x"], "no mounted hierarchy has the controller nope"),
    (["create", "memory:/x", "--owner", "cgroups-test-nobody"], "there is no user 'cgroups-test-nobody'"),
    (["create", f"memory:{CAPTURE}", "--perm", "0700"], "it exists"),
    (["create", f"memory:{CAPTURE}", "--owner", "0:0"], "it exists"),
]

WRITES = [
    ["set", f"memory:{CAPTURE}", "memory.limit_in_bytes", "1.5G"],
    ["set", f"blkio:{CAPTURE}", "blkio.throttle_read_bps_device", "8:0=1M"],
    ["set", f"blkio:{CAPTURE}", "blkio.throttle_read_bps_device", ""],
    ["attach", f"memory:{CAPTURE}", "1"],
    ["create", f"memory:{CAPTURE}/new"],
    ["create", f"memory:{CAPTURE}/new", "--perm", "0700", "--owner", "0:0"],
    ["remove", f"memory:{CAPTURE}/inner"],
    ["remove", "-r", f"memory:{CAPTURE}"],
]


@pytest.mark.parametrize(("words", "said"), FAILURES)
def test_a_failure_is_one_line_and_exit_code_1(v1_root: Path, words: list[str], said: str) -> None:
    assert said in assert_failed(run(*words, root=v1_root))


@pytest.mark.parametrize("words", WRITES)
def test_a_captured_tree_is_not_written(
    v1_root: Path, tree_of: Callable[[Path], dict[str, Any]], words: list[str]
) -> None:
    before = tree_of(v1_root)
    assert "a captured tree is read-only" in assert_failed(run(*words, root=v1_root))
    assert tree_of(v1_root) == before


def test_a_root_without_a_mount_table(tmp_path: Path) -> None:
    assert "mount table" in assert_failed(run("info", root=tmp_path))
    assert "root ''" in assert_failed(run("--root", "", "info"))


USAGE = [
    ["--nope"],
    ["nope"],
    ["get"],
    ["get", "--nope", "memory"],
    ["set", "memory", "memory.limit_in_bytes"],
    ["set", "memory", "memory.limit_in_bytes", "1", "2"],
    ["tree", "memory", "cpu"],
    ["tree", "--depth", "x"],
    ["tree", "--depth", "-1"],
    ["attach", "memory:/x"],
    ["attach", "memory:/x", "self"],
    ["create", "memory:/x", "--perm", "0999"],
    ["create", "memory:/x", "--perm", "rwx"],
    ["create", "memory:/x", "--perm", "100000"],
    ["create"],
    ["remove"],
    ["ps"],
    ["info", "memory"],
]


@pytest.mark.parametrize("words", USAGE)
def test_words_that_make_no_command_are_exit_code_2(tmp_path: Path, words: list[str]) -> None:
    ran = run(*words, root=tmp_path)
    assert (ran.code, ran.out) == (2, "")
    assert "Usage: cgroups " in ran.err
    assert "Traceback" not in ran.err


COMMANDS = ["info", "tree", "get", "set", "create", "remove", "attach", "ps"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    ran = run(command, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert f": cgroups {command}" in ran.out
    assert run(command, "-h").out == ran.out


def test_the_help_names_every_command() -> None:
    ran = run("--help")
    assert ran.code == 0
    assert [command for command in COMMANDS if f"\n  {command} " not in ran.out] == []


# ---- broken pipes, full disks, interrupts ---------------------------------------------------


@pytest.mark.parametrize("words", [["info"], ["tree"], ["get", "--json", "memory"], ["--help"], ["get", "--help"]])
def test_nobody_reads(v1_root: Path, words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ran = program(*words, root=v1_root, stdout=writer)
    os.close(writer)
    assert ran == Ran(0, "", "")


def test_whoever_reads_stops_early(v1_root: Path) -> None:
    for number in range(5000):
        (v1_root / f"sys/fs/cgroup/memory/{'x' * 40}{number}").mkdir()
    with subprocess.Popen(
        [sys.executable, "-m", "cgroups", "--root", str(v1_root), "tree", "memory"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"memory:/\n"
        child.stdout.close()  # more is to come than a pipe holds
        assert child.stderr is not None
        assert child.stderr.read() == b""
    assert child.returncode == 0


def test_a_full_disk_is_a_failure(v1_root: Path) -> None:
    with open("/dev/full", "w") as full:
        ran = program("tree", root=v1_root, stdout=full)
    assert "No space left on device" in assert_failed(ran)


def test_an_interrupt_is_exit_code_130(v1_root: Path) -> None:
    table = v1_root / "proc/self/mountinfo"
    table.unlink()
    os.mkfifo(table)
    with subprocess.Popen(
        [sys.executable, "-m", "cgroups", "--root", str(v1_root), "info"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        # It waits in open(2) or read(2) of the FIFO, until this end is closed.
        deadline = time.monotonic() + 30
        while True:
            try:
                writer = os.open(table, os.O_WRONLY | os.O_NONBLOCK)
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        child.send_signal(signal.SIGINT)
        os.close(writer)
        out, err = child.communicate(timeout=30)
    assert (child.returncode, out, err) == (130, "", "")


# ---- the extra ---------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra_it_says_what_installs_it(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None\nfrom cgroups.cli import main\nmain()"
    message = assert_failed(run_code(code, "info"))
    assert "pip install 'cgroups-cffi[cli]'" in message
    assert missing in message


def test_a_fault_of_its_own_is_not_taken_for_a_missing_extra() -> None:
    code = "import sys; sys.modules['cgroups.cli.facts'] = None\nfrom cgroups.cli import main\nmain()"
    ran = run_code(code, "info")
    assert "pip install" not in ran.err
    assert "cgroups.cli.facts" in ran.err


def test_the_library_imports_neither_typer_nor_rich() -> None:
    known = "{name.partition('.')[0] for name in sys.modules}"
    code = f"import sys, cgroups, cgroups.cli\nprint({known} & {{'typer', 'rich', 'click'}})"
    assert run_code(code) == Ran(0, "set()\n", "")


def test_the_entry_point_and_the_module_are_the_same(v1_root: Path) -> None:
    [entry] = entry_points(group="console_scripts", name="cgroups")
    assert entry.value == "cgroups.cli:main"
    by_entry = run_code("from cgroups.cli import main\nmain()", "--root", str(v1_root), "tree")
    assert by_entry == program("tree", root=v1_root) == run("tree", root=v1_root)
    assert by_entry.code == 0
