"""MAX, stats, tables and the other values that parameters have."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import pytest

from cgroups import MAX, CpuMax, Device, DeviceRule, DeviceTable, Max, OomControl
from cgroups.core.values import CpuStat, MemoryEvents, MemoryStat, NumaStat, Pressure, PressureLine, Stat

# ---- MAX -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, -1, 1 << 70, -(1 << 70), 0.0, 1e308, -math.inf, True])
def test_max_is_greater_than_every_number(number: float) -> None:
    assert number < MAX
    assert number <= MAX
    assert number != MAX
    assert MAX > number
    assert MAX >= number
    assert not MAX < number
    assert not MAX <= number
    assert not number > MAX
    assert not number >= MAX
    assert max(number, MAX) is MAX
    assert min(number, MAX) == number


def test_max_and_itself() -> None:
    assert MAX == MAX  # noqa: PLR0124 - that is the question
    assert MAX <= MAX  # noqa: PLR0124
    assert MAX >= MAX  # noqa: PLR0124
    assert not MAX < MAX  # noqa: PLR0124
    assert not MAX > MAX  # noqa: PLR0124
    assert sorted([MAX, 5, MAX, -1]) == [-1, 5, MAX, MAX]


def test_max_is_one_object() -> None:
    assert Max.MAX is MAX
    assert Max("max") is MAX
    assert list(Max) == [MAX]
    assert copy.copy(MAX) is MAX
    assert copy.deepcopy([MAX])[0] is MAX
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(MAX, protocol)) is MAX
    assert {MAX: 1}[Max.MAX] == 1


def test_max_as_text_and_number() -> None:
    assert str(MAX) == "max"
    assert f"{MAX}" == "max"
    assert repr(MAX) == "MAX"
    assert float(MAX) == math.inf
    assert bool(MAX)
    with pytest.raises(TypeError):
        int(MAX)  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        MAX + 1  # type: ignore[operator]


def test_max_is_no_number_and_no_word() -> None:
    assert MAX != math.inf
    assert MAX != "max"
    assert MAX != (1 << 64) - 1
    with pytest.raises(TypeError):
        MAX < "max"  # type: ignore[operator]  # noqa: B015
    assert not isinstance(MAX, int)


# ---- Stat ---------------------------------------------------------------------------------------


def test_missing_zero_and_max_differ() -> None:
    stat = MemoryStat.of({"anon": 0, "file": 5, "future": MAX})
    assert (stat.anon, stat["anon"], stat.get("anon")) == (0, 0, 0)
    assert stat.future is MAX
    assert stat["future"] is MAX
    # A key that is known, and that this kernel lacks.
    assert stat.zswap is None
    assert "zswap" not in stat
    assert stat.get("zswap") is None
    with pytest.raises(KeyError):
        stat["zswap"]
    # A key that nobody ever heard of.
    assert "unheard" not in stat
    with pytest.raises(AttributeError, match="'MemoryStat' has no key or attribute 'unheard'"):
        _ = stat.unheard


def test_stat_is_a_mapping() -> None:
    stat = CpuStat.of({"nr_periods": 1, "wait_sum": 2})
    assert dict(stat) == {"nr_periods": 1, "wait_sum": 2}
    assert list(stat) == ["nr_periods", "wait_sum"]
    assert list(stat.items()) == [("nr_periods", 1), ("wait_sum", 2)]
    assert len(stat) == 2
    assert stat == {"wait_sum": 2, "nr_periods": 1}
    assert stat != {"wait_sum": 2}
    assert stat == CpuStat.of(dict(stat))
    assert stat != 5
    with pytest.raises(TypeError):
        hash(stat)
    with pytest.raises(TypeError):
        stat["nr_periods"] = 5  # type: ignore[index]
    with pytest.raises(AttributeError):
        stat.nr_periods = 5


def test_stat_keys_named_like_methods_are_items() -> None:
    """``max`` and ``low`` of memory.events are keys; ``get`` or ``keys`` would be methods, and items all the same."""
    events = MemoryEvents.of({"max": 7, "get": 1, "keys": 2, "_x": 3})
    assert events.max == 7
    assert (events["get"], events["keys"], events["_x"]) == (1, 2, 3)
    assert callable(events.get)


def test_stat_repr_and_dir_show_its_keys() -> None:
    stat = MemoryEvents.of({"oom_kill": 2, "future": 1})
    assert repr(stat) == "MemoryEvents(oom_kill=2, future=1)"
    shown = dir(stat)
    for name in ("oom_kill", "future", "low", "items", "get"):
        assert name in shown


@pytest.mark.parametrize(
    "value",
    [
        MemoryStat.of({"anon": 1, "new": 2}),
        CpuStat.of({}),
        Pressure.of({"some": PressureLine.of({"avg10": 0.5, "total": 3})}),
        DeviceTable({Device(8, 0): {"rbytes": 1}}, total=5, default=7, others={"(unknown)": {}}),
        OomControl(oom_kill_disable=True, under_oom=False, oom_kill=None),
        CpuMax(MAX, 100000),
        DeviceRule("c", 1, None, "rw"),
        Device(254, 0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_pickle_and_copy(value: Any) -> None:
    for other in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
        assert other == value
        assert type(other) is type(value)
        assert repr(other) == repr(value)


def test_numa_stat_keeps_its_totals() -> None:
    stat: NumaStat = NumaStat.of({"anon": {0: 4096}})
    stat.totals = {"total": 4096}
    for other in (pickle.loads(pickle.dumps(stat)), copy.deepcopy(stat)):
        assert (other, other.totals) == (stat, {"total": 4096})


def test_stat_equals_a_mapping_with_the_same_items() -> None:
    assert MemoryStat.of({"a": 1}) == Stat.of({"a": 1})


# ---- devices ----------------------------------------------------------------------------------------


def test_device_is_its_numbers() -> None:
    device = Device(8, 16)
    assert str(device) == "8:16"
    assert f"{device}" == "8:16"
    assert (device.major, device.minor) == device == (8, 16)
    assert {(8, 16): 1}[device] == 1
    assert Device(8, 2) < Device(8, 16) < Device(254, 0)


def test_device_table_is_a_mapping() -> None:
    disk, other = Device(8, 0), Device(8, 16)
    table = DeviceTable({disk: 1, other: 2}, total=3, default=100, others={"(unknown)": 9})
    assert dict(table) == {disk: 1, other: 2} == table
    assert (table.total, table.default, table.others) == (3, 100, {"(unknown)": 9})
    assert table[8, 0] == 1  # type: ignore[index]
    assert "(unknown)" not in table
    assert len(table) == 2
    assert "total=3" in repr(table)
    assert "8:0" in repr(table) or "Device(major=8, minor=0)" in repr(table)
    empty: DeviceTable[int] = DeviceTable()
    assert (dict(empty), empty.total, empty.default, empty.others) == ({}, None, None, {})
    with pytest.raises(KeyError):
        empty[disk]
    with pytest.raises(TypeError):
        hash(empty)


def test_device_table_total_of_zero_is_shown_and_kept() -> None:
    """0 is a total; None means no total."""
    table: DeviceTable[int] = DeviceTable(total=0)
    assert table.total == 0
    assert table.total is not None
    assert "total=0" in repr(table)


def test_device_table_is_a_copy_of_its_rows() -> None:
    rows = {Device(8, 0): 1}
    table = DeviceTable(rows)
    rows.clear()
    assert dict(table) == {Device(8, 0): 1}


# ---- the others ------------------------------------------------------------------------------------------


def test_cpu_max_has_quota_and_period() -> None:
    assert CpuMax(20000) == (20000, None)
    assert CpuMax(MAX, 100000).quota is MAX


def test_oom_control_missing_kill_count_is_not_0() -> None:
    """Kernels before 4.13 do not say how many were killed, which is not that none was."""
    control = OomControl(oom_kill_disable=False, under_oom=False, oom_kill=None)
    assert control.oom_kill is None
    assert control != OomControl(oom_kill_disable=False, under_oom=False, oom_kill=0)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (DeviceRule("a", None, None, "rwm"), "a *:* rwm"),
        (DeviceRule("c", 1, 3, "r"), "c 1:3 r"),
        (DeviceRule("b", 8, None, "rw"), "b 8:* rw"),
    ],
)
def test_device_rule(rule: DeviceRule, text: str) -> None:
    assert str(rule) == text
