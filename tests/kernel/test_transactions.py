"""update: several parameters as one, in an order that the kernel takes, or none of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from common import MIB, MakeCgroup, Need

from cgroups import (
    MAX,
    Cgroup,
    CgroupError,
    Core,
    Cpu,
    Cpuset,
    Group,
    InvalidValue,
    Memory,
    Parameters,
    Pids,
    Subsystem,
)
from cgroups.control import update


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The parameters that are written, in that order; of a rehearsal nothing is."""
    found: list[str] = []
    write = Cgroup.write_text

    def note(cgroup: Cgroup, name: str, text: str, parameter: Any = None, value: Any = None) -> None:
        write(cgroup, name, text, parameter, value)
        found.append(str(parameter))

    monkeypatch.setattr(Cgroup, "write_text", note)
    return found


def has_swap_limits() -> bool:
    root = Subsystem.find("memory").hierarchy
    assert root is not None
    if root.version == 2:
        return True
    try:
        Parameters.get(Memory.memsw_usage_in_bytes, root.root())
    except CgroupError:
        return False
    return True


@pytest.mark.parametrize(
    ("first", "second"), list(itertools.permutations([(40, 80), (100, 150), (100, MAX), (MAX, MAX)], 2))
)
@pytest.mark.parametrize("turned", [False, True])
def test_memory_and_swap(
    first: Any, second: Any, turned: bool, make_cgroup: MakeCgroup, need: Need, writes: list[str]
) -> None:
    """Any pair of limits can follow any other, whichever limit is named first."""
    need("memory")
    if not has_swap_limits():
        pytest.skip("v1 has no limit of memory and swap together here")
    cgroup = make_cgroup("memory")

    def values(pair: Any) -> dict[Any, Any]:
        sizes = [one if one is MAX else one * MIB for one in pair]
        items = list(zip((Memory.limit_in_bytes, Memory.memsw_limit_in_bytes), sizes))
        return dict(reversed(items) if turned else items)

    for pair in (first, second, first):
        if pair == (100, MAX) and cgroup.version == 1:
            pair = (100, 200)  # there MAX for both together is a limit of its own
        cgroup.update(values(pair))
        for parameter, value in values(pair).items():
            assert Parameters.get(parameter, cgroup) == value
    assert len(writes) == 6


def test_update_v1_memory_and_swap_order(make_cgroup: MakeCgroup, need: Need, writes: list[str]) -> None:
    """Memory first when lowering, memory and swap first when raising."""
    need("memory")
    if Subsystem.find("memory").version != 1 or not has_swap_limits():
        pytest.skip("memory.memsw.limit_in_bytes is v1's")
    cgroup = make_cgroup("memory")
    both = (Memory.limit_in_bytes, Memory.memsw_limit_in_bytes)
    cgroup.update(dict(zip(both, (40 * MIB, 80 * MIB))))
    cgroup.update(dict(zip(both, (100 * MIB, 150 * MIB))))
    lowering, raising = [str(one) for one in both], [str(one) for one in reversed(both)]
    assert writes == lowering + raising


@pytest.mark.parametrize(
    ("old", "new"),
    list(itertools.permutations([(20_000, 100_000), (200_000, 200_000), (5_000, 10_000), (MAX, 50_000)], 2)),
)
def test_quota_and_period_within_a_parent_s_and_over_a_child_s(
    old: tuple[Any, int], new: tuple[Any, int], make_cgroup: MakeCgroup, need: Need
) -> None:
    """The kernel holds their ratio to both, of v1, at each write."""
    need("cpu")
    parent = make_cgroup("cpu")
    cgroup = parent.make_sub("middle")
    child = cgroup.make_sub("child")
    both = (Cpu.cfs_quota_us, Cpu.cfs_period_us)
    ratios = [quota / period for quota, period in (old, new) if quota is not MAX]
    parent.update(dict(zip(both, (round(max(ratios) * 1_000_000), 1_000_000))))
    cgroup.update(dict(zip(both, old)))
    child.update(dict(zip(both, (round(min(ratios) * 100_000), 100_000))))
    for pair in (new, old, new):
        cgroup.update(dict(zip(both, pair)))
        assert (Parameters.get(both[0], cgroup), Parameters.get(both[1], cgroup)) == pair


def test_update_burst_stays_within_the_quota(make_cgroup: MakeCgroup, need: Need) -> None:
    need("cpu")
    cgroup = make_cgroup("cpu")
    try:
        Parameters.get(Cpu.cfs_burst_us, cgroup)
    except CgroupError:
        pytest.skip("this kernel has no burst of CPU time")
    for quota, burst in ((100_000, 90_000), (20_000, 10_000), (500_000, 400_000), (10_000, 0)):
        cgroup.update({Cpu.cfs_burst_us: burst, Cpu.cfs_quota_us: quota})
        assert (Parameters.get(Cpu.cfs_quota_us, cgroup), Parameters.get(Cpu.cfs_burst_us, cgroup)) == (quota, burst)


# ---- all or nothing ----------------------------------------------------------------------------------


@pytest.fixture
def limited(make_cgroup: MakeCgroup, need: Need) -> Group:
    """A group with some limits set."""
    for controller in ("pids", "memory", "cpu"):
        need(controller)
    cgroups = [make_cgroup(controller) for controller in ("pids", "memory", "cpu")]
    one_of_each = {cgroup.hierarchy: cgroup for cgroup in reversed(cgroups)}
    if len(one_of_each) < len(cgroups):
        from cgroups import Hierarchy

        for controller in ("pids", "memory", "cpu"):
            for cgroup in one_of_each.values():
                if cgroup.version == 2 and cgroup.hierarchy.has(controller):
                    Hierarchy.find_or_create(f"{controller}:{cgroup.location}")
    group = Group.of(one_of_each.values())
    group.update({Pids.max: 30, Memory.limit_in_bytes: 64 * MIB, Cpu.shares: 512})
    return group


def now(group: Group) -> dict[str, Any]:
    return {"pids.max": group.get(Pids.max), "memory.limit_in_bytes": group.get(Memory.limit_in_bytes),
            "cpu.shares": group.get(Cpu.shares)}  # fmt: skip


def test_across_hierarchies(limited: Group) -> None:
    assert now(limited)["pids.max"] == 30
    limited.update({"pids.max": 40, Memory.limit_in_bytes: MAX, "cpu.shares": 1024})
    assert now(limited) == {"pids.max": 40, "memory.limit_in_bytes": MAX, "cpu.shares": 1024}
    limited.update({})
    assert now(limited)["pids.max"] == 40


@pytest.mark.parametrize(
    "bad",
    [
        {Pids.max: 40, Memory.limit_in_bytes: -7},
        {Pids.max: 40, Cpu.shares: 1},
        {Pids.max: 40, Memory.limit_in_bytes: "64M"},
        {Pids.max: 40, Pids.current: 3},
        {Pids.max: 40, "pids.colour": 3},
        {Pids.max: 40, "pids.max": 41},
        {Pids.max: 40, 7: 3},
        7,
    ],
    ids=str,
)
def test_update_invalid_value_writes_nothing(bad: Any, limited: Group, writes: list[str]) -> None:
    before = now(limited)
    with pytest.raises(InvalidValue):
        limited.update(bad)
    assert writes == []
    assert now(limited) == before


def test_update_unrestorable_parameter_is_refused(limited: Group, writes: list[str]) -> None:
    write_only: Any = Core.kill if limited.cgroups[0].version == 2 else Subsystem.Devices.deny
    with pytest.raises((InvalidValue, LookupError)):
        limited.update({Pids.max: 40, write_only: True})
    assert writes == []


@pytest.mark.parametrize("last", [0, 1, 2])
@pytest.mark.parametrize("kind", [InvalidValue, KeyboardInterrupt])
def test_update_refused_restores_what_was_written(
    last: int, kind: type[BaseException], limited: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Cgroup.write_text
    count = itertools.count()
    before = now(limited)

    def refuse(cgroup: Cgroup, name: str, text: str, parameter: Any = None, value: Any = None) -> None:
        if next(count) == last:
            if kind is KeyboardInterrupt:
                write(cgroup, name, text, parameter, value)  # it was taken, and then the signal came
            raise kind("refused")
        write(cgroup, name, text, parameter, value)

    monkeypatch.setattr(Cgroup, "write_text", refuse)
    with pytest.raises(kind):
        limited.update({Pids.max: 40, Memory.limit_in_bytes: 32 * MIB, Cpu.shares: 1024})
    assert now(limited) == before


def test_what_the_kernel_refuses(make_cgroup: MakeCgroup, need: Need) -> None:
    """A missing CPU, after a number that the kernel accepts."""
    need("cpuset")
    cgroup = make_cgroup("cpuset")
    before = Parameters.get(Cpuset.cpus, cgroup), Parameters.get(Cpuset.mems, cgroup)
    with pytest.raises(CgroupError) as raised:
        cgroup.update({Cpuset.mems: [0], Cpuset.cpus: [5000]})
    assert "cpuset.cpus" in str(raised.value)
    assert (Parameters.get(Cpuset.cpus, cgroup), Parameters.get(Cpuset.mems, cgroup)) == before


def test_update_failed_restore_is_reported(limited: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Cgroup.write_text
    count = itertools.count()

    def refuse(cgroup: Cgroup, name: str, text: str, parameter: Any = None, value: Any = None) -> None:
        if next(count) >= 1:
            raise InvalidValue("refused", hint="a reason")
        write(cgroup, name, text, parameter, value)

    monkeypatch.setattr(Cgroup, "write_text", refuse)
    with pytest.raises(InvalidValue) as raised:
        limited.update({Pids.max: 40, Cpu.shares: 1024})
    assert raised.value.hint is not None
    assert raised.value.hint.startswith("a reason; pids.max could not be restored to 30: ")


def test_swap_of_v2_is_relative_to_memory(make_cgroup: MakeCgroup, need: Need, writes: list[str]) -> None:
    if Subsystem.find("memory").version != 2:
        pytest.skip("memory is not on v2")
    need("memory")
    cgroup = make_cgroup("memory")
    cgroup.update({Memory.memsw_limit_in_bytes: 80 * MIB, Memory.limit_in_bytes: 40 * MIB})
    assert writes == ["memory.limit_in_bytes", "memory.memsw_limit_in_bytes"]
    assert Parameters.get(Memory.swap_max, cgroup) == 40 * MIB
    del writes[:]
    with pytest.raises(InvalidValue):
        cgroup.update({Memory.memsw_limit_in_bytes: 30 * MIB, Memory.limit_in_bytes: 35 * MIB})
    assert writes == []


def test_update_order_has_no_cycle(make_cgroup: MakeCgroup, need: Need) -> None:
    """However the parameters are given, each is in the order once."""
    need("cpu")
    cgroup = make_cgroup("cpu")
    order: Callable[..., Any] = update._ordered
    given = (Cpu.cfs_quota_us, Cpu.cfs_period_us, Cpu.shares)
    for parameters in itertools.permutations(given):
        steps = [update.Setting(one, cgroup, 50_000) for one in parameters]
        assert sorted(map(str, (step.parameter for step in order(steps)))) == sorted(map(str, given))


def test_set_limit_beyond_another_names_both(make_cgroup: MakeCgroup, need: Need) -> None:
    need("memory")
    if Subsystem.find("memory").version != 1 or not has_swap_limits():
        pytest.skip("memory.memsw.limit_in_bytes is v1's")
    cgroup = make_cgroup("memory")
    Parameters.set(Memory.limit_in_bytes, cgroup, 1 << 30)
    Parameters.set(Memory.memsw_limit_in_bytes, cgroup, 1 << 30)
    with pytest.raises(InvalidValue, match=r"at most memory\.memsw\.limit_in_bytes, now 1073741824: Cgroup\.update"):
        Parameters.set(Memory.limit_in_bytes, cgroup, 1 << 31)
    with pytest.raises(InvalidValue, match=r"at least memory\.limit_in_bytes, now 1073741824: Cgroup\.update"):
        Parameters.set(Memory.memsw_limit_in_bytes, cgroup, 1 << 20)
    with pytest.raises(InvalidValue, match=r"no limit is cgroups\.MAX"):
        Parameters.set(Memory.limit_in_bytes, cgroup, -1)
