"""update: several parameters set as one, in an order that the kernel takes, or none of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ._backend import backend
from .errors import CgroupError, InvalidValue, shown
from .hierarchy import Cgroup
from .subsystem import Cpu, Memory, Parameters, parameter_named
from .values import CpuMax, OomControl

if TYPE_CHECKING:
    from ._interface import Cells

__all__ = ["apply", "settable", "update"]

Values = Mapping[Any, Any]


class Step(NamedTuple):
    """One parameter that is to be set."""

    parameter: Any
    cgroup: Cgroup
    value: Any

    def now(self) -> Any:
        return Parameters.get(self.parameter, self.cgroup)

    def write(self) -> None:
        Parameters.set(self.parameter, self.cgroup, self.value)

    def saved(self) -> Step:
        """What puts it back to what it is now."""
        relative = self.parameter is Memory.memsw_limit_in_bytes and self.cgroup.version == 2  # noqa: PLR2004
        # What is beyond memory.max has no number of its own there while that is MAX.
        step = self._replace(parameter=Memory.swap_max) if relative else self
        value = step.now()
        return step._replace(value=value.oom_kill_disable if isinstance(value, OomControl) else value)


def settable(values: Values | None) -> dict[Parameters.Writable[Any], Any]:
    """Values by parameter, whose keys may be names; InvalidValue for what is no parameter that can be set."""
    found: dict[Parameters.Writable[Any], Any] = {}
    if values is not None and not isinstance(values, Mapping):
        message = f"{shown(values)} is not a mapping of parameters to values"
        raise InvalidValue(message)
    for key, value in (values or {}).items():
        parameter = parameter_named(key) if isinstance(key, str) else key
        if not isinstance(parameter, Parameters.Writable):
            message = f"{shown(key)} is not a parameter that can be set"
            raise InvalidValue(message, hint="parameters are such as Memory.limit_in_bytes")
        if parameter in found:
            message = f"{parameter} is given twice"
            raise InvalidValue(message, parameter=str(parameter))
        found[parameter] = value
    return found


def apply(cgroup_of: Callable[[Parameters.Parameter], Cgroup], values: Values) -> None:
    """Sets all of the values, of cgroups that go when one is refused: nothing is put back."""
    steps = [Step(parameter, cgroup_of(parameter), value) for parameter, value in values.items()]
    for step in _joined(_ordered(steps)):
        step.write()


def update(cgroup_of: Callable[[Parameters.Parameter], Cgroup], values: Values) -> None:
    """Sets all of the values, or none: what was set before one is refused is put back.

    Raises:
        InvalidValue: a value cannot be, or what is there could not be read to be put back; nothing was written.
        CgroupError: whatever setting raises; ``hint`` says so where something could not be put back.
    """
    steps = [Step(parameter, cgroup_of(parameter), value) for parameter, value in settable(values).items()]
    for step in steps:
        if not isinstance(step.parameter, Parameters.Readable):
            message = f"{step.parameter} cannot be read, and so not be put back if another is refused"
            raise InvalidValue(message, parameter=str(step.parameter), hint="set it by itself")
    steps = _ordered(steps)
    _rehearse(steps)
    steps = _joined(steps)
    before = [step.saved() for step in steps]
    done: list[Step] = []
    try:
        for step, saved in zip(steps, before):
            # An interrupted one may have been taken.
            done.append(saved)
            step.write()
    except BaseException as error:
        _put_back(done, error)
        raise


def _put_back(steps: Sequence[Step], reason: BaseException) -> None:
    """As far as it goes: the error that led here is the one to report."""
    left = []
    for step in _ordered(steps):
        try:
            if step.now() != step.value:
                step.write()
        except CgroupError as error:
            left.append(f"{step.parameter} could not be put back to {shown(step.value)}: {error.message}")
    if left and isinstance(reason, CgroupError):
        reason.hint = "; ".join(filter(None, (reason.hint, *left)))


# ---- order -------------------------------------------------------------------------------


def _bounded(less: Step, more: Step) -> bool:
    """Whether the greater of two limits goes first: it does where the lesser would exceed what it is now."""
    if more.cgroup.version == 2 and more.parameter is Memory.memsw_limit_in_bytes:  # noqa: PLR2004 - the version
        return False  # it is written as what there is beyond the other
    now = more.now()
    return bool(less.value > (now.quota if isinstance(now, CpuMax) else now))


RULES: Final[tuple[tuple[Any, Any, Callable[[Step, Step], bool]], ...]] = (
    *((less, Memory.memsw_limit_in_bytes, _bounded) for less in (Memory.limit_in_bytes, Memory.max)),
    *((less, more, _bounded) for less in (Cpu.cfs_burst_us, Cpu.max_burst) for more in (Cpu.cfs_quota_us, Cpu.max)),
    (Cpu.rt_runtime_us, Cpu.rt_period_us, _bounded),
)
"""Pairs that the kernel checks against each other, and whether the second has to be written first."""


def _ordered(steps: Sequence[Step]) -> list[Step]:
    """As they were given, but for pairs of which one has to go first."""
    by_parameter = {step.parameter: step for step in steps}
    first: dict[Any, list[Step]] = {}
    for one, other, swaps in RULES:
        if one in by_parameter and other in by_parameter:
            pair = by_parameter[one], by_parameter[other]
            earlier, later = reversed(pair) if _swaps(swaps, *pair) else pair
            first.setdefault(later.parameter, []).append(earlier)
    ordered: dict[Any, Step] = {}

    def take(step: Step) -> None:
        for earlier in first.get(step.parameter, ()):
            take(earlier)
        ordered[step.parameter] = step

    for step in steps:
        take(step)
    return list(ordered.values())


def _joined(steps: Sequence[Step]) -> list[Step]:
    """Quota and period as one.

    Their ratio is bounded by the parent's from above and by the children's
    from below, so that neither may go first; Cpu.max sets both, on v1 by way of no quota.
    """
    values = {step.parameter: step.value for step in steps}
    if not {Cpu.cfs_quota_us, Cpu.cfs_period_us} <= values.keys():
        return list(steps)
    both = CpuMax(values[Cpu.cfs_quota_us], values[Cpu.cfs_period_us])
    return [
        step._replace(parameter=Cpu.max, value=both) if step.parameter is Cpu.cfs_quota_us else step
        for step in steps
        if step.parameter is not Cpu.cfs_period_us
    ]


def _swaps(rule: Callable[[Step, Step], bool], one: Step, other: Step) -> bool:
    try:
        return rule(one, other)
    except (TypeError, CgroupError):
        return False  # no numbers, or it is gone: what is tried next says so


# ---- rehearsal ---------------------------------------------------------------------------


class _Told:
    """A control file as it will read."""

    def __init__(self, text: str) -> None:
        self._text = f"{text}\n".encode("utf-8", "surrogateescape")

    def int_call(self) -> tuple[Callable[[Any], int], Any]:
        return lambda _: -2, None

    def read(self, shape: int) -> Cells:
        cells: Cells = backend.parse(shape, self._text)
        return cells

    def close(self) -> None:
        """There is nothing open."""


class _Nowhere:
    """A directory that takes every write, and keeps none."""

    def write(self, path: str, data: bytes) -> None: ...


class _Rehearsal(Cgroup):
    """A cgroup that takes no writes: what would be refused here before the kernel is asked, is refused."""

    __slots__ = ("_written",)

    RELATIVE = frozenset({"memory.max", "cpuset.cpus.partition"})
    """Files that are read for writing another, or read back."""

    def __init__(self, cgroup: Cgroup) -> None:
        super().__init__(cgroup.hierarchy, cgroup.location)
        self._written: dict[str, str] = {}

    def write_text(self, name: str, text: str, parameter: str | None = None, value: Any = None) -> None:  # noqa: ARG002
        if name in self.RELATIVE:
            self._written[name] = text

    def place_for_writing(self, tried: str) -> tuple[Any, str]:  # noqa: ARG002
        return _Nowhere(), ""

    def file(self, name: str) -> Any:
        return _Told(self._written[name]) if name in self._written else super().file(name)


def _rehearse(steps: Sequence[Step]) -> None:
    stages = {step.cgroup: _Rehearsal(step.cgroup) for step in steps}
    for step in steps:
        step.cgroup.place_for_writing(f"set {step.parameter} of {step.cgroup}")
        step._replace(cgroup=stages[step.cgroup]).write()
