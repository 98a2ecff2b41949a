"""Bindings: the control files of a parameter on one version, and the code that reads and writes them.

A binding is data if possible (``File``, ``Key``, ``Sum``, …), so that its
files, shapes and scales can be inspected.  ``Custom`` is for the few
translations that need code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, overload

from ..core import diagnosis
from ..core.errors import Advice, CgroupError, ParameterNotSupported, ParseError, shown
from ..core.interface import Failure, Flag, Layout, Numbers, Shape
from ..core.values import MAX

if TYPE_CHECKING:
    from typing_extensions import Never

    from ..core.codecs import Converter, Reader, Writer
    from ..core.node import Node

R = TypeVar("R")
W = TypeVar("W")

Read = Callable[["Node"], Any]
"""A function that reads one parameter of one cgroup; its argument is the same cgroup, for error messages."""


class FileRead(NamedTuple):
    """The numbers of a control file for a sampler: all of them, or only the one with the key ``only``."""

    file: str
    shape: Shape
    numbers: Numbers
    flags: Flag = Flag(0)
    only: Any = None


class Binding(Generic[R, W]):
    """The files and the supported operations.  A method that is not overridden raises, with ``hint`` as advice."""

    files: tuple[str, ...] = ()
    hint: str | None = None

    def sources(self) -> tuple[FileRead, ...]:
        """Return the sources of the numbers; empty if the value is not just numbers of files."""
        return ()

    def reader(self, cgroup: Node, parameter: str) -> Read:
        raise self._cannot("read", cgroup, parameter)

    def write(self, cgroup: Node, parameter: str, value: W) -> None:
        raise self._cannot(f"set to {shown(value)}", cgroup, parameter)

    def reset(self, cgroup: Node, parameter: str) -> None:
        raise self._cannot("reset", cgroup, parameter)

    def _cannot(self, what: str, cgroup: Node, parameter: str) -> ParameterNotSupported:
        message = f"{parameter} of {cgroup} cannot be {what} in version {cgroup.version} of control groups"
        return ParameterNotSupported(message, parameter=parameter, path=cgroup.path, hint=self.hint)


def read_file(cgroup: Node, name: str, codec: Reader[R], parameter: str) -> R:
    """Read one file once, without a bound reader."""
    value: R = File(name, codec).reader(cgroup, parameter)(cgroup)
    return value


def _malformed(error: ValueError, cgroup: Node, name: str, parameter: str) -> CgroupError:
    if isinstance(error, CgroupError):
        return error
    path = f"{cgroup.path}/{cgroup.hierarchy.file_name(name)}"
    return ParseError(f"cannot read {parameter} of {cgroup} ({path}): {error}", path=path, parameter=parameter)


class File(Binding[R, W]):
    """One file with one codec.  ``reset`` is the text that a reset writes."""

    @overload
    def __init__(
        self: File[R, W],
        name: str,
        codec: Converter[R, W],
        *,
        reset: str | None = None,
        hint: str | None = None,
    ) -> None: ...
    @overload
    def __init__(
        self: File[R, Never], name: str, codec: Reader[R], *, reset: str | None = None, hint: str | None = None
    ) -> None: ...
    @overload
    def __init__(
        self: File[Never, W], name: str, codec: Writer[W], *, reset: str | None = None, hint: str | None = None
    ) -> None: ...
    def __init__(
        self,
        name: str,
        codec: Any,
        *,
        reset: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.name = name
        self.files = (name,)
        self.codec: Any = codec
        self.reset_text = reset
        self.hint = hint

    def sources(self) -> tuple[FileRead, ...]:
        numbers = getattr(self.codec, "numbers", None)
        return () if numbers is None else (FileRead(self.name, self.codec.shape, numbers),)

    def reader(self, cgroup: Node, parameter: str) -> Read:
        name, codec = self.name, self.codec
        if not hasattr(codec, "decode"):
            return super().reader(cgroup, parameter)
        file = cgroup.file(name)

        def read(cgroup: Node) -> Any:
            try:
                return codec.decode(file.read(codec.shape))
            except Failure as failure:
                raise diagnosis.explain(failure, cgroup, name, "read", parameter) from None
            except ValueError as error:
                raise _malformed(error, cgroup, name, parameter) from None

        bound: Read = codec.bind(file, read)
        return bound

    def write(self, cgroup: Node, parameter: str, value: W) -> None:
        if not hasattr(self.codec, "encode"):
            super().write(cgroup, parameter, value)
        cgroup.write_text(self.name, self.codec.encode(value), parameter, value)

    def reset(self, cgroup: Node, parameter: str) -> None:
        if self.reset_text is None:
            super().reset(cgroup, parameter)
        else:
            cgroup.write_text(self.name, self.reset_text, parameter)


class FirstOf(Binding[R, W]):
    """The first existing one of several files, for a renamed file or the files of different IO schedulers."""

    def __init__(self, *bindings: Binding[R, W]) -> None:
        self.bindings = bindings
        self.files = tuple(dict.fromkeys(name for binding in bindings for name in binding.files))

    def sources(self) -> tuple[FileRead, ...]:
        first, *others = (binding.sources() for binding in self.bindings)
        return first + tuple(one._replace(flags=Flag.FALLBACK) for other in others for one in other)

    def _there(self, cgroup: Node) -> Binding[R, W]:
        for binding in self.bindings:
            if diagnosis.has_file(cgroup, binding.files[0]):
                return binding
        return self.bindings[0]

    def reader(self, cgroup: Node, parameter: str) -> Read:  # noqa: ARG002 - the file is looked up at each failed read
        chosen: Read | None = None

        def read(cgroup: Node) -> Any:
            nonlocal chosen
            if chosen is not None:
                try:
                    return chosen(cgroup)
                except ParameterNotSupported:
                    chosen = None  # another file may have replaced this one
            found = self._there(cgroup).reader(cgroup, parameter)
            value = found(cgroup)
            chosen = found
            return value

        return read

    def write(self, cgroup: Node, parameter: str, value: W) -> None:
        self._there(cgroup).write(cgroup, parameter, value)

    def reset(self, cgroup: Node, parameter: str) -> None:
        self._there(cgroup).reset(cgroup, parameter)


class Key(Binding[int, Any]):
    """One key of a flat keyed file, multiplied by a scale."""

    def __init__(self, name: str, key: str, scale: int = 1, *, hint: str | None = None) -> None:
        self.name = name
        self.files = (name,)
        self.key = key
        self.scale = scale
        self.hint = hint

    def sources(self) -> tuple[FileRead, ...]:
        return (FileRead(self.name, Shape.KEYED, Numbers(scale=self.scale), only=self.key),)

    def reader(self, cgroup: Node, parameter: str) -> Read:
        file, name, key, scale = cgroup.file(self.name), self.name, self.key, self.scale
        # One tuple, replaced atomically: two threads may learn a layout at the same time.
        known: tuple[Layout | None, int] = (None, 0)

        def read(cgroup: Node) -> Any:
            nonlocal known
            layout, at = known
            try:
                learned, values = file.read_keyed(layout)
            except Failure as failure:
                raise diagnosis.explain(failure, cgroup, name, "read", parameter) from None
            if learned is not layout:
                at = _position(learned.keys, key, cgroup, name, parameter)
                known = (learned, at)
            value = values[at]
            if not isinstance(value, int) or value < 0:
                error = ValueError(f"value of the key {key} must be a number from 0, got {value}")
                raise _malformed(error, cgroup, name, parameter)
            return value * scale

        return read


def _position(keys: Sequence[str], key: str, cgroup: Node, name: str, parameter: str) -> int:
    if key in keys:
        return keys.index(key)
    raise no_key(key, cgroup, name, parameter)


def no_key(key: object, cgroup: Node, name: str, parameter: str) -> ParameterNotSupported:
    """Return the error for a keyed file that lacks a key."""
    path = f"{cgroup.path}/{name}"
    message = f"cannot read {parameter} of {cgroup}: this kernel's {path} has no key {key!r}"
    return ParameterNotSupported(message, path=path, parameter=parameter)


class KeyOf(Binding[Any, Any]):
    """One key, or a path of keys, of the value of another binding."""

    def __init__(self, whole: Binding[Any, Any], key: Any) -> None:
        self.whole = whole
        self.files = whole.files
        self.key = key
        self.keys = key if isinstance(key, tuple) else (key,)

    def sources(self) -> tuple[FileRead, ...]:
        return tuple(source._replace(only=self.key) for source in self.whole.sources())

    def reader(self, cgroup: Node, parameter: str) -> Read:
        read_whole, keys, name = self.whole.reader(cgroup, parameter), self.keys, self.files[0]

        def read(cgroup: Node) -> Any:
            value = read_whole(cgroup)
            try:
                for key in keys:
                    value = value[key]
            except KeyError:
                raise no_key("/".join(keys), cgroup, name, parameter) from None
            return value

        return read


class Sum(Binding[R, W]):
    """The sum of single-value files; MAX if one number is MAX.  The files are read one by one, not atomically."""

    def __init__(self, *names: str, codec: Reader[R]) -> None:
        self.files = names
        self.codec = codec

    def sources(self) -> tuple[FileRead, ...]:
        numbers = self.codec.numbers or Numbers()
        first, *others = (FileRead(name, self.codec.shape, numbers) for name in self.files)
        return (first, *(other._replace(flags=Flag.ADD) for other in others))

    def reader(self, cgroup: Node, parameter: str) -> Read:
        readers = [File(name, self.codec).reader(cgroup, parameter) for name in self.files]

        def read(cgroup: Node) -> Any:
            values = [one(cgroup) for one in readers]
            return MAX if MAX in values else sum(values)

        return read


class Field(Binding[Any, Any]):
    """One number of a file whose codec returns a tuple of numbers."""

    def __init__(
        self, name: str, codec: Reader[Any], position: int, *, write: Callable[[Node, str, Any], None]
    ) -> None:
        self.name = name
        self.files = (name,)
        self.position = position
        self._whole: File[Any, Any] = File(name, codec)
        self._write = write

    def sources(self) -> tuple[FileRead, ...]:
        return (FileRead(self.name, Shape.VALUES, Numbers(), only=self.position),)

    def reader(self, cgroup: Node, parameter: str) -> Read:
        read_whole, name, position = self._whole.reader(cgroup, parameter), self.name, self.position

        def read(cgroup: Node) -> Any:
            value = read_whole(cgroup)[position]
            if value is None:
                raise _malformed(ValueError("the file is empty"), cgroup, name, parameter)
            return value

        return read

    def write(self, cgroup: Node, parameter: str, value: Any) -> None:
        self._write(cgroup, parameter, value)


class Constant(Binding[R, R]):
    """A fixed value: reading returns it, setting it is a no-op, setting another raises ParameterNotSupported."""

    def __init__(self, value: R, *, hint: str) -> None:
        self.value = value
        self.hint = hint

    def reader(self, cgroup: Node, parameter: str) -> Read:  # noqa: ARG002 - no file is read
        return lambda _: self.value

    def write(self, cgroup: Node, parameter: str, value: R) -> None:
        if value != self.value:
            super().write(cgroup, parameter, value)


class TaskList(Binding["list[int]", Any]):
    """A list of processes or threads, opened for each read and not cached."""

    hint = Advice("Cgroup.add_process and Cgroup.add_thread move one", "cgroups attach SPEC PID moves one")

    def __init__(self, name: str) -> None:
        self.name = name
        self.files = (name,)

    def reader(self, cgroup: Node, parameter: str) -> Read:  # noqa: ARG002 - the cgroup's error names the file
        name = self.name
        return lambda cgroup: cgroup.task_list(name)


class Custom(Binding[R, W]):
    """Functions of a cgroup and the parameter's name."""

    def __init__(
        self,
        *files: str,
        read: Callable[[Node, str], R] | None = None,
        write: Callable[[Node, str, W], None] | None = None,
        reset: Callable[[Node, str], None] | None = None,
        hint: str | None = None,
        sampled: Binding[Any, Any] | None = None,
    ) -> None:
        self.files = files
        self._read, self._write, self._reset = read, write, reset
        self.hint = hint
        self._sampled = sampled

    def sources(self) -> tuple[FileRead, ...]:
        return () if self._sampled is None else self._sampled.sources()

    def reader(self, cgroup: Node, parameter: str) -> Read:
        function = self._read
        if function is None:
            return super().reader(cgroup, parameter)
        return lambda cgroup: function(cgroup, parameter)

    def write(self, cgroup: Node, parameter: str, value: W) -> None:
        if self._write is None:
            super().write(cgroup, parameter, value)
        else:
            self._write(cgroup, parameter, value)

    def reset(self, cgroup: Node, parameter: str) -> None:
        if self._reset is None:
            super().reset(cgroup, parameter)
        else:
            self._reset(cgroup, parameter)


class Named(Binding[Any, Any]):
    """Files without a value: used only by the events API, or not at all."""

    def __init__(self, *files: str) -> None:
        self.files = files
