"""update: set several parameters as one transaction, in an order that the kernel accepts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.backend import backend
from ..core.errors import CgroupError, InvalidValue, ParameterNotSupported, SubsystemNotAttached, shown
from ..core.interface import Version
from ..core.node import Node
from ..core.values import CpuMax, OomControl
from ..parameters import Cpu, Memory, Parameters, parameter_named

if TYPE_CHECKING:
    from ..core.interface import Cells

__all__ = ["Setting", "apply", "apply_known", "put_back", "settable", "update"]

Values = Mapping[Any, Any]


class Setting(NamedTuple):
    """A parameter to set."""

    parameter: Any
    cgroup: Node
    value: Any

    def now(self) -> Any:
        return Parameters.get(self.parameter, self.cgroup)

    def write(self) -> None:
        Parameters.set(self.parameter, self.cgroup, self.value)

    def saved(self) -> Setting:
        """Return the step that restores the current value."""
        relative = self.parameter is Memory.memsw_limit_in_bytes and self.cgroup.version == Version.V2
        # On v2 memory.max may be MAX, and then the sum would hide the swap limit.
        step = self._replace(parameter=Memory.swap_max) if relative else self
        value = step.now()
        return step._replace(value=value.oom_kill_disable if isinstance(value, OomControl) else value)


def settable(values: Values | None) -> dict[Parameters.Writable[Any], Any]:
    """Return the values by parameter, for keys that may be names; raise InvalidValue for an unsettable key."""
    found: dict[Parameters.Writable[Any], Any] = {}
    if values is not None and not isinstance(values, Mapping):
        message = f"values must be a mapping of parameters to values, got {shown(values)}"
        raise InvalidValue(message)
    for key, value in (values or {}).items():
        parameter = parameter_named(key) if isinstance(key, str) else key
        if not isinstance(parameter, Parameters.Writable):
            message = f"parameter must be one that can be set, got {shown(key)}"
            raise InvalidValue(message, hint="use a parameter such as Memory.limit_in_bytes")
        if parameter in found:
            message = f"{parameter} is given twice"
            raise InvalidValue(message, parameter=str(parameter))
        found[parameter] = value
    return found


def apply(cgroup_of: Callable[[Parameters.Parameter], Node], values: Values) -> None:
    """Set all values without rollback, for new cgroups that are removed if the kernel refuses a value."""
    steps = [Setting(parameter, cgroup_of(parameter), value) for parameter, value in values.items()]
    for step in _joined(_ordered(steps)):
        step.write()


def apply_known(cgroup_of: Callable[[Parameters.Parameter], Node], values: Values) -> None:
    """Set the values whose control files this kernel has."""
    for parameter, value in values.items():
        with suppress(ParameterNotSupported, SubsystemNotAttached):
            apply(cgroup_of, {parameter: value})


def update(cgroup_of: Callable[[Parameters.Parameter], Node], values: Values) -> list[Setting]:
    """Set all values or none: if the kernel refuses one, restore the earlier ones.

    Returns:
        The steps with which :func:`put_back` can restore the old values later.

    Raises:
        InvalidValue: a value is not valid, or an old value cannot be read; nothing was written.
        CgroupError: a parameter could not be set; ``hint`` names the values that could not be restored.
    """
    steps = [Setting(parameter, cgroup_of(parameter), value) for parameter, value in settable(values).items()]
    for step in steps:
        if not isinstance(step.parameter, Parameters.Readable):
            message = f"cannot set {step.parameter} with other parameters: it cannot be read, and so not be restored"
            raise InvalidValue(message, parameter=str(step.parameter), hint="set it separately")
    steps = _ordered(steps)
    _dry_run(steps)
    steps = _joined(steps)
    before = [step.saved() for step in steps]
    done: list[Setting] = []
    try:
        for step, saved in zip(steps, before):
            # Recorded first: an interrupted write may have taken effect.
            done.append(saved)
            step.write()
    except BaseException as error:
        left = put_back(done)
        if left and isinstance(error, CgroupError):
            error.hint = "; ".join(filter(None, (error.hint, *left)))
        raise
    return before


def put_back(steps: Sequence[Setting]) -> list[str]:
    """Restore the parameters of one transaction as far as possible; return the failures with their reasons."""
    left = []
    for step in _ordered(steps):
        try:
            if step.now() != step.value:
                step.write()
        except CgroupError as error:
            left.append(f"{step.parameter} could not be restored to {shown(step.value)}: {error.message}")
    return left


# ---- order -------------------------------------------------------------------------------


def _bounded(less: Setting, more: Setting) -> bool:
    """Return whether the greater of two limits is written first: if the lesser would exceed the greater's old value."""
    if more.cgroup.version == Version.V2 and more.parameter is Memory.memsw_limit_in_bytes:
        return False  # memory.swap.max is written as the difference of the two
    now = more.now()
    return bool(less.value > (now.quota if isinstance(now, CpuMax) else now))


def _pairs(steps: Mapping[Any, Setting]) -> Iterator[tuple[Setting, Setting]]:
    """Yield the settings of two parameters that the kernel compares, the one that is bounded first."""
    by_name = {(step.parameter.controller, step.parameter.name): step for step in steps.values()}
    for step in steps.values():
        for name in step.parameter.at_most:
            other = by_name.get((step.parameter.controller, name))
            if other is not None:
                yield step, other


def _ordered(steps: Sequence[Setting]) -> list[Setting]:
    """Return the steps in the given order, except for pairs in which one must be first."""
    by_parameter = {step.parameter: step for step in steps}
    first: dict[Any, list[Setting]] = {}
    for pair in _pairs(by_parameter):
        earlier, later = reversed(pair) if _swaps(*pair) else pair
        first.setdefault(later.parameter, []).append(earlier)
    ordered: dict[Any, Setting] = {}
    for step in steps:
        _take(step, first, ordered)
    return list(ordered.values())


def _take(step: Setting, first: Mapping[Any, Sequence[Setting]], ordered: dict[Any, Setting]) -> None:
    """Append a step to the order, after all steps that must precede it."""
    for earlier in first.get(step.parameter, ()):
        _take(earlier, first, ordered)
    ordered[step.parameter] = step


def _joined(steps: Sequence[Setting]) -> list[Setting]:
    """Join quota and period into one step.

    The parent bounds the ratio of quota to period from above, and the children bound the ratio from below.
    So neither quota nor period may be written first.  Cpu.max sets both at once; on v1 Cpu.max removes the
    quota in between.
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


def _swaps(one: Setting, other: Setting) -> bool:
    try:
        return _bounded(one, other)
    except (TypeError, CgroupError):
        return False  # no numbers, or the cgroup is gone: the next step reports it


# ---- dry run ---------------------------------------------------------------------------


class _FakeFile:
    """A control file with a text that was not written to the kernel."""

    def __init__(self, text: str) -> None:
        self._text = f"{text}\n".encode("utf-8", "surrogateescape")

    def int_call(self) -> tuple[Callable[[Any], int], Any]:
        return lambda _: -2, None

    def read(self, shape: int) -> Cells:
        return backend.parse(shape, self._text)

    def close(self) -> None:
        """Do nothing: no file is open."""


class _NullDirectory:
    """A directory that accepts every write and discards it."""

    def write(self, path: str, data: bytes) -> None: ...


class _DryRun(Node):
    """A cgroup whose writes do not reach the kernel, for the checks that this package makes of a value."""

    __slots__ = ("_written",)

    RELATIVE = frozenset({"memory.max", "cpuset.cpus.partition"})
    """Files that are read when another is written, or read back."""

    def __init__(self, cgroup: Node) -> None:
        super().__init__(cgroup.hierarchy, cgroup.location)
        self._written: dict[str, str] = {}

    def write_text(self, name: str, text: str, parameter: str | None = None, value: Any = None) -> None:  # noqa: ARG002
        if name in self.RELATIVE:
            self._written[name] = text

    def locate_for_writing(self, tried: str) -> tuple[Any, str]:  # noqa: ARG002
        return _NullDirectory(), ""

    def file(self, name: str) -> Any:
        return _FakeFile(self._written[name]) if name in self._written else super().file(name)


def _dry_run(steps: Sequence[Setting]) -> None:
    stages = {step.cgroup: _DryRun(step.cgroup) for step in steps}
    for step in steps:
        step.cgroup.locate_for_writing(f"set {step.parameter} of {step.cgroup}")
        step._replace(cgroup=stages[step.cgroup]).write()
