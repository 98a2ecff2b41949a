"""Subsystem.Parameters: get, set and reset parameters, and define custom ones."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, overload

from ..core.errors import (
    CgroupGone,
    ExpectedRoot,
    InvalidValue,
    ParameterNotSupported,
    SubsystemNotAttached,
    SubsystemNotAvailable,
    shown,
)
from ..core.node import Node
from .bindings import Binding, File
from .core import notify_on_release, release_agent
from .kinds import (
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

    from ..core.codecs import Converter, Reader
    from ..core.values import Device, Limit
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


class HasName(Protocol):
    """A controller: :class:`Subsystem.Controller`."""

    @property
    def name(self) -> str: ...


D = TypeVar("D")
R = TypeVar("R")
W = TypeVar("W")


class _Raise(Enum):
    """The type of :func:`get`'s default argument: raise the error."""

    RAISE = "raise"


_RAISE: Final = _Raise.RAISE

_NOT_THERE: Final = (CgroupGone, SubsystemNotAttached, SubsystemNotAvailable, ParameterNotSupported, ExpectedRoot)
"""Errors that mean that a cgroup does not have a parameter."""


@overload
def get(parameter: Readable[R], cgroup: Node) -> R: ...
@overload
def get(parameter: Readable[R], cgroup: Node, default: D) -> R | D: ...
def get(parameter: Readable[Any], cgroup: Node, default: Any = _RAISE) -> Any:
    """Return the value of a parameter of a cgroup.

    Args:
        parameter: the parameter to read.
        cgroup: the cgroup to read from.
        default: the value to return if the cgroup does not have the parameter, so that a loop over cgroups
            continues.  The default replaces only the first five errors below.

    Returns:
        The value, in the parameter's unit, or the default.

    Raises:
        CgroupGone: the cgroup was removed.
        SubsystemNotAttached: the controller is not in this cgroup.
        SubsystemNotAvailable: the controller is on no hierarchy of this host.
        ParameterNotSupported: this version or this kernel does not have the file.
        ExpectedRoot: only the root has the file.
        AccessDenied: this user may not read the file.
        ParseError: the text does not have the expected shape.
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
    """Return the function that reads a parameter in a cgroup, created once and cached in the cgroup."""
    _check(parameter, Readable, "read", cgroup)
    read = parameter.binding(cgroup.version).reader(cgroup, str(parameter))
    return cgroup.readers.setdefault(parameter, read)


def _check(parameter: Any, kind: type[Parameter], verb: str, cgroup: Any) -> None:
    if not isinstance(cgroup, Node):
        message = f"cgroup must be a Cgroup, got {shown(cgroup)}; Hierarchy.find_exn(spec) returns one"
        raise TypeError(message)
    if not isinstance(parameter, Parameter):
        message = f"parameter must be a parameter such as Memory.usage_in_bytes, got {shown(parameter)}"
        raise TypeError(message)
    if not isinstance(parameter, kind):
        message = f"{parameter} cannot be {verb}: it is {type(parameter).__name__}"
        raise TypeError(message)


# Concrete forms first: from a literal or a dict, a type checker infers W too narrow or too wide.
@overload
def set(parameter: Writable[NewState], cgroup: Node, value: NewState) -> None: ...
@overload
def set(parameter: Writable[Threaded], cgroup: Node, value: Threaded) -> None: ...
@overload
def set(
    parameter: Writable[Mapping[Device, Mapping[str, Limit]]],
    cgroup: Node,
    value: Mapping[Device, Mapping[str, Limit]],
) -> None: ...
@overload
def set(
    parameter: Writable[Mapping[str, Mapping[str, Limit]]], cgroup: Node, value: Mapping[str, Mapping[str, Limit]]
) -> None: ...
@overload
def set(parameter: Writable[Mapping[str, Limit]], cgroup: Node, value: Mapping[str, Limit]) -> None: ...
@overload
def set(parameter: Writable[W], cgroup: Node, value: W) -> None: ...
def set(parameter: Writable[Any], cgroup: Node, value: Any) -> None:
    """Set a parameter of a cgroup.  An invalid value is refused before anything is written.

    Raises, in addition to the errors of :func:`get`:
        InvalidValue: the value has the wrong type or is out of range, or the kernel refuses it.
        CgroupBusy: the contents of the cgroup do not fit the value.
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


def reset(parameter: Resettable, cgroup: Node) -> None:
    """Reset a parameter of a cgroup: a counter to 0, others as documented."""
    _check(parameter, Resettable, "reset", cgroup)
    parameter.binding(cgroup.version).reset(cgroup, str(parameter))


# ---- custom parameters -------------------------------------------------------------


def _own(controller: str | HasName, name: str, codec: Any, reset: str | None = None) -> tuple[Binding[Any, Any], str]:
    owner = controller if isinstance(controller, str) else controller.name
    for part in (owner, name):
        if not isinstance(part, str) or not part or set_of_bad(part):
            message = f"name must be the name of a controller or a control file, got {shown(part)}"
            raise InvalidValue(message)
    return File(f"{owner}.{name}", codec, reset=reset), owner


def set_of_bad(part: str) -> bool:
    """Return whether a name contains a character that no cgroup file name has."""
    return any(character in part for character in "/\0\n")


def mk_get(controller: str | HasName, name: str, converter: Reader[R]) -> Readable[R]:
    """Return a readable parameter for the control file ``controller.name``, on both versions.

    The converter parses the file: ``converter.int``, or a custom one.
    ``mk_get("memory", "vmpressure", converter.int)`` reads
    ``memory.vmpressure``.
    """
    file, owner = _own(controller, name, converter)
    parameter: Readable[R] = Readable(file, file, "", f"the control file {owner}.{name}").named(owner, name)
    return parameter


def mk_set(controller: str | HasName, name: str, converter: Converter[R, W]) -> ReadWrite[R, W]:
    """Return a parameter to read and set the control file ``controller.name`` with one converter."""
    file, owner = _own(controller, name, converter)
    parameter: ReadWrite[R, W] = ReadWrite(file, file, "", f"the control file {owner}.{name}").named(owner, name)
    return parameter


def mk_reset(controller: str | HasName, name: str, converter: Reader[R], reset_value: str = "0") -> ReadReset[R]:
    """Return a readable parameter for the control file ``controller.name`` whose reset writes ``reset_value``."""
    if not isinstance(reset_value, str) or not reset_value or "\n" in reset_value or "\0" in reset_value:
        message = f"reset_value must be a text without NUL or newline, and not empty, got {shown(reset_value)}"
        raise InvalidValue(message)
    file, owner = _own(controller, name, converter, reset_value)
    parameter: ReadReset[R] = ReadReset(file, file, "", f"the control file {owner}.{name}").named(owner, name)
    return parameter


def __dir__() -> list[str]:
    # List only the public names, not the imports.
    return __all__
