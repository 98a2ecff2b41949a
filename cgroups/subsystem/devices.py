"""Devices: which devices may be opened and made.  v1.  Source: cgroup-v1/devices.rst."""

from __future__ import annotations

from typing import ClassVar, final

from .binding import File
from .codecs import device_rule, device_rules
from .parameter import readable, writable

_NO_V2 = "v2 controls devices by BPF programs of type cgroup/dev"


@final
class Devices:
    """Devices: which devices may be opened and made."""

    CONTROLLER: ClassVar = "devices"

    allow = writable(
        File("devices.allow", device_rule),
        None,
        "rule",
        "adds a DeviceRule, or a text as 'c 1:3 rwm' or 'a'",
        no_v2=_NO_V2,
    )
    deny = writable(File("devices.deny", device_rule), None, "rule", "takes one away, likewise", no_v2=_NO_V2)
    list = readable(File("devices.list", device_rules), None, "rules", "what is allowed", no_v2=_NO_V2)
