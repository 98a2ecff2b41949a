"""``cgroups tree`` on captured hosts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cgroups import Cgroup, Host
from cgroups.cli.common import facts

CAPTURE = "/cgroups-capture"

HEADING = "PROCS MEMORY CPU PIDS CGROUP".split()


def _lines(text: str) -> list[tuple[list[str], str]]:
    """The four columns of each line, and the rest of it."""
    heading, *lines = text.splitlines()
    assert heading.split() == HEADING
    at = heading.index("CGROUP")
    return [(line[:at].split(), line[at:]) for line in lines]


def _names(text: str) -> list[str]:
    return [name for _, name in _lines(text)]


def test_tree_of_a_cgroup(command: Any, v1_root: Path) -> None:
    where = v1_root / "sys/fs/cgroup/memory"
    (where / "cgroups-capture/another").mkdir()
    assert _names(command.run("tree", "memory", root=v1_root).out) == [
        f"memory:/  v1, {where}",
        "└── cgroups-capture",
        "    ├── another",
        "    └── inner",
    ]
    below = _names(command.run("tree", f"memory:{CAPTURE}", root=v1_root).out)
    assert below[0] == f"memory:{CAPTURE}  v1, {where}"


@pytest.mark.parametrize(("depth", "lines"), [("0", 1), ("1", 2), ("2", 3), ("99", 3)])
def test_tree_to_a_depth(command: Any, v1_root: Path, depth: str, lines: int) -> None:
    assert len(_names(command.run("tree", "memory", "--depth", depth, root=v1_root).out)) == lines
    assert len(json.loads(command.run("tree", "memory", "--json", "--depth", depth, root=v1_root).out)) == lines


def test_tree_of_all_hierarchies(command: Any, v1_root: Path) -> None:
    ran = command.run("tree", "--depth", "1", root=v1_root)
    names = _names(ran.out)
    tops = [name for name in names if name[0] not in "└├ │"]
    assert len(tops) == 10
    assert tops[3] == f"memory:/  v1, {v1_root}/sys/fs/cgroup/memory"
    assert tops[-1] == f":/  v2, {v1_root}/sys/fs/cgroup/unified"
    assert names.count("└── cgroups-capture") == 10


def _use(directory: Path, **files: str) -> None:
    for name, text in files.items():
        (directory / name.replace("__", ".")).write_text(text)


def test_tree_v2_has_usage_of_each_cgroup(command: Any, v2_root: Path) -> None:
    job = v2_root / "sys/fs/cgroup/job"
    _use(job, cgroup__procs="", memory__current="1610612736\n", pids__current="3\n")
    _use(job, cpu__stat="usage_usec 185250000\nuser_usec 1\nsystem_usec 1\n")
    _use(job / "a", cgroup__procs="0\n10\n11\n", memory__current="512\n", pids__current="2\n")
    _use(job / "a", cpu__stat="usage_usec 120000\nuser_usec 1\nsystem_usec 1\n")
    (job / "bare").mkdir()
    top, a, bare = _lines(command.run("tree", ":/job", root=v2_root).out)
    assert top == (["0", "1.5", "GiB", "3m05s", "3"], f":/job  v2, {v2_root}/sys/fs/cgroup")
    assert a == (["2", "512", "B", "0.12s", "2"], "├── a")
    assert bare == (["-", "-", "-", "-"], "└── bare")
    exact = json.loads(command.run("tree", ":/job", "--json", root=v2_root).out)
    assert exact[1] == {
        "cgroup": ":/job/a",
        "path": str(job / "a"),
        "version": 2,
        "depth": 1,
        "processes": 2,
        "memory_bytes": 512,
        "cpu_ns": 120_000_000,
        "pids": 2,
        "denied": False,
    }
    assert [exact[0][key] for key in ("depth", "memory_bytes", "cpu_ns")] == [0, 1610612736, 185_250_000_000]
    usage = ("processes", "memory_bytes", "cpu_ns", "pids")
    assert [exact[2][key] for key in usage] == [None] * 4


@pytest.mark.parametrize(
    ("controller", "file", "column", "text", "shown"),
    [
        ("memory", "memory.usage_in_bytes", "memory_bytes", "2048\n", "2.0 KiB"),
        ("cpuacct", "cpuacct.usage", "cpu_ns", "7200000000000\n", "2h00m"),
        ("pids", "pids.current", "pids", "7\n", "7"),
    ],
)
def test_tree_v1_has_usage_that_its_hierarchy_counts(
    command: Any, v1_root: Path, controller: str, file: str, column: str, text: str, shown: str
) -> None:
    inner = v1_root / f"sys/fs/cgroup/{controller}{CAPTURE}/inner"
    _use(inner, **{file.replace(".", "__"): text, "cgroup__procs": "12\n"})
    [found] = json.loads(command.run("tree", f"{controller}:{CAPTURE}/inner", "--json", root=v1_root).out)
    others = {"memory_bytes", "cpu_ns", "pids"} - {column}
    assert found[column] == int(text)
    assert found["processes"] == 1
    assert [found[other] for other in others] == [None, None]
    [(columns, _)] = _lines(command.run("tree", f"{controller}:{CAPTURE}/inner", root=v1_root).out)
    assert shown in " ".join(columns)
    assert columns.count("-") == 2


def test_tree_names_with_control_characters_are_escaped(command: Any, v1_root: Path) -> None:
    base = os.fsencode(v1_root / "sys/fs/cgroup/memory")
    for name in (b"[red]a", b"\xff", b"e\x1b[2J", "é".encode(), b"x" * 200, b":smile:"):
        os.mkdir(base + b"/" + name)
    names = _names(command.run("tree", "memory", "--depth", "1", root=v1_root).out)
    assert {line[4:] for line in names[1:]} >= {"[red]a", "\\xff", "e\\x1b[2J", "é", "x" * 200, ":smile:"}
    drawn = command.on_terminal("tree", "memory", "--depth", "1", root=v1_root, columns=40)
    assert _names(drawn) == names  # no name is folded or cut
    ascii_only = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ran = command.program("tree", "memory", "--depth", "1", root=v1_root, env=ascii_only)
    assert (ran.code, ran.err) == (0, "")
    assert "+-- [red]a\n" in ran.out
    assert "+-- \\xc3\\xa9\n" in ran.out
    found = json.loads(command.run("tree", "memory", "--depth", "1", "--json", root=v1_root).out)
    assert f"{os.fsdecode(base)}/\\xff" in [one["path"] for one in found]  # the same spelling


@pytest.mark.slow
def test_tree_deeper_than_the_recursion_limit_is_drawn(command: Any, v1_root: Path) -> None:
    base = os.open(v1_root / "sys/fs/cgroup/memory", os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=base)
        below = os.open("d", os.O_RDONLY, dir_fd=base)
        os.close(base)
        base = below
    os.close(base)
    try:
        ran = command.run("tree", "memory", root=v1_root)
    finally:
        # Too deep for Python's own removal, too.
        subprocess.run(["rm", "-rf", str(v1_root)], check=True)
    assert (ran.code, ran.err) == (0, "")
    assert len(_names(ran.out)) == 1 + 2 + 1200


def test_tree_cgroup_that_vanishes_is_left_out(v1_root: Path) -> None:
    top = v1_root / "sys/fs/cgroup/memory/top"
    for name in ("a/b", "c/d", "e"):
        (top / name).mkdir(parents=True)
    seen = []
    for node in facts.tree(Host(str(v1_root)).find_exn("memory:/top"), None):
        seen.append(node.cgroup.location)
        if node.cgroup.name == "a":
            shutil.rmtree(top / "a")  # whose children are known by now
            shutil.rmtree(top / "c")
    assert seen == ["/top", "/top/a", "/top/e"]


def test_tree_cgroup_that_vanishes_before_its_children_are_listed_is_left_out(
    v1_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = v1_root / "sys/fs/cgroup/memory/top"
    (top / "a/b").mkdir(parents=True)
    processes = Cgroup.processes

    def then_remove(self: Cgroup) -> list[int]:
        found = processes(self) if self.name != "a" else []
        if self.name == "a":
            shutil.rmtree(top / "a")
        return found

    monkeypatch.setattr(Cgroup, "processes", then_remove)
    nodes = list(facts.tree(Host(str(v1_root)).find_exn("memory:/top"), None))
    assert [node.cgroup.location for node in nodes] == ["/top"]


def test_tree_root_that_vanishes_is_a_failure(command: Any, v1_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = v1_root / "sys/fs/cgroup/memory/top"
    top.mkdir()
    find = Host.find_exn

    def then_remove(self: Host, spec: str) -> Cgroup:
        found = find(self, spec)
        top.rmdir()
        return found

    monkeypatch.setattr(Host, "find_exn", then_remove)
    assert "memory:/top" in command.failed(command.run("tree", "memory:/top", root=v1_root))
