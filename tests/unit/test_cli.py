"""The command ``cgroups`` on captured hosts: what it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

import cgroups
from cgroups import Host, Parameters, Subsystem
from cgroups.cli import render
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


def on_terminal(*words: str, root: Path, columns: int = 120) -> str:
    """What it draws on a terminal."""
    import pty

    ours, its = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, "-m", "cgroups", "--root", str(root), *words], stdout=its, stdin=its, env=environment
    ) as child:
        os.close(its)
        drawn = b""
        try:
            while data := os.read(ours, 65536):
                drawn += data
        except OSError:  # EIO: the other end is closed
            pass
        os.close(ours)
    assert child.returncode == 0, drawn
    return drawn.decode().replace("\r\n", "\n")


# ---- info ------------------------------------------------------------------------------


def test_info_on_v1(v1_root: Path) -> None:
    (v1_root / "proc/sys/kernel").mkdir(parents=True)
    (v1_root / "proc/sys/kernel/osrelease").write_text("6.18.1-captured\n")
    ran = run("info", root=v1_root)
    assert (ran.code, ran.err) == (0, "")
    lines = [line.split() for line in ran.out.splitlines() if line]
    assert lines[0][:4] == ["version", f"{cgroups.__version__},", cgroups.backend, "backend,"]
    assert ["kernel", "6.18.1-captured"] in lines
    assert ["root", str(v1_root)] in lines
    where = f"{v1_root}/sys/fs/cgroup"
    assert ["v1", f"{where}/memory", "memory", "memory", *"nowhere: a captured tree".split()] in lines
    assert ["v1", f"{where}/systemd", "name=systemd", "-", *"nowhere: a captured tree".split()] in lines
    assert [line for line in lines if line[0] == "v2"][0][1] == f"{where}/unified"


def test_info_on_v2(v2_root: Path) -> None:
    (v2_root / "sys/fs/cgroup/cgroup.subtree_control").write_text("cpu memory\n")
    ran = run("info", root=v2_root)
    [line] = [line for line in ran.out.splitlines() if line.startswith("v2")]
    assert line.split()[2:12] == "cpuset cpu io memory hugetlb pids rdma misc cpu memory".split()
    assert "kernel   unknown" in ran.out


def _why(ran: Ran) -> dict[str, str]:
    """The second table: controller to reason."""
    lines = ran.out.partition("\nMISSING")[2].splitlines()[1:]
    return {name: why.strip() for name, _, why in (line.partition(" ") for line in lines)}


def test_info_says_what_is_missing_and_why(v2_root: Path) -> None:
    listed = (v2_root / "proc/cgroups").read_text()
    assert "net_cls\t0\t3\t1" in listed
    listed = listed.replace("net_cls\t0\t3\t1", "net_cls\t0\t3\t0").replace("net_prio\t0\t3\t1", "net_prio\t7\t3\t1")
    (v2_root / "proc/cgroups").write_text(listed)
    assert _why(run("info", root=v2_root)) == {
        "devices": "compiled in, but neither mounted on v1 nor listed by v2",
        "net_cls": "disabled at boot: cgroup_disable=net_cls",
        "net_prio": "on v1 hierarchy 7, which is not mounted here",
        "dmem": "not in this kernel",
    }


def test_info_without_a_unified_hierarchy(v1_root: Path) -> None:
    table = v1_root / "proc/self/mountinfo"
    lines = [line for line in table.read_text().splitlines() if "cgroup2" not in line and " pids" not in line]
    table.write_text("\n".join([*[line for line in lines if not line.endswith(",pids")], ""]))
    why = _why(run("info", root=v1_root))
    assert why["misc"].startswith("the kernel does not list it")
    assert why["perf_event"] == "compiled in, but not mounted"
    assert why["pids"] == "on v1 hierarchy 8, which is not mounted here"
    assert "memory" not in why
    assert "io" not in why  # blkio is there


def test_info_of_this_host() -> None:
    ran = run("info")
    assert (ran.code, ran.err) == (0, "")
    assert os.uname().release in ran.out
    for hierarchy in cgroups.Hierarchy.scan():
        assert f" {hierarchy.mount_point} " in ran.out


# ---- tree ------------------------------------------------------------------------------


def test_tree_of_a_cgroup(v1_root: Path) -> None:
    (v1_root / f"sys/fs/cgroup/memory/{CAPTURE}/another").mkdir()
    assert run("tree", "memory", root=v1_root).out.splitlines() == [
        "memory:/",
        "└── cgroups-capture",
        "    ├── another",
        "    └── inner",
    ]
    assert run("tree", f"memory:{CAPTURE}", root=v1_root).out.splitlines()[0] == f"memory:{CAPTURE}"


@pytest.mark.parametrize(("depth", "lines"), [("0", 1), ("1", 2), ("2", 3), ("99", 3)])
def test_tree_to_a_depth(v1_root: Path, depth: str, lines: int) -> None:
    assert len(run("tree", "memory", "--depth", depth, root=v1_root).out.splitlines()) == lines


def test_tree_of_all_hierarchies(v1_root: Path) -> None:
    ran = run("tree", "--depth", "1", root=v1_root)
    tops = [line for line in ran.out.splitlines() if line[0] not in "└├ │"]
    assert len(tops) == 10
    assert tops[3] == f"memory:/  v1, {v1_root}/sys/fs/cgroup/memory"
    assert tops[-1] == f":/  v2, {v1_root}/sys/fs/cgroup/unified"
    assert ran.out.count("└── cgroups-capture\n") == 10


def test_tree_shows_names_as_they_are_and_never_lets_them_steer_the_terminal(v1_root: Path) -> None:
    base = os.fsencode(v1_root / "sys/fs/cgroup/memory")
    for name in (b"[red]a", b"\xff", b"e\x1b[2J", "é".encode(), b"x" * 200, b":smile:"):
        os.mkdir(base + b"/" + name)
    names = run("tree", "memory", "--depth", "1", root=v1_root).out.splitlines()
    assert {line[4:] for line in names[1:]} >= {"[red]a", "\\xff", "e\\x1b[2J", "é", "x" * 200, ":smile:"}
    ascii_only = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ran = program("tree", "memory", "--depth", "1", root=v1_root, env=ascii_only)
    assert (ran.code, ran.err) == (0, "")
    assert "+-- [red]a\n" in ran.out
    assert "+-- \\xc3\\xa9\n" in ran.out


def test_a_tree_deeper_than_python_recurses(v1_root: Path) -> None:
    base = os.open(v1_root / "sys/fs/cgroup/memory", os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=base)
        below = os.open("d", os.O_RDONLY, dir_fd=base)
        os.close(base)
        base = below
    os.close(base)
    try:
        ran = run("tree", "memory", root=v1_root)
    finally:
        # Too deep for Python's own removal, too.
        subprocess.run(["rm", "-rf", str(v1_root)], check=True)
    assert (ran.code, ran.err) == (0, "")
    assert len(ran.out.splitlines()) == 1 + 2 + 1200


# ---- get -------------------------------------------------------------------------------


def test_get_named_parameters(v2_root: Path) -> None:
    job = v2_root / "sys/fs/cgroup/job/a"
    (job / "cpu.max").write_text("max 100000\n")
    (job / "memory.max").write_text("18446744073709551615\n")
    (job / "io.max").write_text("8:0 rbps=1048576 wbps=max riops=max wiops=100\n")
    (job / "cpuset.cpus").write_text("0-3,8\n")
    (job / "memory.oom.group").write_text("1\n")
    names = [
        "memory.max",
        "memory.limit_in_bytes",
        "cpu.max",
        "io.max",
        "cpuset.cpus",
        "memory.oom.group",
        "io.max[8:0,wiops]",
    ]
    ran = run("get", ":/job/a", *names, root=v2_root)
    assert ran == Ran(
        0,
        "memory.max 18446744073709551615\n"
        "memory.limit_in_bytes 18446744073709551615\n"
        "cpu.max[quota] max\n"
        "cpu.max[period] 100000\n"
        "io.max[8:0,rbps] 1048576\n"
        "io.max[8:0,wbps] max\n"
        "io.max[8:0,riops] max\n"
        "io.max[8:0,wiops] 100\n"
        "cpuset.cpus 0-3,8\n"
        "memory.oom.group true\n"
        "io.max[8:0,wiops] 100\n",
        "",
    )
    found = json.loads(run("get", "--json", ":/job/a", *names, root=v2_root).out)
    assert found == {
        "memory.max": 18446744073709551615,
        "memory.limit_in_bytes": 18446744073709551615,
        "cpu.max": {"quota": "max", "period": 100000},
        "io.max": {"8:0": {"rbps": 1048576, "wbps": "max", "riops": "max", "wiops": 100}},
        "cpuset.cpus": [0, 1, 2, 3, 8],
        "memory.oom.group": True,
        "io.max[8:0,wiops]": 100,
    }


def test_every_name_that_get_prints_is_one_that_it_takes(v2_root: Path) -> None:
    lines = [line.partition(" ")[::2] for line in run("get", ":/job/a", root=v2_root).out.splitlines()]
    again = run("get", ":/job/a", *(name for name, _ in lines), root=v2_root)
    assert again.code == 0, again.err
    assert [line.partition(" ")[::2] for line in again.out.splitlines()] == lines


@pytest.mark.parametrize("spec", [":/job/a", ":/", f"memory:{CAPTURE}", f"cpuacct:{CAPTURE}/inner", f"blkio:{CAPTURE}"])
def test_get_of_all_that_there_is(v1_root: Path, v2_root: Path, spec: str) -> None:
    root = v2_root if spec.startswith(":") else v1_root
    cgroup = Host(str(root)).find_exn(spec)
    ran = run("get", "--json", spec, root=root)
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    there = set(os.listdir(cgroup.path or ""))
    for parameter in Subsystem.parameters():
        files = set(parameter.files(cgroup.version))
        if not isinstance(parameter, Parameters.Readable) or not files & there:
            assert str(parameter) not in found
        elif files <= there and parameter.controller not in ("blkio",):
            assert str(parameter) in found


def test_get_leaves_out_what_v2_always_is(v2_root: Path) -> None:
    # A constant is no control file: it is read when it is named.
    assert "memory.use_hierarchy" not in run("get", ":/job/a", root=v2_root).out
    assert run("get", ":/job/a", "memory.use_hierarchy", root=v2_root).out == "memory.use_hierarchy true\n"


def test_get_of_all_goes_on_after_what_is_broken_and_says_so(v2_root: Path) -> None:
    (v2_root / "sys/fs/cgroup/job/a/memory.high").write_text("\x00garbage\n")
    ran = run("get", ":/job/a", root=v2_root)
    assert ran.code == 1
    assert ran.err.startswith("cgroups: cannot read memory.high of :/job/a")
    assert ran.err.count("\n") == 1
    assert "memory.low 0\n" in ran.out
    assert "pids.current" in ran.out


def test_a_table_without_rows_is_there(v2_root: Path) -> None:
    (v2_root / "sys/fs/cgroup/job/a/io.max").write_text("")
    assert run("get", ":/job/a", "io.max", root=v2_root).out == "io.max\n"
    assert json.loads(run("get", "--json", ":/job/a", "io.max", root=v2_root).out) == {"io.max": {}}


def test_get_on_a_terminal_has_units(v2_root: Path) -> None:
    job = v2_root / "sys/fs/cgroup/job/a"
    (job / "memory.max").write_text("1610612736\n")
    (job / "memory.stat").write_text("anon 1048576\nfile 1023\npgfault 4096\nworkingset_refault_anon 2048\n")
    drawn = on_terminal("get", ":/job/a", "memory.max", "memory.stat", "cpu.stat", "pids.max", root=v2_root)
    lines = {line.split()[0]: line.split()[1:] for line in drawn.splitlines() if line}
    assert lines["memory.max"] == ["1610612736", "(1.5", "GiB)", "bytes"]
    assert lines["memory.stat[anon]"] == ["1048576", "(1.0", "MiB)", "bytes"]
    assert lines["memory.stat[file]"] == ["1023", "bytes"]
    assert lines["memory.stat[pgfault]"] == ["4096", "count"]
    assert lines["memory.stat[workingset_refault_anon]"] == ["2048", "count"]
    assert lines["cpu.stat[usage_usec]"][1:] == ["us"]
    assert "memory.max 1610612736\n" in run("get", ":/job/a", "memory.max", root=v2_root).out


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, ""),
        (1, ""),
        (1023, ""),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (-2048, "-2.0 KiB"),
        ((1 << 64) - 1, "16.0 EiB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert render.iec(size) == text


def test_a_narrow_terminal_cuts_nothing(v2_root: Path) -> None:
    (v2_root / "sys/fs/cgroup/job/a/memory.max").write_text("1610612736\n")
    drawn = on_terminal("get", ":/job/a", "memory.max", root=v2_root, columns=20)
    assert "…" not in drawn
    # The number is folded over two lines.
    assert "1610612736" in "".join(filter(str.isdigit, drawn.rpartition("unit")[2]))


# ---- ps --------------------------------------------------------------------------------


def _process(root: Path, pid: int, name: str, command: bytes | None, state: str = "S (sleeping)") -> None:
    directory = root / f"proc/{pid}"
    directory.mkdir(exist_ok=True)
    (directory / "status").write_text(f"Name:\t{name}\nState:\t{state}\nUid:\t1000\t0\t0\t0\n")
    if command is not None:
        (directory / "cmdline").write_bytes(command)


def test_ps(v2_root: Path) -> None:
    (v2_root / "sys/fs/cgroup/job/a/cgroup.procs").write_text("0\n10\n11\n12\n13\n14\n")
    _process(v2_root, 10, "sleep", b"sleep\x0060\x00")
    # 11 has ended before it is looked at, 12 while it is.
    _process(v2_root, 12, "gone", None)
    _process(v2_root, 13, "kworker/0:1", b"", "I (idle)")
    _process(v2_root, 14, "evil", b"\x1b[2Jevil\xff\n\x00", "R (running)")
    ran = run("ps", ":/job/a", root=v2_root)
    assert ran == Ran(
        0,
        "PID  USER  STATE     COMMAND\n"
        "10   1000  sleeping  sleep 60\n"
        "13   1000  idle      [kworker/0:1]\n"
        "14   1000  running   \\x1b[2Jevil\\xff\\n\n",
        "",
    )
    found = json.loads(run("ps", "--json", ":/job/a", root=v2_root).out)
    assert found[0] == {"pid": 10, "user": "1000", "state": "sleeping", "command": "sleep 60"}
    assert [one["pid"] for one in found] == [10, 13, 14]
    assert "sleep 60" in on_terminal("ps", ":/job/a", root=v2_root)


def test_ps_of_an_empty_cgroup(v1_root: Path) -> None:
    (v1_root / f"sys/fs/cgroup/memory{CAPTURE}/cgroup.procs").write_text("")
    assert run("ps", f"memory:{CAPTURE}", root=v1_root) == Ran(0, "PID  USER  STATE  COMMAND\n", "")
    assert json.loads(run("ps", "--json", f"memory:{CAPTURE}", root=v1_root).out) == []


# ---- text --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 日本", "plain é 日本"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b[31m", "\\x1b[31m"),
        (os.fsdecode(b"\xff\xfe"), "\\xff\\xfe"),
        ("\u202e", "\\u202e"),
        ("", ""),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert render.printable(text) == shown
