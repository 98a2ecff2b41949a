"""Parameters: typed control files, whose type declares the supported access.

A parameter has a name and, for each version, a binding to control files.
``Readable``, ``Writable`` and ``Resettable`` declare the supported operations,
for type checkers and at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Union

from ..core.declared import BOUNDS, NAMES_DEVICES, ROOT_ONLY
from ..core.errors import InvalidValue, ParameterNotSupported, shown
from ..core.values import UNKNOWN, Pressure, PressureLine, Quantity, Stat, quantities
from .bindings import Binding, KeyOf

if TYPE_CHECKING:
    from typing_extensions import TypedDict, Unpack

    class Facts(TypedDict, total=False):
        """Optional facts of a parameter: see :class:`Parameter`."""

        no_v1: str | None
        no_v2: str | None
        counter: bool
        keys: Keys
        root_only: bool
        holds_below: bool
        at_most: tuple[str, ...]
        literal: Callable[[str, Any], Any] | None


Keys = tuple[Union[type[Stat[Any]], Mapping[str, Quantity]], ...]
"""The quantities of a parameter's keys: stat types that declare them, or tables."""


R = TypeVar("R")
W = TypeVar("W")
R_co = TypeVar("R_co", covariant=True)
W_contra = TypeVar("W_contra", contravariant=True)
S_co = TypeVar("S_co", bound="Stat[Any]", covariant=True)


class Parameter:
    """A control file under its API name.

    Attributes: ``controller`` and ``name`` (``str()`` joins them:
    ``memory.limit_in_bytes``), ``unit``, ``counter``, ``doc`` (a description) and ``root_only``.

    Args:
        v1: binding on version 1 of control groups; None if v1 has no such file.
        v2: binding on version 2.
        unit: unit of the number or numbers.
        doc: a description.
        no_v1: the alternative on version 1.
        no_v2: the alternative on version 2.
        counter: True if the numbers only grow; see :class:`Quantity`.
        keys: quantities by key, if the numbers differ in unit or kind.  Any other key has an unknown unit and is
            not a counter.
        root_only: True if only the root of a hierarchy has the file.
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
        holds_below: bool = False,
        at_most: tuple[str, ...] = (),
        literal: Callable[[str, Any], Any] | None = None,
    ) -> None:
        self.controller = ""
        self.name = ""
        self.unit = unit
        self.counter = counter
        self.doc = f"{doc}; only in the root" if root_only else doc
        self.root_only = root_only
        self.holds_below = holds_below
        self.at_most = at_most
        self.literal = literal
        self._kinds = keys
        self._quantities: dict[str, Quantity] = {}
        self._bindings = {1: v1, 2: v2}
        self._home: tuple[Any, str] | None = None
        if root_only:
            ROOT_ONLY.update(name for one in (v1, v2) if one is not None for name in one.files)
        self._hints = {1: no_v1, 2: no_v2}

    def __set_name__(self, owner: Any, name: str) -> None:
        # The first name counts: a parameter may be in two namespaces.
        if not self.name:
            self.controller, self.name, self._home = owner.CONTROLLER, name, (owner, name)
            for other in map(vars(owner).get, self.at_most):
                self._declare_bound(other)
            if getattr(owner, "NAMES_DEVICES", False):
                NAMES_DEVICES.update((*self.files(1), *self.files(2)))

    def _declare_bound(self, other: Any) -> None:
        """Declare which files of v1 the kernel compares."""
        for less, more in zip(self.files(1)[:1], other.files(1)[:1]):
            BOUNDS[less] = ("at most", more)
            BOUNDS.setdefault(more, ("at least", less))

    def named(self, controller: str, name: str, home: tuple[Any, str] | None = None) -> Any:
        """Name a parameter that is not an attribute of a class.

        Args:
            controller: the controller.
            name: the name in the API.
            home: the object with the parameter as an attribute, and the attribute's name, for pickle.
        """
        self.controller, self.name, self._home = controller, name, home
        return self

    def files(self, version: int) -> tuple[str, ...]:
        """Return the control files of the parameter on version 1 or 2; empty if that version has no such file."""
        if version not in self._bindings:
            message = f"version must be 1 or 2, got {shown(version)}"
            raise InvalidValue(message, parameter=str(self))
        binding = self._bindings[version]
        return () if binding is None else binding.files

    def hint(self, version: int) -> str | None:
        """Return the alternative on a version that does not have the file."""
        return self._hints[version]

    def quantity(self, key: Any = None) -> Quantity:
        """Return the unit of a number of the parameter, and whether the number is a counter.

        Args:
            key: the key of the number: None if the parameter has one number; else ``"anon"`` or
                ``("8:0", "rbytes")``, as in :attr:`Column.key`.
        """
        if not self._kinds or key is None:
            return Quantity(self.unit, self.counter)
        if not self._quantities:
            # Computed on first use, to keep the import cheap.
            self._quantities = {name: one for kind in self._kinds for name, one in _quantities(kind).items()}
        parts = key if isinstance(key, tuple) else (key,)
        # The declared key is last for a device's line, and first for memory.numa_stat.
        found = (self._quantities.get(part) for part in reversed(parts))
        return next((one for one in found if one is not None), UNKNOWN)

    def binding(self, version: int) -> Binding[Any, Any]:
        """Return the binding on a version; raise ParameterNotSupported if the version has no such parameter."""
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
        if self._home is None:
            message = f"cannot pickle {self}: it is not in a table of this package"
            raise TypeError(message)
        return getattr, self._home


def _quantities(kind: type[Stat[Any]] | Mapping[str, Quantity]) -> Mapping[str, Quantity]:
    return quantities(kind) if isinstance(kind, type) else kind


class Readable(Parameter, Generic[R_co]):
    """A parameter for ``get``, with the type of its result."""


class Writable(Parameter, Generic[W_contra]):
    """A parameter for ``set``, with the type of its argument."""


class Resettable(Parameter):
    """A parameter for ``reset``."""


class ReadWrite(Readable[R], Writable[W]):
    """A parameter for ``get`` and ``set``.  The two types may differ."""


class ReadReset(Readable[R], Resettable):
    """A readable parameter that ``reset`` sets back."""


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
    """A keyed parameter.  ``Memory.stat["anon"]`` is the parameter for one key."""

    _keys: dict[Any, Any]

    def __getitem__(self, key: str) -> Readable[int]:
        """Return the parameter for one key.  ``get`` raises ParameterNotSupported if the kernel lacks the key."""
        parameter: Readable[int] = self._key(key)
        return parameter

    def _key(self, key: Any) -> Any:
        keys = self.__dict__.setdefault("_keys", {})
        if key not in keys:
            bindings = {
                version: None if whole is None else KeyOf(whole, key) for version, whole in self._bindings.items()
            }
            keys.setdefault(key, KeyParameter(self, key, bindings))
        return keys[key]


class PressureParameter(Readable[Pressure]):
    """A pressure file.  ``Memory.pressure["some", "avg10"]`` is the parameter for one number."""

    def __init__(
        self, v1: Binding[Pressure, Any] | None, v2: Binding[Pressure, Any] | None, unit: str, doc: str, **facts: Any
    ) -> None:
        super().__init__(v1, v2, unit, doc, keys=(PressureLine,), **facts)

    def __getitem__(self, key: tuple[str, str]) -> Readable[float]:
        return Keyed._key(self, key)  # type: ignore[arg-type, no-any-return]  # noqa: SLF001 - shared with Keyed


# ---- entries of the tables --------------------------------------------------------------
#
# Functions instead of the classes, so that type checkers infer R and W from the bindings.


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
