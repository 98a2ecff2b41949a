"""Subsystem: the controllers and their parameters.

``Subsystem.Parameters`` (alias ``Param``) has get, set and reset; each
controller is a class whose attributes are its parameters::

    Subsystem.Parameters.get(Subsystem.Memory.usage_in_bytes, cgroup)
"""

from . import access as Parameters  # noqa: N812 - the seed's name for this module
from .blkio import Blkio
from .controllers import Controller, find, find_all, parameter_named, parameters
from .core import Core
from .cpu import Cpu
from .cpuacct import Cpuacct
from .cpuset import Cpuset
from .devices import Devices
from .freezer import Freezer
from .hugetlb import Hugetlb
from .io import Io
from .memory import Memory
from .net import NetCls, NetPrio
from .pids import Pids
from .resources import Dmem, Misc, PerfEvent, Rdma

Param = Parameters

__all__ = [
    "Blkio",
    "Controller",
    "Core",
    "Cpu",
    "Cpuacct",
    "Cpuset",
    "Devices",
    "Dmem",
    "Freezer",
    "Hugetlb",
    "Io",
    "Memory",
    "Misc",
    "NetCls",
    "NetPrio",
    "Param",
    "Parameters",
    "PerfEvent",
    "Pids",
    "Rdma",
    "find",
    "find_all",
    "parameter_named",
    "parameters",
]
