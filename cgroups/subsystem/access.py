"""Subsystem.Parameters: get, set and reset, and making parameters of one's own."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from ..errors import (
    CgroupGone,
    ExpectedRoot,
    InvalidValue,
    ParameterNotSupported,
    SubsystemNotAttached,
    SubsystemNotAvailable,
    shown,
)
from .binding import Binding, File
from .core import notify_on_release, release_agent
from .parameter import (
    Keyed,
    KeyParameter,
    Parameter,
    PressureParameter,
    Readable,
    ReadReset,
    ReadWrite,
    Resettable,
    Writable,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..converter import Converter, Reader
    from ..hierarchy import Cgroup
    from ..values import Device, Limit
    from .controllers import Controller
    from .core import Threaded
    from .freezer import NewState

__all__ = [
    "KeyParameter",
    "Keyed",
    "Parameter",
    "PressureParameter",
    "ReadReset",
    "ReadWrite",
    "Readable",
    "Resettable",
    "Writable",
    "get",
    "mk_get",
    "mk_reset",
    "mk_set",
    "notify_on_release",
    "release_agent",
    "reset",
    "set",
]

D = TypeVar("D")
R = TypeVar("R")
W = TypeVar("W")


class _Raise(Enum):
    """The default of :func:`get` that is none: the error is raised."""

    RAISE = "raise"


_RAISE: Final = _Raise.RAISE

_NOT_THERE: Final = (CgroupGone, SubsystemNotAttached, SubsystemNotAvailable, ParameterNotSupported, ExpectedRoot)
"""What says that a cgroup does not have a parameter."""


@overload
def get(parameter: Readable[R], cgroup: Cgroup) -> R: ...
@overload
def get(parameter: Readable[R], cgroup: Cgroup, default: D) -> R | D: ...
def get(parameter: Readable[Any], cgroup: Cgroup, default: Any = _RAISE) -> Any:
    """Return the value of a parameter of a cgroup.

    Args:
        parameter: what to read.
        cgroup: where.
        default: what to return if the cgroup does not have the parameter, so that a loop over cgroups
            goes on.  It replaces the first five errors below, and no other.

    Returns:
        The value, in the parameter's unit, or the default.

    Raises:
        CgroupGone: the cgroup has been removed.
        SubsystemNotAttached: its controller is not in this cgroup.
        SubsystemNotAvailable: its controller is on no hierarchy of this host.
        ParameterNotSupported: this version, or this kernel, has no such file.
        ExpectedRoot: only the root has it.
        AccessDenied: not permitted.
        ParseError: the file is not of its shape.
    """
    if default is not _RAISE:
        try:
            return get(parameter, cgroup)
        except _NOT_THERE:
            return default
    try:
        read = cgroup.readers[parameter]
    except (KeyError, AttributeError, TypeError):
        read = _bind(parameter, cgroup)
    return read(cgroup)


def _bind(parameter: Any, cgroup: Any) -> Any:
    """How a parameter is read in a cgroup: looked up once, kept with the cgroup."""
    _check(parameter, Readable, "read", cgroup)
    read = parameter.binding(cgroup.version).reader(cgroup, str(parameter))
    return cgroup.readers.setdefault(parameter, read)


def _check(parameter: Any, kind: type[Parameter], verb: str, cgroup: Any) -> None:
    from ..hierarchy import Cgroup  # noqa: PLC0415 - once a parameter and cgroup, and hierarchy has no need of this module

    if not isinstance(cgroup, Cgroup):
        message = f"a Cgroup is expected, not {shown(cgroup)}; Hierarchy.find_exn(spec) gives one"
        raise TypeError(message)
    if not isinstance(parameter, Parameter):
        message = f"a parameter such as Memory.usage_in_bytes is expected, not {shown(parameter)}"
        raise TypeError(message)
    if not isinstance(parameter, kind):
        message = f"{parameter} cannot be {verb}: it is {type(parameter).__name__}"
        raise TypeError(message)


# Concrete forms first: of a literal or a dict alone a type checker takes W too narrow, or too wide.
@overload
def set(parameter: Writable[NewState], cgroup: Cgroup, value: NewState) -> None: ...
@overload
def set(parameter: Writable[Threaded], cgroup: Cgroup, value: Threaded) -> None: ...
@overload
def set(
    parameter: Writable[Mapping[Device, Mapping[str, Limit]]],
    cgroup: Cgroup,
    value: Mapping[Device, Mapping[str, Limit]],
) -> None: ...
@overload
def set(
    parameter: Writable[Mapping[str, Mapping[str, Limit]]], cgroup: Cgroup, value: Mapping[str, Mapping[str, Limit]]
) -> None: ...
@overload
def set(parameter: Writable[Mapping[str, Limit]], cgroup: Cgroup, value: Mapping[str, Limit]) -> None: ...
@overload
def set(parameter: Writable[W], cgroup: Cgroup, value: W) -> None: ...
def set(parameter: Writable[Any], cgroup: Cgroup, value: Any) -> None:
    """Sets a parameter of a cgroup.  A value that cannot be is refused before anything is written.

    Raises, beside what :func:`get` does:
        InvalidValue: the value is of the wrong type, or out of range; or the kernel does not take it.
        CgroupBusy: what is inside does not fit the value.
    """
    _check(parameter, Writable, "set", cgroup)
    try:
        parameter.binding(cgroup.version).write(cgroup, str(parameter), value)
    except InvalidValue as error:
        if error.parameter is not None:
            raise
        raise InvalidValue(
            f"cannot set {parameter} of {cgroup} to {shown(value)}: {error.message}",
            parameter=str(parameter),
            path=cgroup.path,
            hint=error.hint,
        ) from None


def reset(parameter: Resettable, cgroup: Cgroup) -> None:
    """Resets a parameter of a cgroup: a counter to 0, or what its documentation says."""
    _check(parameter, Resettable, "reset", cgroup)
    parameter.binding(cgroup.version).reset(cgroup, str(parameter))


# ---- parameters of one's own -------------------------------------------------------


def _own(
    controller: str | Controller, name: str, codec: Any, reset: str | None = None
) -> tuple[Binding[Any, Any], str]:
    owner = controller if isinstance(controller, str) else controller.name
    for part in (owner, name):
        if not isinstance(part, str) or not part or set_of_bad(part):
            message = f"{shown(part)} is not the name of a controller or a control file"
            raise InvalidValue(message)
    return File(f"{owner}.{name}", codec, reset=reset), owner


def set_of_bad(part: str) -> bool:
    """Whether a name has what no file name of a cgroup has."""
    return any(character in part for character in "/\0\n")


def mk_get(controller: str | Controller, name: str, converter: Reader[R]) -> Readable[R]:
    """The readable parameter of the control file ``controller.name``, on both versions.

    The converter says what the file contains: ``converter.int``, or one of
    your own.  ``mk_get("memory", "vmpressure", converter.int)`` reads
    ``memory.vmpressure``.
    """
    file, owner = _own(controller, name, converter)
    parameter: Readable[R] = Readable(file, file, "", f"the control file {owner}.{name}").named(owner, name)
    return parameter


def mk_set(controller: str | Controller, name: str, converter: Converter[R, W]) -> ReadWrite[R, W]:
    """The readable and settable parameter of the control file ``controller.name``; the converter does both ways."""
    file, owner = _own(controller, name, converter)
    parameter: ReadWrite[R, W] = ReadWrite(file, file, "", f"the control file {owner}.{name}").named(owner, name)
    return parameter


def mk_reset(controller: str | Controller, name: str, converter: Reader[R], reset_value: str = "0") -> ReadReset[R]:
    """The readable parameter of the control file ``controller.name``, whose reset writes ``reset_value``."""
    if not isinstance(reset_value, str) or not reset_value or "\n" in reset_value or "\0" in reset_value:
        message = f"reset_value {shown(reset_value)} is not a text to write"
        raise InvalidValue(message)
    file, owner = _own(controller, name, converter, reset_value)
    parameter: ReadReset[R] = ReadReset(file, file, "", f"the control file {owner}.{name}").named(owner, name)
    return parameter


def __dir__() -> list[str]:
    # Newcomers read it: what the module imports is not what it offers.
    return __all__
