"""The two ends of ``get`` and ``set``: words to values as they are written, and values to plain data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cgroups import (
    MAX,
    Cgroup,
    CgroupError,
    CpuMax,
    Device,
    DeviceRule,
    DeviceTable,
    InvalidValue,
    OomControl,
    ParameterNotSupported,
    Subsystem,
)
from cgroups.cli.common.values import named, plain, read, value_of, write
from cgroups.core.literals import device_literal
from cgroups.core.values import CpuacctUsage, Pressure, PressureLine, Stat
from cgroups.subsystem import Parameters

# ---- names ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "parameter", "keys"),
    [
        ("memory.limit_in_bytes", "memory.limit_in_bytes", ()),
        ("memory.max", "memory.max", ()),
        ("memory.memsw.limit_in_bytes", "memory.memsw_limit_in_bytes", ()),
        ("memory.oom.group", "memory.oom_group", ()),
        ("memory.stat[anon]", "memory.stat", ("anon",)),
        ("memory.pressure[some,avg10]", "memory.pressure", ("some", "avg10")),
        ("memory.pressure[some, avg10]", "memory.pressure", ("some", "avg10")),
        ("io.max[8:0,rbps]", "io.max", ("8:0", "rbps")),
        ("hugetlb.2MB.max", "hugetlb.2MB.max", ()),
        ("cgroup.procs", "cgroup.procs", ()),
        ("tasks", "cgroup.threads", ()),
        ("notify_on_release", "notify_on_release", ()),
    ],
)
def test_named_word_is_its_parameter(word: str, parameter: str, keys: tuple[str, ...]) -> None:
    name = named(word)
    assert (str(name.parameter), name.keys) == (parameter, keys)
    assert str(name) == word.replace(", ", ",")


@pytest.mark.parametrize(
    "word",
    ["", "nope", "memory.", "memory.nope", "memory.stat[", "memory.stat[]", "memory.stat[a]b", "hugetlb.3XB.max"],
)
def test_named_unknown_word_is_refused(word: str) -> None:
    with pytest.raises(InvalidValue):
        named(word)


def _own_names() -> list[tuple[str, str]]:
    """Each control file that has a parameter of its own name: the file's, with dots as underscores."""
    known = {str(parameter): parameter for parameter in Subsystem.parameters()}
    files = {file for parameter in known.values() for version in (1, 2) for file in parameter.files(version)}
    pairs = []
    for file in sorted(files):
        controller, _, rest = file.partition(".")
        at = 2 if controller == "hugetlb" else 1
        head, tail = file.split(".")[:at], file.split(".")[at:]
        if tail and (own := ".".join([*head, "_".join(tail)])) in known and file in known[own].files(2):
            pairs.append((file, own))
    return pairs


@pytest.mark.parametrize(("file", "parameter"), _own_names())
def test_named_control_file_is_the_parameter_of_the_whole_file(file: str, parameter: str) -> None:
    # memory.events.local is a table of counters, not the one of them that v1 calls failcnt.
    assert str(named(file).parameter) == parameter


# ---- values to data --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (MAX, "max"),
        (0, 0),
        ((1 << 64) - 1, (1 << 64) - 1),
        (True, True),
        (None, None),
        ("FROZEN", "FROZEN"),
        ([0, 1, 8], [0, 1, 8]),
        (("cpu", "memory"), ["cpu", "memory"]),
        (Device(8, 0), "8:0"),
        (DeviceRule("c", 1, None, "rwm"), "c 1:* rwm"),
        (CpuMax(MAX, 100000), {"quota": "max", "period": 100000}),
        (OomControl(None, None, 2), {"oom_kill_disable": None, "under_oom": None, "oom_kill": 2}),
        ({0: CpuacctUsage(1, 2)}, {"0": {"user": 1, "system": 2}}),
        (Stat.of({"anon": 1, "new_key": 0}), {"anon": 1, "new_key": 0}),
        (Pressure.of({"some": PressureLine.of({"avg10": 1.5, "total": 3})}), {"some": {"avg10": 1.5, "total": 3}}),
        (DeviceTable({Device(8, 0): {"rbps": MAX, "wbps": 0}}), {"8:0": {"rbps": "max", "wbps": 0}}),
        (DeviceTable({Device(8, 0): 5}, default=100), {"8:0": 5, "default": 100}),
        (DeviceTable({}, total=0, others={"(unknown)": 1}), {"(unknown)": 1, "total": 0}),
    ],
)
def test_plain_value_is_json_data(value: Any, data: Any) -> None:
    result = plain(value)
    assert result == data
    assert type(result) is type(data)


def test_read_keys_select_within_the_value(job: Cgroup) -> None:
    directory = Path(job.path or "")
    (directory / "io.max").write_text("8:0 rbps=1048576 wbps=max riops=max wiops=100\n")
    assert read(named("io.max[8:0,rbps]"), job) == 1048576
    assert read(named("io.max[8:0]"), job) == {"rbps": 1048576, "wbps": "max", "riops": "max", "wiops": 100}
    anon = next(line for line in (directory / "memory.stat").read_text().splitlines() if line.startswith("anon "))
    assert read(named("memory.stat[anon]"), job) == int(anon.split()[1])
    assert read(named("memory.stat[rss]"), job) == int(anon.split()[1])  # v1's name for it


@pytest.mark.parametrize(
    "word", ["memory.stat[nope]", "memory.current[x]", "memory.pressure[some,nope]", "io.max[9:9]"]
)
def test_read_missing_key_raises(job: Cgroup, word: str) -> None:
    with pytest.raises(ParameterNotSupported, match="has no key"):
        read(named(word), job)


@pytest.mark.parametrize("word", ["memory.reclaim", "memory.force_empty", "devices.allow", "memory.pressure_level"])
def test_read_write_only_parameter_raises(job: Cgroup, word: str) -> None:
    with pytest.raises(ParameterNotSupported, match="cannot be read"):
        read(named(word), job)


# ---- words to what is written --------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "word", "writes"),
    [
        ("memory.max", "512M", [("memory.max", "536870912")]),
        ("memory.limit_in_bytes", "1.5G", [("memory.max", "1610612736")]),
        ("memory.max", "max", [("memory.max", "max")]),
        ("memory.max", "512Mi", [("memory.max", "536870912")]),
        ("memory.max", "0.5Gi", [("memory.max", "536870912")]),
        ("memory.max", "512 MiB", [("memory.max", "536870912")]),
        ("memory.max", "1kB", [("memory.max", "1024")]),
        ("memory.max", "unlimited", [("memory.max", "max")]),
        ("memory.max", "Infinity", [("memory.max", "max")]),
        ("memory.high", "none", [("memory.high", "max")]),
        ("memory.swap.max", "-1", [("memory.swap.max", "max")]),
        ("memory.low", "4096", [("memory.low", "4096")]),
        ("memory.min", "infinity", [("memory.min", "max")]),
        ("pids.max", "-1", [("pids.max", "max")]),
        ("memory.soft_limit_in_bytes", "1M", [("memory.low", "1048576")]),
        ("memory.soft_limit_in_bytes", "max", [("memory.low", "0")]),
        ("memory.oom.group", "true", [("memory.oom.group", "1")]),
        ("memory.oom.group", "off", [("memory.oom.group", "0")]),
        ("memory.use_hierarchy", "yes", []),
        ("cpu.max", "50000/100000", [("cpu.max", "50000 100000")]),
        ("cpu.max", "50000 100000", [("cpu.max", "50000 100000")]),
        ("cpu.max", "max", [("cpu.max", "max")]),
        ("cpu.max", "-1", [("cpu.max", "max")]),
        ("cpu.max", "0.5", [("cpu.max", "50000 100000")]),
        ("cpu.max", "1.5", [("cpu.max", "150000 100000")]),
        ("cpu.max", "50%", [("cpu.max", "50000 100000")]),
        ("cpu.max", "12.5%", [("cpu.max", "12500 100000")]),
        ("cpu.max", "500m", [("cpu.max", "50000 100000")]),
        ("cpu.max", "50ms/100ms", [("cpu.max", "50000 100000")]),
        ("cpu.max", "max 0.1s", [("cpu.max", "max 100000")]),
        ("cpu.cfs_quota_us", "20ms", [("cpu.max", "20000")]),
        ("cpu.cfs_quota_us", "infinity", [("cpu.max", "max")]),
        ("cpu.max_burst", "2s", [("cpu.max.burst", "2000000")]),
        ("cpu.uclamp.max", "50%", [("cpu.uclamp.max", "50.00")]),
        ("cpu.cfs_quota_us", "max", [("cpu.max", "max")]),
        ("cpu.cfs_quota_us", "20000", [("cpu.max", "20000")]),
        ("cpu.shares", "1024", [("cpu.weight", "100")]),
        ("cpu.weight_nice", "-5", [("cpu.weight.nice", "-5")]),
        ("cpu.uclamp.max", "12.5", [("cpu.uclamp.max", "12.50")]),
        ("cpuset.cpus", "0-3,8", [("cpuset.cpus", "0-3,8")]),
        ("cpuset.cpus", "3,2,1,0", [("cpuset.cpus", "0-3")]),
        ("cpuset.cpus", "", [("cpuset.cpus", "\n")]),
        ("freezer.state", "FROZEN", [("cgroup.freeze", "1")]),
        ("cgroup.freeze", "no", [("cgroup.freeze", "0")]),
        ("pids.max", "64", [("pids.max", "64")]),
        ("cgroup.max.depth", "max", [("cgroup.max.depth", "max")]),
        ("hugetlb.2MB.max", "4M", [("hugetlb.2MB.max", "4194304")]),
        ("io.max", "8:0=rbps:1M+wiops:100", [("io.max", "8:0 rbps=1048576 wbps=max riops=max wiops=100")]),
        ("io.max", "8:0=rbps:max", []),
        ("io.max", "", []),
        ("io.weight", "default=200,8:0=300", [("io.weight", "8:0 300"), ("io.weight", "default 200")]),
        ("io.latency", "8:0=target:5000", [("io.latency", "8:0 target=5000")]),
        ("io.latency", "8:0=target:5ms", [("io.latency", "8:0 target=5000")]),
        ("io.cost.qos", "8:0=enable:1+ctrl:user+rpct:95.00", [("io.cost.qos", "8:0 enable=1 ctrl=user rpct=95.00")]),
        ("blkio.throttle_read_bps_device", "8:0=1M,8:16=max", [("io.max", "8:0 rbps=1048576")]),
        ("blkio.throttle_read_bps_device", "8:0=0.5Ki,8:16=unlimited", [("io.max", "8:0 rbps=512")]),
        ("misc.max", "res_a=max,res_b=3", [("misc.max", "res_b 3")]),
        ("rdma.max", "mlx4_0=hca_handle:2", [("rdma.max", "mlx4_0 hca_handle=2 hca_object=max")]),
    ],
)
def test_write_v2_word_has_the_kernels_form(
    recorded_v2: Any, parameter: str, word: str, writes: list[tuple[str, str]]
) -> None:
    for name in ("io.max", "io.weight", "io.latency", "io.cost.qos", "rdma.max", "misc.max"):
        recorded_v2.put(name, "default 100\n" if name == "io.weight" else "")
    write(named(parameter), recorded_v2.cgroup, word)
    assert sorted(recorded_v2.writes) == sorted(writes)


@pytest.mark.parametrize(
    ("controller", "parameter", "word", "writes"),
    [
        ("memory", "memory.max", "512M", [("memory.limit_in_bytes", "536870912")]),
        ("memory", "memory.limit_in_bytes", "max", [("memory.limit_in_bytes", "-1")]),
        ("memory", "memory.oom_control", "true", [("memory.oom_control", "1")]),
        ("memory", "memory.swappiness", "60", [("memory.swappiness", "60")]),
        ("cpu", "cpu.shares", "2", [("cpu.shares", "2")]),
        ("devices", "devices.deny", "c 1:3 rwm", [("devices.deny", "c 1:3 rwm")]),
        ("devices", "devices.allow", "a", [("devices.allow", "a *:* rwm")]),
        ("freezer", "freezer.state", "THAWED", [("freezer.state", "THAWED")]),
        ("memory", "notify_on_release", "on", [("notify_on_release", "1")]),
        ("blkio", "blkio.throttle_write_iops_device", "8:0=100", [("blkio.throttle.write_iops_device", "8:0 100")]),
    ],
)
def test_write_v1_word_has_the_kernels_form(
    recorded_v1: Callable[[str], Any], controller: str, parameter: str, word: str, writes: list[tuple[str, str]]
) -> None:
    recorded = recorded_v1(controller)
    write(named(parameter), recorded.cgroup, word)
    assert recorded.writes == writes


@pytest.mark.parametrize(
    ("parameter", "word"),
    [
        ("memory.max", "lots"),
        ("memory.max", ""),
        ("memory.max", "-2"),
        ("memory.max", "512Mib4"),
        ("memory.max", "1ms"),
        ("memory.max", "50%"),
        ("memory.low", "none"),
        ("memory.min", "-1"),
        ("dmem.low", "a=unlimited"),
        ("memory.max", "0.3"),
        ("memory.max", "1 2"),
        ("memory.max", "99999999999999999999"),
        ("memory.oom.group", "2"),
        ("cpu.max", "fast"),
        ("cpu.max", "50000/often"),
        ("cpu.max", "50000/100000/1"),
        ("cpu.max", "512M"),
        ("cpu.max", "500M"),
        ("cpu.max", "2"),
        ("cpu.max", "50%/100000"),
        ("cpu.max", "1.5x"),
        ("cpu.cfs_quota_us", "500m"),
        ("cpu.cfs_quota_us", "50%"),
        ("cpu.cfs_quota_us", "1M"),
        ("cpu.cfs_quota_us", "0.1us"),
        ("cpu.cfs_period_us", "100k"),
        ("cpu.cfs_burst_us", "1G"),
        ("cpu.weight", "1k"),
        ("cpu.shares", "1K"),
        ("cpu.weight", "max"),
        ("cpuset.cpus", "a-b"),
        ("cpuset.cpus", "0-99999999999"),
        ("freezer.state", "FROZENISH"),
        ("pids.max", "4M1"),
        ("pids.max", "4k"),
        ("pids.max", "1.5"),
        ("cgroup.max.depth", "1k"),
        ("misc.max", "res_a=1M"),
        ("rdma.max", "mlx4_0=hca_handle:1k"),
        ("io.max", "8:0=wiops:1k"),
        ("io.weight", "default=1k"),
        ("io.latency", "8:0=target:1M"),
        ("blkio.throttle_read_iops_device", "8:0=1k"),
        ("io.max", "8:0"),
        ("io.max", "=rbps:1"),
        ("io.max", "8:0=1M"),
        ("io.max", "8:0=rbps:"),
        ("io.max", "8:0=:1"),
        ("io.max", "8:0=nope:1"),
        ("io.max", "8:0=rbps:1,8:0=rbps:2"),
        ("io.max", "8:0=rbps:1+rbps:2"),
        ("io.max", "8:0=rbps:1,"),
        ("io.max", "8=rbps:1"),
        ("io.max", "/dev/null=rbps:1"),
        ("io.max", "/dev/cgroups-test-none=rbps:1"),
        ("io.max", "sda=rbps:1"),
        ("io.max", "default=rbps:1"),
        ("io.weight", "100"),
        ("io.weight", "8:0=0"),
        ("io.weight", "default=1,default=2"),
        ("io.weight", "8:0=max"),
        ("blkio.throttle_read_bps_device", "8:0=fast"),
        ("net_cls.classid", "0xZ"),
        ("cgroup.subtree_control", "+memory"),
    ],
)
def test_write_invalid_word_writes_nothing(recorded_v2: Any, parameter: str, word: str) -> None:
    for name in ("io.max", "io.weight"):
        recorded_v2.put(name, "")
    with pytest.raises(CgroupError) as caught:
        write(named(parameter), recorded_v2.cgroup, word)
    assert recorded_v2.writes == []
    assert str(named(parameter).parameter) in str(caught.value)


@pytest.mark.parametrize("word", ["memory.current", "memory.stat", "memory.stat[anon]", "memory.peak", "cgroup.procs"])
def test_write_read_only_parameter_raises(recorded_v2: Any, word: str) -> None:
    with pytest.raises(ParameterNotSupported, match="cannot be set"):
        write(named(word), recorded_v2.cgroup, "1")
    assert recorded_v2.writes == []


def test_names_literal_splits_controllers(recorded_v2: Any) -> None:
    recorded_v2.put("cgroup.subtree_control", "cpu io\n")
    write(named("cgroup.subtree_control"), recorded_v2.cgroup, "cpu,memory")
    assert recorded_v2.writes == [("cgroup.subtree_control", "-io"), ("cgroup.subtree_control", "+memory")]
    write(named("cgroup.subtree_control"), recorded_v2.cgroup, "")
    assert recorded_v2.writes == [("cgroup.subtree_control", "-cpu"), ("cgroup.subtree_control", "-io")]


@pytest.mark.parametrize(("word", "number"), [("0x100001", 0x100001), ("0X10", 16), ("65536", 65536)])
def test_handle_literal_takes_hexadecimal(word: str, number: int) -> None:
    assert value_of(named("net_cls.classid").parameter, 1, word) == number


WORDS_AS_THEY_ARE = {
    "cgroup.type",
    "cpuset.cpus_partition",
    "devices.allow",
    "devices.deny",
    "freezer.state",
    "io.prio_class",
    "release_agent",
}


def _is_taken_as_it_is(word: str, parameter: Parameters.Parameter, version: int) -> bool:
    try:
        return bool(value_of(parameter, version, word) == word)
    except InvalidValue:
        return False


@pytest.mark.parametrize("version", [1, 2])
def test_syntax_covers_every_writable_parameter(version: int) -> None:
    """A number, a bool or a table that is taken for a word could never be set."""
    taken = {
        str(parameter)
        for parameter in Subsystem.parameters()
        if isinstance(parameter, Parameters.Writable)
        and parameter.files(version)
        and _is_taken_as_it_is("any text", parameter, version)
    }
    assert taken <= WORDS_AS_THEY_ARE


@pytest.mark.parametrize("word", ["8:0", "254:17"])
def test_device_literal_takes_numbers(word: str) -> None:
    assert str(device_literal(word)) == word


@pytest.mark.parametrize("word", ["", "8", "8:", ":0", "8:x", "-1:0", "sda", "/dev", "/dev/null", "/nope", "a:b"])
def test_device_literal_other_word_is_refused(word: str) -> None:
    with pytest.raises(InvalidValue, match="device"):
        device_literal(word)
