"""Linux control groups on v1, v2 and hybrid hosts: find, limit, read and watch them.

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
    raise ImportError(f"cgroups: control groups need Linux, and this platform is {_sys.platform}")

from . import converter as Converter  # noqa: N812 - the seed's name for this module
from . import subsystem as Subsystem  # noqa: N812
from .core.backend import backend as _implementation
from .core.errors import (
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
from .core.values import MAX, CpuMax, Device, DeviceRule, DeviceTable, Identity, Limit, Max, OomControl
from .core.version import VERSION as _VERSION
from .group import Group
from .hierarchy import Cgroup, Hierarchy, Host
from .parameters import (
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

if TYPE_CHECKING:
    from . import aio as aio
    from .capacities import Capacity, LimitSource, capacity
    from .control.popen import Popen
    from .guard import Guard
    from .jobs.failed import CommandFailed
    from .jobs.report import Report, Stall
    from .jobs.run import run
    from .observe.columns import Column
    from .observe.effective import Effective as _Effective
    from .observe.effective import L as _L
    from .observe.events import Events as _Events
    from .observe.feeds import Event as _Event
    from .observe.frames import Frame as _Frame
    from .observe.rates import USAGE_PARAMETERS, rates
    from .observe.rates import Rate as _Rate
    from .observe.rates import Rates as _Rates
    from .observe.recorder import Block as _Block
    from .observe.recorder import Recorder as _Recorder
    from .observe.sampler import Cell
    from .observe.sampler import Sampler as _Sampler
    from .observe.sources import Counters, Oom, PressureLevel, PressureTrigger
    from .observe.thresholds import Threshold
    from .scope import Scope

    # The layers below do not know Cgroup.
    Effective = _Effective[_L, Cgroup]
    Event = _Event[Cgroup]
    Events = _Events[Cgroup]
    Frame = _Frame[Cgroup]
    Sampler = _Sampler[Cgroup]
    Recorder = _Recorder[Cgroup]
    Block = _Block[Cgroup]
    Rate = _Rate[Cgroup]
    Rates = _Rates[Cgroup]

__version__ = _VERSION

backend: str = _implementation.NAME
"""``native`` or ``python``: the implementation that reads the files."""


# Modules with imports that a program may not need: resolved on first use.
_LATER = {
    "aio": "aio",
    "Block": "observe.recorder",
    "Capacity": "capacities",
    "capacity": "capacities",
    "Cell": "observe.sampler",
    "Column": "observe.columns",
    "CommandFailed": "jobs.failed",
    "Counters": "observe.sources",
    "Effective": "observe.effective",
    "Event": "observe.events",
    "Events": "observe.events",
    "Frame": "observe.frames",
    "Guard": "guard",
    "LimitSource": "capacities",
    "Oom": "observe.sources",
    "Popen": "control.popen",
    "PressureLevel": "observe.sources",
    "PressureTrigger": "observe.sources",
    "Rate": "observe.rates",
    "Rates": "observe.rates",
    "rates": "observe.rates",
    "Recorder": "observe.recorder",
    "Report": "jobs.report",
    "run": "jobs.run",
    "Sampler": "observe.sampler",
    "Scope": "scope",
    "Stall": "jobs.report",
    "Threshold": "observe.thresholds",
    "USAGE_PARAMETERS": "observe.rates",
}


_RENAMED = {"Source": "LimitSource", "VITALS": "USAGE_PARAMETERS"}
"""Deprecated public names, which 1.0 removes, and their replacements."""


if not TYPE_CHECKING:  # a type checker would accept every name as an attribute

    def __getattr__(name: str) -> object:
        if name in _RENAMED:
            import warnings as _warnings  # noqa: PLC0415

            new = _RENAMED[name]
            _warnings.warn(f"cgroups.{name} is now cgroups.{new}", DeprecationWarning, stacklevel=2)
            return getattr(_sys.modules[__name__], new)
        if name in _LATER:
            from importlib import import_module as _import_module  # noqa: PLC0415

            module = _import_module(f".{_LATER[name]}", __name__)
            value = module if _LATER[name] == name else getattr(module, name)
            globals()[name] = value
            return value
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)


def _delegated(*arguments: _Any, **keywords: _Any) -> "Scope":
    """Obtain a scope under the deprecated name, which 1.0 removes."""
    import warnings as _warnings  # noqa: PLC0415

    from .scope import Scope  # noqa: PLC0415

    _warnings.warn("Cgroup.delegated is now Scope.obtain", DeprecationWarning, stacklevel=2)
    return Scope.obtain(*arguments, **keywords)


# The only class that is changed from a higher layer: Scope is above Cgroup.
Cgroup.delegated = staticmethod(_delegated)


def set_fd_budget(budget: int) -> None:
    """Set the maximum number of control files kept open.  The default is a quarter of the soft limit, at most 65536.

    Beyond the budget a file is opened for each read, which is slower and otherwise equivalent.

    Args:
        budget: the number of files, from 0.

    Raises:
        InvalidValue: the budget is not an int from 0.
    """
    if not isinstance(budget, int) or isinstance(budget, bool) or budget < 0:
        raise InvalidValue(f"budget must be an int from 0, got {shown(budget)}")
    _implementation.set_fd_budget(budget)


__all__ = [
    "MAX",
    "USAGE_PARAMETERS",
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
    "CommandFailed",
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
    "LimitSource",
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
