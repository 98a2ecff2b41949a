"""Types of parameter values: MAX, devices, stat types and tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Annotated, Any, ClassVar, Final, NamedTuple, TypeVar, Union, get_type_hints

__all__ = [
    "MAX",
    "CgroupEvents",
    "CgroupStat",
    "CpuMax",
    "CpuStat",
    "CpuacctStat",
    "CpuacctUsage",
    "Device",
    "DeviceRule",
    "DeviceTable",
    "Identity",
    "Limit",
    "Max",
    "MemoryEvents",
    "MemoryStat",
    "NumaStat",
    "OomControl",
    "Pressure",
    "PressureLine",
    "Stat",
]

V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)


class Max(Enum):
    """The type of :data:`MAX`, its only member."""

    MAX = "max"

    def __str__(self) -> str:
        return "max"

    def __repr__(self) -> str:
        return "MAX"

    def __float__(self) -> float:
        return float("inf")

    def __lt__(self, other: object) -> bool:
        return False if _is_number(other) else NotImplemented

    def __le__(self, other: object) -> bool:
        return other is self if _is_number(other) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return other is not self if _is_number(other) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return True if _is_number(other) else NotImplemented


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, Max))


MAX: Final = Max.MAX
"""No limit: ``max`` in v2 files, -1 or a page-rounded 2^63 in v1 files.  Greater than every number."""

Limit = Union[int, Max]
"""A number, or MAX.  ``if x is not MAX: x + 1`` type-checks."""


class Device(NamedTuple):
    """The numbers of a block device.  ``str(Device(8, 0))`` is ``8:0``."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}:{self.minor}"


class Quantity(NamedTuple):
    """The unit of a number, and whether the number is a counter.

    Attributes:
        unit: for example ``bytes``, ``pages``, ``us``, ``count``; '' for a key unknown to this package.
        counter: True if the number only grows during the life of its cgroup, unless it is reset.
    """

    unit: str
    counter: bool = False


FLAG: Final = Quantity("bool")
EVENTS: Final = Quantity("count", counter=True)
UNKNOWN: Final = Quantity("")

# Types of stat keys; quantities() reads the Quantity.
_Bytes = Annotated[Union[int, None], Quantity("bytes")]
_Events = Annotated[Union[int, None], EVENTS]
_Pages = Annotated[Union[int, None], Quantity("pages", counter=True)]
_Nanoseconds = Annotated[Union[int, None], Quantity("ns", counter=True)]
_Microseconds = Annotated[Union[int, None], Quantity("us", counter=True)]
_Percent = Annotated[Union[float, None], Quantity("percent")]


class Stat(Mapping[str, V_co]):
    """The lines of a keyed control file, as a mapping with attributes.

    A declared key that this kernel lacks is None as an attribute and missing
    as an item; an undeclared key in the file is available as both.  The
    annotations of a subclass declare keys and their types.
    """

    __slots__ = ("_index", "_values")

    def __init__(self, index: Mapping[str, int], values: list[Any]) -> None:
        self._index = index
        self._values = values

    @classmethod
    def of(cls, items: Mapping[str, Any]) -> Any:
        """Return a stat with these items, for tests and simulations."""
        return cls({key: i for i, key in enumerate(items)}, list(items.values()))

    def __getitem__(self, key: str) -> V_co:
        value: V_co = self._values[self._index[key]]
        return value

    def __getattr__(self, name: str) -> Any:
        # Called only for names that are not attributes of the class: keys, declared or not.
        if not name.startswith("_"):
            position = self._index.get(name)
            if position is not None:
                return self._values[position]
            if name in _known(type(self)):
                return None
        message = f"{type(self).__name__!r} has no key or attribute {name!r}"
        raise AttributeError(message)

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_known(type(self)), *self._index})

    def __eq__(self, other: object) -> bool:
        return dict(self.items()) == other if isinstance(other, Mapping) else NotImplemented

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __repr__(self) -> str:
        items = ", ".join(f"{key}={value!r}" for key, value in self.items())
        return f"{type(self).__name__}({items})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self._index), list(self._values))


def _known(kind: type) -> set[str]:
    """Return the keys that a stat type and its bases declare."""
    known = _KNOWN.get(kind)
    if known is None:
        known = {name for base in kind.__mro__ for name in getattr(base, "__annotations__", ())}
        _KNOWN[kind] = known
    return known


_KNOWN: dict[type, set[str]] = {}


def quantities(kind: type[Stat[Any]]) -> dict[str, Quantity]:
    """Return the quantities of the keys that a stat type declares with a quantity."""
    hints = get_type_hints(kind, include_extras=True).items()
    return {key: hint.__metadata__[0] for key, hint in hints if hasattr(hint, "__metadata__")}


class MemoryStat(Stat[int]):
    """memory.stat: bytes, and counts of pages and events.  All numbers are the kernel's: without a limit, v1's
    ``hierarchical_memory_limit`` is a page-rounded 2^63.

    On v2 the v1 names are available too if the kernel has the number: ``rss``
    is ``anon``, ``cache`` is ``file``, and ``total_x`` is ``x``, since v2
    counts descendants.  On v1 ``x`` counts only the cgroup, and ``total_x``
    its descendants too.
    """

    __slots__ = ()
    cache: _Bytes
    rss: _Bytes
    rss_huge: _Bytes
    shmem: _Bytes
    mapped_file: _Bytes
    dirty: _Bytes
    writeback: _Bytes
    swap: _Bytes
    swapcached: _Bytes
    inactive_anon: _Bytes
    active_anon: _Bytes
    inactive_file: _Bytes
    active_file: _Bytes
    unevictable: _Bytes
    pgpgin: _Events
    pgpgout: _Events
    pgfault: _Events
    pgmajfault: _Events
    workingset_refault_anon: _Pages
    workingset_refault_file: _Pages
    workingset_activate_anon: _Pages
    workingset_activate_file: _Pages
    workingset_restore_anon: _Pages
    workingset_restore_file: _Pages
    workingset_nodereclaim: _Events
    hierarchical_memory_limit: _Bytes
    hierarchical_memsw_limit: _Bytes
    total_cache: _Bytes
    total_rss: _Bytes
    total_rss_huge: _Bytes
    total_shmem: _Bytes
    total_mapped_file: _Bytes
    total_dirty: _Bytes
    total_writeback: _Bytes
    total_swap: _Bytes
    total_swapcached: _Bytes
    total_inactive_anon: _Bytes
    total_active_anon: _Bytes
    total_inactive_file: _Bytes
    total_active_file: _Bytes
    total_unevictable: _Bytes
    total_pgpgin: _Events
    total_pgpgout: _Events
    total_pgfault: _Events
    total_pgmajfault: _Events
    total_workingset_refault_anon: _Pages
    total_workingset_refault_file: _Pages
    total_workingset_activate_anon: _Pages
    total_workingset_activate_file: _Pages
    total_workingset_restore_anon: _Pages
    total_workingset_restore_file: _Pages
    total_workingset_nodereclaim: _Events
    anon: _Bytes
    file: _Bytes
    kernel: _Bytes
    kernel_stack: _Bytes
    pagetables: _Bytes
    sec_pagetables: _Bytes
    percpu: _Bytes
    sock: _Bytes
    vmalloc: _Bytes
    zswap: _Bytes
    zswapped: _Bytes
    file_mapped: _Bytes
    file_dirty: _Bytes
    file_writeback: _Bytes
    anon_thp: _Bytes
    file_thp: _Bytes
    shmem_thp: _Bytes
    slab: _Bytes
    slab_reclaimable: _Bytes
    slab_unreclaimable: _Bytes
    hugetlb: _Bytes
    pswpin: _Pages
    pswpout: _Pages
    pgscan: _Pages
    pgsteal: _Pages
    pgscan_kswapd: _Pages
    pgscan_direct: _Pages
    pgscan_khugepaged: _Pages
    pgscan_proactive: _Pages
    pgsteal_kswapd: _Pages
    pgsteal_direct: _Pages
    pgsteal_khugepaged: _Pages
    pgsteal_proactive: _Pages
    pgrefill: _Pages
    pgactivate: _Pages
    pgdeactivate: _Pages
    pglazyfree: _Pages
    pglazyfreed: _Pages
    pgdemote_kswapd: _Pages
    pgdemote_direct: _Pages
    pgdemote_khugepaged: _Pages
    pgdemote_proactive: _Pages
    pgpromote_success: _Pages
    swpin_zero: _Pages
    swpout_zero: _Pages
    zswpin: _Pages
    zswpout: _Pages
    zswpwb: _Pages
    numa_pages_migrated: _Pages
    thp_fault_alloc: _Events
    thp_collapse_alloc: _Events
    thp_swpout: _Events
    thp_swpout_fallback: _Events
    numa_pte_updates: _Events
    numa_hint_faults: _Events
    numa_task_migrated: _Events
    numa_task_swapped: _Events


class MemoryEvents(Stat[int]):
    """memory.events and memory.swap.events: the number of times that each event happened."""

    __slots__ = ()
    low: int | None
    high: int | None
    max: int | None
    oom: int | None
    oom_kill: int | None
    oom_group_kill: int | None
    fail: int | None


class CpuStat(Stat[int]):
    """cpu.stat: counts of periods, and times in nanoseconds.

    On v2 the kernel's microseconds (``usage_usec``, ``throttled_usec``) are
    available in addition to the v1 names.
    """

    __slots__ = ()
    nr_periods: _Events
    nr_throttled: _Events
    throttled_time: _Nanoseconds
    nr_bursts: _Events
    burst_time: _Nanoseconds
    wait_sum: _Nanoseconds
    usage_usec: _Microseconds
    user_usec: _Microseconds
    system_usec: _Microseconds
    nice_usec: _Microseconds
    throttled_usec: _Microseconds
    burst_usec: _Microseconds


class CpuacctStat(Stat[int]):
    """cpuacct.stat: CPU time in nanoseconds (the file counts ticks)."""

    __slots__ = ()
    user: _Nanoseconds
    system: _Nanoseconds


class CpuacctUsage(NamedTuple):
    """A line of cpuacct.usage_all: nanoseconds on one CPU."""

    user: int
    system: int


class CgroupStat(Stat[int]):
    """cgroup.stat: the number of descendants, live and dying."""

    __slots__ = ()
    nr_descendants: int | None
    nr_dying_descendants: int | None


class CgroupEvents(Stat[int]):
    """cgroup.events: each key is 1 or 0."""

    __slots__ = ()
    populated: int | None
    frozen: int | None


class OomControl(NamedTuple):
    """memory.oom_control; None for a field that this version or kernel lacks."""

    oom_kill_disable: bool | None
    under_oom: bool | None
    oom_kill: int | None


class PressureLine(Stat[float]):
    """A line of a pressure file: percentages averaged over 10, 60 and 300 s, and the total in microseconds."""

    __slots__ = ()
    avg10: _Percent
    avg60: _Percent
    avg300: _Percent
    total: _Microseconds


class Pressure(Stat[PressureLine]):
    """A pressure file (Documentation/accounting/psi.rst): ``some`` or all (``full``) tasks stalled."""

    __slots__ = ()
    some: PressureLine | None
    full: PressureLine | None


class NumaStat(Stat["dict[int, int]"]):
    """memory.numa_stat: for each kind of memory, bytes by node.

    ``totals`` has v1's sums over the nodes.
    """

    __slots__ = ("totals",)

    def __init__(self, index: Mapping[str, int], values: list[Any], totals: dict[str, int] | None = None) -> None:
        super().__init__(index, values)
        self.totals = totals or {}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self._index), list(self._values), self.totals)


class CpuMax(NamedTuple):
    """cpu.max: microseconds of CPU time in each period; a period of None leaves it unchanged."""

    quota: Limit
    period: int | None = None


class DeviceRule(NamedTuple):
    """A line of devices.list: type ``a``, ``b`` or ``c``; numbers, None for any; access, letters of ``rwm``."""

    type: str
    major: int | None
    minor: int | None
    access: str

    def __str__(self) -> str:
        major, minor = ("*" if number is None else number for number in (self.major, self.minor))
        return f"{self.type} {major}:{minor} {self.access}"


class DeviceTable(Mapping[Device, V]):
    """A control file with one or more lines for each block device.

    ``total`` is v1's last line, ``Total``; ``default`` is the ``default`` line
    of a weight; each is None if the file lacks it.  Rows that are not named by
    a device's numbers, such as ``(unknown)``, are in ``others``.
    """

    __slots__ = ("_rows", "default", "others", "total")
    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __init__(
        self,
        rows: Mapping[Device, V] | None = None,
        *,
        total: int | None = None,
        default: int | None = None,
        others: Mapping[str, V] | None = None,
    ) -> None:
        self._rows = dict(rows or {})
        self.total = total
        self.default = default
        self.others = dict(others or {})

    def __getitem__(self, device: Device) -> V:
        return self._rows[device]

    def __iter__(self) -> Iterator[Device]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        rows = ", ".join(f"{device}: {row!r}" for device, row in self.items())
        extras = "".join(
            f", {name}={value!r}"
            for name in ("total", "default", "others")
            if (value := getattr(self, name)) not in (None, {})
        )
        return f"{type(self).__name__}({{{rows}}}{extras})"


class Identity(NamedTuple):
    """The systemd unit, container, pod, machine or job of a cgroup.  A field that does not apply is None.

    Attributes:
        kind: the kind of the innermost object: ``unit``, ``slice``, ``container``, ``pod``, ``qos`` (all pods of a
            class), ``machine`` (a virtual machine or a system container) or ``job`` (of a batch scheduler).
        unit: the systemd unit, unescaped: ``nginx.service``, ``session-1.scope``.
        slice: the innermost slice, unescaped: ``system.slice``.
        runtime: ``docker``, ``podman``, ``containerd``, ``cri-o``, ``ecs`` or ``garden``; for a machine ``libvirt``,
            ``lxc``, ``nspawn`` or ``proxmox``; for a job ``slurm`` or ``htcondor``.  The runtime is
            also None if the path does not show it.
        container: the full id of the container.
        pod: the Kubernetes pod's uid, or podman's pod id.
        qos: ``guaranteed``, ``burstable`` or ``besteffort``.
        below: the path from the identified cgroup to this one, '' if they are the same.
        machine: the machine's name, unescaped; on Proxmox its number.
        job: the job's id; for HTCondor its slot.
        step: the step of a Slurm job: ``0``, ``batch``, ``extern``.
        task: the task of a Slurm step.
        session: the login session's id.
        uid: the user id of the owner of the session, the units or the job.
        system_unit: the system unit that contains ``unit`` or ``slice`` of a user manager: ``user@1000.service``.
    """

    kind: str
    unit: str | None = None
    slice: str | None = None
    runtime: str | None = None
    container: str | None = None
    pod: str | None = None
    qos: str | None = None
    below: str = ""
    machine: str | None = None
    job: str | None = None
    step: str | None = None
    task: str | None = None
    session: str | None = None
    uid: int | None = None
    system_unit: str | None = None

    @property
    def name(self) -> str:
        """A short name for people: ``nginx.service``, ``docker 4f0f5e1c9d2b``, ``pod 0b0f7a52-…``."""
        names = {
            "container": f"{self.runtime or 'container'} {(self.container or '')[:SHORT]}",
            "pod": f"pod {self.pod}",
            "qos": f"{self.qos} pods",
            "machine": f"{self.runtime or 'machine'} {self.machine}",
            "job": " ".join(
                f"{kind} {one}" for kind, one in ((f"{self.runtime} job", self.job), ("step", self.step)) if one
            ),
            "unit": self.unit,
            "slice": self.slice,
        }
        return names[self.kind] or ""


SHORT: Final = 12
"""Characters of a container's id that runtimes show."""
