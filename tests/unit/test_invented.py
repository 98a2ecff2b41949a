"""Three parameters that no kernel has, a line of a table each: all that a parameter can do works."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from cgroups import MAX, Device, Host, Parameters, Sampler, Subsystem
from cgroups.core import quantities
from cgroups.core.literals import Row, Table, device_literal
from cgroups.core.values import EVENTS, Quantity, Stat
from cgroups.parameters import block, registry
from cgroups.parameters.bindings import File
from cgroups.parameters.device_formats import device_rows
from cgroups.parameters.formats import count, stat_of
from cgroups.parameters.kinds import keyed, read_write, readable
from cgroups.parameters.per_device import Replacing


class FooEvents(Stat[int]):
    """memory.foo.events: how often something happened."""

    __slots__ = ()
    low: EVENTS  # type: ignore[valid-type]


class Invented:
    CONTROLLER: ClassVar = "memory"

    foo = readable(None, File("memory.foo", count), "bytes", "memory used for foo", no_v1="Memory.stat")
    foo_events = keyed(
        None,
        File("memory.foo.events", stat_of(FooEvents)),
        "count",
        "how often foo was refused",
        no_v1="v1 has no foo",
        keys=({"low": EVENTS, "used": Quantity("bytes", counter=False)},),
    )


class InventedIo:
    CONTROLLER: ClassVar = "io"
    NAMES_DEVICES: ClassVar = True

    foo_max = read_write(
        None,
        Replacing(
            "io.foo.max",
            device_rows,
            key=block.to_device,
            value=block.check_io_max,
            line=block.io_max_line,
            removal=lambda device: f"{device} rbps=max",
        ),
        "mixed",
        "limits of foo by device",
        no_v1="v1 has no foo",
        literal=Table(device_literal, Row(quantities.limit)),
    )


@pytest.fixture
def host(v2_root: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(registry, "TABLES", (*registry.TABLES, Invented, InventedIo))
    job = v2_root / "sys/fs/cgroup/job/a"
    (job / "memory.foo").write_text("4096\n")
    (job / "memory.foo.events").write_text("low 3\nused 8192\n")
    (job / "io.foo.max").write_text("8:0 rbps=1048576 wbps=max riops=max wiops=max\n")
    return Host(str(v2_root))


def test_invented_parameters_are_read(host: Host) -> None:
    job = host.find_exn(":/job/a")
    assert Parameters.get(Invented.foo, job) == 4096
    assert Parameters.get(Invented.foo_events, job) == {"low": 3, "used": 8192}
    assert Parameters.get(Invented.foo_events["used"], job) == 8192
    assert Parameters.get(InventedIo.foo_max, job)[Device(8, 0)]["rbps"] == 1 << 20
    assert Parameters.get(InventedIo.foo_max, job)[Device(8, 0)]["wbps"] is MAX


def test_invented_parameters_are_found_by_the_names_of_both(host: Host) -> None:
    assert host is not None
    for name, parameter in {
        "memory.foo": Invented.foo,
        "memory.foo_events": Invented.foo_events,
        "memory.foo.events": Invented.foo_events,
        "io.foo.max": InventedIo.foo_max,
    }.items():
        assert Subsystem.parameter_named(name) is parameter
    assert Invented.foo in Subsystem.parameters("memory")


def test_invented_parameters_are_sampled_with_their_units(host: Host) -> None:
    job = host.find_exn(":/job/a")
    with Sampler([job], [Invented.foo, Invented.foo_events, InventedIo.foo_max]) as sampler:
        frame = sampler.sample()
        quantities = {column.key: (column.unit, column.counter) for column in sampler.columns if column.key}
        assert frame[job, Invented.foo] == 4096
        assert frame[job, Invented.foo_events]["low"] == 3
    assert quantities["low"] == ("count", True)
    assert quantities["used"] == ("bytes", False)


def test_invented_parameter_is_set_and_refused_by_its_declaration(recorded_v2: Any) -> None:
    recorded_v2.put("io.foo.max", "8:0 rbps=1048576\n")
    Parameters.set(InventedIo.foo_max, recorded_v2.cgroup, {Device(8, 0): {"rbps": 5}})
    assert [text for _, text in recorded_v2.writes] == ["8:0 rbps=5 wbps=max riops=max wiops=max"]


def test_invented_parameters_are_known_to_the_command(host: Host, command: Any) -> None:
    root = Path(host.root)
    assert command.run("get", ":/job/a", "memory.foo", root=root).out.strip() == "memory.foo 4096"
    assert "memory.foo.events[low] 3" in command.run("get", ":/job/a", "memory.foo.events", root=root).out
    assert "memory.foo_events" in command.run("parameters", "memory", root=root).out
    assert "captured tree is read-only" in command.failed(
        command.run("set", ":/job/a", "io.foo.max", "8:0=rbps:5", root=root)
    )
