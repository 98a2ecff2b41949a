"""Parameters: typed control files.  Their access is in their type.

A parameter is a name and, for each version, a binding: which files, and how.
``Readable``, ``Writable`` and ``Resettable`` say what may be done with it, to
type checkers and at run time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Union

from ..errors import InvalidValue, ParameterNotSupported, shown
from ..values import UNKNOWN, Pressure, PressureLine, Quantity, Stat, quantities

if TYPE_CHECKING:
    from typing_extensions import TypedDict, Unpack

    from .binding import Binding

    class Facts(TypedDict, total=False):
        """Facts of a parameter that only some entries have: see :class:`Parameter`."""

        no_v1: str | None
        no_v2: str | None
        counter: bool
        keys: Keys
        root_only: bool


Keys = tuple[Union[type[Stat[Any]], Mapping[str, Quantity]], ...]
"""The quantities of the keys of a parameter: stat types that declare them, and tables."""


R = TypeVar("R")
W = TypeVar("W")
R_co = TypeVar("R_co", covariant=True)
W_contra = TypeVar("W_contra", contravariant=True)
S_co = TypeVar("S_co", bound="Stat[Any]", covariant=True)


class Parameter:
    """A control file by its name in the API.

    Attributes: ``controller`` and ``name`` (``str()`` joins them:
    ``memory.limit_in_bytes``), ``unit``, ``counter``, ``doc``, what it says, and ``root_only``.

    Args:
        v1: binding on version 1 of control groups; None if the kernel has no such file there.
        v2: binding on version 2.
        unit: unit of its number or numbers.
        doc: what it says.
        no_v1: what to use instead on version 1.
        no_v2: what to use instead on version 2.
        counter: True if its numbers only grow; see :class:`Quantity`.
        keys: quantities by key, if the numbers differ in unit or kind.  A key that is not among them is of an
            unknown unit, and no counter.
        root_only: True if only the root of a hierarchy has it.
    """

    def __init__(
        self,
        v1: Binding[Any, Any] | None,
        v2: Binding[Any, Any] | None,
        unit: str,
        doc: str,
        no_v1: str | None = None,
        no_v2: str | None = None,
        *,
        counter: bool = False,
        keys: Keys = (),
        root_only: bool = False,
    ) -> None:
        self.controller = ""
        self.name = ""
        self.unit = unit
        self.counter = counter
        self.doc = f"{doc}; only in the root" if root_only else doc
        self.root_only = root_only
        self._kinds = keys
        self._quantities: dict[str, Quantity] = {}
        self._bindings = {1: v1, 2: v2}
        self._hints = {1: no_v1, 2: no_v2}

    def __set_name__(self, owner: Any, name: str) -> None:
        # The first name is the one: a parameter may stand in two namespaces.
        if not self.name:
            self.controller, self.name = owner.CONTROLLER, name

    def named(self, controller: str, name: str) -> Any:
        """The same, for a parameter that is no attribute of a class."""
        self.controller, self.name = controller, name
        return self

    def files(self, version: int) -> tuple[str, ...]:
        """The control files that it stands for on a version, 1 or 2; empty when there are none."""
        if version not in self._bindings:
            message = f"version {shown(version)} of control groups: 1 or 2 is expected"
            raise InvalidValue(message, parameter=str(self))
        binding = self._bindings[version]
        return () if binding is None else binding.files

    def hint(self, version: int) -> str | None:
        """What to use instead on a version that has no such file."""
        return self._hints[version]

    def quantity(self, key: Any = None) -> Quantity:
        """Return the unit of one of its numbers, and whether that number is a counter.

        Args:
            key: which number: None if the parameter has one; ``"anon"``, or ``("8:0", "rbytes")``, as in
                :attr:`Column.key`.
        """
        if not self._kinds or key is None:
            return Quantity(self.unit, self.counter)
        if not self._quantities:
            # Not at import, which has to stay cheap.
            self._quantities = {name: one for kind in self._kinds for name, one in _quantities(kind).items()}
        parts = key if isinstance(key, tuple) else (key,)
        # A line of a device has the declared key last; memory.numa_stat has it first.
        found = (self._quantities.get(part) for part in reversed(parts))
        return next((one for one in found if one is not None), UNKNOWN)

    def binding(self, version: int) -> Binding[Any, Any]:
        """How it is done on a version; ParameterNotSupported where the kernel has no such thing."""
        binding = self._bindings[version]
        if binding is None:
            message = f"{self} does not exist in version {version} of control groups"
            raise ParameterNotSupported(message, parameter=str(self), hint=self._hints[version])
        return binding

    def __str__(self) -> str:
        return f"{self.controller}.{self.name}" if self.controller else self.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    def __reduce__(self) -> tuple[Any, ...]:
        from . import parameter_named  # noqa: PLC0415 - the tables import this module

        return parameter_named, (str(self),)


def _quantities(kind: type[Stat[Any]] | Mapping[str, Quantity]) -> Mapping[str, Quantity]:
    return quantities(kind) if isinstance(kind, type) else kind


class Readable(Parameter, Generic[R_co]):
    """A parameter that ``get`` takes, and what it gives."""


class Writable(Parameter, Generic[W_contra]):
    """A parameter that ``set`` takes, and with what."""


class Resettable(Parameter):
    """A parameter that ``reset`` takes."""


class ReadWrite(Readable[R], Writable[W]):
    """Both; what is set may be of another type than what is got."""


class ReadReset(Readable[R], Resettable):
    """A counter that starts again at ``reset``."""


class KeyParameter(Readable[R]):
    """One key of a keyed parameter."""

    def __init__(self, whole: Parameter, key: Any, bindings: dict[int, Any]) -> None:
        hints = (whole.hint(1), whole.hint(2))
        unit, counter = whole.quantity(key)
        super().__init__(bindings[1], bindings[2], unit, f"{key} of {whole.doc}", *hints, counter=counter)
        self._whole = whole
        self._key = key
        self.named(whole.controller, f"{whole.name}[{', '.join(key) if isinstance(key, tuple) else key}]")

    def __reduce__(self) -> tuple[Any, ...]:
        return _key_of, (self._whole, self._key)


def _key_of(whole: Any, key: Any) -> Any:
    return whole[key]


class Keyed(Readable[S_co]):
    """A keyed parameter; ``Memory.stat["anon"]`` is the parameter for one key."""

    _keys: dict[Any, Any]

    def __getitem__(self, key: str) -> Readable[int]:
        """The parameter for one key: ParameterNotSupported at ``get`` where the kernel does not have it."""
        parameter: Readable[int] = self._key(key)
        return parameter

    def _key(self, key: Any) -> Any:
        from .binding import KeyOf  # noqa: PLC0415 - the bindings import this module's users

        keys = self.__dict__.setdefault("_keys", {})
        if key not in keys:
            bindings = {
                version: None if whole is None else KeyOf(whole, key) for version, whole in self._bindings.items()
            }
            keys.setdefault(key, KeyParameter(self, key, bindings))
        return keys[key]


class PressureParameter(Readable[Pressure]):
    """A pressure file; ``Memory.pressure["some", "avg10"]`` is the parameter for one number."""

    def __init__(
        self, v1: Binding[Pressure, Any] | None, v2: Binding[Pressure, Any] | None, unit: str, doc: str, **facts: Any
    ) -> None:
        super().__init__(v1, v2, unit, doc, keys=(PressureLine,), **facts)

    def __getitem__(self, key: tuple[str, str]) -> Readable[float]:
        return Keyed._key(self, key)  # type: ignore[arg-type, no-any-return]  # noqa: SLF001 - the same, for a pair


# ---- one line of a table each ---------------------------------------------------------
#
# Functions and not the classes, so that type checkers infer R and W from the bindings.


def readable(
    v1: Binding[R, Any] | None, v2: Binding[R, Any] | None, unit: str, doc: str, **facts: Unpack[Facts]
) -> Readable[R]:
    return Readable(v1, v2, unit, doc, **facts)


def writable(
    v1: Binding[Any, W] | None, v2: Binding[Any, W] | None, unit: str, doc: str, **facts: Unpack[Facts]
) -> Writable[W]:
    return Writable(v1, v2, unit, doc, **facts)


def read_write(
    v1: Binding[R, W] | None, v2: Binding[R, W] | None, unit: str, doc: str, **facts: Unpack[Facts]
) -> ReadWrite[R, W]:
    return ReadWrite(v1, v2, unit, doc, **facts)


def read_reset(
    v1: Binding[R, Any] | None, v2: Binding[R, Any] | None, unit: str, doc: str, **facts: Unpack[Facts]
) -> ReadReset[R]:
    return ReadReset(v1, v2, unit, doc, **facts)


def resettable(
    v1: Binding[Any, Any] | None, v2: Binding[Any, Any] | None, unit: str, doc: str, **facts: Unpack[Facts]
) -> Resettable:
    return Resettable(v1, v2, unit, doc, **facts)


def keyed(
    v1: Binding[S_co, Any] | None, v2: Binding[S_co, Any] | None, unit: str, doc: str, **facts: Unpack[Facts]
) -> Keyed[S_co]:
    return Keyed(v1, v2, unit, doc, **facts)
