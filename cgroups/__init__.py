"""Linux control groups, v1, v2 and hybrid hosts: find, limit, read and watch them.

Example::

    from cgroups import Hierarchy, Memory, Parameters

    job = Hierarchy.find_or_create("memory:/job")
    Parameters.set(Memory.limit_in_bytes, job, 1_000_000_000)
    Hierarchy.add_process(job, pid)
    print(Parameters.get(Memory.usage_in_bytes, job))
"""

import sys as _sys
from typing import TYPE_CHECKING

if not _sys.platform.startswith("linux"):
    raise ImportError(f"cgroups: control groups are a feature of Linux, and this is {_sys.platform}")

from . import converter as Converter  # noqa: N812 - the seed's name for this module
from . import subsystem as Subsystem  # noqa: N812
from ._backend import backend as _implementation
from .errors import (
    AccessDenied,
    CgroupBusy,
    CgroupError,
    CgroupExists,
    CgroupGone,
    CgroupNotFound,
    CgroupOSError,
    CgroupTimeout,
    ExpectedRoot,
    InvalidValue,
    NativeRequired,
    ParameterNotSupported,
    ParseError,
    ProcessNotFound,
    SubsystemNotAttached,
    SubsystemNotAvailable,
    SystemdError,
    SystemdWarning,
    shown,
)
from .group import Group
from .hierarchy import Cgroup, Hierarchy
from .host import Host
from .limits import Capacity, Effective, Source, capacity
from .report import Report, Stall
from .running import run
from .sampling.rates import VITALS, Rate, Rates, rates
from .sampling.recording import Block, Recorder
from .sampling.sampler import Cell, Column, Frame, Sampler
from .subsystem import (
    Blkio,
    Core,
    Cpu,
    Cpuacct,
    Cpuset,
    Devices,
    Dmem,
    Freezer,
    Hugetlb,
    Io,
    Memory,
    Misc,
    NetCls,
    NetPrio,
    Parameters,
    PerfEvent,
    Pids,
    Rdma,
)
from .values import MAX, CpuMax, Device, DeviceRule, DeviceTable, Identity, Limit, Max, OomControl

if TYPE_CHECKING:
    from . import aio as aio
    from .delegation import Scope
    from .events.events import Event, Events
    from .events.guard import Guard
    from .events.sources import Counters, Oom, PressureLevel, PressureTrigger, Threshold
    from .spawning import Popen

__version__ = "0.1.0"

backend: str = _implementation.NAME
"""``native`` or ``python``: which one reads the files."""


# What imports more than a program may need: where it is, looked up when it is first used.
_LATER = {
    "aio": "aio",
    "Counters": "events.sources",
    "Event": "events.events",
    "Events": "events.events",
    "Guard": "events.guard",
    "Oom": "events.sources",
    "Popen": "spawning",
    "PressureLevel": "events.sources",
    "PressureTrigger": "events.sources",
    "Scope": "delegation",
    "Threshold": "events.sources",
}


if not TYPE_CHECKING:  # to whom any name would be one of these

    def __getattr__(name: str) -> object:
        if name in _LATER:
            from importlib import import_module as _import_module  # noqa: PLC0415

            module = _import_module(f".{_LATER[name]}", __name__)
            value = module if _LATER[name] == name else getattr(module, name)
            globals()[name] = value
            return value
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)


def set_fd_budget(budget: int) -> None:
    """How many control files are kept open, at most; by default a quarter of the soft limit, up to 65536.

    Past it files are opened for each read: slower, and as right.
    """
    if not isinstance(budget, int) or isinstance(budget, bool) or budget < 0:
        raise InvalidValue(f"fd budget {shown(budget)}: an int from 0 is expected")
    _implementation.set_fd_budget(budget)


__all__ = [
    "MAX",
    "VITALS",
    "AccessDenied",
    "Blkio",
    "Block",
    "Capacity",
    "Cell",
    "Cgroup",
    "CgroupBusy",
    "CgroupError",
    "CgroupExists",
    "CgroupGone",
    "CgroupNotFound",
    "CgroupOSError",
    "CgroupTimeout",
    "Column",
    "Converter",
    "Core",
    "Counters",
    "Cpu",
    "CpuMax",
    "Cpuacct",
    "Cpuset",
    "Device",
    "DeviceRule",
    "DeviceTable",
    "Devices",
    "Dmem",
    "Effective",
    "Event",
    "Events",
    "ExpectedRoot",
    "Frame",
    "Freezer",
    "Group",
    "Guard",
    "Hierarchy",
    "Host",
    "Hugetlb",
    "Identity",
    "InvalidValue",
    "Io",
    "Limit",
    "Max",
    "Memory",
    "Misc",
    "NativeRequired",
    "NetCls",
    "NetPrio",
    "Oom",
    "OomControl",
    "ParameterNotSupported",
    "Parameters",
    "ParseError",
    "PerfEvent",
    "Pids",
    "Popen",
    "PressureLevel",
    "PressureTrigger",
    "ProcessNotFound",
    "Rate",
    "Rates",
    "Rdma",
    "Recorder",
    "Report",
    "Sampler",
    "Scope",
    "Source",
    "Stall",
    "Subsystem",
    "SubsystemNotAttached",
    "SubsystemNotAvailable",
    "SystemdError",
    "SystemdWarning",
    "Threshold",
    "backend",
    "capacity",
    "rates",
    "run",
    "set_fd_budget",
]
