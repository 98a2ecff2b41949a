"""Texts that are garbled are refused; what a vendor's kernel adds is not."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cgroups import Cgroup, DeviceRule, Devices, Host, InvalidValue, Memory, Parameters, ParseError, converter
from cgroups.core import mounts
from cgroups.parameters.device_formats import device_rule, device_rules
from cgroups.parameters.formats import numa_stat

NUMA = numa_stat(1)


@pytest.mark.parametrize(
    "text",
    [
        "N0=123 N1\n",
        "anon garbage\n",
        "anon\n",
        "N0=123\n",
        "0 0\n",
        "anon N0=1\nN0=2\n",
        "anon N0=x\n",
        "anon N0=1 5\n",
    ],
)
def test_numa_stat_garbled_line_raises_parse_error(job: Cgroup, text: str) -> None:
    Path(str(job.path), "memory.numa_stat").write_text(text)
    with pytest.raises(ParseError):
        Parameters.get(Memory.numa_stat, job)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_numa_stat_vendor_line_of_plain_numbers_is_left_out(at: int) -> None:
    lines = ["total=9 N0=4 N1=5\n", "anon N0=1 N1=2\n"]
    lines.insert(at, "numa_locality 0 0 0 0\n")
    found = converter.read(NUMA, "".join(lines))
    assert dict(found) == {"total": {0: 4, 1: 5}, "anon": {0: 1, 1: 2}}
    assert found.totals == {"total": 9}


@pytest.mark.parametrize("text", ["b 1:7 rwk", "b 1:7 x", "c 4294967296:0 r", "d 1:7 r", "b 1 r", "b 1:7"])
def test_devices_list_rule_that_cannot_be_written_raises_parse_error(text: str) -> None:
    with pytest.raises(ParseError):
        converter.read(device_rules, f"a *:* rwm\n{text}\n")
    with pytest.raises(InvalidValue):
        converter.write(device_rule, text)


def test_devices_list_reads_what_can_be_written() -> None:
    for text in ("a *:* rwm", "b 1:7 rw", "c *:3 m", "b 4294967295:* r"):
        [rule] = converter.read(device_rules, f"{text}\n")
        assert isinstance(rule, DeviceRule)
        assert converter.write(device_rule, rule) == text
    assert str(Devices.list) == "devices.list"


def test_mount_point_with_nul_is_left_out(
    implementation: ModuleType, monkeypatch: pytest.MonkeyPatch, tree: Any, tmp_path: Path
) -> None:
    """No path has one: the line is damaged, and the others are right."""
    monkeypatch.setattr(mounts, "backend", implementation)
    monkeypatch.setattr(mounts, "mounts_state", implementation.mounts_state)
    lines = [
        r"30 20 0:27 / /mnt\000x rw - cgroup cgroup rw,cpu",
        r"31 20 0:28 /a\000b /mnt rw - cgroup cgroup rw,pids",
        "32 20 0:29 / /whole rw - cgroup cgroup rw,memory",
    ]
    host: Host = tree(tmp_path / "host", "\n".join(lines) + "\n", "/whole/a", "/mnt")
    assert [one.subsystems for one in host.scan()] == [("memory",)]
    assert host.find("memory:/a") is not None
