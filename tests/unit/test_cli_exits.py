"""How the command ``cgroups`` ends: its exit codes, one line for a failure, and never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

import cgroups

pytestmark = pytest.mark.slow  # starts processes

CAPTURE = "/cgroups-capture"


# ---- failures, and their exit codes ------------------------------------------------------


FAILURES = [
    (["get", "memory:/nope"], "no cgroup 'memory:/nope'"),
    (["get", ""], "cgroup spec ''"),
    (["get", "memory:/../x"], "'..'"),
    (["get", "nope:/"], "no mounted hierarchy has the controller nope"),
    (["get", "memory:/a\nb"], "newline"),
    (["get", f"memory:{CAPTURE}", "memory.high"], "does not exist in version 1"),
    (["get", f"memory:{CAPTURE}", "cpu.shares"], "find cpu:/cgroups-capture"),
    (["get", f"memory:{CAPTURE}", "memory.stat[nope]"], "has no key 'nope'"),
    (["get", f"memory:{CAPTURE}", "memory.usage_in_bytes", "memory.force_empty"], "cannot be read"),
    (["get", f"memory:{CAPTURE}", "release_agent"], "only the root"),
    (["set", f"memory:{CAPTURE}", "memory.usage_in_bytes", "1"], "cannot be set"),
    (["set", f"memory:{CAPTURE}", "memory.limit_in_bytes", "lots"], "got 'lots'"),
    (["set", f"memory:{CAPTURE}", "memory.limit_in_bytes", "-5"], "-5"),
    (["set", f"memory:{CAPTURE}", "memory.stat[rss]", "1"], "a key can only be read"),
    (["reset", f"memory:{CAPTURE}", "memory.limit_in_bytes"], "cannot be reset"),
    (["reset", "memory:/nope", "memory.failcnt"], "no cgroup"),
    (["set", "memory:/nope", "memory.limit_in_bytes", "1"], "no cgroup"),
    (["tree", "memory:/nope"], "no cgroup"),
    (["ps", "memory:/nope"], "no cgroup"),
    (["remove", "memory:/nope"], "no cgroup"),
    (["attach", "memory:/nope", "1"], "no cgroup"),
    (["attach", f"memory:{CAPTURE}", "0"], "process 0"),
    (["attach", f"memory:{CAPTURE}", "99999999999"], "99999999999"),
    (["create", "nope:/x"], "no mounted hierarchy has the controller nope"),
    (["create", "memory:/x", "--owner", "cgroups-test-nobody"], "the user 'cgroups-test-nobody' does not exist"),
    (["create", f"memory:{CAPTURE}", "--perm", "0700"], "it exists"),
    (["create", f"memory:{CAPTURE}", "--owner", "0:0"], "it exists"),
]

WRITES = [
    ["reset", f"memory:{CAPTURE}", "memory.failcnt"],
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
def test_command_failure_is_one_line_and_exit_code_1(command: Any, v1_root: Path, words: list[str], said: str) -> None:
    assert said in command.failed(command.run(*words, root=v1_root))


@pytest.mark.parametrize("words", WRITES)
def test_command_captured_tree_is_not_written(
    command: Any, v1_root: Path, tree_of: Callable[[Path], dict[str, Any]], words: list[str]
) -> None:
    before = tree_of(v1_root)
    assert "a captured tree is read-only" in command.failed(command.run(*words, root=v1_root))
    assert tree_of(v1_root) == before


def test_command_root_without_a_mount_table_fails(command: Any, tmp_path: Path) -> None:
    assert "mount table" in command.failed(command.run("info", root=tmp_path))
    assert "root must be a path, got ''" in command.failed(command.run("--root", "", "info"))


USAGE = [
    ["--nope"],
    ["nope"],
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
    ["kill"],
    ["info", "memory"],
    ["get", f"memory:{CAPTURE}", "nope"],
    ["get", f"memory:{CAPTURE}", "memory.stat["],
    ["get", f"memory:{CAPTURE}", "hugetlb.3XB.max"],
    ["set", f"memory:{CAPTURE}", "nope", "1"],
    ["reset", f"memory:{CAPTURE}", "nope"],
    ["reset", f"memory:{CAPTURE}"],
    ["parameters", "nope"],
    ["parameters", "memory", "cpu"],
    ["parameters", ""],
]


@pytest.mark.parametrize("words", USAGE)
def test_command_usage_error_is_exit_code_2(command: Any, v1_root: Path, words: list[str]) -> None:
    command.misused(command.run(*words, root=v1_root))


MEANT = [
    (["get", f"memory:{CAPTURE}", "memory.usage"], "did you mean memory.usage_in_bytes"),
    (["get", f"memory:{CAPTURE}", "limit_in_bytes"], "memory.limit_in_bytes"),
    (["get", f"memory:{CAPTURE}", "memroy.oom.group"], "did you mean memory.oom.group"),
    (["get", f"memory:{CAPTURE}", "memory.sta[rss]"], "did you mean memory.stat"),
    (["get", f"memory:{CAPTURE}", "memory.limt"], "did you mean memory.limit_in_bytes, "),
    (["set", f"memory:{CAPTURE}", "memory.mx", "1"], "did you mean memory.max"),
    (["set", f"pids:{CAPTURE}", "pid.max", "1"], "did you mean pids.max"),
    (["reset", f"memory:{CAPTURE}", "memory.failcount"], "did you mean memory.failcnt"),
]


@pytest.mark.parametrize(("words", "said"), MEANT)
def test_command_unknown_parameter_suggests_the_nearest(
    command: Any, v1_root: Path, words: list[str], said: str
) -> None:
    message = command.misused(command.run(*words, root=v1_root))
    assert said in message
    assert message.endswith("'cgroups parameters' lists all\n")


def test_command_parameter_near_nothing_suggests_nothing(command: Any, v1_root: Path) -> None:
    for word in ("xyzzy", "", "["):
        message = command.misused(command.run("get", "memory", word, root=v1_root))
        assert "did you mean" not in message
        assert "'cgroups parameters' lists all" in message


def test_command_suggestion_with_two_spellings_is_named_once(command: Any, v1_root: Path) -> None:
    # memory.oom.group and memory.oom_group are one parameter.
    message = command.misused(command.run("get", "memory", "memory.oom-group", root=v1_root))
    meant = message.partition("did you mean ")[2].partition("?")[0]
    assert meant.count("oom") - meant.count("oom_control") == 1


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("memroy:/job", "did you mean memory"),
        ("cpu,cpuact:/job", "cpuacct"),
        ("name=sytemd:/job", "did you mean name=systemd?"),
        ("ROOT/sys/fs/cgroup/memory/cgroups-capture/nope", "cannot find memory:/cgroups-capture/nope"),
        ("/sys/fs/cgroup/unified/a/", "cgroups create :/a"),
    ],
)
def test_command_unknown_spec_suggests_the_nearest(command: Any, v1_root: Path, spec: str, said: str) -> None:
    assert said in command.failed(command.run("get", spec.replace("ROOT", str(v1_root)), root=v1_root))


@pytest.mark.parametrize("spec", ["xyzzy:/", "/xyzzy", "memory:/nope", "memory,cpu:/"])
def test_command_spec_near_nothing_suggests_nothing(command: Any, v1_root: Path, spec: str) -> None:
    assert "did you mean" not in command.failed(command.run("get", spec, root=v1_root))


COMMANDS = [
    *("info", "tree", "get", "set", "reset", "create", "remove", "attach", "ps", "parameters", "save", "load"),
    *("freeze", "thaw", "kill", "wait", "events"),
    *("watch", "record", "plot", "run", "export", "guide"),
]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command_has_an_example(command: Any, name: str) -> None:
    ran = command.run(name, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert f": cgroups {name}" in ran.out
    assert command.run(name, "-h").out == ran.out


def test_help_names_every_command(command: Any) -> None:
    ran = command.run("--help")
    assert ran.code == 0
    listed = [line.split()[0] for line in ran.out.partition("Commands:\n")[2].splitlines()]
    assert listed == COMMANDS


def test_version_is_printed(command: Any) -> None:
    assert command.run("--version") == command.Ran(
        0, f"cgroups {cgroups.__version__} ({cgroups.backend} backend)\n", ""
    )


# ---- broken pipes, full disks, interrupts ---------------------------------------------------


@pytest.mark.parametrize(
    "words", [["info"], ["tree"], ["get", "--json", "memory"], ["--help"], ["--version"], ["parameters"]]
)
def test_command_closed_pipe_exits_quietly(command: Any, v1_root: Path, words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    ran = command.program(*words, root=v1_root, stdout=writer)
    os.close(writer)
    assert ran == command.Ran(0, "", "")


@pytest.fixture
def printing(command: Any, v1_root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command that has printed its first line, and has more to print than a pipe holds."""
    for number in range(5000):
        (v1_root / f"sys/fs/cgroup/memory/{'x' * 40}{number}").mkdir()
    words = command.words("tree", "memory", root=v1_root)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # Whoever runs the tests in the background ignores interrupts, and a child inherits that.
    with subprocess.Popen(words, **pipes, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) as child:
        assert child.stdout is not None
        assert child.stdout.readline().split() == b"PROCS MEMORY CPU PIDS CGROUP".split()
        yield child


def test_command_reader_that_stops_early_exits_quietly(printing: Any) -> None:
    printing.stdout.close()
    assert printing.stderr.read() == b""
    assert printing.wait(timeout=30) == 0


def test_command_full_disk_is_a_failure(command: Any, v1_root: Path) -> None:
    with open("/dev/full", "w") as full:
        ran = command.program("tree", root=v1_root, stdout=full)
    assert "No space left on device" in command.failed(ran)


def test_command_interrupt_is_exit_code_130(printing: Any) -> None:
    printing.send_signal(signal.SIGINT)
    _, errors = printing.communicate(timeout=30)
    assert (printing.returncode, errors) == (130, b"")


def test_command_closed_stdout_exits_quietly(command: Any, v1_root: Path) -> None:
    words = " ".join(command.words("tree", root=v1_root))
    done = subprocess.run(["sh", "-c", f"exec {words} >&-"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_completion_has_parameters_and_commands(command: Any) -> None:
    code = "from cgroups.cli import main\nmain()"

    def complete(*words: str) -> list[str]:
        variables = {
            "_CGROUPS_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(["cgroups", *words]),
            "COMP_CWORD": str(len(words)),
        }
        return command.code(f"import os\nos.environ.update({variables!r})\n{code}").out.split()

    assert complete("pa") == ["parameters"]
    assert complete("get", "memory", "pids.m") == ["pids.max"]
    assert complete("get", "memory", "memory.usage_in") == ["memory.usage_in_bytes"]
    assert complete("set", "memory", "memory.limit_in") == ["memory.limit_in_bytes"]
    assert complete("set", "memory", "memory.usage_in") == []  # it cannot be set


# ---- the extra ---------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_command_without_the_extra_names_the_installation(command: Any, missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None\nfrom cgroups.cli import main\nmain()"
    message = command.failed(command.code(code, "info"))
    assert "pip install 'cgroups-cffi[cli]'" in message
    assert missing in message


def test_command_broken_import_is_no_missing_extra(command: Any) -> None:
    code = "import sys; sys.modules['cgroups.cli.common.facts'] = None\nfrom cgroups.cli import main\nmain()"
    ran = command.code(code, "info")
    assert "pip install" not in ran.err
    assert "cgroups.cli.common.facts" in ran.err


def test_import_cgroups_loads_neither_typer_nor_rich(command: Any) -> None:
    known = "{name.partition('.')[0] for name in sys.modules}"
    code = f"import sys, cgroups, cgroups.cli\nprint({known} & {{'typer', 'rich', 'click'}})"
    assert command.code(code) == command.Ran(0, "set()\n", "")


def test_entry_point_and_module_run_the_same_command(command: Any, v1_root: Path) -> None:
    [entry] = entry_points(group="console_scripts", name="cgroups")
    assert entry.value == "cgroups.cli:main"
    by_entry = command.code("from cgroups.cli import main\nmain()", "--root", str(v1_root), "tree")
    assert by_entry == command.program("tree", root=v1_root) == command.run("tree", root=v1_root)
    assert by_entry.code == 0
