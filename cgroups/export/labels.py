"""The labels of exported series: names of cgroups, devices and identities, as text that any monitoring system takes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from ..core.errors import visible

if TYPE_CHECKING:
    from ..core.node import Node
    from ..core.values import Identity

__all__ = ["IDENTITY", "device_name", "identity_labels", "start_time"]

IDENTITY: Final[Mapping[str, str]] = {
    "unit": "unit",
    "slice": "slice",
    "runtime": "runtime",
    "container_id": "container",
    "pod_uid": "pod",
    "qos": "qos",
    "jobid": "job",
    "uid": "uid",
}
"""Labels of the metric ``info``, each with its field of :class:`Identity`."""


def identity_labels(identity: Identity | None) -> dict[str, str]:
    """Return the labels of an identity; a label without a value is empty, which equals a missing one."""
    fields = {} if identity is None else identity._asdict()
    found = {label: fields.get(field) for label, field in IDENTITY.items()}
    return {label: "" if value is None else visible(str(value)) for label, value in found.items()}


def device_name(directory: str, device: str) -> str:
    """Return the kernel's name of a block device, such as ``sda`` for ``8:0``; the numbers if it has no name.

    Args:
        directory: the host's sys/dev/block.
        device: the device.
    """
    try:
        return os.path.basename(os.readlink(f"{directory}/{device}"))
    except OSError:
        return device


def start_time(cgroup: Node) -> float | None:
    """Return the earliest time that the kernel reports for a cgroup, in Unix seconds; None if the cgroup is gone.

    cgroupfs does not record when a directory was created.  Its times are those of the directory's first use,
    and a change of owner updates them.  So a caller should keep the first answer for each inode.  Unlike
    st_mtime, st_ctime cannot be set by the owner of the directory.
    """
    times = []
    for path in (f"{cgroup.path}", f"{cgroup.path}/cgroup.procs"):
        try:
            times.append(os.stat(path, follow_symlinks=False).st_ctime)
        except OSError:
            continue
    return min(times, default=None)
