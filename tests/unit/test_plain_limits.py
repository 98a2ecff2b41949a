"""Limits as people say them become parameters and values, the same on v1 and v2."""

from __future__ import annotations

from typing import Any

import pytest

from cgroups import MAX, Blkio, Cpu, CpuMax, Host, InvalidValue, Io, Memory, Pids
from cgroups.control import plain_limits
from cgroups.control.plain_limits import PlainLimits, translated


@pytest.fixture(params=[1, 2])
def version(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    found: int = request.param
    monkeypatch.setattr(plain_limits, "_version", lambda *_: found)
    return found


def test_memory_limit_has_no_swap_and_ends_the_whole_group(version: int) -> None:
    found = translated(PlainLimits(memory="2G"), Host())
    assert found.limits == {Memory.limit_in_bytes: 2 << 30}
    assert found.is_group
    without = {Memory.swap_max: 0, Memory.oom_group: True} if version == 2 else {Memory.memsw_limit_in_bytes: 2 << 30}
    assert found.defaults == without


def test_memory_limit_with_swap_is_asked_for(version: int) -> None:
    found = translated(PlainLimits(memory="1M", swap="1M"), Host())
    swap = {Memory.swap_max: 1 << 20} if version == 2 else {Memory.memsw_limit_in_bytes: 2 << 20}
    assert found.limits == {Memory.limit_in_bytes: 1 << 20, **swap}


def test_swap_and_memory_of_v1_are_whole_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_limits, "_version", lambda *_: 1)
    found = translated(PlainLimits(memory=10_000_000, swap=5_000), Host())
    assert found.limits[Memory.memsw_limit_in_bytes] == 10_000_000 // 4096 * 4096 + 4096


def test_swap_without_memory_is_refused_on_v1(version: int) -> None:
    if version == 1:
        with pytest.raises(InvalidValue, match="swap without memory"):
            translated(PlainLimits(swap=0), Host())
    else:
        assert translated(PlainLimits(swap=0), Host()).limits == {Memory.swap_max: 0}
        assert not translated(PlainLimits(swap=0), Host()).is_group


@pytest.mark.parametrize("value", [1.5, "1.5", "150%", "1500m"])
def test_cpus_are_a_quota(value: Any) -> None:
    assert translated(PlainLimits(cpus=value), Host()).limits == {Cpu.max: CpuMax(150_000, 100_000)}


def test_cpus_max_is_no_limit() -> None:
    assert translated(PlainLimits(cpus="max"), Host()).limits == {Cpu.max: CpuMax(MAX, 100_000)}


@pytest.mark.parametrize("value", ["500", 500, 500.0])
def test_pids_are_a_count(value: Any) -> None:
    assert translated(PlainLimits(pids=value), Host()).limits == {Pids.max: 500}


def test_io_weight_is_the_default_of_all_devices(version: int) -> None:
    limits = translated(PlainLimits(io_weight=200), Host()).limits
    if version == 2:
        assert limits[Io.weight].default == 200
    else:
        assert limits == {Blkio.weight: 200}


def test_nothing_is_limited_by_nothing() -> None:
    assert translated(PlainLimits(), Host()) == ({}, {}, False)


@pytest.mark.parametrize(
    ("plain", "what"),
    [
        (PlainLimits(memory="2X"), "memory must be bytes, such as 1000, 512M or 0.5Gi, got '2X'"),
        (PlainLimits(memory=1.5), "memory must be a whole number, or text such as '2G', got 1.5"),
        (PlainLimits(memory=-5), "memory must not be negative, got -5"),
        (PlainLimits(memory=True), "memory must be a whole number"),
        (PlainLimits(memory=[1]), "memory must be a whole number"),  # type: ignore[arg-type]
        (PlainLimits(memory=float("nan")), "memory must be a whole number"),
        (PlainLimits(memory=float("inf")), "memory must be a whole number"),
        (PlainLimits(pids="2k"), "pids must be a whole number"),
        (PlainLimits(cpus=0), "cpus must be at least 0.01"),
        (PlainLimits(cpus="x"), "cpus must be at least 0.01"),
        (PlainLimits(cpus=True), "cpus must be at least 0.01"),
        (PlainLimits(cpus=float("nan")), "cpus must be at least 0.01"),
        (PlainLimits(cpus=-1), "cpus must be at least 0.01"),
    ],
)
def test_bad_amount_is_refused_with_its_name(plain: PlainLimits, what: str) -> None:
    with pytest.raises(InvalidValue) as raised:
        translated(plain, Host())
    assert str(raised.value).startswith(what)


def test_no_limit_of_memory_is_max(version: int) -> None:
    found = translated(PlainLimits(memory="max"), Host())
    assert found.limits == {Memory.limit_in_bytes: MAX}
    if version == 1:
        assert found.defaults == {Memory.memsw_limit_in_bytes: MAX}
