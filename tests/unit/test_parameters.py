"""Parameters: what they say of themselves, names, keys, kinds, and parameters that a program declares."""

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
    Host,
    Hugetlb,
    InvalidValue,
    Memory,
    ParameterNotSupported,
    Parameters,
    Pids,
    Subsystem,
)
from cgroups.parameters import registry
from cgroups.parameters.kinds import Parameter, Readable, Resettable, Writable

ALWAYS_TRUE = {"memory.use_hierarchy", "cpuset.memory_migrate"}
"""Parameters that v2 always has on: no file, and no error."""

ALL = [*Subsystem.parameters(), *registry._table(Hugetlb("2MB"))]  # type: ignore[attr-defined]
ALL = list(dict.fromkeys(ALL))


@pytest.mark.parametrize("parameter", ALL, ids=str)
def test_parameters_have_a_description(parameter: Parameter) -> None:
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


@pytest.mark.parametrize("parameter", ALL, ids=str)
def test_parameters_pickled_are_the_same_objects(parameter: Parameter) -> None:
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
def test_parameter_named_takes_name_or_file(name: str, parameter: Parameter) -> None:
    assert Subsystem.parameter_named(name) is parameter


@pytest.mark.parametrize(
    "name", ["", "memory", "memory.", "memory.nothing", "nothing.max", "hugetlb", "hugetlb.2MB.nothing"]
)
def test_parameter_named_unknown_raises(name: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        Subsystem.parameter_named(name)
    assert repr(name) in str(caught.value)
    assert str(caught.value).endswith("Subsystem.parameters() lists all)")


def test_parameter_named_unknown_suggests_the_nearest() -> None:
    with pytest.raises(InvalidValue, match=r"did you mean memory\.limit_in_bytes, .*\?; Subsystem"):
        Subsystem.parameter_named("memory.limt_in_bytes")
    with pytest.raises(InvalidValue, match=r"unknown parameter 'memory\.mx' \(did you mean memory\.max"):
        Subsystem.parameter_named("memory.mx")


@pytest.mark.parametrize("name", [None, 5, b"memory.max", "hugetlb.2mb.max", "hugetlb.", "hugetlb..max"])
def test_parameter_named_invalid_raises(name: Any) -> None:
    with pytest.raises(InvalidValue):
        Subsystem.parameter_named(name)


# ---- keys -------------------------------------------------------------------------------------


def test_parameter_with_a_key_is_a_parameter(job: Cgroup) -> None:
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


def test_parameter_with_two_keys_is_a_number(job: Cgroup) -> None:
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
def test_hugetlb_invalid_size_raises(size: Any) -> None:
    with pytest.raises(InvalidValue):
        Hugetlb(size)


# ---- kinds --------------------------------------------------------------------------------------


@pytest.mark.parametrize("parameter", ALL, ids=str)
def test_get_and_set_wrong_kind_is_a_type_error(parameter: Any, shared_v2: Host) -> None:
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
def test_get_and_set_invalid_cgroup_is_a_type_error(cgroup: Any) -> None:
    for function in (
        lambda: Parameters.get(Memory.max, cgroup),
        lambda: Parameters.set(Memory.max, cgroup, 5),
        lambda: Parameters.reset(Memory.failcnt, cgroup),
    ):
        with pytest.raises(TypeError, match="cgroup must be a Cgroup, got"):
            function()


@pytest.mark.parametrize("parameter", [None, "memory.max", 5, [], {}, Memory, Memory.max.files], ids=str)
def test_get_and_set_invalid_parameter_is_a_type_error(parameter: Any, shared_v2: Host) -> None:
    cgroup = shared_v2.find_exn(":/job/a")
    for function in (
        lambda: Parameters.get(parameter, cgroup),
        lambda: Parameters.set(parameter, cgroup, 5),
        lambda: Parameters.reset(parameter, cgroup),
    ):
        with pytest.raises(TypeError, match="a parameter such as"):
            function()


# ---- one's own ------------------------------------------------------------------------------------


def test_parameters_declared_by_a_program_work(
    v1_cgroup: Callable[[str], Cgroup], recorded_v1: Callable[[str], Any]
) -> None:
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


def test_declare_controller_follows_from_the_file_name() -> None:
    controller = Subsystem.Controller(0, "pids", enabled=True, available=True, version=1, hierarchy=None)
    assert str(Parameters.mk_get(controller, "max", Converter.string)) == "pids.max"


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a\0", "a\n", None, 5])
def test_declare_invalid_name_is_refused(name: Any) -> None:
    for make in (Parameters.mk_get, Parameters.mk_set, Parameters.mk_reset):
        with pytest.raises(InvalidValue):
            make("memory", name, Converter.int)
        if isinstance(name, str):
            with pytest.raises(InvalidValue):
                make(name, "max", Converter.int)


@pytest.mark.parametrize("text", ["", "0\n", "a\0", None, 0])
def test_declare_invalid_reset_value_is_refused(text: Any) -> None:
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
def test_get_v1_unlimited_is_max(
    v1_cgroup: Callable[[str], Cgroup], text: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cgroups.parameters import limit_formats

    if limit_formats.PAGE_LIMIT != PAGE_LIMIT:
        pytest.skip("this machine has pages of another size than 4 KiB")
    cgroup = v1_cgroup("memory")
    (Path(cgroup.path or "") / "memory.limit_in_bytes").write_text(text + "\n")
    assert Parameters.get(Memory.limit_in_bytes, cgroup) == value


def test_get_v1_unlimited_of_huge_pages_is_max(v1_cgroup: Callable[[str], Cgroup]) -> None:
    cgroup = v1_cgroup("memory")
    for size in (2 << 20, 1 << 30, 16 << 30):
        limit = ((1 << 63) - 1) // size * size
        (Path(cgroup.path or "") / "hugetlb.1GB.limit_in_bytes").write_text(f"{limit}\n")
        assert Parameters.get(Hugetlb("1GB").limit_in_bytes, cgroup) is MAX
    (Path(cgroup.path or "") / "hugetlb.1GB.limit_in_bytes").write_text(f"{1 << 40}\n")
    assert Parameters.get(Hugetlb("1GB").limit_in_bytes, cgroup) == 1 << 40


def test_get_64_bits_are_exact(job: Cgroup) -> None:
    path = Path(job.path or "") / "memory.max"
    for number in ((1 << 63) - 1, 1 << 63, (1 << 64) - 1, (1 << 53) + 1):
        path.write_text(f"{number}\n")
        assert Parameters.get(Memory.max, job) == number
    (path.parent / "memory.current").write_text(f"{(1 << 64) - 1}\n")
    assert Parameters.get(Memory.current, job) == (1 << 64) - 1


@pytest.mark.parametrize(
    ("freeze", "frozen", "state"), [(0, 0, "THAWED"), (1, 0, "FREEZING"), (1, 1, "FROZEN"), (0, 1, "FROZEN")]
)
def test_get_v2_freezer_state(job: Cgroup, freeze: int, frozen: int, state: str) -> None:
    directory = Path(job.path or "")
    (directory / "cgroup.freeze").write_text(f"{freeze}\n")
    (directory / "cgroup.events").write_text(f"populated 1\nfrozen {frozen}\n")
    assert Parameters.get(Freezer.state, job) == state


def test_get_v2_memsw_is_memory_plus_swap(job: Cgroup) -> None:
    directory = Path(job.path or "")
    for memory, swap, value in ((100, 50, 150), ("max", 50, MAX), (100, "max", MAX), (0, 0, 0)):
        (directory / "memory.max").write_text(f"{memory}\n")
        (directory / "memory.swap.max").write_text(f"{swap}\n")
        assert Parameters.get(Memory.memsw_limit_in_bytes, job) == value
    (directory / "memory.current").write_text("7\n")
    (directory / "memory.swap.current").write_text("5\n")
    assert Parameters.get(Memory.memsw_usage_in_bytes, job) == 12


def test_get_v2_soft_limit_is_memory_low(job: Cgroup) -> None:
    path = Path(job.path or "") / "memory.low"
    path.write_text("0\n")
    assert Parameters.get(Memory.soft_limit_in_bytes, job) is MAX
    path.write_text("4096\n")
    assert Parameters.get(Memory.soft_limit_in_bytes, job) == 4096
    path.write_text("max\n")
    value = Parameters.get(Memory.soft_limit_in_bytes, job)
    assert value is not MAX  # all of it protected is the opposite of nothing asked for
    assert isinstance(value, int)


def test_get_v2_cpu_exclusive_is_a_partition(job: Cgroup) -> None:
    path = Path(job.path or "") / "cpuset.cpus.partition"
    for text, value in (("member", False), ("root", True), ("isolated", True), ("root invalid (no cpu)", False)):
        path.write_text(text + "\n")
        assert Parameters.get(Subsystem.Cpuset.cpu_exclusive, job) is value


def test_get_v1_pids_max_is_max(v1_cgroup: Callable[[str], Cgroup]) -> None:
    assert Parameters.get(Pids.max, v1_cgroup("pids")) is MAX
