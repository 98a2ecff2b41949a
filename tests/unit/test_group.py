"""Group without a kernel: which controllers it enables, and on which cgroups it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cgroups import Cgroup, Group, Host, InvalidValue, SubsystemNotAvailable


def enabled(recorded: Any) -> list[str]:
    return [text for name, text in recorded.writes if name == "cgroup.subtree_control"]


@pytest.fixture
def empty(recorded_v2: Any) -> Any:
    """The captured cgroup of v2, which enables nothing for those below yet."""
    recorded_v2.put("cgroup.subtree_control", "\n")
    recorded_v2.put("cgroup.procs", "")
    file = recorded_v2.directory / "cgroup.subtree_control"
    for name in ("memory", "pids", "cpu"):
        enable = f"+{name}"
        recorded_v2.when(file.name, enable, lambda name=name: file.write_text(f"{file.read_text().strip()} {name}\n"))
    yield recorded_v2
    (recorded_v2.directory / "one").rmdir()


def test_create_enables_all_controllers_of_the_group(empty: Any) -> None:
    group = Group("one", ["memory", "pids", "freezer", "cpu"], parent=empty.cgroup)
    assert len(group.cgroups) == 1
    group.create()
    assert enabled(empty) == ["+memory", "+pids", "+cpu"]


def test_create_enables_no_other_controllers(empty: Any) -> None:
    group = Group("one", ["memory"], parent=empty.cgroup)
    assert group.cgroup_of("pids") == group.cgroup_of("memory")
    group.create()
    assert enabled(empty) == ["+memory"]


MOUNTS = [
    "/sys/fs/cgroup/cpu / cgroup rw,cpu,cpuacct",
    "/sys/fs/cgroup/memory / cgroup rw,memory",
    "/mnt/memory / cgroup rw,memory",
    "/sys/fs/cgroup/unified / cgroup2 rw",
]


@pytest.fixture
def host(make_host: Callable[..., Host], tmp_path: Path) -> Host:
    """Controllers on one hierarchy, a hierarchy that is mounted twice, and v2."""
    names = ("cpu", "memory", "unified")
    found = make_host(tmp_path, *MOUNTS, directories=tuple(f"/sys/fs/cgroup/{name}/a" for name in names))
    (tmp_path / "sys/fs/cgroup/unified/cgroup.controllers").write_text("pids\n")
    return found


def test_group_controllers_of_one_hierarchy_are_one_cgroup(host: Host) -> None:
    parents = [host.find_exn(spec) for spec in ("cpu:/a", "memory:/a", ":/a")]
    group = Group("job", ["cpu", "cpuacct", "memory", "pids", ""], parent=parents)
    assert [str(cgroup) for cgroup in group] == ["cpu,cpuacct:/a/job", "memory:/a/job", ":/a/job"]
    assert group.cgroup_of("cpuacct") == group.cgroup_of("cpu")
    assert group.cgroup_of("memory").path == f"{host.root}/sys/fs/cgroup/memory/a/job"


def test_group_contradicting_parents_are_refused(host: Host) -> None:
    memory, cpu = host.find_exn("memory:/a"), host.find_exn("cpu:/a")
    for parents in ([memory, memory], [memory, host.find_exn("memory:/")], [cpu, host.find_exn("cpuacct:/")]):
        with pytest.raises(InvalidValue, match="must have one cgroup per hierarchy"):
            Group("job", ["memory"], parent=parents)
    with pytest.raises(SubsystemNotAvailable, match="no parent has memory") as raised:
        Group("job", ["cpu", "memory"], parent=cpu)
    assert raised.value.hint == "the parents are cpu,cpuacct:/a; add a cgroup of this hierarchy"


def test_group_cgroups_of_two_hosts_are_refused(host: Host, memory: Cgroup) -> None:
    with pytest.raises(InvalidValue, match="host"):
        Group.of([host.find_exn("cpu:/a"), memory])


def test_group_misspelled_controller_suggests_the_nearest() -> None:
    if Host().hierarchy_of("memory") is None:
        pytest.skip("no memory controller is mounted")
    with pytest.raises(SubsystemNotAvailable, match="controller memroy") as raised:
        Group("job", ["memroy"])
    assert "did you mean memory?" in str(raised.value)
