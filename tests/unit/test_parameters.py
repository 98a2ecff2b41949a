"""The tables of parameters: names, files, hints, kinds, and parameters of one's own."""

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cgroups import (
    MAX,
    Cgroup,
    Converter,
    Core,
    Cpu,
    Freezer,
    Hugetlb,
    Host,
    InvalidValue,
    Memory,
    ParameterNotSupported,
    Parameters,
    Pids,
    Subsystem,
)
from cgroups.subsystem.parameter import Parameter, Readable, Resettable, Writable

# ---- the seed's names, and the files behind them, written by hand ---------------------------------
#
# name: access, the file of v1 without its prefix, the files of v2; an empty v2 is "the kernel has none".

MEMORY = """
stat                     R   stat                       memory.stat
usage_in_bytes           R   usage_in_bytes             memory.current
memsw_usage_in_bytes     R   memsw.usage_in_bytes       memory.current memory.swap.current
max_usage_in_bytes       RX  max_usage_in_bytes         memory.peak
memsw_max_usage_in_bytes RX  memsw.max_usage_in_bytes
limit_in_bytes           RW  limit_in_bytes             memory.max
memsw_limit_in_bytes     RW  memsw.limit_in_bytes       memory.max memory.swap.max
failcnt                  RX  failcnt                    memory.events.local
memsw_failcnt            RX  memsw.failcnt              memory.swap.events
soft_limit_in_bytes      RW  soft_limit_in_bytes        memory.low
force_empty              X   force_empty                memory.current memory.reclaim
swappiness               RW  swappiness
move_charge_at_immigrate RW  move_charge_at_immigrate
oom_control              RW  oom_control                memory.events.local
numa_stat                R   numa_stat                  memory.numa_stat
kmem_usage_in_bytes      R   kmem.usage_in_bytes
kmem_limit_in_bytes      RW  kmem.limit_in_bytes
kmem_max_usage_in_bytes  RX  kmem.max_usage_in_bytes
kmem_failcnt             RX  kmem.failcnt
kmem_tcp_usage_in_bytes  R   kmem.tcp.usage_in_bytes
kmem_tcp_limit_in_bytes  RW  kmem.tcp.limit_in_bytes
kmem_tcp_failcnt         RX  kmem.tcp.failcnt
kmem_tcp_max_usage_in_bytes RX kmem.tcp.max_usage_in_bytes
pressure_level           -   pressure_level
"""

CPU = """
shares        RW  shares         cpu.weight
cfs_quota_us  RW  cfs_quota_us   cpu.max
cfs_period_us RW  cfs_period_us  cpu.max
cfs_burst_us  RW  cfs_burst_us   cpu.max.burst
idle          RW  idle           cpu.idle
stat          R   stat           cpu.stat
stat_local    R   stat.local     cpu.stat.local
rt_period_us  RW  rt_period_us
rt_runtime_us RW  rt_runtime_us
"""

CPUACCT = """
stat              R   stat              cpu.stat
usage             RX  usage             cpu.stat
usage_percpu      R   usage_percpu
usage_user        R   usage_user        cpu.stat
usage_sys         R   usage_sys         cpu.stat
usage_all         R   usage_all
usage_percpu_user R   usage_percpu_user
usage_percpu_sys  R   usage_percpu_sys
"""

CPUSET = """
cpus                     RW  cpus                     cpuset.cpus
mems                     RW  mems                     cpuset.mems
cpu_exclusive            RW  cpu_exclusive            cpuset.cpus.partition
mem_exclusive            RW  mem_exclusive
mem_hardwall             RW  mem_hardwall
memory_spread_page       RW  memory_spread_page
memory_spread_slab       RW  memory_spread_slab
sched_load_balance       RW  sched_load_balance
memory_pressure          R   memory_pressure
memory_pressure_enabled  RW  memory_pressure_enabled
sched_relax_domain_level RW  sched_relax_domain_level
effective_cpus           R   effective_cpus           cpuset.cpus.effective
effective_mems           R   effective_mems           cpuset.mems.effective
"""

# A second v1 file, after a comma, is where the first is gone from newer kernels.
BLKIO = """
weight                     RW  weight,bfq.weight                     io.bfq.weight io.weight
weight_device              RW  weight_device,bfq.weight_device       io.bfq.weight io.weight
throttle_read_bps_device   RW  throttle.read_bps_device              io.max
throttle_read_iops_device  RW  throttle.read_iops_device             io.max
throttle_write_bps_device  RW  throttle.write_bps_device             io.max
throttle_write_iops_device RW  throttle.write_iops_device            io.max
throttle_io_service_bytes  R   throttle.io_service_bytes             io.stat
throttle_io_serviced       R   throttle.io_serviced                  io.stat
reset_stats                X   reset_stats
time                       R   time,bfq.time
sectors                    R   sectors,bfq.sectors
avg_queue_size             R   avg_queue_size,bfq.avg_queue_size
group_wait_time            R   group_wait_time,bfq.group_wait_time
empty_time                 R   empty_time,bfq.empty_time
idle_time                  R   idle_time,bfq.idle_time
io_serviced                R   io_serviced,bfq.io_serviced           io.stat
io_service_bytes           R   io_service_bytes,bfq.io_service_bytes io.stat
io_service_time            R   io_service_time,bfq.io_service_time
io_merged                  R   io_merged,bfq.io_merged
io_queued                  R   io_queued,bfq.io_queued
wait_time                  R   io_wait_time,bfq.io_wait_time
"""

FEW = """
pids.max                RW  max             pids.max
pids.current            R   current         pids.current
pids.peak               R   peak            pids.peak
pids.events             R   events          pids.events
pids.events_local       R   events.local    pids.events.local
freezer.state           RW  state           cgroup.freeze cgroup.events
freezer.self_freezing   R   self_freezing   cgroup.freeze
freezer.parent_freezing R   parent_freezing
devices.allow           W   allow
devices.deny            W   deny
devices.list            R   list
net_cls.classid         RW  classid
net_prio.ifpriomap      RW  ifpriomap
net_prio.prioidx        R   prioidx
rdma.max                RW  max             rdma.max
rdma.current            R   current         rdma.current
misc.max                RW  max             misc.max
misc.current            R   current         misc.current
misc.events             R   events          misc.events
misc.capacity           R   capacity        misc.capacity
"""

# Native files of v2: the parameter has the file's name.  Where v1 has the same, it is named.
NATIVE = """
memory.current R memory.usage_in_bytes
memory.min RW
memory.low RW
memory.high RW
memory.max RW memory.limit_in_bytes
memory.peak R memory.max_usage_in_bytes
memory.reclaim W
memory.oom.group RW
memory.events R
memory.events.local R
memory.swap.current R
memory.swap.high RW
memory.swap.max RW
memory.swap.peak R
memory.swap.events R
memory.zswap.current R
memory.zswap.max RW
memory.zswap.writeback RW
memory.pressure R
cpu.weight RW
cpu.weight.nice RW
cpu.max RW cpu.cfs_quota_us cpu.cfs_period_us
cpu.max.burst RW cpu.cfs_burst_us
cpu.uclamp.min RW cpu.uclamp.min
cpu.uclamp.max RW cpu.uclamp.max
cpu.pressure R
io.stat R
io.max RW
io.weight RW
io.bfq.weight RW
io.latency RW
io.cost.qos RW
io.cost.model RW
io.pressure R
cpuset.cpus.effective R cpuset.effective_cpus
cpuset.mems.effective R cpuset.effective_mems
cpuset.cpus.exclusive RW
cpuset.cpus.exclusive.effective R
cpuset.cpus.partition RW
cpuset.cpus.isolated R
cgroup.type RW
cgroup.procs R cgroup.procs
cgroup.threads R tasks
cgroup.controllers R
cgroup.subtree_control RW
cgroup.events R
cgroup.stat R
cgroup.max.depth RW
cgroup.max.descendants RW
cgroup.freeze RW
cgroup.kill W
cgroup.pressure RW
"""


def _table(text: str, controller: str) -> list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
    rows = []
    for line in text.strip().splitlines():
        name, access, v1, *v2 = line.split()
        owner = name.partition(".")[0] if not controller else controller
        full = f"{controller}.{name}" if controller else name
        rows.append((full, access, tuple(f"{owner}.{file}" for file in v1.split(",")), tuple(v2)))
    return rows


def _native(text: str) -> list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
    rows = []
    for line in text.strip().splitlines():
        file, access, *v1 = line.split()
        controller, _, rest = file.partition(".")
        rows.append((f"{controller}.{rest.replace('.', '_')}", access, tuple(v1), (file,)))
    return rows


HUGETLB = [
    ("limit_in_bytes", "RW", "limit_in_bytes", "max"),
    ("usage_in_bytes", "R", "usage_in_bytes", "current"),
    ("failcnt", "RX", "failcnt", "events.local"),
    ("max_usage_in_bytes", "RX", "max_usage_in_bytes", None),
    ("rsvd_limit_in_bytes", "RW", "rsvd.limit_in_bytes", "rsvd.max"),
    ("rsvd_usage_in_bytes", "R", "rsvd.usage_in_bytes", "rsvd.current"),
    ("rsvd_failcnt", "RX", "rsvd.failcnt", None),
    ("rsvd_max_usage_in_bytes", "RX", "rsvd.max_usage_in_bytes", None),
    ("events", "R", None, "events"),
    ("events_local", "R", None, "events.local"),
    ("numa_stat", "R", "numa_stat", "numa_stat"),
]

ROWS = [
    *_table(MEMORY, "memory"),
    *_table(CPU, "cpu"),
    *_table(CPUACCT, "cpuacct"),
    *_table(CPUSET, "cpuset"),
    *_table(BLKIO, "blkio"),
    *_table(FEW, ""),
    *_native(NATIVE),
    ("memory.use_hierarchy", "RW", ("memory.use_hierarchy",), ()),
    ("cpuset.memory_migrate", "RW", ("cpuset.memory_migrate",), ()),
    ("release_agent", "RW", ("release_agent",), ()),
    ("notify_on_release", "RW", ("notify_on_release",), ()),
    ("cgroup.clone_children", "RW", ("cgroup.clone_children",), ()),
    *(
        (f"hugetlb.2MB.{name}", access, *(() if one is None else (f"hugetlb.2MB.{one}",) for one in (v1, v2)))
        for name, access, v1, v2 in HUGETLB
    ),
]

ALWAYS_TRUE = {"memory.use_hierarchy", "cpuset.memory_migrate"}
"""What v2 always does: no file, and no error."""


def named(name: str) -> Any:
    """The parameter as a program would write it: an attribute of its controller's class."""
    if name.startswith("hugetlb.2MB."):
        return getattr(Hugetlb("2MB"), name.removeprefix("hugetlb.2MB."))
    controller, dot, attribute = name.partition(".")
    if not dot:
        return getattr(Parameters, name)
    owner = {"cgroup": "Core", "net_cls": "NetCls", "net_prio": "NetPrio"}.get(controller, controller.capitalize())
    return getattr(getattr(Subsystem, owner), attribute)


@pytest.mark.parametrize(("name", "access", "v1", "v2"), ROWS, ids=[row[0] for row in ROWS])
def test_the_seed_s_names(name: str, access: str, v1: tuple[str, ...], v2: tuple[str, ...]) -> None:
    parameter = named(name)
    assert isinstance(parameter, Parameter)
    assert str(parameter) == name
    assert (parameter.files(1), parameter.files(2)) == (v1, v2)
    kinds = {"R": Readable, "W": Writable, "X": Resettable}
    assert {letter for letter, kind in kinds.items() if isinstance(parameter, kind)} == set(access) - {"-"}
    assert Subsystem.parameter_named(name) is parameter


def test_every_parameter_is_in_the_list_once() -> None:
    names = [str(parameter) for parameter in Subsystem.parameters()]
    assert len(names) == len(set(names))
    assert {row[0] for row in ROWS if not row[0].startswith("hugetlb.")} <= set(names)
    assert len(names) > 200
    for controller in ("memory", "cpu", "cgroup", "pids"):
        found = Subsystem.parameters(controller)
        assert found == [one for one in Subsystem.parameters() if one.controller == controller]
    assert {one.controller for one in Subsystem.parameters("io")} == {"io", "blkio"}
    assert Subsystem.parameters("nothing") == []


ALL = [*Subsystem.parameters(), *Subsystem.controllers._table(Hugetlb("2MB"))]  # type: ignore[attr-defined]
ALL = list(dict.fromkeys(ALL))


@pytest.mark.parametrize("parameter", ALL, ids=str)
def test_every_parameter_says_what_it_is(parameter: Parameter) -> None:
    assert parameter.doc
    assert repr(parameter) == f"<{type(parameter).__name__} {parameter}>"
    assert parameter.files(1) or parameter.files(2)
    for version in (1, 2):
        files = parameter.files(version)
        assert all("/" not in file and " " not in file for file in files)
        if files or (version == 2 and str(parameter) in ALWAYS_TRUE):
            continue
        with pytest.raises(ParameterNotSupported) as caught:
            parameter.binding(version)
        assert caught.value.hint, f"{parameter} says nothing about version {version}"
        assert str(parameter) in str(caught.value)
        assert f"version {version}" in str(caught.value)
    with pytest.raises(KeyError):
        parameter.files(3)


@pytest.mark.parametrize("parameter", ALL, ids=str)
def test_every_parameter_pickles_as_itself(parameter: Parameter) -> None:
    assert pickle.loads(pickle.dumps(parameter)) is parameter
    assert copy.copy(parameter) is parameter
    assert copy.deepcopy(parameter) is parameter


def test_parameters_have_no_order() -> None:
    for compare in (operator.lt, operator.le, operator.gt, operator.ge):
        with pytest.raises(TypeError):
            compare(Memory.max, Memory.min)
    assert Memory.max == Memory.max  # noqa: PLR0124
    assert Memory.max != Memory.limit_in_bytes
    assert len({Memory.max, Memory.max, Memory.min}) == 2


# ---- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        ("memory.limit_in_bytes", Memory.limit_in_bytes),
        ("memory.max", Memory.max),
        ("memory.memsw.limit_in_bytes", Memory.memsw_limit_in_bytes),
        ("memory.oom.group", Memory.oom_group),
        ("cpu.cfs_quota_us", Cpu.cfs_quota_us),
        ("cgroup.max.depth", Core.max_depth),
        ("freezer.state", Freezer.state),
        ("hugetlb.2MB.rsvd_max", Hugetlb("2MB").rsvd_max),
        ("hugetlb.1GB.limit_in_bytes", Hugetlb("1GB").limit_in_bytes),
        ("hugetlb.2MB.rsvd.limit_in_bytes", Hugetlb("2MB").rsvd_limit_in_bytes),
        ("release_agent", Parameters.release_agent),
    ],
)
def test_by_name_or_file(name: str, parameter: Parameter) -> None:
    assert Subsystem.parameter_named(name) is parameter


@pytest.mark.parametrize(
    "name", ["", "memory", "memory.", "memory.nothing", "nothing.max", "hugetlb", "hugetlb.2MB.nothing"]
)
def test_an_unknown_name(name: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        Subsystem.parameter_named(name)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("name", [None, 5, b"memory.max", "hugetlb.2mb.max", "hugetlb.", "hugetlb..max"])
def test_a_name_that_is_none(name: Any) -> None:
    with pytest.raises(InvalidValue):
        Subsystem.parameter_named(name)


# ---- keys -------------------------------------------------------------------------------------


def test_a_key_is_a_parameter(job: Cgroup) -> None:
    anon = Memory.stat["anon"]
    assert anon is Memory.stat["anon"]
    assert anon == Memory.stat["anon"] != Memory.stat["file"]
    assert anon != Memory.events["anon"]
    assert str(anon) == "memory.stat[anon]"
    assert anon.files(1) == anon.files(2) == ("memory.stat",)
    assert hash(anon) == hash(Memory.stat["anon"])
    assert pickle.loads(pickle.dumps(anon)) is anon
    assert Parameters.get(anon, job) == 94208
    assert Parameters.get(Memory.stat["rss"], job) == 94208
    assert Parameters.get(Memory.stat["total_rss"], job) == 94208
    with pytest.raises(ParameterNotSupported):
        Parameters.get(Memory.stat["pgpgin"], job)
    with pytest.raises(ParameterNotSupported):
        Memory.events["max"].binding(1)


def test_a_number_of_a_pressure_file(job: Cgroup) -> None:
    parameter = Memory.pressure["some", "avg60"]
    assert parameter is Memory.pressure["some", "avg60"]
    assert pickle.loads(pickle.dumps(parameter)) is parameter
    assert Parameters.get(parameter, job) == 9.14
    assert Parameters.get(Memory.pressure["full", "total"], job) == 29030647
    with pytest.raises(ParameterNotSupported):
        Parameters.get(Memory.pressure["some", "avg61"], job)


# ---- huge pages ---------------------------------------------------------------------------------


def test_hugetlb_instances() -> None:
    assert Hugetlb("2MB") is Hugetlb("2MB")
    assert Hugetlb("2MB") is not Hugetlb("1GB")
    assert pickle.loads(pickle.dumps(Hugetlb("64KB"))) is Hugetlb("64KB")
    assert copy.deepcopy(Hugetlb("2MB")) is Hugetlb("2MB")
    assert Hugetlb("2MB").limit_in_bytes != Hugetlb("1GB").limit_in_bytes
    assert repr(Hugetlb("16MB")) == "Hugetlb('16MB')"
    assert Hugetlb("16MB").size == "16MB"


@pytest.mark.parametrize(
    "size", ["", "2", "MB", "2M", "2mb", "02MB", "2 MB", "2MB\n", "2TB", "../2MB", 2, None, b"2MB", ["2MB"]]
)
def test_hugetlb_sizes_that_are_none(size: Any) -> None:
    with pytest.raises(InvalidValue):
        Hugetlb(size)


# ---- kinds --------------------------------------------------------------------------------------


@pytest.mark.parametrize("parameter", ALL, ids=str)
def test_wrong_kinds_are_type_errors(parameter: Any, shared_v2: Host) -> None:
    job = shared_v2.find_exn(":/job/a")
    if not isinstance(parameter, Readable):
        with pytest.raises(TypeError, match="cannot be read"):
            Parameters.get(parameter, job)
    if not isinstance(parameter, Writable):
        with pytest.raises(TypeError, match="cannot be set"):
            Parameters.set(parameter, job, 1)
    if not isinstance(parameter, Resettable):
        with pytest.raises(TypeError, match="cannot be reset"):
            Parameters.reset(parameter, job)


@pytest.mark.parametrize("cgroup", [None, "memory:/a", 5, Memory.max], ids=str)
def test_what_is_no_cgroup(cgroup: Any) -> None:
    for function in (
        lambda: Parameters.get(Memory.max, cgroup),
        lambda: Parameters.set(Memory.max, cgroup, 5),
        lambda: Parameters.reset(Memory.failcnt, cgroup),
    ):
        with pytest.raises(TypeError, match="a Cgroup is expected"):
            function()


@pytest.mark.parametrize("parameter", [None, "memory.max", 5, [], {}, Memory, Memory.max.files], ids=str)
def test_what_is_no_parameter(parameter: Any, shared_v2: Host) -> None:
    cgroup = shared_v2.find_exn(":/job/a")
    for function in (
        lambda: Parameters.get(parameter, cgroup),
        lambda: Parameters.set(parameter, cgroup, 5),
        lambda: Parameters.reset(parameter, cgroup),
    ):
        with pytest.raises(TypeError, match="a parameter such as"):
            function()


# ---- one's own ------------------------------------------------------------------------------------


def test_parameters_of_one_s_own(v1_cgroup: Callable[[str], Cgroup], recorded_v1: Callable[[str], Any]) -> None:
    vendor = Parameters.mk_get("memory", "shown_ram_in_bytes", Converter.int)
    assert isinstance(vendor, Readable)
    assert not isinstance(vendor, Writable)
    assert str(vendor) == "memory.shown_ram_in_bytes"
    assert vendor.files(1) == vendor.files(2) == ("memory.shown_ram_in_bytes",)
    assert Parameters.get(vendor, v1_cgroup("memory")) == 0
    recorded = recorded_v1("pids")
    limit = Parameters.mk_set("pids", "max", Converter.bounded_int(min=1, max=100))
    Parameters.set(limit, recorded.cgroup, 50)
    counter = Parameters.mk_reset("pids", "peak", Converter.int, reset_value="zero")
    Parameters.reset(counter, recorded.cgroup)
    assert Parameters.get(counter, recorded.cgroup) == 7
    assert recorded.writes == [("pids.max", "50"), ("pids.peak", "zero")]
    with pytest.raises(InvalidValue):
        Parameters.set(limit, recorded.cgroup, 101)
    assert recorded.writes == []


def test_a_controller_for_a_name() -> None:
    controller = Subsystem.Controller(0, "pids", enabled=True, available=True, version=1, hierarchy=None)
    assert str(Parameters.mk_get(controller, "max", Converter.string)) == "pids.max"


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a\0", "a\n", None, 5])
def test_names_of_one_s_own_that_cannot_be(name: Any) -> None:
    for make in (Parameters.mk_get, Parameters.mk_set, Parameters.mk_reset):
        with pytest.raises(InvalidValue):
            make("memory", name, Converter.int)
        if isinstance(name, str):
            with pytest.raises(InvalidValue):
                make(name, "max", Converter.int)


@pytest.mark.parametrize("text", ["", "0\n", "a\0", None, 0])
def test_reset_values_that_cannot_be(text: Any) -> None:
    with pytest.raises(InvalidValue):
        Parameters.mk_reset("pids", "peak", Converter.int, reset_value=text)


# ---- reading what is at the edges ---------------------------------------------------------------------

PAGE = 4096
PAGE_LIMIT = (1 << 63) - PAGE


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9223372036854771712", MAX),  # 2^63 - 1, rounded down to a page of 4 KiB
        (str(PAGE_LIMIT - PAGE), PAGE_LIMIT - PAGE),
        ("-1", MAX),
        ("9223372036854775807", MAX),
        ("18446744073709551615", MAX),
        ("0", 0),
    ],
)
def test_v1_s_unlimited(
    v1_cgroup: Callable[[str], Cgroup], text: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cgroups.subsystem import codecs

    if codecs.PAGE_LIMIT != PAGE_LIMIT:
        pytest.skip("this machine has pages of another size than 4 KiB")
    cgroup = v1_cgroup("memory")
    (Path(cgroup.path or "") / "memory.limit_in_bytes").write_text(text + "\n")
    assert Parameters.get(Memory.limit_in_bytes, cgroup) == value


def test_huge_pages_round_v1_s_unlimited_further(v1_cgroup: Callable[[str], Cgroup]) -> None:
    cgroup = v1_cgroup("memory")
    for size in (2 << 20, 1 << 30, 16 << 30):
        limit = ((1 << 63) - 1) // size * size
        (Path(cgroup.path or "") / "hugetlb.1GB.limit_in_bytes").write_text(f"{limit}\n")
        assert Parameters.get(Hugetlb("1GB").limit_in_bytes, cgroup) is MAX
    (Path(cgroup.path or "") / "hugetlb.1GB.limit_in_bytes").write_text(f"{1 << 40}\n")
    assert Parameters.get(Hugetlb("1GB").limit_in_bytes, cgroup) == 1 << 40


def test_64_bits_are_exact(job: Cgroup) -> None:
    path = Path(job.path or "") / "memory.max"
    for number in ((1 << 63) - 1, 1 << 63, (1 << 64) - 1, (1 << 53) + 1):
        path.write_text(f"{number}\n")
        assert Parameters.get(Memory.max, job) == number
    (path.parent / "memory.current").write_text(f"{(1 << 64) - 1}\n")
    assert Parameters.get(Memory.current, job) == (1 << 64) - 1


@pytest.mark.parametrize(
    ("freeze", "frozen", "state"), [(0, 0, "THAWED"), (1, 0, "FREEZING"), (1, 1, "FROZEN"), (0, 1, "FROZEN")]
)
def test_the_state_of_a_v2_freezer(job: Cgroup, freeze: int, frozen: int, state: str) -> None:
    directory = Path(job.path or "")
    (directory / "cgroup.freeze").write_text(f"{freeze}\n")
    (directory / "cgroup.events").write_text(f"populated 1\nfrozen {frozen}\n")
    assert Parameters.get(Freezer.state, job) == state


def test_memory_and_swap_together(job: Cgroup) -> None:
    directory = Path(job.path or "")
    for memory, swap, value in ((100, 50, 150), ("max", 50, MAX), (100, "max", MAX), (0, 0, 0)):
        (directory / "memory.max").write_text(f"{memory}\n")
        (directory / "memory.swap.max").write_text(f"{swap}\n")
        assert Parameters.get(Memory.memsw_limit_in_bytes, job) == value
    (directory / "memory.current").write_text("7\n")
    (directory / "memory.swap.current").write_text("5\n")
    assert Parameters.get(Memory.memsw_usage_in_bytes, job) == 12


def test_the_soft_limit_is_a_protection(job: Cgroup) -> None:
    path = Path(job.path or "") / "memory.low"
    path.write_text("0\n")
    assert Parameters.get(Memory.soft_limit_in_bytes, job) is MAX
    path.write_text("4096\n")
    assert Parameters.get(Memory.soft_limit_in_bytes, job) == 4096
    path.write_text("max\n")
    value = Parameters.get(Memory.soft_limit_in_bytes, job)
    assert value is not MAX  # all of it protected is the opposite of nothing asked for
    assert isinstance(value, int)


def test_exclusive_cpus_are_a_partition(job: Cgroup) -> None:
    path = Path(job.path or "") / "cpuset.cpus.partition"
    for text, value in (("member", False), ("root", True), ("isolated", True), ("root invalid (no cpu)", False)):
        path.write_text(text + "\n")
        assert Parameters.get(Subsystem.Cpuset.cpu_exclusive, job) is value


def test_pids_max_of_v1(v1_cgroup: Callable[[str], Cgroup]) -> None:
    assert Parameters.get(Pids.max, v1_cgroup("pids")) is MAX
