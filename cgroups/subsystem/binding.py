"""Bindings: which control files a parameter is on one version, and how they are read and written.

A binding is data where it can be (``File``, ``Key``, ``Sum``, …), so that
whoever has a parameter can tell its files, shapes and scales; ``Custom`` is
for the few translations that are a rule of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, overload

from .. import diagnosis
from .._interface import Failure, Flag, Layout, Numbers, Shape
from ..errors import Advice, CgroupError, ParameterNotSupported, ParseError, shown
from ..values import MAX

if TYPE_CHECKING:
    from typing_extensions import Never

    from ..converter import Converter, Reader, Writer
    from ..hierarchy import Cgroup

R = TypeVar("R")
W = TypeVar("W")

Read = Callable[["Cgroup"], Any]
"""Reads one parameter of the cgroup that it was bound to, which is given again for the error's sake."""


class Source(NamedTuple):
    """A control file as whoever samples reads it: its numbers, or the one of them that is wanted."""

    file: str
    shape: Shape
    numbers: Numbers
    flags: Flag = Flag(0)
    only: Any = None


class Binding(Generic[R, W]):
    """The files, and what can be done.  What is not overridden cannot be: ``hint`` says what can instead."""

    files: tuple[str, ...] = ()
    hint: str | None = None

    def sources(self) -> tuple[Source, ...]:
        """Where its numbers are; none where what it reads is not just numbers of files."""
        return ()

    def reader(self, cgroup: Cgroup, parameter: str) -> Read:
        raise self._cannot("read", cgroup, parameter)

    def write(self, cgroup: Cgroup, parameter: str, value: W) -> None:
        raise self._cannot(f"set to {shown(value)}", cgroup, parameter)

    def reset(self, cgroup: Cgroup, parameter: str) -> None:
        raise self._cannot("reset", cgroup, parameter)

    def _cannot(self, what: str, cgroup: Cgroup, parameter: str) -> ParameterNotSupported:
        message = f"{parameter} of {cgroup} cannot be {what} in version {cgroup.version} of control groups"
        return ParameterNotSupported(message, parameter=parameter, path=cgroup.path, hint=self.hint)


def read_file(cgroup: Cgroup, name: str, codec: Reader[R], parameter: str) -> R:
    """One read of one file, for whoever does not bind."""
    value: R = File(name, codec).reader(cgroup, parameter)(cgroup)
    return value


def _malformed(error: ValueError, cgroup: Cgroup, name: str, parameter: str) -> CgroupError:
    if isinstance(error, CgroupError):
        return error
    path = f"{cgroup.path}/{cgroup.hierarchy.file_name(name)}"
    return ParseError(f"cannot read {parameter} of {cgroup} ({path}): {error}", path=path, parameter=parameter)


class File(Binding[R, W]):
    """One file, one codec; ``reset`` is the text that a reset writes."""

    @overload
    def __init__(
        self: File[R, W], name: str, codec: Converter[R, W], *, reset: str | None = None, hint: str | None = None
    ) -> None: ...
    @overload
    def __init__(
        self: File[R, Never], name: str, codec: Reader[R], *, reset: str | None = None, hint: str | None = None
    ) -> None: ...
    @overload
    def __init__(
        self: File[Never, W], name: str, codec: Writer[W], *, reset: str | None = None, hint: str | None = None
    ) -> None: ...
    def __init__(self, name: str, codec: Any, *, reset: str | None = None, hint: str | None = None) -> None:
        self.name = name
        self.files = (name,)
        self.codec: Any = codec
        self.reset_text = reset
        self.hint = hint

    def sources(self) -> tuple[Source, ...]:
        numbers = getattr(self.codec, "numbers", None)
        return () if numbers is None else (Source(self.name, self.codec.shape, numbers),)

    def reader(self, cgroup: Cgroup, parameter: str) -> Read:
        name, codec = self.name, self.codec
        if not hasattr(codec, "decode"):
            return super().reader(cgroup, parameter)
        file = cgroup.file(name)

        def read(cgroup: Cgroup) -> Any:
            try:
                return codec.decode(file.read(codec.shape))
            except Failure as failure:
                raise diagnosis.explain(failure, cgroup, name, "read", parameter) from None
            except ValueError as error:
                raise _malformed(error, cgroup, name, parameter) from None

        bound: Read = codec.bind(file, read)
        return bound

    def write(self, cgroup: Cgroup, parameter: str, value: W) -> None:
        if not hasattr(self.codec, "encode"):
            super().write(cgroup, parameter, value)
        cgroup.write_text(self.name, self.codec.encode(value), parameter, value)

    def reset(self, cgroup: Cgroup, parameter: str) -> None:
        if self.reset_text is None:
            super().reset(cgroup, parameter)
        else:
            cgroup.write_text(self.name, self.reset_text, parameter)


class FirstOf(Binding[R, W]):
    """The first of several files that is there: a file that was renamed, or is another IO scheduler's."""

    def __init__(self, *bindings: Binding[R, W]) -> None:
        self.bindings = bindings
        self.files = tuple(dict.fromkeys(name for binding in bindings for name in binding.files))

    def sources(self) -> tuple[Source, ...]:
        first, *others = (binding.sources() for binding in self.bindings)
        return first + tuple(one._replace(flags=Flag.SECOND) for other in others for one in other)

    def _there(self, cgroup: Cgroup) -> Binding[R, W]:
        for binding in self.bindings:
            if diagnosis.has_file(cgroup, binding.files[0]):
                return binding
        return self.bindings[0]

    def reader(self, cgroup: Cgroup, parameter: str) -> Read:  # noqa: ARG002 - looked for at each read that fails
        chosen: Read | None = None

        def read(cgroup: Cgroup) -> Any:
            nonlocal chosen
            if chosen is not None:
                try:
                    return chosen(cgroup)
                except ParameterNotSupported:
                    chosen = None  # the other may be there instead by now
            found = self._there(cgroup).reader(cgroup, parameter)
            value = found(cgroup)
            chosen = found
            return value

        return read

    def write(self, cgroup: Cgroup, parameter: str, value: W) -> None:
        self._there(cgroup).write(cgroup, parameter, value)

    def reset(self, cgroup: Cgroup, parameter: str) -> None:
        self._there(cgroup).reset(cgroup, parameter)


class Key(Binding[int, Any]):
    """One key of a flat keyed file, times a scale."""

    def __init__(self, name: str, key: str, scale: int = 1, *, hint: str | None = None) -> None:
        self.name = name
        self.files = (name,)
        self.key = key
        self.scale = scale
        self.hint = hint

    def sources(self) -> tuple[Source, ...]:
        return (Source(self.name, Shape.KEYED, Numbers(scale=self.scale), only=self.key),)

    def reader(self, cgroup: Cgroup, parameter: str) -> Read:
        file, name, key, scale = cgroup.file(self.name), self.name, self.key, self.scale
        # One tuple, replaced whole: two threads may learn a layout at once.
        known: tuple[Layout | None, int] = (None, 0)

        def read(cgroup: Cgroup) -> Any:
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
                error = ValueError(f"the key {key} has the value {value}, not a number from 0")
                raise _malformed(error, cgroup, name, parameter)
            return value * scale

        return read


def _position(keys: Sequence[str], key: str, cgroup: Cgroup, name: str, parameter: str) -> int:
    if key in keys:
        return keys.index(key)
    raise no_key(key, cgroup, name, parameter)


def no_key(key: object, cgroup: Cgroup, name: str, parameter: str) -> ParameterNotSupported:
    """The error that a keyed file lacks a key."""
    path = f"{cgroup.path}/{name}"
    message = f"cannot read {parameter} of {cgroup}: this kernel's {path} has no key {key!r}"
    return ParameterNotSupported(message, path=path, parameter=parameter)


class KeyOf(Binding[Any, Any]):
    """One key, or path of keys, of what another binding reads."""

    def __init__(self, whole: Binding[Any, Any], key: Any) -> None:
        self.whole = whole
        self.files = whole.files
        self.key = key
        self.keys = key if isinstance(key, tuple) else (key,)

    def sources(self) -> tuple[Source, ...]:
        return tuple(source._replace(only=self.key) for source in self.whole.sources())

    def reader(self, cgroup: Cgroup, parameter: str) -> Read:
        read_whole, keys, name = self.whole.reader(cgroup, parameter), self.keys, self.files[0]

        def read(cgroup: Cgroup) -> Any:
            value = read_whole(cgroup)
            try:
                for key in keys:
                    value = value[key]
            except KeyError:
                raise no_key("/".join(keys), cgroup, name, parameter) from None
            return value

        return read


class Sum(Binding[R, W]):
    """The sum of files of one value; MAX when one of them is.  Two reads: the sum is of two moments."""

    def __init__(self, *names: str, codec: Reader[R]) -> None:
        self.files = names
        self.codec = codec

    def sources(self) -> tuple[Source, ...]:
        numbers = self.codec.numbers or Numbers()
        first, *others = (Source(name, self.codec.shape, numbers) for name in self.files)
        return (first, *(other._replace(flags=Flag.ADD) for other in others))

    def reader(self, cgroup: Cgroup, parameter: str) -> Read:
        readers = [File(name, self.codec).reader(cgroup, parameter) for name in self.files]

        def read(cgroup: Cgroup) -> Any:
            values = [one(cgroup) for one in readers]
            return MAX if MAX in values else sum(values)

        return read


class Field(Binding[Any, Any]):
    """One of the numbers of a file whose codec reads a tuple of them."""

    def __init__(
        self, name: str, codec: Reader[Any], position: int, *, write: Callable[[Cgroup, str, Any], None]
    ) -> None:
        self.name = name
        self.files = (name,)
        self.position = position
        self._whole: File[Any, Any] = File(name, codec)
        self._write = write

    def sources(self) -> tuple[Source, ...]:
        return (Source(self.name, Shape.VALUES, Numbers(), only=self.position),)

    def reader(self, cgroup: Cgroup, parameter: str) -> Read:
        read_whole, name, position = self._whole.reader(cgroup, parameter), self.name, self.position

        def read(cgroup: Cgroup) -> Any:
            value = read_whole(cgroup)[position]
            if value is None:
                raise _malformed(ValueError("the file is empty"), cgroup, name, parameter)
            return value

        return read

    def write(self, cgroup: Cgroup, parameter: str, value: Any) -> None:
        self._write(cgroup, parameter, value)


class Constant(Binding[R, R]):
    """What v2 always does: it reads as this, setting this is nothing, and another is not to be had."""

    def __init__(self, value: R, *, hint: str) -> None:
        self.value = value
        self.hint = hint

    def reader(self, cgroup: Cgroup, parameter: str) -> Read:  # noqa: ARG002 - no file is read
        return lambda _: self.value

    def write(self, cgroup: Cgroup, parameter: str, value: R) -> None:
        if value != self.value:
            super().write(cgroup, parameter, value)


class TaskList(Binding["list[int]", Any]):
    """A list of processes or threads: opened for each read, and never kept."""

    hint = Advice("Cgroup.add_process and Cgroup.add_thread move one", "cgroups attach SPEC PID moves one")

    def __init__(self, name: str) -> None:
        self.name = name
        self.files = (name,)

    def reader(self, cgroup: Cgroup, parameter: str) -> Read:  # noqa: ARG002 - the cgroup's own error says it
        name = self.name
        return lambda cgroup: cgroup.task_list(name)


class Custom(Binding[R, W]):
    """A rule of its own, in functions of a cgroup and the parameter's name."""

    def __init__(
        self,
        *files: str,
        read: Callable[[Cgroup, str], R] | None = None,
        write: Callable[[Cgroup, str, W], None] | None = None,
        reset: Callable[[Cgroup, str], None] | None = None,
        hint: str | None = None,
        sampled: Binding[Any, Any] | None = None,
    ) -> None:
        self.files = files
        self._read, self._write, self._reset = read, write, reset
        self.hint = hint
        self._sampled = sampled

    def sources(self) -> tuple[Source, ...]:
        return () if self._sampled is None else self._sampled.sources()

    def reader(self, cgroup: Cgroup, parameter: str) -> Read:
        function = self._read
        if function is None:
            return super().reader(cgroup, parameter)
        return lambda cgroup: function(cgroup, parameter)

    def write(self, cgroup: Cgroup, parameter: str, value: W) -> None:
        if self._write is None:
            super().write(cgroup, parameter, value)
        else:
            self._write(cgroup, parameter, value)

    def reset(self, cgroup: Cgroup, parameter: str) -> None:
        if self._reset is None:
            super().reset(cgroup, parameter)
        else:
            self._reset(cgroup, parameter)


class Named(Binding[Any, Any]):
    """Files that are no values: written to by the events API, or of no use."""

    def __init__(self, *files: str) -> None:
        self.files = files
