"""Detect block devices whose IO a v1 cgroup did not count: the kernel counts only under a throttle.

Before Linux 6.5 v1 counts the IO only of cgroups that have a throttle on the device, and of their descendants.
From 6.10 on it counts all cgroups once a device has had a throttle (blk-throttle: blk_should_throtl()).
So a count of 0 has no meaning, unless all IO of the device was counted in some cgroup.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from ..core.errors import CgroupError
from ..core.interface import Version
from ..core.values import Device
from ..parameters import Blkio, Parameters

if TYPE_CHECKING:
    from ..hierarchy import Cgroup

__all__ = ["DIRECTIONS", "Disks"]

SECTOR_BYTES: Final = 512

DIRECTIONS: Final = {"Read": "reads", "Write": "writes"}
"""The directions of IO: the name in blkio, and the name in a message."""


class Done(NamedTuple):
    """The IO of a device since it was added: its name, and bytes by direction."""

    name: str
    moved: Mapping[str, int]


Counted = Mapping[Device, Mapping[str, int]]
"""Bytes counted for a cgroup and its descendants, by device and direction."""


_Look = tuple[dict[Device, Done] | None, Counted]
"""The IO of all devices, None if it cannot be read, and the IO that v1 has counted."""


class Disks:
    """The IO of all block devices from now on, compared to the IO that v1 counts.

    Args:
        cgroup: the cgroup of the blkio controller to examine, before any process is in it.  Without a cgroup of v1
            no IO is uncounted, since v2 counts all devices.
    """

    def __init__(self, cgroup: Cgroup | None) -> None:
        self._cgroup = cgroup if cgroup is not None and cgroup.version == Version.V1 else None
        root = "" if cgroup is None else cgroup.hierarchy.host.root.rstrip("/")
        self._diskstats, self._sysfs = f"{root}/proc/diskstats", f"{root}/sys/dev/block"
        self._before: _Look = (None, {})
        if self._cgroup is not None:
            self._before = self._look(self._cgroup)

    def _look(self, cgroup: Cgroup) -> _Look:
        return _done(self._diskstats), _counted(cgroup.hierarchy.root())

    def uncounted(self) -> dict[str, list[str]]:
        """Return, by direction, the names of devices on which this cgroup may have done uncounted IO.

        The result is the devices of :meth:`lost` for which this cgroup has no count.
        """
        own = {} if self._cgroup is None else _counted(self._cgroup)
        return {
            direction: [name for device, name in devices.items() if not _of(own, device, direction)]
            for direction, devices in self.lost().items()
        }

    def lost(self) -> dict[str, dict[Device, str]]:
        """Return, by direction, the devices with more IO since the start than all cgroups counted together.

        A device named ``?`` stands for all devices, if the kernel's own counters cannot be read.
        """
        if self._cgroup is None:
            return {direction: {} for direction in DIRECTIONS}
        return self._lost_at(self._look(self._cgroup))

    def lost_since_last(self) -> dict[str, dict[Device, str]]:
        """Return what :meth:`lost` returns, and start again: the next call covers the time from now on."""
        if self._cgroup is None:
            return self.lost()
        now = self._look(self._cgroup)
        found = self._lost_at(now)
        self._before = now
        return found

    def _lost_at(self, look: _Look) -> dict[str, dict[Device, str]]:
        found: dict[str, dict[Device, str]] = {direction: {} for direction in DIRECTIONS}
        (done_before, all_before), (done, all_now) = self._before, look
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
    """Read the kernel's counters of all devices (Documentation/admin-guide/iostats.rst); None if access is denied."""
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
