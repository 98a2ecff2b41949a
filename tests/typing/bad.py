"""Programs with mistakes: type checkers find fault with each marked line, and with no other.  Checked, never run."""

from __future__ import annotations

import cgroups
from cgroups import MAX, Cgroup, Converter, CpuMax, Device, Hierarchy, Host, Hugetlb, Memory, Parameters, Subsystem
from cgroups.parameters.kinds import Readable, ReadWrite, Writable


def finding() -> None:
    print(Hierarchy.find("memory:/a").path)  # E: find may give None
    Hierarchy.find("memory:/a").processes()  # E: find may give None
    Hierarchy.find_exn("memory:/a").path.upper()  # E: the path may be None
    Hierarchy.find_exn("memory:/a").parent.location.upper()  # E: the root has no parent
    Hierarchy.add_process(Hierarchy.find("memory:/a"), 1)  # E: find may give None
    Hierarchy.find(5)  # E: a spec is a str
    Hierarchy.find(b"memory:/a")  # E: a spec is a str
    Hierarchy.scan(5)  # E: subsystems are names
    Host(5)  # E: a root is a str
    Host("/").find("memory:/a").inode.bit_length()  # E: find may give None


def a_default(cgroup: Cgroup) -> None:
    Parameters.get(Memory.current, cgroup, default=None).bit_length()  # E: the default may be None
    Parameters.get(Memory.current, cgroup, fallback=0)  # E: there is no such argument
    Parameters.get(Memory.current, cgroup, 0, 1)  # E: one default


def cgroup_facts(cgroup: Cgroup) -> None:
    cgroup.location = "/b"  # E: read-only
    cgroup.hierarchy = Hierarchy.scan()[0]  # E: read-only
    cgroup.path = "/b"  # E: read-only
    cgroup.inode = 5  # E: read-only
    cgroup.processes = []  # E: a method
    print(cgroup.procs)  # E: there is no such attribute
    cgroup.add_process("5")  # E: a pid is an int
    cgroup.add_process(None)  # E: a pid is an int
    cgroup.make_sub(5)  # E: a name is a str
    cgroup.make_sub("a", 0o755)  # E: perm is a keyword
    cgroup.make_sub("a", perm="755")  # E: a mode is an int
    cgroup.make_sub("a", owner=5)  # E: (uid, gid) or a str
    cgroup.make_sub("a", owner=("root", "root"))  # E: ids are ints
    cgroup.remove(True)  # E: recursive is a keyword
    print(cgroup < cgroup)  # E: cgroups have no order
    print(cgroup.hierarchy.label.upper())  # E: only named hierarchies have one


def limits(cgroup: Cgroup) -> None:
    limit = Parameters.get(Memory.limit_in_bytes, cgroup)
    print(limit + 1)  # E: it may be MAX
    number: int = limit  # E: it may be MAX
    print(number, MAX + 1)  # E: MAX is no number
    Parameters.set(Memory.limit_in_bytes, cgroup, "1G")  # E: bytes are an int
    Parameters.set(Memory.limit_in_bytes, cgroup, 1e9)  # E: bytes are an int
    Parameters.set(Memory.swappiness, cgroup, MAX)  # E: it has no MAX
    Parameters.set(Hugetlb("2MB").max, cgroup, None)  # E: MAX is no limit, None is nothing
    Parameters.set(Subsystem.Cpu.max, cgroup, (MAX, 5, 5))  # E: quota and period
    Parameters.set(Subsystem.Cpu.max, cgroup, CpuMax("max"))  # E: a quota is an int or MAX


def access(cgroup: Cgroup) -> None:
    Parameters.set(Memory.usage_in_bytes, cgroup, 5)  # E: read-only
    Parameters.set(Memory.stat, cgroup, {})  # E: read-only
    Parameters.set(Memory.stat["anon"], cgroup, 5)  # E: read-only
    Parameters.get(Memory.force_empty, cgroup)  # E: write-only
    Parameters.get(Memory.reclaim, cgroup)  # E: write-only
    Parameters.get(Subsystem.Core.kill, cgroup)  # E: write-only
    Parameters.reset(Memory.limit_in_bytes, cgroup)  # E: not to be reset
    Parameters.reset(Memory.stat, cgroup)  # E: not to be reset
    Parameters.get(Memory.usage_in_bytes)  # E: a cgroup is missing
    Parameters.get(Memory.usage_in_bytes, "memory:/a")  # E: a spec is no cgroup
    Parameters.get(Memory.usage_in_bytes, Hierarchy.find("memory:/a"))  # E: find may give None
    Parameters.get("memory.max", cgroup)  # E: a name is no parameter
    Parameters.get(Memory, cgroup)  # E: a controller is no parameter
    Parameters.get(Memory.no_such_parameter, cgroup)  # E: there is no such parameter
    Parameters.get(Memory.usage_in_bytes["anon"], cgroup)  # E: it has no keys
    Parameters.get(Memory.pressure["some"], cgroup)  # E: line and number
    print(Memory.max < Memory.high)  # E: parameters have no order
    Parameters.set(Subsystem.Freezer.state, cgroup, "FREEZING")  # E: read-only
    Parameters.set(Subsystem.Cpuset.cpus, cgroup, "0-3")  # E: ints
    Parameters.set(Subsystem.Blkio.throttle_read_bps_device, cgroup, {"8:0": 5})  # E: a device is a Device
    Parameters.set(Subsystem.Blkio.throttle_read_bps_device, cgroup, {Device(8, 0): "5"})  # E: a rate is an int


def values(cgroup: Cgroup) -> None:
    stat = Parameters.get(Memory.stat, cgroup)
    print(stat.rss + 1)  # E: a kernel may lack it
    text: str = stat["rss"]  # E: it is an int
    print(text, Parameters.get(Memory.pressure, cgroup).some.avg10)  # E: a kernel may lack it
    print(Parameters.get(Memory.oom_control, cgroup).oom_kill + 1)  # E: a kernel may lack it


def kinds() -> None:
    one: Writable[int] = Memory.usage_in_bytes  # E: read-only
    two: Readable[str] = Memory.usage_in_bytes  # E: it reads an int
    three: Writable[int | str] = Memory.swappiness  # E: it takes no str
    four: ReadWrite[int, int] = Memory.failcnt  # E: read-only
    print(one, two, three, four)


def own_parameters(cgroup: Cgroup) -> None:
    count = Parameters.mk_get("memory", "mine", Converter.int)
    Parameters.set(count, cgroup, 5)  # E: mk_get makes what is read
    limit = Parameters.mk_set("memory", "mine", Converter.int)
    Parameters.set(limit, cgroup, "5")  # E: the converter takes ints
    Parameters.reset(limit, cgroup)  # E: mk_set makes nothing to reset
    Parameters.mk_get("memory", "mine", int)  # E: the built-in int is no converter
    Parameters.mk_get("memory", "mine", Converter.wo(str))  # E: it only writes
    Parameters.mk_set("memory", "mine", Converter.ro(str))  # E: it only reads
    Parameters.mk_get("memory", 5, Converter.int)  # E: a name is a str
    Converter.pair(Converter.int, Converter.int)  # E: the separator is missing
    Converter.write(Converter.bool, 5)  # E: a bool
    Converter.bounded_int(1, 5)  # E: bounds are keywords


def others() -> None:
    cgroups.set_fd_budget("5")  # E: an int
    cgroups.CgroupError("m", "/path")  # E: facts are keywords
    Subsystem.find("memory").hierarchy.root()  # E: it may be on none
    Hugetlb(2)  # E: a size is a str
    print(cgroups.Nothing)  # E: there is no such name


def watching(cgroup: Cgroup) -> None:
    for event in cgroup.events():
        event.what = "oom"  # E: an event does not change
        print(event.count + 1)  # E: it may not count
        print(event.cgroup.path)  # E: it may be the whole system's
    cgroup.events("memory.events")  # E: a parameter, or a source
    cgroups.Threshold(Memory.stat, above=5)  # E: one number
    cgroups.Threshold(Memory.current, above="5M")  # E: a number
    cgroups.Guard(cgroup, Memory.current, above=5, action="TERM")  # E: a signal, or a function
    cgroups.Guard(cgroup, Memory.current, above=5, action=lambda: None)  # E: it gets the event
    cgroups.Guard(None, Memory.current, above=5)  # E: a cgroup, or a group
    print(cgroups.Guard(cgroup, Memory.current, above=5).fired.what)  # E: it may not have fired


def starting(cgroup: Cgroup, group: cgroups.Group) -> None:
    cgroups.Popen(["true"])  # E: a cgroup is needed
    cgroups.Popen(["true"], cgroup="memory:/job")  # E: a Cgroup, or a Group
    cgroups.Popen(["true"], cgroup=cgroup, colour=True)  # E: no such keyword
    cgroups.Group("job", "memory").get(Memory.limit_in_bytes).bit_length()  # E: it may be MAX
    group.set(Memory.usage_in_bytes, 5)  # E: it is read-only
    group.set(Memory.limit_in_bytes, "5M")  # E: a number
    group.update([(Memory.limit_in_bytes, 5)])  # E: a mapping
    cgroup.signal("TERM")  # E: a number
    cgroup.freeze("10")  # E: seconds


def sizing(cgroup: Cgroup) -> None:
    cgroup.effective(Memory.stat)  # E: a limit is a number, or MAX
    print(cgroup.effective(Memory.limit_in_bytes).value + 1)  # E: it may be MAX
    print(cgroup.identity.unit)  # E: it may be none
    cgroups.capacity("self")  # E: a process id
