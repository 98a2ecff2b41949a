"""update over captured trees: what is written, in which order, and what is put back when a write is refused."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cgroups import MAX, Cgroup, CgroupError, CgroupGone, Cpu, CpuMax, Host, InvalidValue, Memory, Parameters, Pids
from cgroups.control import update
from cgroups.core.interface import Failure, Status

MIB = 1 << 20
BOTH = (Memory.limit_in_bytes, Memory.memsw_limit_in_bytes)


# ---- the order --------------------------------------------------------------------------------


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("first", [Memory.limit_in_bytes, Memory.max])
@pytest.mark.parametrize(
    ("now", "new", "memory_first"),
    [
        ((100, 200), (50, 80), True),  # lowered
        ((100, 200), (300, 400), False),  # raised
        ((100, 200), (150, 180), True),  # either would do
        ((100, 200), (200, 200), True),
        ((100, 200), (201, 201), False),
        ((100, 200), (MAX, MAX), False),
        ((MAX, MAX), (100, 200), True),
        ((100, MAX), (300, 400), True),
        ((MAX, MAX), (MAX, MAX), True),
    ],
)
def test_update_v1_memory_and_swap_in_order(
    recorded_v1: Any, now: Any, new: Any, memory_first: bool, turned: bool, first: Any
) -> None:
    recorded = recorded_v1("memory")
    for name, value in zip(("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"), now):
        recorded.put(name, f"{(1 << 63) - 4096 if value is MAX else value * MIB}\n")
    items = [(parameter, value if value is MAX else value * MIB) for parameter, value in zip((first, BOTH[1]), new)]
    recorded.cgroup.update(dict(reversed(items) if turned else items))
    names = [name for name, _ in recorded.writes]
    order = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
    assert names == (order if memory_first else order[::-1])


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("memory", "both"), [(100, 300), (400, 500), (MAX, MAX), (100, 100)])
def test_update_v2_memory_and_swap_in_order(recorded_v2: Any, memory: Any, both: Any, turned: bool) -> None:
    """swap is what there is beyond memory.max, as that will be."""
    values = [one if one is MAX else one * MIB for one in (memory, both)]
    items = list(zip(BOTH, values))
    recorded_v2.when("memory.max", str(values[0]), lambda: recorded_v2.put("memory.max", f"{values[0]}\n"))
    recorded_v2.cgroup.update(dict(reversed(items) if turned else items))
    swap = "max" if both is MAX else str((both - memory) * MIB)
    assert recorded_v2.writes == [("memory.max", str(values[0])), ("memory.swap.max", swap)]


@pytest.mark.parametrize("turned", [False, True])
def test_update_quota_and_period_are_one_write(recorded_v1: Any, recorded_v2: Any, turned: bool) -> None:
    """Their ratio in between might be more than the parent's, or less than a child's."""
    items = [(Cpu.cfs_quota_us, 50_000), (Cpu.cfs_period_us, 200_000)]
    values = dict(reversed(items) if turned else items)
    recorded_v2.cgroup.update(values)
    assert recorded_v2.writes == [("cpu.max", "50000 200000")]
    recorded = recorded_v1("cpu")
    recorded.cgroup.update(values)
    steps = [("cpu.cfs_quota_us", "-1"), ("cpu.cfs_period_us", "200000"), ("cpu.cfs_quota_us", "50000")]
    assert recorded.writes == steps
    recorded.cgroup.update({**values, Cpu.cfs_quota_us: MAX})
    assert recorded.writes == [*steps[:2], ("cpu.cfs_quota_us", "-1")]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("less", [Cpu.cfs_burst_us, Cpu.max_burst])
@pytest.mark.parametrize("more", ["quota", "both", "max"])
@pytest.mark.parametrize(("quota", "burst", "burst_first"), [(10_000, 5_000, True), (90_000, 80_000, False)])
def test_update_burst_within_its_quota(
    recorded_v1: Any, recorded_v2: Any, less: Any, more: str, quota: int, burst: int, burst_first: bool, turned: bool
) -> None:
    """Both captures have a quota of 20000."""
    bounds: dict[str, dict[Any, Any]] = {
        "quota": {Cpu.cfs_quota_us: quota},
        "both": {Cpu.cfs_period_us: 100_000, Cpu.cfs_quota_us: quota},
        "max": {Cpu.max: CpuMax(quota, 100_000)},
    }
    items = [(less, burst), *bounds[more].items()]
    for recorded in (recorded_v1("cpu"), recorded_v2):
        recorded.cgroup.update(dict(reversed(items) if turned else items))
        names = [name for name, _ in recorded.writes]
        assert names.index(next(name for name in names if "burst" in name)) == (0 if burst_first else len(names) - 1)


def test_update_other_parameters_keep_their_order(recorded_v2: Any) -> None:
    values = {Pids.max: 40, Cpu.weight: 100, Memory.high: 5 * MIB}
    for given_values in itertools.permutations(values.items()):
        recorded_v2.cgroup.update(dict(given_values))
        assert [name for name, _ in recorded_v2.writes] == [parameter.files(2)[0] for parameter, _ in given_values]


# ---- all or nothing ----------------------------------------------------------------------------------


class Kept:
    """A directory whose files keep what is written, as the kernel's do, until a write is refused."""

    def __init__(self, directory: Any, path: str) -> None:
        self._directory = directory
        self._path = Path(path)
        self.refuse(None)

    def refuse(self, at: int | None, kind: type[BaseException] | None = None) -> None:
        """The write of this number, and with no kind, which is an interrupt's, it is not taken."""
        self.at, self.kind, self.count = at, kind, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._directory, name)

    def write(self, path: str, data: bytes) -> None:
        self.count += 1
        if self.count - 1 == self.at and self.kind is None:
            raise Failure(Status.OS, errno.EINVAL)
        file = self._path / path.rpartition("/")[2]
        words = data.split()
        if file.name == "cpu.max" and len(words) == 1:
            words.append(file.read_bytes().split()[1])  # the period stays
        file.write_bytes(b" ".join(words) + b"\n")
        if self.count - 1 == self.at and self.kind is not None:
            raise self.kind


@pytest.fixture
def keeping() -> Iterator[Callable[[Cgroup], tuple[Cgroup, Kept]]]:
    """``keeping(cgroup)``: one of a captured tree of the test's own that takes writes."""
    with ExitStack() as undo:

        def keep(cgroup: Cgroup) -> tuple[Cgroup, Kept]:
            [mount] = cgroup.hierarchy.mounts
            kept = Kept(mount.directory, cgroup.path or "")
            undo.callback(setattr, mount, "directory", mount.directory)
            undo.callback(setattr, mount, "_state", mount.state)
            mount.directory, mount._state = kept, "cgroup"
            return Cgroup(cgroup.hierarchy, cgroup.location), kept

        yield keep


AMOUNTS = st.one_of(st.integers(1, 1000).map(lambda number: number * MIB), st.just(MAX))
PAIRS = st.tuples(AMOUNTS, AMOUNTS).filter(lambda pair: pair[1] >= pair[0] and (pair[0] is not MAX or pair[1] is MAX))
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "memory": PAIRS,
        Memory.high: AMOUNTS,
        Pids.max: st.one_of(st.integers(0, 1000), st.just(MAX)),
        Cpu.weight: st.integers(1, 10_000),
        Cpu.cfs_quota_us: st.one_of(st.integers(1000, 1_000_000), st.just(MAX)),
        Cpu.cfs_period_us: st.integers(1000, 1_000_000),
        Cpu.cfs_burst_us: st.integers(0, 1000),
    },
)
KINDS = st.sampled_from([None, KeyboardInterrupt, MemoryError])


def with_pair(values: dict[Any, Any]) -> dict[Any, Any]:
    rest = dict(values)
    return {**dict(zip(BOTH, rest.pop("memory", ()))), **rest}


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(old=VALUES, new=VALUES, swap=AMOUNTS, at=st.integers(0, 8), kind=KINDS)
def test_update_refused_restores_all(
    old: Any, new: Any, swap: Any, at: int, kind: Any, v2: Host, keeping: Callable[[Cgroup], tuple[Cgroup, Kept]]
) -> None:
    cgroup, kept = keeping(v2.find_exn(":/job/a"))
    cgroup.update(with_pair(old))
    Parameters.set(Memory.swap_max, cgroup, swap)
    new = with_pair(new)
    files = sorted({name for parameter in new for name in parameter.files(2)} | {"memory.swap.max"})
    before = {name: (Path(cgroup.path or "") / name).read_text() for name in files}
    kept.refuse(at, kind)
    try:
        cgroup.update(new)
    except (CgroupError, KeyboardInterrupt, MemoryError) as error:
        assert type(error) in (InvalidValue, kind)
        assert kept.count > at
        assert {name: (Path(cgroup.path or "") / name).read_text() for name in files} == before
    else:
        assert kept.count <= at
        assert {parameter: Parameters.get(parameter, cgroup) for parameter in new} == new


def test_update_v2_swap_without_a_memory_limit_is_restored(
    v2: Host, keeping: Callable[[Cgroup], tuple[Cgroup, Kept]]
) -> None:
    cgroup, kept = keeping(v2.find_exn(":/job/a"))
    Parameters.set(Memory.max, cgroup, MAX)
    Parameters.set(Memory.swap_max, cgroup, 7 * MIB)
    kept.refuse(2)
    with pytest.raises(InvalidValue):
        cgroup.update({BOTH[0]: 50 * MIB, BOTH[1]: 60 * MIB, Pids.max: 1})
    assert (Parameters.get(Memory.max, cgroup), Parameters.get(Memory.swap_max, cgroup)) == (MAX, 7 * MIB)


def test_update_value_that_reads_as_more_is_restored(recorded_v1: Any) -> None:
    """Memory.oom_control takes a bool, and reads as a tuple."""
    recorded = recorded_v1("memory")
    file = "memory.oom_control"
    recorded.when(file, "1", lambda: recorded.put(file, "oom_kill_disable 1\nunder_oom 0\noom_kill 0\n"))
    recorded.refuse("memory.limit_in_bytes", "4096", errno.EBUSY)
    with pytest.raises(CgroupError) as raised:
        recorded.cgroup.update({Memory.oom_control: True, Memory.limit_in_bytes: 4096})
    assert "restored" not in str(raised.value)
    assert recorded.writes == [(file, "1"), ("memory.limit_in_bytes", "4096"), (file, "0")]


def test_update_value_refused_after_its_write_is_restored(
    v2: Host, keeping: Callable[[Cgroup], tuple[Cgroup, Kept]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a partition of a cpuset, which reads as invalid."""
    cgroup, _ = keeping(v2.find_exn(":/job/a"))
    set_ = Parameters.set

    def refuse(parameter: Any, cgroup: Cgroup, value: Any) -> None:
        set_(parameter, cgroup, value)
        if value == 77:
            raise InvalidValue("it was taken, and does not hold")

    monkeypatch.setattr(Parameters, "set", refuse)
    with pytest.raises(InvalidValue, match="does not hold"):
        cgroup.update({Cpu.weight: 100, Pids.max: 77})
    assert (Parameters.get(Cpu.weight, cgroup), Parameters.get(Pids.max, cgroup)) == (250, 33)


def test_update_first_error_is_raised(
    v2: Host, keeping: Callable[[Cgroup], tuple[Cgroup, Kept]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nothing can be read any more to put it back in order."""
    cgroup, kept = keeping(v2.find_exn(":/job/a"))
    kept.refuse(2)
    get = Parameters.get

    def gone(parameter: Any, cgroup: Cgroup) -> Any:
        if kept.count > 2:
            raise CgroupGone("no longer there")
        return get(parameter, cgroup)

    monkeypatch.setattr(Parameters, "get", gone)
    with pytest.raises(InvalidValue, match=r"pids\.max") as raised:
        cgroup.update({BOTH[0]: MIB, BOTH[1]: 2 * MIB, Pids.max: 1})
    assert "memory.limit_in_bytes could not be restored to 209715200: no longer there" in str(raised.value.hint)


# ---- before anything is written ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        {Pids.max: -1},
        {Cpu.cfs_quota_us: 5, Cpu.cfs_period_us: 100_000},
        {Cpu.cfs_quota_us: 50_000, Cpu.cfs_period_us: 5},
        {Cpu.cfs_quota_us: "x", Cpu.cfs_period_us: "y"},
        {Memory.limit_in_bytes: 2 * MIB, Memory.memsw_limit_in_bytes: MIB},
        {Memory.limit_in_bytes: MAX, Memory.memsw_limit_in_bytes: MIB},
        {Memory.limit_in_bytes: "x", Memory.memsw_limit_in_bytes: None},
        {Memory.reclaim: 5},
        {"memory.max": MIB, Memory.max: MIB},
        {"cpu.colour": 5},
        {Memory.stat: 5},
        [(Pids.max, 5)],
    ],
    ids=str,
)
def test_update_invalid_value_writes_nothing(recorded_v2: Any, bad: Any) -> None:
    values = {Cpu.weight: 100, **bad} if isinstance(bad, dict) else bad
    with pytest.raises(InvalidValue):
        recorded_v2.cgroup.update(values)
    assert recorded_v2.writes == []


def test_update_error_names_the_parameter(recorded_v2: Any) -> None:
    with pytest.raises(InvalidValue) as raised:
        recorded_v2.cgroup.update({Cpu.cfs_period_us: 5, Cpu.cfs_quota_us: 50_000})
    assert raised.value.parameter == "cpu.cfs_period_us"


def test_update_takes_names_of_parameters(recorded_v2: Any) -> None:
    recorded_v2.cgroup.update({"pids.max": 5, "cpu.cfs_quota_us": 50_000, "cpu.cfs_period_us": 100_000})
    assert recorded_v2.writes == [("pids.max", "5"), ("cpu.max", "50000 100000")]


def test_update_unreadable_parameter_is_refused(recorded_v2: Any) -> None:
    recorded_v2.put("pids.max", "nonsense\n")
    with pytest.raises(CgroupError):
        recorded_v2.cgroup.update({Cpu.weight: 100, Pids.max: 5})
    assert recorded_v2.writes == []


def test_update_order_has_each_step_once() -> None:
    bounded = [Memory.limit_in_bytes, Memory.max, Cpu.cfs_burst_us, Cpu.max_burst, Cpu.rt_runtime_us]
    parameters = [*bounded, Memory.memsw_limit_in_bytes, Cpu.cfs_quota_us, Cpu.max, Cpu.rt_period_us]
    assert all(one.at_most for one in bounded)
    cgroup: Any = SimpleNamespace(version=1)
    for chosen in itertools.permutations(dict.fromkeys(parameters), 3):
        steps = [update.Setting(one, cgroup, object()) for one in chosen]
        assert sorted(map(id, update._ordered(steps))) == sorted(map(id, steps))


def test_update_captured_tree_is_refused(shared_v2: Host) -> None:
    cgroup = shared_v2.find_exn(":/job/a")
    with pytest.raises(PermissionError, match="not on a cgroup file system"):
        cgroup.update({Pids.max: 5})
