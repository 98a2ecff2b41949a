"""Only the root of a hierarchy has some files: the declaration of their parameters has an attribute."""

from __future__ import annotations

from typing import Any

import pytest

from cgroups import (
    Cgroup,
    Cpuset,
    Dmem,
    ExpectedRoot,
    Host,
    Io,
    Memory,
    Misc,
    Parameters,
    Subsystem,
    SubsystemNotAvailable,
)

ROOT_ONLY = {
    "cgroup.sane_behavior",
    "cpuset.cpus_isolated",
    "cpuset.memory_pressure_enabled",
    "dmem.capacity",
    "io.cost_model",
    "io.cost_qos",
    "misc.capacity",
    "release_agent",
}


def test_declaration_root_only_is_an_attribute() -> None:
    assert {str(one) for one in Subsystem.parameters() if one.root_only} == ROOT_ONLY
    for parameter in Subsystem.parameters():
        assert parameter.root_only == parameter.doc.endswith("; only in the root")


@pytest.mark.parametrize("parameter", [Io.cost_qos, Io.cost_model, Misc.capacity, Dmem.capacity, Cpuset.cpus_isolated])
def test_get_v2_root_only_below_the_root_raises_expected_root(job: Cgroup, parameter: Any) -> None:
    [mount] = job.hierarchy.mounts
    with open(f"{mount.path}/cgroup.controllers", "w") as file:
        file.write("cpuset cpu io memory misc dmem pids\n")
    with pytest.raises(ExpectedRoot, match="only the root"):
        Parameters.get(parameter, job)


@pytest.mark.parametrize(
    ("controller", "parameter"),
    [
        ("memory", Parameters.release_agent),
        ("cpuset", Cpuset.memory_pressure_enabled),
        ("memory", Subsystem.Core.sane_behavior),
    ],
)
def test_get_v1_root_only_below_the_root_raises_expected_root(v1: Host, controller: str, parameter: Any) -> None:
    cgroup = v1.find_exn(f"{controller}:/cgroups-capture/inner")
    with pytest.raises(ExpectedRoot, match="only the root"):
        Parameters.get(parameter, cgroup)


def test_get_root_only_without_its_controller_says_so(job: Cgroup) -> None:
    """To use the root would not help."""
    with pytest.raises(SubsystemNotAvailable):
        Parameters.get(Dmem.capacity, job)


# ---- what a cgroup does not have ---------------------------------------------------------------------


def test_get_default_replaces_absence_only(job: Cgroup, v2: Host, v1: Host) -> None:
    """A loop over cgroups continues if the controller, the file or the cgroup is missing."""
    nothing = object()
    assert Parameters.get(Memory.current, job, default=None) == Parameters.get(Memory.current, job)
    gone = Cgroup(job.hierarchy, "/gone")
    absent: list[tuple[Any, Cgroup]] = [
        (Memory.current, gone),
        (Dmem.capacity, job),
        (Memory.kmem_usage_in_bytes, job),
        (Parameters.release_agent, v1.find_exn("memory:/cgroups-capture")),
        (Memory.current, v1.find_exn("pids:/cgroups-capture/inner")),
    ]
    for parameter, cgroup in absent:
        assert Parameters.get(parameter, cgroup, default=nothing) is nothing
        assert Parameters.get(parameter, cgroup, None) is None
        with pytest.raises(Exception):  # noqa: B017, PT011 - whichever of the five
            Parameters.get(parameter, cgroup)


def test_get_default_does_not_hide_other_errors(job: Cgroup) -> None:
    with open(f"{job.path}/memory.current", "w") as file:
        file.write("garbage\n")
    with pytest.raises(ValueError, match="memory"):
        Parameters.get(Memory.current, job, default=None)
    with pytest.raises(TypeError):
        Parameters.get("memory.current", job, default=None)  # type: ignore[call-overload]
