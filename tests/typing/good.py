"""A program that uses the package as it is meant: type checkers accept every line.  Checked, never run."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Literal

from typing_extensions import assert_type

import cgroups
from cgroups import (
    MAX,
    Block,
    Cgroup,
    Converter,
    Core,
    Cpu,
    Cpuacct,
    Cpuset,
    Device,
    DeviceTable,
    Event,
    Events,
    Frame,
    Group,
    Guard,
    Hierarchy,
    Host,
    Hugetlb,
    Limit,
    Max,
    Memory,
    Oom,
    Parameters,
    PressureLevel,
    PressureTrigger,
    Rate,
    Rates,
    Sampler,
    Subsystem,
    Threshold,
    rates,
)
from cgroups.core.values import MemoryStat, PressureLine
from cgroups.parameters.kinds import Readable, ReadReset, ReadWrite, Resettable, Writable


def the_seed(pid: int) -> None:
    memory_cgroup = Hierarchy.find_exn("memory:/foobar")
    cpuacct_cgroup = Hierarchy.find_exn("cpuacct:/foobar")
    Hierarchy.add_process(memory_cgroup, pid)
    Hierarchy.add_process(cpuacct_cgroup, pid)
    total_cpu_time = Subsystem.Parameters.get(Subsystem.Cpuacct.usage, cpuacct_cgroup)
    memory_used = Subsystem.Param.get(Subsystem.Memory.usage_in_bytes, memory_cgroup)
    assert_type(total_cpu_time, int)
    assert_type(memory_used, int)
    Subsystem.Parameters.set(Subsystem.Memory.limit_in_bytes, memory_cgroup, 1_000_000_000)
    Subsystem.Parameters.set(Subsystem.Memory.memsw_limit_in_bytes, memory_cgroup, 2_000_000_000)


async def sampling(cgroups: list[Cgroup]) -> None:
    with Sampler(cgroups, [Memory.current]) as sampler:
        frame = sampler.sample()
        assert_type(frame, Frame)
        assert_type(frame.cgroups, tuple[Cgroup, ...])
        assert_type(rates(frame, sampler.sample()), Rates)
        for cgroup, rate in rates(frame, sampler.sample()).items():
            assert_type(cgroup, Cgroup)
            assert_type(rate, Rate)
            assert_type(rate.cgroup.effective(Memory.max).value, Limit)
        with sampler.record(0.1) as recorder:
            assert_type(recorder.read(), Block)
            assert_type(recorder.read().frame(0), Frame)
        async for later in sampler.every(1):
            assert_type(later, Frame)
    with Sampler.follow(cgroups[0], [Memory.current]) as followed:
        assert_type(followed.sample().cgroups, tuple[Cgroup, ...])


async def watching(cgroup: Cgroup, group: Group) -> None:
    for event in group.events(timeout=5):
        assert_type(event, Event)
        assert_type(event.cgroup, Cgroup | None)
        assert_type(event.source, Literal["kernel", "sampled"])
        assert_type(event.count, int | float | None)
    with cgroup.events(Memory.events, Memory.events["oom_kill"], Oom(), Threshold(Memory.current, above=5)) as events:
        async for event in events:
            assert_type(event, Event)
        assert_type(events.poll(), list[Event])
        events.run(print, timeout=5)
        events.start(lambda event: event.timestamp_ns + 1)
    Events([cgroup, group, None], PressureTrigger("cpu", "some", 150_000, 2_000_000), PressureLevel("low")).close()
    Threshold(Memory.pressure["some", "avg10"], below=5.5)
    with Guard(group, Memory.usage_in_bytes, above=500_000_000, action=signal.SIGTERM, grace=5) as guard:
        assert_type(guard.wait(5), Event | None)
        assert_type(guard.fired, Event | None)
    Guard(cgroup, Cpuacct.usage, rate_above=5e8, action=lambda event: print(event.what), then=signal.SIGINT).start()
    Guard(cgroup, Memory.max, above=5, action=9)
    Guard(group, lambda group: len(group.processes()), above=5)


def finding() -> str | None:
    found = Hierarchy.find("memory:/a")
    assert_type(found, Cgroup | None)
    if found is None:
        return None
    assert_type(found.path, str | None)
    assert_type(found.parent, Cgroup | None)
    assert_type(found.children(), list[Cgroup])
    assert_type(found.walk(), Iterator[Cgroup])
    assert_type(found.processes(), list[int])
    assert_type(found.subsystems, tuple[str, ...])
    assert_type(found.hierarchy, Hierarchy)
    assert_type(found.hierarchy.label, str | None)
    assert_type(Hierarchy.root(found.hierarchy), Cgroup)
    assert_type(Hierarchy.scan(["memory"]), list[Hierarchy])
    assert_type(Hierarchy.process_info(1), list[Cgroup])
    assert_type(Hierarchy.own("memory"), Cgroup)
    assert_type(Host("/captured").find_exn(":/a"), Cgroup)
    assert_type(Hierarchy.resolve("ssh.service"), Cgroup)
    assert_type(Host("/captured").resolve("pid:1", "memory", timeout=1), Cgroup)
    return found.path


def creating(root: Cgroup) -> Cgroup:
    made = Hierarchy.find_or_create("memory:/a", perm=0o750, owner=("root:adm"), file_perm=0o640, tasks_perm=0o660)
    made.make_sub("b", owner=(0, 0)).make("c/d").remove(recursive=True)
    Hierarchy.remove(made, recursive=True)
    return Hierarchy.make_sub(root, "a")


def limits(cgroup: Cgroup) -> int:
    limit = Parameters.get(Memory.limit_in_bytes, cgroup)
    assert_type(Parameters.get(Memory.current, cgroup, None), int | None)
    assert_type(Parameters.get(Memory.current, cgroup, default="none"), int | str)
    assert_type(limit, int | Max)
    if limit is not MAX:
        return limit + 1
    assert_type(limit, Literal[Max.MAX])
    value: Limit = MAX
    assert_type(float(MAX), float)
    smaller: bool = limit < 5
    Parameters.set(Memory.limit_in_bytes, cgroup, value)
    return int(smaller)


def stats(cgroup: Cgroup) -> None:
    stat = Parameters.get(Memory.stat, cgroup)
    assert_type(stat, MemoryStat)
    assert_type(stat.rss, int | None)
    assert_type(stat["rss"], int)
    assert_type(stat.get("rss"), int | None)
    assert_type(Parameters.get(Memory.stat["anon"], cgroup), int)
    pressure = Parameters.get(Memory.pressure, cgroup)
    assert_type(pressure.some, PressureLine | None)
    assert_type(pressure["full"].avg10, float | None)
    assert_type(Parameters.get(Memory.pressure["some", "avg10"], cgroup), float)
    throttles = Parameters.get(Subsystem.Blkio.throttle_read_bps_device, cgroup)
    assert_type(throttles, DeviceTable[int | Max])
    assert_type(throttles[Device(8, 0)], int | Max)
    assert_type(throttles.total, int | None)


def kinds(cgroup: Cgroup) -> None:
    readable: Readable[int] = Memory.usage_in_bytes
    wider: Readable[int | str] = Memory.usage_in_bytes  # what is read may be less than is expected
    narrower: Writable[bool] = Cpu.shares  # what is set may be less than is taken
    resettable: Resettable = Memory.failcnt
    both: ReadWrite[Limit, Limit] = Hugetlb("2MB").limit_in_bytes
    every: list[Readable[int]] = [Memory.usage_in_bytes, Subsystem.Cpuacct.usage, Memory.failcnt]
    either: int | str = Parameters.get(wider, cgroup)
    print(either)
    Parameters.set(narrower, cgroup, True)
    Parameters.reset(resettable, cgroup)
    Parameters.set(both, cgroup, MAX)
    assert_type([Parameters.get(one, cgroup) for one in every], list[int])
    assert_type(readable.files(2), tuple[str, ...])
    Parameters.set(Cpuset.cpus, cgroup, {1, 2})
    Parameters.set(Core.subtree_control, cgroup, (name for name in ("cpu", "io")))
    state: Literal["FROZEN"] = "FROZEN"
    Parameters.set(Subsystem.Freezer.state, cgroup, state)


def own_parameters(cgroup: Cgroup) -> None:
    count = Parameters.mk_get("memory", "shown_ram_in_bytes", Converter.int)
    assert_type(count, Readable[int])
    limit = Parameters.mk_set("memory", "my_limit", Converter.bounded_int(min=1, max=5))
    assert_type(limit, ReadWrite[int, int])
    peak = Parameters.mk_reset("memory", "my_peak", Converter.int)
    assert_type(peak, ReadReset[int])
    pair = Parameters.mk_set("memory", "my_pair", Converter.pair(Converter.int, Converter.string, sep=" "))
    assert_type(Parameters.get(pair, cgroup), tuple[int, str])
    Parameters.set(pair, cgroup, (5, "five"))
    items = Parameters.mk_get("memory", "my_list", Converter.list(Converter.ro(float), sep=","))
    assert_type(Parameters.get(items, cgroup), list[float])
    assert_type(Converter.read(Converter.range, "0-3"), list[int])
    assert_type(Converter.write(Converter.device, (8, 0)), str)
    triple = Converter.triple(Converter.int, Converter.int, Converter.bool, sep=":")
    assert_type(Converter.read(triple, "1:2:1"), tuple[int, int, bool])


def errors() -> None:
    try:
        Hierarchy.find_exn("memory:/a")
    except cgroups.CgroupError as error:
        assert_type(error.path, str | None)
        assert_type(error.hint, str | None)
        assert_type(error.parameter, str | None)


def controllers() -> None:
    controller = Subsystem.find("memory")
    assert_type(controller.hierarchy, Hierarchy | None)
    assert_type(controller.version, int | None)
    assert_type(cgroups.backend, str)
    cgroups.set_fd_budget(100)


async def starting(cgroup: Cgroup, group: Group) -> None:
    assert_type(cgroups.Popen(["true"], cgroup=group), cgroups.Popen[bytes])
    assert_type(cgroups.Popen("true", cgroup=[cgroup, group], shell=True, text=True), cgroups.Popen[str])
    with cgroups.Popen(["true"], cgroup=cgroup, encoding="utf-8") as process:
        assert_type(process.communicate()[0], str)
    assert_type(process.started_ns, int)
    other = await cgroups.aio.Popen(["true"], cgroup=group)
    assert_type(await other.communicate(b""), tuple[bytes | None, bytes | None])
    assert_type(group.get(Memory.usage_in_bytes), int)
    group.set(Memory.limit_in_bytes, MAX)
    group.update({Memory.limit_in_bytes: 2**30, "pids.max": 10})
    assert_type(group.cgroup_of(Memory.stat), Cgroup)
    with Group.temporary("job", ["memory"], limits={Memory.limit_in_bytes: 2**30}) as fresh:
        assert_type(fresh, Group)
        assert_type(fresh.kill(), int)
    assert_type(cgroup.signal(15), int)


def sizing(cgroup: Cgroup) -> None:
    limit = cgroup.effective(Memory.limit_in_bytes)
    if limit.value is not MAX:
        assert_type(limit.value, int)
    assert_type(limit.cgroup, Cgroup | None)
    assert_type(limit.hidden, bool)
    assert_type(cgroup.effective(Subsystem.Cpu.max).value, cgroups.CpuMax)
    mine = cgroups.capacity()
    assert_type(mine.memory, int)
    assert_type(mine.cpus, float)
    assert_type(mine.cpuset, tuple[int, ...])
    assert_type(mine.sources["memory"].cgroup, Cgroup | None)
    if cgroup.identity is not None:
        assert_type(cgroup.identity.container, str | None)
