"""The commands on several real cgroups: patterns, transactions, ``save`` and ``load``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from common import MIB, MakeCgroup, Need, sub, text_of

from cgroups import MAX, Cgroup, Cpu, Group, Hierarchy, Memory, Parameters, Pids, Subsystem
from cgroups.control import enabling


class Ran(NamedTuple):
    code: int
    out: str
    err: str


def run(*words: str) -> Ran:
    command = [sys.executable, "-m", "cgroups", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return Ran(done.returncode, done.stdout, done.stderr)


def done(*words: str) -> str:
    ran = run(*words)
    assert (ran.code, ran.err) == (0, ""), ran
    return ran.out


@pytest.fixture
def top(make_cgroup: MakeCgroup, need: Need) -> Cgroup:
    """A cgroup with pids of which three children are."""
    need("pids")
    top = make_cgroup("pids", "/jobs")
    for name in ("one", "two", "three"):
        Hierarchy.find_or_create(f"pids:{top.location}/{name}")
    return top


def limits(top: Cgroup) -> dict[str, Any]:
    return {one.name: Parameters.get(Pids.max, one) for one in top.children()}


# ---- patterns ------------------------------------------------------------------------------


def test_get_and_set_pattern(top: Cgroup) -> None:
    done("set", f"pids:{top.location}/t*", "pids.max=7")
    assert limits(top) == {"one": MAX, "three": 7, "two": 7}
    found = json.loads(done("get", "--json", f"pids:{top.location}/*", "pids.max"))
    assert found == {f"{top}/one": {"pids.max": "max"}, f"{top}/three": {"pids.max": 7}, f"{top}/two": {"pids.max": 7}}
    done("set", "-r", str(top), "pids.max", "9")
    assert limits(top) == {"one": 9, "three": 9, "two": 9}
    assert done("get", "-r", str(top), "pids.max").count("pids.max 9\n") == 4


def test_pattern_of_a_name_with_wildcards_is_written_in_brackets(top: Cgroup) -> None:
    odd = sub(top, "[a]*")
    if odd.version == 1:
        assert done("get", f"pids:{top.location}/[[]a][*]", "pids.max") == f"{odd} pids.max max\n"
    assert "no cgroup matches" in run("get", f"pids:{top.location}/[[]b]", "pids.max").err


def test_set_of_a_missing_cgroup_does_not_break_the_others(top: Cgroup) -> None:
    ran = run("set", f"{top}/one", f"{top}/gone", f"{top}/two", "pids.max=5")
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert f"{top.location}/gone" in ran.err
    assert limits(top) == {"one": 5, "three": MAX, "two": 5}


def test_get_of_a_cgroup_that_vanishes_does_not_break_the_others(
    top: Cgroup, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import typer

    from cgroups.cli import get
    from cgroups.cli.common import several

    class Context:
        obj = top.hierarchy.host

    found = several.targets_of

    def vanishing(*arguments: Any, **keywords: Any) -> Any:
        targets = found(*arguments, **keywords)
        Hierarchy.find_exn(f"{top}/three").remove()
        return targets

    monkeypatch.setattr(get, "targets_of", vanishing)
    with pytest.raises(typer.Exit) as ended:
        get.get(Context(), [f"pids:{top.location}/*", "pids.max"])  # type: ignore[arg-type]
    assert ended.value.exit_code == 1
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == [f"{top}/one", f"{top}/two"]
    assert err.count("\n") == 1
    assert f"{top}/three" in err


def test_set_several_parameters_is_all_or_nothing(make_cgroup: MakeCgroup, need: Need) -> None:
    need("cpu")
    cgroup = make_cgroup("cpu")
    done("set", str(cgroup), "cpu.max=0.5", "cpu.shares=200")
    assert Parameters.get(Cpu.max, cgroup) == (50_000, 100_000)
    shares = Parameters.get(Cpu.shares, cgroup)
    ran = run("set", str(cgroup), "cpu.shares=300", "cpu.cfs_burst_us=60000")  # more than the quota
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert Parameters.get(Cpu.shares, cgroup) == shares
    assert Parameters.get(Cpu.cfs_burst_us, cgroup) == 0


def test_set_of_each_cgroup_is_its_own_transaction(make_cgroup: MakeCgroup, need: Need) -> None:
    need("cpu")
    top = make_cgroup("cpu", "/jobs")
    ours = [Hierarchy.find_or_create(f"cpu:{top.location}/{name}") for name in ("a", "b")]
    Parameters.set(Cpu.max, ours[1], (50_000, 100_000))
    before = Parameters.get(Cpu.shares, ours[0])
    ran = run("set", f"cpu:{top.location}/*", "cpu.shares=300", "cpu.max=0.2", "cpu.cfs_burst_us=15000")
    assert ran.code == 0, ran
    ran = run("set", str(ours[0]), str(ours[1]), "cpu.shares=400", "cpu.cfs_burst_us=90000")
    assert (ran.code, ran.err.count("\n")) == (1, 2)
    assert str(ours[0]) in ran.err.splitlines()[0]
    assert str(ours[1]) in ran.err.splitlines()[1]
    assert before != Parameters.get(Cpu.shares, ours[0]) == Parameters.get(Cpu.shares, ours[1])
    assert Parameters.get(Cpu.cfs_burst_us, ours[0]) == 15_000


def test_record_and_watch_pattern(top: Cgroup, tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    ran = run("record", f"pids:{top.location}/*", "-o", str(file), "-d", "0.05", "-i", "0.01", "-p", "pids.current")
    assert ran.code == 0, ran
    assert {line.split(",")[2] for line in file.read_text().splitlines()[1:]} == {
        f"{top}/{name}" for name in ("one", "two", "three")
    }
    shown = done("watch", f"{top.location}/t*", "--once", "--json", "-i", "0.1")
    assert {json.loads(line)["location"] for line in shown.splitlines()} == {
        f"{top.location}/{name}" for name in ("two", "three")
    }


# ---- save and load ---------------------------------------------------------------------------


@pytest.fixture
def group(make_cgroup: MakeCgroup, need: Need) -> Group:
    """A group on the hierarchies of memory, pids and cpu, with a child that has limits too."""
    controllers = ("memory", "pids", "cpu")
    for controller in controllers:
        need(controller)
    places = {one.hierarchy: one for one in (make_cgroup(name, "/jobs") for name in controllers)}
    if len(places) == 1:
        (place,) = places.values()
        for name in controllers:
            Hierarchy.find_or_create(f"{name}:{place.location}")
        group = Group.of([place])
    else:
        name = f"cgroups-test-{os.getpid()}-saved"
        group = Group(name, controllers).create()
    group.update({Memory.limit_in_bytes: 64 * MIB, Pids.max: 20, Cpu.shares: 200})
    return group


@pytest.fixture
def ended(group: Group) -> Any:
    yield
    for one in group.cgroups:
        if one.exists:
            one.remove(recursive=True)


@pytest.mark.usefixtures("ended")
@pytest.mark.parametrize("ending", ["json", "toml"])
def test_save_and_load_of_a_subtree_on_all_hierarchies(group: Group, tmp_path: Path, ending: str) -> None:
    if ending == "toml" and sys.version_info < (3, 11):
        pytest.skip("tomllib is of Python 3.11")
    location = group.cgroups[0].location
    child = Hierarchy.find_or_create(f"pids:{location}/child")
    Parameters.set(Pids.max, child, 5)
    first, second = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    done("save", location, "-o", str(first))
    group.remove(recursive=True)
    ran = run("load", str(first))
    assert ran.code == 1
    assert not group.exists
    done("load", str(first), "--create")
    assert group.get(Memory.limit_in_bytes) == 64 * MIB
    assert group.get(Pids.max) == 20
    assert Parameters.get(Pids.max, child) == 5
    done("save", location, "-o", str(second))
    assert first.read_text() == second.read_text()


@pytest.mark.usefixtures("ended")
def test_load_that_is_refused_changes_nothing(group: Group, tmp_path: Path) -> None:
    location = group.cgroups[0].location
    file = tmp_path / "x.json"
    wanted = {
        "new": {"pids.max": 4},
        "new/below": {"pids.max": 3, "cpu.shares": 1, "cpu.max": {"quota": 1, "period": 100_000}},
        ".": {"pids.max": 11, "memory.limit_in_bytes": "32M"},
    }
    file.write_text(json.dumps({"format": 1, "spec": location, "cgroups": wanted}))
    ran = run("load", str(file), "--create")
    assert ran.code == 1
    assert [name for name in ("cpu.shares", "cpu.max") if name in ran.err] == ["cpu.shares", "cpu.max"], ran
    assert (group.get(Pids.max), group.get(Memory.limit_in_bytes)) == (20, 64 * MIB)
    assert all(not one.children() for one in group.cgroups)
    ran = run("load", str(file), "--create", "--keep-going")
    assert ran.code == 1
    assert (group.get(Pids.max), group.get(Memory.limit_in_bytes)) == (11, 32 * MIB)
    below = Hierarchy.find_exn(f"pids:{location}/new/below")
    assert Parameters.get(Pids.max, below) == 3


@pytest.mark.usefixtures("ended")
def test_load_file_of_version_2_on_any_host(group: Group, tmp_path: Path) -> None:
    location = group.cgroups[0].location
    file = tmp_path / "x.json"
    wanted = {".": {"memory.limit_in_bytes": 32 * MIB, "cpu.max": {"quota": 20000, "period": 100000}, "pids.max": 9}}
    file.write_text(json.dumps({"format": 1, "spec": ":/elsewhere", "cgroups": wanted}))
    done("load", str(file), location)
    assert (group.get(Memory.limit_in_bytes), group.get(Pids.max)) == (32 * MIB, 9)
    assert group.get(Cpu.max) == (20000, 100000)


def test_save_and_load_frozen(make_cgroup: MakeCgroup, need: Need, tmp_path: Path) -> None:
    need("freezer")
    cgroup = make_cgroup("freezer")
    Parameters.set(Subsystem.Freezer.state, cgroup, "FROZEN")
    file = tmp_path / "x.json"
    done("save", str(cgroup), "-o", str(file))
    assert "freezer" not in json.loads(file.read_text())["cgroups"]["."]
    done("save", "--frozen", str(cgroup), "-o", str(file))
    Parameters.set(Subsystem.Freezer.state, cgroup, "THAWED")
    ran = run("load", str(file))
    assert (ran.code, ran.err) == (0, "cgroups: saved as frozen, and not frozen without --frozen: 1 cgroups\n")
    assert Parameters.get(Subsystem.Freezer.self_freezing, cgroup) is False
    done("load", "--frozen", str(file))
    assert Parameters.get(Subsystem.Freezer.self_freezing, cgroup) is True
    Parameters.set(Subsystem.Freezer.state, cgroup, "THAWED")


def test_save_new_cgroup_has_no_parameters(controller_here: str, make_cgroup: MakeCgroup) -> None:
    """So the defaults of the table are the kernel's."""
    cgroup = make_cgroup(controller_here)
    data = json.loads(done("save", str(cgroup), "-o", "-"))
    assert data["cgroups"] == {".": {}}, data


# ---- controllers that are taken back -----------------------------------------------------------


def test_remove_takes_back_controllers_unless_they_are_kept(controller_here: str, make_cgroup: MakeCgroup) -> None:
    top = make_cgroup(controller_here)

    def enabled() -> str:
        return "" if top.version == 1 else text_of(top, "cgroup.subtree_control")

    before = enabled()
    for words in (["--keep-controllers"], []):
        done("create", f"{controller_here}:{top.location}/one")
        kept = enabled()
        # Before Linux 5.7 nothing is noted, and nothing is disabled.
        noted = bool(enabling.remembered(top))
        done("remove", *words, f"{top}/one")
        assert enabled() == (kept if words or not noted else before)
