"""Specs, names and ids: what is taken, what is put in order, and what is refused before any system call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cgroups import Cgroup, CgroupNotFound, Hierarchy, Host, InvalidValue
from cgroups.core.node import PID_MAX
from cgroups.core.specs import Spec, check_controller, check_name, parse_spec, split_path

# 255 bytes is what a file name may have; é is two of them.
LONGEST = "é" * 127 + "x"
TOO_LONG = "é" * 128

BAD_COMPONENTS = ["..", "a/../b", "../x", "a/..", ".", "a/./b", "a\0b", "a\nb", "x" * 256, TOO_LONG, f"a/{TOO_LONG}/b"]


@pytest.mark.parametrize(
    ("text", "names", "location"),
    [
        ("memory:/a/b", ("memory",), "/a/b"),
        ("memory:a/b", ("memory",), "/a/b"),
        ("memory", ("memory",), None),
        ("memory:", ("memory",), None),
        ("memory:/", ("memory",), "/"),
        ("memory:///", ("memory",), "/"),
        ("memory://a//b/", ("memory",), "/a/b"),
        ("memory:/a/b///", ("memory",), "/a/b"),
        (":", (), None),
        (":/", (), "/"),
        (":/a", (), "/a"),
        ("name=systemd:/a", ("name=systemd",), "/a"),
        ("name=systemd", ("name=systemd",), None),
        ("cpu,cpuacct:/a", ("cpu", "cpuacct"), "/a"),
        ("memory:/a:b::c", ("memory",), "/a:b::c"),
        ("::", (), "/:"),
        ("memory:/ a b\t", ("memory",), "/ a b\t"),
        ("memory:/...", ("memory",), "/..."),
        ("memory:/..a/b..", ("memory",), "/..a/b.."),
        (f"memory:/{LONGEST}", ("memory",), f"/{LONGEST}"),
        ("memory:/\udcff\udcfe", ("memory",), "/\udcff\udcfe"),
        ("unheard_of:/a", ("unheard_of",), "/a"),
    ],
)
def test_parse_spec_valid_is_parsed(text: str, names: tuple[str, ...], location: str | None) -> None:
    assert parse_spec(text) == Spec(names, location)


BAD_SPECS: list[Any] = [
    "",
    ",:/a",
    "cpu,:/a",
    ",cpu:/a",
    "cpu,,cpuacct:/a",
    "/a/b",
    "a/b:/c",
    "me\0mory:/a",
    "memory\n:/a",
    "memory\n",
    *(f"memory:/{name}" for name in BAD_COMPONENTS),
    "memory:/" + "/".join(["x" * 200] * 21),
    "memory:/\ud800",
    None,
    5,
    b"memory:/a",
    ["memory:/a"],
    ("memory", "/a"),
    Path("memory:/a"),
]


@pytest.mark.parametrize("spec", BAD_SPECS, ids=lambda spec: repr(spec)[:40])
def test_parse_spec_invalid_is_refused_before_any_system_call(spec: Any, tmp_path: Path) -> None:
    """This host has no mount table at all: what gets as far as reading it fails in another way."""
    host = Host(str(tmp_path / "nowhere"))
    for function in (host.find, host.find_exn, host.find_or_create):
        with pytest.raises(InvalidValue) as caught:
            function(spec)
        assert not isinstance(caught.value, CgroupNotFound)
        assert "cgroup" in str(caught.value)
    with pytest.raises(InvalidValue):
        Hierarchy.find(spec)


def test_parse_spec_invalid_is_quoted() -> None:
    with pytest.raises(InvalidValue) as caught:
        parse_spec("memory:/a/../b")
    assert "'/a/../b'" in str(caught.value)
    assert "'..'" in str(caught.value)
    with pytest.raises(InvalidValue) as caught:
        parse_spec("")
    assert "CONTROLLER:/PATH" in str(caught.value)


# ---- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "a:b", "a b", "...", "-x", LONGEST, "\udcff", "tasks"])
def test_check_name_valid_is_accepted(name: str) -> None:
    assert check_name(name) == name


BAD_NAMES: list[Any] = ["", "/", "a/", "/a", *BAD_COMPONENTS, "\ud800", None, 5, b"a"]


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: repr(name)[:30])
def test_check_name_invalid_is_refused(name: Any, v1_cgroup: Callable[[str], Cgroup], job: Cgroup) -> None:
    with pytest.raises(InvalidValue):
        check_name(name)
    for cgroup in (v1_cgroup("memory"), job):
        with pytest.raises(InvalidValue):
            cgroup.make_sub(name)
        with pytest.raises(InvalidValue):
            Hierarchy.make_sub(cgroup, name)


@pytest.mark.parametrize("path", ["", "/", "//", *BAD_COMPONENTS, None, 5, b"a"], ids=lambda path: repr(path)[:30])
def test_make_invalid_path_is_refused(path: Any, v1_cgroup: Callable[[str], Cgroup]) -> None:
    with pytest.raises(InvalidValue):
        v1_cgroup("memory").make(path)


@pytest.mark.parametrize(
    ("path", "names"), [("", []), ("/", []), ("a", ["a"]), ("//a///b//", ["a", "b"]), ("a:b/c d", ["a:b", "c d"])]
)
def test_spec_repeated_slashes_are_one(path: str, names: list[str]) -> None:
    assert split_path(path) == names


@pytest.mark.parametrize("name", ["memory", "net_cls", "perf_event", "dmem"])
def test_check_controller_valid_is_returned(name: str) -> None:
    assert check_controller(name) == name


@pytest.mark.parametrize("name", ["", "+memory", "memory cpu", "mem\nory", "a,b", "ſ", "name=x", None, 5])
def test_check_controller_invalid_is_refused(name: Any) -> None:
    with pytest.raises(InvalidValue):
        check_controller(name)


# ---- ids, modes, owners: all refused before anything is looked at ---------------------------------


@pytest.mark.parametrize("pid", [0, -1, -(1 << 40), PID_MAX + 1, 1 << 40, 1 << 70, True, False, "1", 1.0, None, [1]])
def test_add_process_invalid_pid_is_refused(pid: Any, v1_cgroup: Callable[[str], Cgroup], job: Cgroup) -> None:
    for cgroup in (v1_cgroup("memory"), job):
        for function in (cgroup.add_process, cgroup.add_thread):
            with pytest.raises(InvalidValue) as caught:
                function(pid)
            assert repr(pid) in str(caught.value)
            assert f"from 1 to {PID_MAX}" in str(caught.value)


@pytest.mark.parametrize(
    "keywords",
    [
        {"perm": -1},
        {"perm": 0o10000},
        {"perm": "755"},
        {"perm": 7.0},
        {"perm": True},
        {"perm": None},
        {"file_perm": -1},
        {"tasks_perm": 1 << 20},
        {"owner": "no-such-user-here"},
        {"owner": "root:no-such-group-here"},
        {"owner": (0,)},
        {"owner": (0, 0, 0)},
        {"owner": ("root", "root")},
        {"owner": (1 << 32, 0)},
        {"owner": ((1 << 32) - 1, 0)},
        {"owner": (0, (1 << 32) - 1)},
        {"owner": "4294967295"},
        {"owner": "0:4294967295"},
        {"owner": (-2, 0)},
        {"owner": (True, 0)},
        {"owner": 0},
        {"owner": ""},
        {"owner": ":"},
    ],
    ids=str,
)
def test_create_invalid_rights_are_refused(keywords: dict[str, Any], recorded_v1: Callable[[str], Any]) -> None:
    recorded = recorded_v1("memory")
    before = sorted(recorded.directory.iterdir())
    host = recorded.cgroup.hierarchy.host
    for function in (
        lambda: host.find_or_create("memory:/cgroups-capture/inner/new", **keywords),
        lambda: recorded.cgroup.make_sub("new", **keywords),
        lambda: recorded.cgroup.make("new/deep", **keywords),
    ):
        with pytest.raises(InvalidValue):
            function()
    assert sorted(recorded.directory.iterdir()) == before
