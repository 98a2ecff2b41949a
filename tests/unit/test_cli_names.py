"""Names of cgroups besides specs, and messages about other machines and namespaces."""

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
def test_get_name_from_watch_is_a_spec(command: Any, named_root: Path, word: str) -> None:
    found = command.run("get", word, "memory.current", "--json", root=named_root)
    assert json.loads(found.out) == {"memory.current": 4096}


@pytest.mark.parametrize("subcommand", ["tree", "ps"])
def test_commands_name_from_watch_is_a_spec(command: Any, named_root: Path, subcommand: str) -> None:
    found = command.run(subcommand, "ssh.service", "--json", root=named_root)
    assert found.code == 0
    container = command.run("tree", f"docker {'4f' * 6}", "--json", root=named_root)
    assert [one["cgroup"] for one in json.loads(container.out)] == [f":/docker/{'4f' * 32}"]


def test_get_ambiguous_name_lists_the_candidates(command: Any, named_root: Path) -> None:
    message = command.failed(command.run("get", "twice.service", root=named_root))
    assert ":/a.slice/twice.service" in message
    assert ":/b.slice/twice.service" in message


@pytest.mark.parametrize("word", ["/cgroups-capture/inner", "inner", "cgroups-capture/inner"])
def test_get_location_on_v1_is_read_on_the_hierarchy_of_each_parameter(command: Any, v1_root: Path, word: str) -> None:
    found = command.run("get", word, "memory.limit_in_bytes", "pids.max", "cpu.shares", root=v1_root)
    for spec, name in (("memory", "memory.limit_in_bytes"), ("pids", "pids.max"), ("cpu", "cpu.shares")):
        assert command.run("get", f"{spec}:/cgroups-capture/inner", name, root=v1_root).out in found.out
    assert len(found.out.splitlines()) == 3


def test_get_unknown_name_keeps_its_message(command: Any, named_root: Path) -> None:
    assert "no cgroup" in command.failed(command.run("get", "nope.service", root=named_root))


@pytest.fixture
def own_root(named_root: Path) -> Path:
    """A host on which the caller is in the one unit."""
    (named_root / "proc/self/cgroup").write_text(f"0::/{UNIT}\n")
    return named_root


@pytest.mark.parametrize("words", [["memory.current"], [".", "memory.current"], ["memory.current", "memory.current"]])
def test_get_without_a_spec_reads_the_own_cgroup(command: Any, own_root: Path, words: list[str]) -> None:
    found = command.run("get", *words, "--json", root=own_root)
    assert json.loads(found.out) == {"memory.current": 4096}


def test_get_and_ps_without_words_show_the_own_cgroup(command: Any, own_root: Path) -> None:
    assert json.loads(command.run("get", "--json", root=own_root).out)["memory.current"] == 4096
    assert command.run("ps", "--json", root=own_root).out == "[]\n"


def test_get_without_a_spec_on_a_host_without_the_caller_raises(command: Any, named_root: Path) -> None:
    for words in (["get"], ["ps"], ["events"], ["get", "memory.max"]):
        assert "cannot find the cgroup of this process" in command.failed(command.run(*words, root=named_root))


@pytest.mark.parametrize(
    "word", ["252", "pid:252", f"container:{'4f' * 4}", "/sys/fs/cgroup/job/a/", "/job/a", "a", ":/job/a", "job/a"]
)
def test_every_reading_command_takes_each_form(command: Any, named_root: Path, word: str) -> None:
    (named_root / "proc/252/cgroup").write_text("0::/job/a\n")
    code, out, _ = command.run("tree", word, "--json", "--depth", "0", root=named_root)
    (node,) = json.loads(out)
    assert node["cgroup"] == (f":/docker/{'4f' * 32}" if word.startswith("container") else ":/job/a")
    assert code == command.run("ps", word, root=named_root).code == command.run("get", word, root=named_root).code == 0


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["set", "inner", "memory.max", "1"], "memory:/cgroups-capture/inner"),
        (["set", "/cgroups-capture/inner", "pids.max", "1"], "pids:/cgroups-capture/inner"),
        (["reset", "inner", "memory.failcnt"], "memory:/cgroups-capture/inner"),
        (["attach", "inner", "1"], ":/cgroups-capture/inner"),
        (["remove", "/sys/fs/cgroup/pids/cgroups-capture/inner/"], "pids:/cgroups-capture/inner"),
        (["freeze", "/sys/fs/cgroup/freezer/cgroups-capture/inner"], "freezer:/cgroups-capture/inner"),
    ],
)
def test_every_changing_command_acts_on_the_parameters_hierarchy(
    command: Any, v1_root: Path, words: list[str], meant: str
) -> None:
    message = command.failed(command.run(*words, root=v1_root))
    directory = "/" + (meant if meant[0] != ":" else f"unified{meant}").replace(":/", "/")
    assert f" {meant}" in message or directory in message
    assert "a captured tree is read-only" in message


def test_freeze_name_on_v1_is_on_the_freezers_hierarchy(command: Any, make_host: Any, tmp_path: Path) -> None:
    host = make_host(
        tmp_path / "host",
        "/sys/fs/cgroup/memory / cgroup rw,memory",
        "/sys/fs/cgroup/freezer / cgroup rw,freezer",
        directories=("/sys/fs/cgroup/memory/job", "/sys/fs/cgroup/freezer/job"),
    )
    for subcommand in ("freeze", "thaw"):
        assert "freezer:/job" in command.failed(command.run(subcommand, "job", root=Path(host.root)))
    assert "memory:/job" in command.failed(command.run("freeze", "memory:/job", root=Path(host.root)))


def test_get_pressure_on_a_hybrid_host_is_of_the_unified_hierarchy(command: Any, v1_root: Path) -> None:
    directory = v1_root / "sys/fs/cgroup/unified/cgroups-capture/inner"
    directory.mkdir(parents=True, exist_ok=True)
    line = "avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"
    (directory / "memory.pressure").write_text(f"some {line}full {line}")
    found = command.run("get", "inner", "memory.pressure[some,total]", "memory.limit_in_bytes", root=v1_root)
    assert found.out.splitlines()[0] == "memory.pressure[some,total] 7"


def test_get_controller_not_mounted_raises(command: Any, v1_root: Path) -> None:
    assert "rdma" in command.failed(command.run("get", "inner", "rdma.max", root=v1_root))


def test_help_lists_the_forms_of_a_spec(command: Any) -> None:
    out = command.run("--help").out
    for form in ("ssh.service", "pid:1234", "container:3f2a", "id:4242", "/sys/fs/cgroup/a", "name=systemd:/a"):
        assert form in out


# ---- huge pages ------------------------------------------------------------------------------------


def test_get_tree_of_another_machine_has_its_huge_page_sizes(
    command: Any, v2_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cgroups.parameters.registry.huge_page_sizes", lambda: ["2MB"])
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
def test_get_hugetlb_size_misspelled_suggests_the_right_one(size: str, meant: str) -> None:
    for attempt in (lambda: Hugetlb(size), lambda: Subsystem.parameter_named(f"hugetlb.{size}.max")):
        with pytest.raises(InvalidValue) as caught:
            attempt()
        assert f"did you mean {meant}?" in str(caught.value)


@pytest.mark.parametrize("size", ["2", "x", "0", "2097153"])
def test_get_hugetlb_size_invalid_suggests_nothing(size: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        Hugetlb(size)
    assert "did you mean" not in str(caught.value)


# ---- pid namespaces ----------------------------------------------------------------------------------


def test_ps_proc_of_another_pid_namespace_raises(command: Any, v2_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number 252 is there another process: its name would be wrong."""
    proc = v2_root / "proc"
    monkeypatch.setattr(os, "readlink", lambda path: "1234567" if path == f"{proc}/self" else "")
    message = command.failed(command.run("ps", ":/job/a", root=v2_root))
    assert "another pid namespace" in message
    monkeypatch.setattr(os, "readlink", lambda path: str(os.getpid()))
    assert command.run("ps", ":/job/a", root=v2_root).code == 0
