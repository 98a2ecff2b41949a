"""Which block devices a v1 cgroup has not counted: the kernel counts only where a throttle is.

Before Linux 6.5 v1 counts the IO of cgroups that have a throttle on the device, or are below such a one,
and from 6.10 on that of all cgroups once a device has had one (blk-throttle: blk_should_throtl()).
A count of 0 therefore says nothing, unless all IO of the device was counted somewhere.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from .errors import CgroupError
from .subsystem import Blkio, Parameters
from .values import Device

if TYPE_CHECKING:
    from .hierarchy import Cgroup

__all__ = ["DIRECTIONS", "Disks"]

SECTOR_BYTES: Final = 512

DIRECTIONS: Final = {"Read": "reads", "Write": "writes"}
"""What blkio calls the directions, and a message."""


class Done(NamedTuple):
    """What the kernel has done on a device since it was added: its name, and bytes by direction."""

    name: str
    moved: Mapping[str, int]


Counted = Mapping[Device, Mapping[str, int]]
"""Bytes that a cgroup and those below it have been counted, by device and direction."""


class Disks:
    """The IO of all block devices from now on, held against what v1 counts of it.

    Args:
        cgroup: the cgroup of the blkio controller that is to be judged, before anything is in it; None and one of
            v2, which counts all devices, have nothing uncounted.
    """

    def __init__(self, cgroup: Cgroup | None) -> None:
        self._cgroup = cgroup if cgroup is not None and cgroup.version == 1 else None
        root = "" if cgroup is None else cgroup.hierarchy.host.root.rstrip("/")
        self._diskstats, self._sysfs = f"{root}/proc/diskstats", f"{root}/sys/dev/block"
        self._before: tuple[dict[Device, Done] | None, Counted] = (None, {})
        if self._cgroup is not None:
            self._before = self._look(self._cgroup)

    def _look(self, cgroup: Cgroup) -> tuple[dict[Device, Done] | None, Counted]:
        return _done(self._diskstats), _counted(cgroup.hierarchy.root())

    def uncounted(self) -> dict[str, list[str]]:
        """Return, by direction, the names of devices on which this cgroup may have done IO that was not counted.

        Those of :meth:`lost` of which it has no count itself.
        """
        own = {} if self._cgroup is None else _counted(self._cgroup)
        return {
            direction: [name for device, name in devices.items() if not _of(own, device, direction)]
            for direction, devices in self.lost().items()
        }

    def lost(self) -> dict[str, dict[Device, str]]:
        """Return, by direction, the devices that did more since the beginning than was counted of all cgroups.

        One that is called ``?`` stands for all, where the kernel's own counters cannot be read.
        """
        found: dict[str, dict[Device, str]] = {direction: {} for direction in DIRECTIONS}
        if self._cgroup is None:
            return found
        (done_before, all_before), (done, all_now) = self._before, self._look(self._cgroup)
        if done is None or done_before is None:
            return {direction: {Device(0, 0): "?"} for direction in DIRECTIONS}
        for device, now in done.items():
            before = done_before.get(device)
            for direction, names in found.items():
                moved = now.moved[direction] - (0 if before is None else before.moved[direction])
                counted = _of(all_now, device, direction) - _of(all_before, device, direction)
                if moved > counted and not self._is_partition(device):
                    names[device] = now.name
        return found

    def _is_partition(self, device: Device) -> bool:
        return os.path.exists(f"{self._sysfs}/{device}/partition")


def _of(counted: Counted, device: Device, direction: str) -> int:
    return counted.get(device, {}).get(direction, 0)


def _counted(cgroup: Cgroup) -> Counted:
    try:
        return Parameters.get(Blkio.throttle_io_service_bytes_recursive, cgroup)
    except CgroupError:
        return {}


def _done(path: str) -> dict[Device, Done] | None:
    """Read the kernel's counters of all devices (Documentation/admin-guide/iostats.rst); None if that is refused."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            lines = [line.split() for line in file]
    except OSError:
        return None
    return {
        Device(int(line[0]), int(line[1])): Done(
            line[2], {"Read": int(line[5]) * SECTOR_BYTES, "Write": int(line[9]) * SECTOR_BYTES}
        )
        for line in lines
        if len(line) > 9  # noqa: PLR2004 - a partition's before Linux 2.6.25
    }
