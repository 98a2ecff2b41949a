"""Every parameter whose file a fresh cgroup has, against what a plain ``open().read()`` of the file says.

The readings below know nothing of the package's tables: a file's kind is
told by only its name, and what a translated parameter has to say is written
out from the kernel's own documents.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from cgroups import Cgroup, Hierarchy, ParameterNotSupported, Parameters, Subsystem

MakeCgroup = Callable[..., Cgroup]

# Files that only one vendor's kernel has.
VENDOR_FILES = {"memory.shown_ram_in_bytes"}

TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")

# ---- reading a file by its kind -----------------------------------------------------------


def number(text: str) -> int:
    return int(text)


def limit(text: str) -> int | str:
    """Unlimited is max, -1, or 2^63 rounded down, at most to a huge page of 16 GiB."""
    value = text.strip()
    return "max" if value in ("max", "-1") or int(value) >= (1 << 63) - (1 << 34) else int(value)


def flag(text: str) -> bool:
    return {"0": False, "1": True}[text.strip()]


def words(text: str) -> list[str]:
    return text.split()


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split()]


def text_of(text: str) -> str:
    return text.removesuffix("\n")


def keyed(text: str) -> dict[str, Any]:
    pairs = [line.split(None, 1) for line in text.splitlines() if line.strip()]
    return {key: "max" if value.strip() == "max" else int(value) for key, value in pairs}


def cpu_list(text: str) -> list[int]:
    found: list[int] = []
    for part in text.strip().split(","):
        if part:
            first, _, last = part.partition("-")
            found += range(int(first), int(last or first) + 1)
    return found


def pressure(text: str) -> dict[str, dict[str, float]]:
    rows = [line.split() for line in text.splitlines()]
    return {row[0]: {key: float(value) for key, value in (word.split("=") for word in row[1:])} for row in rows}


def nested(text: str) -> dict[Any, dict[str, Any]]:
    table: dict[Any, dict[str, Any]] = {}
    for line in text.splitlines():
        name, *items = line.split()
        pairs = (item.split("=") for item in items)
        table[device(name)] = {key: "max" if value == "max" else float(value) for key, value in pairs}
    return table


def device(name: str) -> Any:
    return tuple(map(int, name.split(":"))) if re.fullmatch(r"\d+:\d+", name) else name


def device_numbers(text: str) -> dict[Any, int]:
    pairs = [line.split() for line in text.splitlines()]
    return {device(name): int(value) for name, value in pairs if name != "default"}


def device_operations(text: str) -> dict[Any, dict[str, int]]:
    table: dict[Any, dict[str, int]] = {}
    for line in text.splitlines():
        match line.split():
            case [name, operation, value]:
                table.setdefault(device(name), {})[operation] = int(value)
    return table


def device_rules(text: str) -> list[tuple[Any, ...]]:
    rules = []
    for line in text.splitlines():
        kind, numbers_, access = line.split()
        rules.append((kind, *(None if one == "*" else int(one) for one in numbers_.split(":")), access))
    return rules


def by_node(unit: int) -> Callable[[str], dict[str, dict[int, int]]]:
    def read(text: str) -> dict[str, dict[int, int]]:
        table = {}
        for line in text.splitlines():
            first, *items = line.split()
            pairs = (item.split("=") for item in items)
            table[first.partition("=")[0]] = {int(node[1:]): int(value) * unit for node, value in pairs}
        return table

    return read


def usage_all(text: str) -> dict[int, tuple[int, ...]]:
    _, *rows = (line.split() for line in text.splitlines())
    return {int(row[0]): (int(row[1]), int(row[2])) for row in rows}


def oom_control(text: str) -> tuple[Any, ...]:
    values = keyed(text)
    return bool(values["oom_kill_disable"]), bool(values["under_oom"]), values.get("oom_kill")


def cpu_max(text: str) -> tuple[Any, int]:
    quota, period = text.split()
    return limit(quota), int(period)


def ticks(text: str) -> dict[str, int]:
    return {key: value * TICK for key, value in keyed(text).items()}


def percent(text: str) -> float | str:
    return "max" if text.strip() == "max" else float(text)


# The kind of a file by its name; the first pattern that matches is the one.
KINDS: list[tuple[str, Callable[[str], Any]]] = [
    (r"cgroup\.(procs|threads)|tasks", numbers),
    (r"cgroup\.(controllers|subtree_control)", words),
    (r"cgroup\.type|freezer\.state|release_agent|memory\.kmem\.slabinfo|cpuset\.cpus\.partition", text_of),
    (r"cgroup\.(freeze|pressure|clone_children|sane_behavior)|notify_on_release", flag),
    (r"cgroup\.max\..*|pids\.max|cpu\.cfs_quota_us", limit),
    (r"(memory|cpu|io|irq)\.pressure", pressure),
    (r"cpu\.max", cpu_max),
    (r"cpu\.uclamp\..*", percent),
    (r"cpuacct\.stat", ticks),
    (r"cpuacct\.usage_all", usage_all),
    (r"cpuacct\.usage_percpu.*", numbers),
    (
        r"cpuset\.(cpus|mems|effective_cpus|effective_mems|cpus\.exclusive)(\.effective)?|cpuset\.cpus\.isolated",
        cpu_list,
    ),
    (r"cpuset\.(memory_pressure|sched_relax_domain_level)", number),
    (r"cpuset\..*", flag),
    (r"memory\.numa_stat", by_node(1)),  # v1 counts pages: below
    (r"hugetlb\..*\.numa_stat", by_node(1)),
    (r"memory\.oom_control", oom_control),
    (r"memory\.(use_hierarchy|oom\.group|zswap\.writeback)|cpu\.idle|freezer\..*_freezing", flag),
    (r".*limit_in_bytes|memory\.(min|low|high|max)|memory\.z?swap\.(high|max)|hugetlb\..*\.max", limit),
    (r"(misc|dmem)\..*|net_prio\.ifpriomap|.*\.events(\.local)?|.*\.stat(\.local)?", keyed),
    (r"rdma\..*", nested),
    (r"devices\.list", device_rules),
    (r"blkio\.(bfq\.)?weight", number),
    (r"blkio\.(bfq\.)?weight_device|blkio\.throttle\..*_device|io\.(bfq\.)?weight", device_numbers),
    (
        r"blkio\.(bfq\.)?(time|sectors|avg_queue_size|group_wait_time|empty_time|idle_time|dequeue)(_recursive)?",
        device_numbers,
    ),
    (r"blkio\..*", device_operations),
    (r".*", number),
]


def kind_of(name: str) -> Callable[[str], Any]:
    if name in ("io.stat", "io.max", "io.latency", "io.cost.qos", "io.cost.model"):
        return nested
    return next(kind for pattern, kind in KINDS if re.fullmatch(pattern, name))


def independent(cgroup: Cgroup, name: str) -> Any:
    text = (Path(str(cgroup.path)) / name).read_text()
    if name == "memory.numa_stat" and cgroup.version == 1:
        return by_node(mmap.PAGESIZE)(text)
    return kind_of(name)(text)


# ---- what a parameter says where it is not one file as it is -----------------------------------

Read = Callable[[str], Any]


def _v2_stat(read: Read) -> dict[str, int]:
    stat: dict[str, int] = read("memory.stat")
    names = {"rss": "anon", "cache": "file", "mapped_file": "file_mapped", "rss_huge": "anon_thp"}
    names |= {"dirty": "file_dirty", "writeback": "file_writeback"}
    return {**stat, **{v1: stat[v2] for v1, v2 in names.items() if v2 in stat}}


def _scaled(stat: dict[str, int]) -> dict[str, int]:
    names = {"throttled_time": "throttled_usec", "burst_time": "burst_usec"}
    return {**stat, **{v1: stat[v2] * 1000 for v1, v2 in names.items() if v2 in stat}}


def _added(*values: Any) -> Any:
    return "max" if "max" in values else sum(values)


def _soft(low: Any) -> Any:
    return {0: "max", "max": (1 << 63) - mmap.PAGESIZE}.get(low, low)


def _io_max(key: str) -> Callable[[Read], dict[Any, Any]]:
    return lambda read: {dev: row[key] for dev, row in read("io.max").items() if row.get(key, "max") != "max"}


def _default_weight(read: Read, text: Read) -> int:
    return int(text("io.bfq.weight").splitlines()[0].split()[-1])


def _state(read: Read) -> str:
    return "FROZEN" if read("cgroup.events")["frozen"] else "FREEZING" if read("cgroup.freeze") else "THAWED"


TRANSLATED: dict[tuple[int, str], Callable[[Read], Any]] = {
    (2, "memory.stat"): _v2_stat,
    (2, "memory.memsw_usage_in_bytes"): lambda read: read("memory.current") + read("memory.swap.current"),
    (2, "memory.memsw_limit_in_bytes"): lambda read: _added(read("memory.max"), read("memory.swap.max")),
    (2, "memory.failcnt"): lambda read: read("memory.events.local")["max"],
    (2, "memory.memsw_failcnt"): lambda read: read("memory.swap.events")["max"],
    (2, "memory.soft_limit_in_bytes"): lambda read: _soft(read("memory.low")),
    (2, "memory.use_hierarchy"): lambda _: True,
    (2, "memory.oom_control"): lambda read: (None, None, read("memory.events.local")["oom_kill"]),
    (2, "cpu.shares"): lambda read: {100: 1024, 1: 2, 10000: 262144}[read("cpu.weight")],
    (2, "cpu.cfs_quota_us"): lambda read: read("cpu.max")[0],
    (2, "cpu.cfs_period_us"): lambda read: read("cpu.max")[1],
    (1, "cpu.max"): lambda read: (read("cpu.cfs_quota_us"), read("cpu.cfs_period_us")),
    (2, "cpu.stat"): lambda read: _scaled(read("cpu.stat")),
    (2, "cpu.stat_local"): lambda read: _scaled(read("cpu.stat.local")),
    (2, "cpuacct.usage"): lambda read: read("cpu.stat")["usage_usec"] * 1000,
    (2, "cpuacct.usage_user"): lambda read: read("cpu.stat")["user_usec"] * 1000,
    (2, "cpuacct.usage_sys"): lambda read: read("cpu.stat")["system_usec"] * 1000,
    (2, "cpuacct.stat"): lambda read: {
        **read("cpu.stat"),
        "user": read("cpu.stat")["user_usec"] * 1000,
        "system": read("cpu.stat")["system_usec"] * 1000,
    },
    (2, "cpuset.memory_migrate"): lambda _: True,
    (2, "cpuset.cpu_exclusive"): lambda read: read("cpuset.cpus.partition") in ("root", "isolated"),
    (2, "freezer.state"): _state,
    **{
        (2, f"blkio.throttle_{name}_device"): _io_max(key)
        for name, key in {"read_bps": "rbps", "read_iops": "riops", "write_bps": "wbps", "write_iops": "wiops"}.items()
    },
}
# On a fresh cgroup all of io.stat is empty, whatever it is called; the load is elsewhere.
EMPTY_WHEN_FRESH = re.compile(r"blkio\.(throttle_)?io_(service_bytes|serviced)(_recursive)?")
HUGE = re.compile(r"hugetlb\.(\w+)\.(failcnt)")


def expected(parameter: Any, cgroup: Cgroup, present: list[str]) -> Any:
    """Return the value that the parameter must have, from only the files."""
    read = lambda name: independent(cgroup, name)  # noqa: E731
    name = str(parameter)
    translation = TRANSLATED.get((cgroup.version, name))
    if translation is not None:
        return translation(read)
    if cgroup.version == 2:
        if EMPTY_WHEN_FRESH.fullmatch(name):
            return {}
        if match := HUGE.fullmatch(name):
            return read(f"hugetlb.{match[1]}.events.local")["max"]
        if name == "blkio.weight":
            default = int((Path(str(cgroup.path)) / present[0]).read_text().split()[1])
            return default if "bfq" in present[0] else 10 + -(-(default - 1) * 990 // 9999)
    elif name == "blkio.weight":
        # `default N` of BFQ, only a number of its predecessor.
        return int((Path(str(cgroup.path)) / present[0]).read_text().split()[-1])
    return read(present[0])


def plain(value: Any) -> Any:
    """A value of the package as lists, dicts and numbers."""
    if isinstance(value, Enum):
        return str(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(one) for key, one in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return tuple(plain(one) for one in value)
    return [plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def same(got: Any, wanted: Any) -> bool:
    """Equal; where v2's memory.stat is read, with v1's further names in it."""
    if isinstance(got, dict) and isinstance(wanted, dict):
        return wanted.items() <= got.items() and all(key in wanted or str(key).startswith("total_") for key in got)
    return bool(got == wanted) and type(got) is type(wanted) or isinstance(got, float) and got == wanted


# ---- the tests --------------------------------------------------------------------------------------


def names_in(cgroup: Cgroup) -> set[str]:
    return {entry.name for entry in Path(str(cgroup.path)).iterdir() if entry.is_file()}


def readable_here(cgroup: Cgroup) -> dict[Any, list[str]]:
    """The parameters that can be read of it, with their files: all are there, or the first of several names of one."""
    there = names_in(cgroup)
    found = {}
    for parameter in Subsystem.parameters():
        files = [name for name in parameter.files(cgroup.version) if name in there]
        alternatives = parameter.controller == "blkio"
        if isinstance(parameter, Parameters.Readable) and files:
            if alternatives or len(files) == len(parameter.files(cgroup.version)):
                found[parameter] = files
    return found


def test_each_value_is_what_the_file_says(controller_here: str, make_cgroup: MakeCgroup) -> None:
    cgroup = make_cgroup(controller_here)
    wrong = {}
    for parameter, files in readable_here(cgroup).items():
        for _ in range(3):  # a counter may move between two reads
            before = expected(parameter, cgroup, files)
            got = plain(Parameters.get(parameter, cgroup))
            if same(got, before) or same(got, expected(parameter, cgroup, files)):
                break
        else:
            wrong[str(parameter)] = (got, before)
    assert not wrong
    assert len(readable_here(cgroup)) >= 3


def test_control_files_have_a_parameter(controller_here: str, make_cgroup: MakeCgroup) -> None:
    cgroup = make_cgroup(controller_here)
    known = {name for parameter in Subsystem.parameters() for name in parameter.files(cgroup.version)}
    assert names_in(cgroup) - known - VENDOR_FILES == set()


def is_readable(path: Path) -> bool:
    """Return whether root can read a text: the mode does not show it, and EINVAL means a write-only file."""
    try:
        return bool(path.read_text()) or bool(path.stat().st_mode & 0o444)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False


def test_control_files_readable_ones_parse(controller_here: str, make_cgroup: MakeCgroup) -> None:
    """Each file is read by a parameter that reads only this file."""
    cgroup = make_cgroup(controller_here)
    here = readable_here(cgroup)
    parsed = {name for files in here.values() for name in files}
    failed = {}
    for parameter in here:
        try:
            Parameters.get(parameter, cgroup)
        except Exception as error:  # noqa: BLE001 - all of them are shown
            failed[str(parameter)] = error
    assert not failed
    unread = {name for name in names_in(cgroup) - parsed - VENDOR_FILES if is_readable(Path(str(cgroup.path)) / name)}
    assert unread == set()


def test_control_files_keyed_or_numeric_are_not_strings(controller_here: str, make_cgroup: MakeCgroup) -> None:
    cgroup = make_cgroup(controller_here)
    strings = []
    for parameter, files in readable_here(cgroup).items():
        translated = (cgroup.version, str(parameter)) in TRANSLATED
        if isinstance(Parameters.get(parameter, cgroup), str) and not translated:
            lines = (Path(str(cgroup.path)) / files[0]).read_text().splitlines()
            if lines and all(re.fullmatch(r"(\S+ )?(-?\d+|max)", line) for line in lines):
                strings.append(str(parameter))
    assert not strings


def test_roots_too(every_head: str) -> None:
    """The root has other files; all that it has are read."""
    root = Hierarchy.find_exn(every_head or ":/")
    known = {name for parameter in Subsystem.parameters() for name in parameter.files(root.version)}
    unknown = {
        name for name in names_in(root) - known - VENDOR_FILES if name.partition(".")[0] in (*root.subsystems, "cgroup")
    }
    assert unknown == set()
    failed = {}
    for parameter in readable_here(root):
        if str(parameter) == "memory.stat":
            continue  # expensive there, and nobody asked
        try:
            Parameters.get(parameter, root)
        except Exception as error:  # noqa: BLE001
            failed[str(parameter)] = error
    assert not failed


@pytest.mark.parametrize("key", ["nonesuch", "rss "])
def test_get_missing_key_raises(head: str, key: str, make_cgroup: MakeCgroup) -> None:
    cgroup = make_cgroup(head)
    for parameter in readable_here(cgroup):
        if isinstance(parameter, Parameters.Keyed):
            with pytest.raises(ParameterNotSupported, match="no key"):
                Parameters.get(parameter[key], cgroup)
            whole = Parameters.get(parameter, cgroup)
            for known in list(whole)[:3]:
                assert isinstance(Parameters.get(parameter[known], cgroup), int)
