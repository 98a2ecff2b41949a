"""``cgroups parameters``: what it says of each, compared with the parameters themselves."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from cgroups import Parameters, Subsystem


def test_parameters_lists_every_parameter_with_its_description(command: Any) -> None:
    found = json.loads(command.run("parameters", "--json").out)
    assert [one["name"] for one in found] == [str(one) for one in Subsystem.parameters()]
    for data, parameter in zip(found, Subsystem.parameters()):
        assert data["unit"] == parameter.unit
        assert data["doc"] == parameter.doc
        assert (tuple(data["v1_files"]), tuple(data["v2_files"])) == (parameter.files(1), parameter.files(2))
        assert ("read" in data["access"]) is isinstance(parameter, Parameters.Readable)
        assert ("set" in data["access"]) is isinstance(parameter, Parameters.Writable)
        assert ("reset" in data["access"]) is isinstance(parameter, Parameters.Resettable)
        assert set(data["access"]) <= {"read", "set", "reset"}


@pytest.mark.parametrize(
    ("name", "access", "unit", "v1", "v2"),
    [
        ("memory.limit_in_bytes", ["read", "set"], "bytes", ["memory.limit_in_bytes"], ["memory.max"]),
        ("memory.failcnt", ["read", "reset"], "count", ["memory.failcnt"], ["memory.events.local"]),
        ("memory.force_empty", ["reset"], "", ["memory.force_empty"], ["memory.current", "memory.reclaim"]),
        ("memory.reclaim", ["set"], "bytes", [], ["memory.reclaim"]),
        ("cpuacct.usage", ["read", "reset"], "ns", ["cpuacct.usage"], ["cpu.stat"]),
        ("notify_on_release", ["read", "set"], "bool", ["notify_on_release"], []),
    ],
)
def test_parameters_known_rows_are_listed(
    command: Any, name: str, access: list[str], unit: str, v1: list[str], v2: list[str]
) -> None:
    [found] = [one for one in json.loads(command.run("parameters", "--json").out) if one["name"] == name]
    assert [found[key] for key in ("access", "unit", "v1_files", "v2_files")] == [access, unit, v1, v2]


def test_parameters_in_a_pipe_has_one_line_each(command: Any) -> None:
    ran = command.run("parameters", "memory")
    heading, *lines = ran.out.splitlines()
    assert re.split(r"\s\s+", heading) == ["PARAMETER", "ACCESS", "UNIT", "V1", "V2", "DESCRIPTION"]
    assert [line.split()[0] for line in lines] == [str(one) for one in Subsystem.parameters("memory")]
    [line] = [line for line in lines if line.startswith("memory.max ")]
    doc = "the hard limit on memory"
    assert re.split(r"\s\s+", line) == ["memory.max", "read,set", "bytes", "memory.limit_in_bytes", "memory.max", doc]


@pytest.mark.parametrize("controller", ["memory", "cgroup", "io", "net_cls"])
def test_parameters_of_one_controller_lists_only_its_own(command: Any, controller: str) -> None:
    found = json.loads(command.run("parameters", controller, "--json").out)
    assert [one["name"] for one in found] == [str(one) for one in Subsystem.parameters(controller)]
    assert found


def test_parameters_of_hugetlb_without_huge_pages_is_empty(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cgroups.parameters.registry.huge_page_sizes", list)
    assert json.loads(command.run("parameters", "hugetlb", "--json").out) == []
    assert command.run("parameters", "hugetlb").code == 0


def test_parameters_on_a_terminal_cuts_nothing(command: Any, v2_root: Any) -> None:
    drawn = command.on_terminal("parameters", "memory", root=v2_root, columns=40)
    assert "…" not in drawn
    lines = drawn.splitlines()
    words = " ".join(drawn.split())
    for parameter in Subsystem.parameters("memory"):
        assert " ".join(parameter.doc.split()) in words
        assert [line for line in lines if line.split()[0] == str(parameter)]


def test_parameters_unknown_controller_suggests_the_nearest(command: Any) -> None:
    assert "did you mean memory?" in command.misused(command.run("parameters", "memroy"))
    everything = command.misused(command.run("parameters", "xyzzy"))
    assert "memory, cpu, cpuacct" in everything
    assert "did you mean" not in everything
