"""Tables of parameters, which are typed control files, with functions to read, write and find them.

``Subsystem.Parameters`` (alias ``Param``) has get, set and reset; each
controller is a class whose attributes are its parameters::

    Subsystem.Parameters.get(Subsystem.Memory.usage_in_bytes, cgroup)
"""

from . import access as Parameters  # noqa: N812 - the public name of this module
from .blkio import Blkio
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
from .registry import parameter_named, parameters
from .resources import Dmem, Misc, PerfEvent, Rdma

Param = Parameters

__all__ = [
    "Blkio",
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
    "parameter_named",
    "parameters",
]
