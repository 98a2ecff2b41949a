"""Cpuset: the CPUs and memory nodes that a cgroup may use.

Sources: Documentation/admin-guide/cgroup-v1/cpusets.rst, cgroup-v2.rst (Cpuset).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, final

from ..core.errors import CgroupError, InvalidValue
from .bindings import Constant, Custom, File, read_file
from .formats import boolean, bounded_int, count, cpu_list, one_of, raw_text
from .kinds import read_write, readable

if TYPE_CHECKING:
    from ..core.node import Node

_partition = one_of("member", "root", "isolated")


def _read_exclusive(cgroup: Node, parameter: str) -> bool:
    return read_file(cgroup, "cpuset.cpus.partition", raw_text, parameter) in ("root", "isolated")


def _read_partition(cgroup: Node, parameter: str) -> str:
    return read_file(cgroup, "cpuset.cpus.partition", raw_text, parameter)


def _write_partition(cgroup: Node, parameter: str, value: str) -> None:
    """Write a partition; if the kernel then reads ``root invalid (reason)``, restore the old value and raise."""
    text = _partition.encode(value)
    before = _read_partition(cgroup, parameter)
    cgroup.write_text("cpuset.cpus.partition", text, parameter, value)
    after = _read_partition(cgroup, parameter)
    if after.startswith(f"{text} invalid"):
        with suppress(CgroupError):
            cgroup.write_text("cpuset.cpus.partition", before.partition(" ")[0], parameter, value)
        message = f"the kernel reports {after!r}"
        raise InvalidValue(message, hint="the partition was restored")


@final
class Cpuset:
    """Cpuset: the CPUs and memory nodes that a cgroup may use."""

    CONTROLLER: ClassVar = "cpuset"

    cpus = read_write(
        File("cpuset.cpus", cpu_list),
        File("cpuset.cpus", cpu_list),
        "cpus",
        "the allowed CPUs: reads a sorted list, takes any iterable; on v2 [] means the parent's",
    )
    mems = read_write(
        File("cpuset.mems", cpu_list),
        File("cpuset.mems", cpu_list),
        "nodes",
        "the allowed memory nodes: reads a sorted list, takes any iterable; on v2 [] means the parent's",
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
        "whether siblings may not use these CPUs",
    )
    mem_exclusive = read_write(
        File("cpuset.mem_exclusive", boolean),
        None,
        "bool",
        "whether siblings may not use these nodes",
        no_v2="v2 has no exclusive memory nodes",
    )
    mem_hardwall = read_write(
        File("cpuset.mem_hardwall", boolean),
        None,
        "bool",
        "whether kernel allocations also stay in mems",
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
        "direct reclaims per 1000 s, averaged over the last seconds",
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
        "the range in which the scheduler balances load; -1 is the system's default",
        no_v2="v2 leaves the domain level to the system",
    )
    effective_cpus = readable(
        File("cpuset.effective_cpus", cpu_list),
        File("cpuset.cpus.effective", cpu_list),
        "cpus",
        "the effective CPUs: online, and allowed by all ancestors",
    )
    effective_mems = readable(
        File("cpuset.effective_mems", cpu_list),
        File("cpuset.mems.effective", cpu_list),
        "nodes",
        "the effective memory nodes",
    )
    cpus_effective = readable(
        File("cpuset.effective_cpus", cpu_list),
        File("cpuset.cpus.effective", cpu_list),
        "cpus",
        "the effective CPUs",
    )
    mems_effective = readable(
        File("cpuset.effective_mems", cpu_list),
        File("cpuset.mems.effective", cpu_list),
        "nodes",
        "the effective memory nodes",
    )
    cpus_exclusive = read_write(
        None,
        File("cpuset.cpus.exclusive", cpu_list),
        "cpus",
        "the CPUs allowed for a partition (from Linux 6.7)",
        no_v1="Cpuset.cpu_exclusive",
    )
    cpus_exclusive_effective = readable(
        None,
        File("cpuset.cpus.exclusive.effective", cpu_list),
        "cpus",
        "the effective CPUs for a partition (from Linux 6.7)",
        no_v1="Cpuset.cpu_exclusive",
    )
    cpus_partition = read_write(
        None,
        Custom("cpuset.cpus.partition", read=_read_partition, write=_write_partition),
        "member, root or isolated",
        "whether its CPUs are removed from all others; reads 'root invalid (reason)' if the partition is broken",
        no_v1="Cpuset.cpu_exclusive",
        literal=lambda word, _: word,
    )
    cpus_isolated = readable(
        None,
        File("cpuset.cpus.isolated", cpu_list),
        "cpus",
        "all isolated CPUs (from Linux 6.8)",
        no_v1="Cpuset.sched_load_balance",
        root_only=True,
    )
