"""Devices: access to device nodes.  v1.  Source: cgroup-v1/devices.rst."""

from __future__ import annotations

from typing import ClassVar, final

from .bindings import File
from .device_formats import device_rule, device_rules
from .kinds import readable, writable

_NO_V2 = "v2 controls devices by BPF programs of type cgroup/dev"


@final
class Devices:
    """Devices: access to device nodes."""

    CONTROLLER: ClassVar = "devices"
    NAMES_DEVICES: ClassVar = True

    allow = writable(
        File("devices.allow", device_rule),
        None,
        "rule",
        "adds a DeviceRule or a text such as 'c 1:3 rwm' or 'a'",
        no_v2=_NO_V2,
    )
    deny = writable(File("devices.deny", device_rule), None, "rule", "removes a DeviceRule or a text", no_v2=_NO_V2)
    list = readable(File("devices.list", device_rules), None, "rules", "the allowed devices", no_v2=_NO_V2)
