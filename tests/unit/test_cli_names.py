"""What the command takes for a cgroup beside specs, and what it says of other machines and namespaces."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cgroups import Hugetlb, InvalidValue, Subsystem

UNIT = "system.slice/ssh.service"


@pytest.fixture
def named_root(v2_root: Path) -> Path:
    """A host on which one unit is there once, and one name twice."""
    for path in (UNIT, "a.slice/twice.service", "b.slice/twice.service", f"docker/{'4f' * 32}"):
        directory = v2_root / "sys/fs/cgroup" / path
        directory.mkdir(parents=True)
        (directory / "memory.current").write_text("4096\n")
        (directory / "cgroup.controllers").write_text("memory\n")
        (directory / "cgroup.procs").write_text("")
    return v2_root


@pytest.mark.parametrize("word", ["ssh.service", f"/{UNIT}", f"/{UNIT}/", f":/{UNIT}"])
def test_get_name_that_watch_shows_is_a_spec(command: Any, named_root: Path, word: str) -> None:
    found = command.run("get", word, "memory.current", "--json", root=named_root)
    assert json.loads(found.out) == {"memory.current": 4096}


@pytest.mark.parametrize("subcommand", ["tree", "ps"])
def test_other_commands_name_that_watch_shows_is_a_spec(command: Any, named_root: Path, subcommand: str) -> None:
    found = command.run(subcommand, "ssh.service", "--json", root=named_root)
    assert found.code == 0
    container = command.run("tree", f"docker {'4f' * 6}", "--json", root=named_root)
    assert [one["cgroup"] for one in json.loads(container.out)] == [f":/docker/{'4f' * 32}"]


def test_get_ambiguous_name_lists_the_candidates(command: Any, named_root: Path, v1_root: Path) -> None:
    message = command.failed(command.run("get", "twice.service", root=named_root))
    assert ":/a.slice/twice.service" in message
    assert ":/b.slice/twice.service" in message
    # One location on several hierarchies of v1 is several cgroups.
    message = command.failed(command.run("ps", "/cgroups-capture/inner", root=v1_root))
    assert "memory:/cgroups-capture/inner" in message
    assert "pids:/cgroups-capture/inner" in message


def test_get_unknown_name_says_what_it_said_before(command: Any, named_root: Path) -> None:
    assert "no cgroup" in command.failed(command.run("get", "nope.service", root=named_root))


# ---- huge pages ------------------------------------------------------------------------------------


def test_get_another_machines_tree_reads_its_sizes_of_huge_pages(
    command: Any, v2_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cgroups.subsystem.controllers.huge_page_sizes", lambda: ["2MB"])
    directory = v2_root / "sys/fs/cgroup/job/a"
    for size in ("64KB", "16MB"):
        (directory / f"hugetlb.{size}.max").write_text("max\n")
        (directory / f"hugetlb.{size}.current").write_text("65536\n")
    for name in (directory / "cgroup.controllers", v2_root / "sys/fs/cgroup/cgroup.controllers"):
        name.write_text("memory hugetlb\n")
    found = json.loads(command.run("get", ":/job/a", "--json", root=v2_root).out)
    assert {name for name in found if name.startswith("hugetlb.") and name.endswith(".max")} >= {
        "hugetlb.64KB.max",
        "hugetlb.16MB.max",
    }
    assert found["hugetlb.64KB.current"] == 65536


@pytest.mark.parametrize(
    ("size", "meant"),
    [("64kB", "64KB"), ("2M", "2MB"), ("2097152", "2MB"), ("2 MiB", "2MB"), ("1g", "1GB"), ("1048576kB", "1GB")],
)
def test_hugetlb_size_written_otherwise_leads_to_the_right_one(size: str, meant: str) -> None:
    for attempt in (lambda: Hugetlb(size), lambda: Subsystem.parameter_named(f"hugetlb.{size}.max")):
        with pytest.raises(InvalidValue) as caught:
            attempt()
        assert f"did you mean {meant}?" in str(caught.value)


@pytest.mark.parametrize("size", ["2", "x", "0", "2097153"])
def test_hugetlb_size_that_is_none_suggests_nothing(size: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        Hugetlb(size)
    assert "did you mean" not in str(caught.value)


# ---- pid namespaces ----------------------------------------------------------------------------------


def test_ps_proc_of_another_pid_namespace_says_so(command: Any, v2_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number 252 is there another process: its name would be wrong."""
    proc = v2_root / "proc"
    monkeypatch.setattr(os, "readlink", lambda path: "1234567" if path == f"{proc}/self" else "")
    message = command.failed(command.run("ps", ":/job/a", root=v2_root))
    assert "another pid namespace" in message
    monkeypatch.setattr(os, "readlink", lambda path: str(os.getpid()))
    assert command.run("ps", ":/job/a", root=v2_root).code == 0
