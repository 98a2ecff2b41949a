"""The metrics of OpenTelemetry: names of the semantic conventions 1.44; those without one begin with ``cgroup.``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from .numbers import EVENTS

__all__ = ["CONVENTIONS", "Convention"]


class Convention(NamedTuple):
    """A metric.

    Attributes:
        name: the name.
        kind: the instrument: ``counter``, ``updowncounter`` or ``gauge``.
        unit: the unit in UCUM.
        description: the description.
        numbers: the numbers that are its series, each with its attributes.
        labels: the attribute for each label that a number has already.
    """

    name: str
    kind: str
    unit: str
    description: str
    numbers: Mapping[str, Mapping[str, str]]
    labels: Mapping[str, str] = {}


def _by(attribute: str, numbers: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {number: {attribute: value} for number, value in numbers.items()}


_DEVICE: Final = {"device": "system.device"}

CONVENTIONS: Final = (
    Convention(
        "container.cpu.time",
        "counter",
        "s",
        "CPU time used",
        _by("cpu.mode", {"cpu.user": "user", "cpu.system": "system"}),
    ),
    Convention("container.cpu.usage", "gauge", "{cpu}", "CPUs busy since the last export", {"derived.busy_cpus": {}}),
    Convention("container.uptime", "gauge", "s", "Age of the cgroup", {"derived.uptime": {}}),
    Convention(
        "container.memory.available", "updowncounter", "By", "Memory left below the limit", {"derived.available": {}}
    ),
    Convention("container.memory.usage", "updowncounter", "By", "Memory used", {"memory.usage": {}}),
    Convention(
        "container.memory.working_set", "updowncounter", "By", "Memory in active use", {"memory.working_set": {}}
    ),
    Convention("container.memory.rss", "updowncounter", "By", "Anonymous memory", {"memory.rss": {}}),
    Convention(
        "container.paging.faults",
        "counter",
        "{fault}",
        "Page faults",
        _by("system.paging.fault.type", {"memory.minor_faults": "minor", "memory.major_faults": "major"}),
    ),
    Convention(
        "container.disk.io",
        "counter",
        "By",
        "Bytes of block devices",
        _by("disk.io.direction", {"io.read_bytes": "read", "io.write_bytes": "write"}),
        _DEVICE,
    ),
    Convention(
        "cgroup.disk.operations",
        "counter",
        "{operation}",
        "Operations of block devices",
        _by("disk.io.direction", {"io.reads": "read", "io.writes": "write"}),
        _DEVICE,
    ),
    Convention("cgroup.cpu.limit", "gauge", "{cpu}", "Limit of the CPU time", {"cpu.limit": {}}),
    Convention("cgroup.cpu.periods", "counter", "{period}", "Periods of the CPU limit", {"cpu.periods": {}}),
    Convention(
        "cgroup.cpu.throttled.periods",
        "counter",
        "{period}",
        "Periods in which the cgroup was throttled",
        {"cpu.throttled_periods": {}},
    ),
    Convention("cgroup.cpu.throttled.time", "counter", "s", "Time that CPUs were throttled", {"cpu.throttled": {}}),
    Convention("cgroup.memory.peak", "gauge", "By", "Highest memory usage", {"memory.peak": {}}),
    Convention("cgroup.memory.limit", "gauge", "By", "Lowest memory limit up the tree", {"memory.effective_limit": {}}),
    Convention("cgroup.memory.swap", "updowncounter", "By", "Swap used", {"memory.swap": {}}),
    Convention(
        "cgroup.memory.events",
        "counter",
        "{event}",
        "Memory events of the cgroup and its descendants",
        _by("event", {f"memory.events.{event}": event for event in EVENTS}),
    ),
    Convention(
        "cgroup.pressure.time",
        "counter",
        "s",
        "Time in which tasks waited",
        {
            f"pressure.{resource}.{kind}": {"resource": resource, "kind": kind}
            for resource in ("cpu", "memory", "io", "irq")
            for kind in ("waiting", "stalled")
        },
    ),
    Convention("cgroup.pids", "updowncounter", "{process}", "Processes and threads", {"pids.current": {}}),
    Convention("cgroup.pids.limit", "gauge", "{process}", "Limit of processes and threads", {"pids.limit": {}}),
)
"""The metrics, in the order of their export."""
