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
from typing import Any as _Any

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
    shown,
)
from .hierarchy import Cgroup, Hierarchy
from .host import Host
from .limits import Capacity, Effective, Source, capacity
from .rates import VITALS, Rate, Rates, rates
from .recording import Block, Recorder
from .report import Report, Stall
from .running import run
from .sampler import Cell, Column, Frame, Sampler
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
    from .events import Event, Events
    from .guard import Guard
    from .sources import Counters, Oom, PressureLevel, PressureTrigger, Threshold

__version__ = "0.1.0"

backend: str = _implementation.NAME
"""``native`` or ``python``: which one reads the files."""


def set_fd_budget(budget: int) -> None:
    """How many control files are kept open, at most; by default a quarter of the soft limit, up to 65536.

    Past it files are opened for each read: slower, and as right.
    """
    if not isinstance(budget, int) or isinstance(budget, bool) or budget < 0:
        raise InvalidValue(f"fd budget {shown(budget)}: an int from 0 is expected")
    _implementation.set_fd_budget(budget)


# What is imported when it is first used: what waits needs more modules than all the rest.
_LATER = {
    "Counters": "sources",
    "Event": "events",
    "Events": "events",
    "Guard": "guard",
    "Oom": "sources",
    "PressureLevel": "sources",
    "PressureTrigger": "sources",
    "Threshold": "sources",
}


def __getattr__(name: str) -> _Any:
    module = _LATER.get(name)
    if module is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from importlib import import_module  # noqa: PLC0415 - as what it imports

    value = globals()[name] = getattr(import_module(f".{module}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


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
    "PressureLevel",
    "PressureTrigger",
    "ProcessNotFound",
    "Rate",
    "Rates",
    "Rdma",
    "Recorder",
    "Report",
    "Sampler",
    "Source",
    "Stall",
    "Subsystem",
    "SubsystemNotAttached",
    "SubsystemNotAvailable",
    "Threshold",
    "backend",
    "capacity",
    "rates",
    "run",
    "set_fd_budget",
]
