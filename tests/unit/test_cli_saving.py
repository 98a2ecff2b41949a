"""``save`` and ``load`` over captured trees: which parameters, the files, and what is refused."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgroups import MAX, CpuMax, Device, Host, InvalidValue, Subsystem
from cgroups.cli import load
from cgroups.cli.common import documents, saved_values
from cgroups.subsystem import Parameters, parameter_named

needs_toml = pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib is of Python 3.11")


# ---- which parameters --------------------------------------------------------------------------


def test_saved_values_cover_every_readable_and_writable_parameter() -> None:
    known = {*saved_values.SAVED, *saved_values.FROZEN, *saved_values.NEVER, *saved_values.ALIASES}
    for parameter in Subsystem.parameters():
        if isinstance(parameter, Parameters.Writable) and not parameter.root_only:
            name = str(parameter)
            assert name in known or name.startswith("hugetlb."), name
    assert known - {"memory.force_empty"} <= {str(one) for one in Subsystem.parameters()} | {"notify_on_release"}


def test_save_has_what_differs_from_a_new_cgroup(command: Any, v2_root: Path) -> None:
    top = v2_root / "sys/fs/cgroup/job/a"
    for name, text in {
        "memory.max": "1000000",
        "memory.swap.max": "500000",
        "memory.low": "max",
        "cpu.max": "50000 100000",
        "cpu.weight": "50",
        "cpuset.cpus": "0-1",
        "pids.max": "max",
        "io.max": "8:0 rbps=1000 wbps=max riops=max wiops=max",
        "io.weight": "default 200",
        "cgroup.freeze": "1",
    }.items():
        (top / name).write_text(f"{text}\n")
    ran = command.run("save", ":/job/a", "-o", "-", root=v2_root)
    assert (ran.code, ran.err) == (0, "")
    data = json.loads(ran.out)
    assert (data["format"], data["spec"], [*data["cgroups"]]) == (1, ":/job/a", ["."])
    saved = data["cgroups"]["."]
    for name, value in {
        "memory.limit_in_bytes": 1_000_000,
        "memory.memsw_limit_in_bytes": 1_500_000,
        "memory.swap_max": 500_000,
        "cpu.max": {"quota": 50000, "period": 100000},
        "cpuset.cpus": [0, 1],
        "blkio.throttle_read_bps_device": {"8:0": 1000},
        "io.weight": {"default": 200},
    }.items():
        assert saved[name] == value, name
    assert {"cpu.shares", "blkio.weight"} <= saved.keys()
    assert not {"pids.max", "cpu.weight", "memory.max", "io.max", "blkio.throttle_write_bps_device"} & saved.keys()
    assert not {"freezer.state", "cgroup.freeze", "cgroup.kill", "cgroup.subtree_control", "memory.reclaim"} & {*saved}
    frozen = json.loads(command.run("save", "--frozen", ":/job/a", "-o", "-", root=v2_root).out)
    assert frozen["cgroups"]["."]["freezer.state"] == "FROZEN"


def test_save_without_a_hierarchy_has_every_hierarchy_of_the_cgroup(command: Any, v1_root: Path) -> None:
    (v1_root / "sys/fs/cgroup/memory/cgroups-capture/memory.limit_in_bytes").write_text("4096\n")
    (v1_root / "sys/fs/cgroup/pids/cgroups-capture/inner/pids.max").write_text("12\n")
    data = json.loads(command.run("save", "/cgroups-capture", "-o", "-", root=v1_root).out)
    assert data["spec"] == "/cgroups-capture"
    assert data["cgroups"]["."]["memory.limit_in_bytes"] == 4096
    assert data["cgroups"]["inner"]["pids.max"] == 12
    of_pids = json.loads(command.run("save", "pids:/cgroups-capture", "-o", "-", root=v1_root).out)
    assert "memory.limit_in_bytes" not in of_pids["cgroups"]["."]


@pytest.mark.parametrize("name", ["x.yaml", "x", "json"])
def test_save_unknown_suffix_is_a_usage_error(command: Any, v2_root: Path, name: str) -> None:
    assert ".json or .toml" in command.misused(command.run("save", ":/job/a", "-o", name, root=v2_root))


# ---- files -------------------------------------------------------------------------------------

LEAVES = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.one_of(LEAVES, TEXTS, st.lists(st.integers(0, 99)), st.dictionaries(TEXTS, st.one_of(LEAVES, TEXTS)))


@needs_toml
@given(st.dictionaries(TEXTS, st.dictionaries(TEXTS, VALUES), min_size=1), TEXTS)
def test_toml_written_is_read_back(tables: Any, spec: str) -> None:
    data = {"format": 1, "spec": spec, "cgroups": tables}
    assert importlib.import_module("tomllib").loads(documents.to_toml(data)) == data


def test_toml_value_it_cannot_represent_is_refused() -> None:
    with pytest.raises(InvalidValue, match=r"\.json"):
        documents.to_toml({"spec": "a\udcff"})
    assert documents.to_toml({"n": 2**64}) == f'n = "{2**64}"\n'


def test_toml_without_tomllib_is_an_error_that_names_json(
    command: Any, v2_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.toml").write_text("format = 1\n")
    monkeypatch.setitem(sys.modules, "tomllib", None)
    assert ".json" in command.failed(command.run("load", str(tmp_path / "x.toml"), root=v2_root))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "Expecting value"),
        ("[" * 100_000, "recursion"),
        ("[]", "must have the keys format"),
        ('{"format": 2, "cgroups": {}}', "must have the keys format"),
        ('{"format": 1, "cgroups": {"a": 1}}', "must be a path and a table"),
        ('{"format": 1, "cgroups": {"../x": {}}}', "must be a path and a table, got '../x'"),
        ('{"format": 1, "cgroups": {"": {}}}', "must be a path"),
        ('{"format": 1, "cgroups": {"a//b": {}}}', "must be a path"),
        ('{"format": 1, "cgroups": {"/x": {}}}', "must be a path"),
        ('{"format": 1, "cgroups": {".": {"memory.mx": 1}}}', "did you mean memory.max"),
        ('{"format": 1, "cgroups": {".": {"cgroup.kill": true}}}', "cgroup.kill is never loaded: it kills processes"),
        ('{"format": 1, "cgroups": {".": {"memory.reclaim": 1}}}', "never loaded: it acts once"),
        ('{"format": 1, "cgroups": {".": {"memory.force_empty": 0}}}', "never loaded: it acts once"),
        ('{"format": 1, "cgroups": {".": {"cgroup.procs": [1]}}}', "never loaded: it is read-only"),
        ('{"format": 1, "cgroups": {".": {"release_agent": "/x"}}}', "never loaded: it exists only in the root"),
    ],
)
def test_load_malformed_file_is_refused(command: Any, v2_root: Path, tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    message = command.failed(command.run("load", str(file), ":/job", root=v2_root))
    assert said in message
    assert str(file) in message


def test_load_without_a_spec_is_a_usage_error(command: Any, v2_root: Path, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"format": 1, "cgroups": {}}')
    assert "names no SPEC" in command.misused(command.run("load", str(tmp_path / "x.json"), root=v2_root))
    assert "nope.json" in command.failed(command.run("load", str(tmp_path / "nope.json"), ":/", root=v2_root))


# ---- values ------------------------------------------------------------------------------------


def values_on(host: Host, location: str, cgroups: dict[str, Any]) -> tuple[dict[str, Any], load._Loading]:
    plan = load._Plan("x.json", {"format": 1, "cgroups": {".": cgroups}}, frozen=False)
    loading = load._Loading("x.json", load._Place(host, location, None), plan)
    return {str(parameter): value for parameter, value in loading._values(".").items()}, loading


def test_load_v2_file_has_values_for_v1(shared_v1: Host, shared_v2: Host) -> None:
    saved = {
        "memory.limit_in_bytes": 4096,
        "memory.memsw_limit_in_bytes": 8192,
        "memory.swap_max": 4096,
        "io.weight": {"default": 200},
        "blkio.weight": 30,
        "blkio.throttle_read_bps_device": {"8:0": 1000},
        "cpu.max": {"quota": "max", "period": 100000},
        "cpuset.cpus": [0, 1],
        "cpuset.mems": "0",
        "pids.max": "max",
        "rdma.max": {"mlx": {"hca_handle": 2, "hca_object": "max"}},
    }
    on_v1, _ = values_on(shared_v1, "/cgroups-capture/inner", {**saved, "rdma.max": {}})
    assert on_v1["memory.memsw_limit_in_bytes"] == 8192
    assert not {"memory.swap_max", "io.weight"} & on_v1.keys()
    on_v2, loading = values_on(shared_v2, "/job/a", saved)
    assert loading.failures.count == 0
    assert on_v2["memory.swap_max"] == 4096
    assert on_v2["io.weight"].default == 200
    assert not {"memory.memsw_limit_in_bytes", "blkio.weight"} & on_v2.keys()
    assert on_v2["blkio.throttle_read_bps_device"] == {Device(8, 0): 1000}
    assert on_v2["cpu.max"] == CpuMax(MAX, 100000)
    assert on_v2["cpuset.mems"] == [0]
    assert on_v2["pids.max"] is MAX
    assert on_v2["rdma.max"] == {"mlx": {"hca_handle": 2, "hca_object": MAX}}


def test_load_malformed_value_is_reported(shared_v2: Host, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {"pids.max": "lots", "io.latency": {"8:0": 1}, "memory.high": {"a": 1}, "cpuset.cpus": [{}]}
    values, loading = values_on(shared_v2, "/job/a", wrong)
    assert (values, loading.failures.count) == ({}, 4)
    err = capsys.readouterr().err
    assert all(name in err for name in wrong), err


def test_load_on_a_captured_tree_reports_each_refused_cgroup(command: Any, v2_root: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(json.dumps({"format": 1, "spec": ":/job", "cgroups": {".": {"pids.max": 3}, "b": {}}}))
    ran = command.run("load", str(file), root=v2_root)
    assert ran.code == 1
    assert "no cgroup :/job/b (--create creates it)" in ran.err
    assert "a captured tree is read-only" in ran.err


def test_load_left_out_frozen_cgroups_are_counted() -> None:
    data = {"format": 1, "cgroups": {"b": {"freezer.state": "FROZEN"}, "a": {"cgroup.freeze": True}}}
    assert load._Plan("x", data, frozen=True).frozen == ["a", "b"]
    assert load._Plan("x", data, frozen=False).left_out == 2
    assert parameter_named("cgroup.freeze")
