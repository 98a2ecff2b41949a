"""Cpuset: the CPUs and memory nodes that a cgroup may use.

Sources: Documentation/admin-guide/cgroup-v1/cpusets.rst, cgroup-v2.rst (Cpuset).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, final

from ..errors import CgroupError, InvalidValue
from .binding import Constant, Custom, File, read_file
from .codecs import boolean, bounded_int, count, cpu_list, one_of, raw_text
from .parameter import read_write, readable

if TYPE_CHECKING:
    from ..hierarchy import Cgroup

_partition = one_of("member", "root", "isolated")


def _read_exclusive(cgroup: Cgroup, parameter: str) -> bool:
    return read_file(cgroup, "cpuset.cpus.partition", raw_text, parameter) in ("root", "isolated")


def _read_partition(cgroup: Cgroup, parameter: str) -> str:
    return read_file(cgroup, "cpuset.cpus.partition", raw_text, parameter)


def _write_partition(cgroup: Cgroup, parameter: str, value: str) -> None:
    """The kernel takes what cannot be, and then says ``root invalid (reason)``: read back, and put back."""
    text = _partition.encode(value)
    before = _read_partition(cgroup, parameter)
    cgroup.write_text("cpuset.cpus.partition", text, parameter, value)
    after = _read_partition(cgroup, parameter)
    if after.startswith(f"{text} invalid"):
        with suppress(CgroupError):
            cgroup.write_text("cpuset.cpus.partition", before.partition(" ")[0], parameter, value)
        message = f"the kernel answers {after!r}"
        raise InvalidValue(message, hint="the partition was left as it was")


@final
class Cpuset:
    """Cpuset: the CPUs and memory nodes that a cgroup may use."""

    CONTROLLER: ClassVar = "cpuset"

    cpus = read_write(
        File("cpuset.cpus", cpu_list),
        File("cpuset.cpus", cpu_list),
        "cpus",
        "the CPUs that it may use: reads a sorted list, takes any iterable; on v2 [] means the parent's",
    )
    mems = read_write(
        File("cpuset.mems", cpu_list),
        File("cpuset.mems", cpu_list),
        "nodes",
        "the memory nodes that it may use, likewise",
    )
    memory_migrate = read_write(
        File("cpuset.memory_migrate", boolean),
        Constant(True, hint="on v2 pages always follow a change of cpuset.mems"),
        "bool",
        "whether pages follow a change of mems",
    )
    cpu_exclusive = read_write(
        File("cpuset.cpu_exclusive", boolean),
        Custom[bool, bool](
            "cpuset.cpus.partition",
            read=_read_exclusive,
            hint="a partition takes its CPUs from every other cgroup: Cpuset.cpus_partition",
        ),
        "bool",
        "whether no sibling may have these CPUs",
    )
    mem_exclusive = read_write(
        File("cpuset.mem_exclusive", boolean),
        None,
        "bool",
        "whether no sibling may have these nodes",
        no_v2="v2 has no exclusive memory nodes",
    )
    mem_hardwall = read_write(
        File("cpuset.mem_hardwall", boolean),
        None,
        "bool",
        "whether kernel allocations stay in mems too",
        no_v2="v2 has no hardwall",
    )
    memory_spread_page = read_write(
        File("cpuset.memory_spread_page", boolean),
        None,
        "bool",
        "whether the page cache is spread over mems",
        no_v2="mbind(2) and set_mempolicy(2) spread memory",
    )
    memory_spread_slab = read_write(
        File("cpuset.memory_spread_slab", boolean),
        None,
        "bool",
        "whether slab caches are spread over mems; without effect on new kernels",
        no_v2="v2 does not spread slab caches",
    )
    sched_load_balance = read_write(
        File("cpuset.sched_load_balance", boolean),
        None,
        "bool",
        "whether the scheduler balances over these CPUs",
        no_v2="Cpuset.cpus_partition: an isolated partition is not balanced",
    )
    memory_pressure = readable(
        File("cpuset.memory_pressure", count),
        None,
        "per 1000 s",
        "direct reclaims in 1000 s, at the rate of the last seconds",
        no_v2="Memory.pressure measures it",
    )
    memory_pressure_enabled = read_write(
        File("cpuset.memory_pressure_enabled", boolean),
        None,
        "bool",
        "whether memory_pressure is computed",
        no_v2="Memory.pressure measures it",
        root_only=True,
    )
    sched_relax_domain_level = read_write(
        File("cpuset.sched_relax_domain_level", bounded_int(min=-1, max=10)),
        None,
        "level",
        "how far the scheduler looks for work to balance; -1 is the system's default",
        no_v2="v2 leaves the domain level to the system",
    )
    effective_cpus = readable(
        File("cpuset.effective_cpus", cpu_list),
        File("cpuset.cpus.effective", cpu_list),
        "cpus",
        "the CPUs that it has now, of those that are online and its ancestors'",
    )
    effective_mems = readable(
        File("cpuset.effective_mems", cpu_list),
        File("cpuset.mems.effective", cpu_list),
        "nodes",
        "the memory nodes that it has now",
    )
    cpus_effective = readable(
        File("cpuset.effective_cpus", cpu_list),
        File("cpuset.cpus.effective", cpu_list),
        "cpus",
        "the CPUs that it has now",
    )
    mems_effective = readable(
        File("cpuset.effective_mems", cpu_list),
        File("cpuset.mems.effective", cpu_list),
        "nodes",
        "the nodes that it has now",
    )
    cpus_exclusive = read_write(
        None,
        File("cpuset.cpus.exclusive", cpu_list),
        "cpus",
        "the CPUs that it may make a partition of (from Linux 6.7)",
        no_v1="Cpuset.cpu_exclusive",
    )
    cpus_exclusive_effective = readable(
        None,
        File("cpuset.cpus.exclusive.effective", cpu_list),
        "cpus",
        "those that it may now (from Linux 6.7)",
        no_v1="Cpuset.cpu_exclusive",
    )
    cpus_partition = read_write(
        None,
        Custom("cpuset.cpus.partition", read=_read_partition, write=_write_partition),
        "member, root or isolated",
        "whether its CPUs are taken from all others; reads 'root invalid (reason)' once it cannot be any more",
        no_v1="Cpuset.cpu_exclusive",
    )
    cpus_isolated = readable(
        None,
        File("cpuset.cpus.isolated", cpu_list),
        "cpus",
        "all isolated CPUs (from Linux 6.8)",
        no_v1="Cpuset.sched_load_balance",
        root_only=True,
    )
