"""Files of a line for each device or name, where ``set`` replaces the whole.

The kernel takes one line a write and keeps the others.  So: what the new
value does not name is removed first, then each line is written, and when one
is refused those already written are put back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import CgroupError, InvalidValue, shown
from .binding import Binding, File, Read, Source

if TYPE_CHECKING:
    from ..converter import Reader
    from ..hierarchy import Cgroup

R = TypeVar("R")
W = TypeVar("W")


class Replacing(Binding[R, W]):
    """A file of lines.

    Args:
        name: the control file.
        codec: reads it.
        key: checks a key of the new value; raises InvalidValue.
        value: checks a value, and makes it what ``line`` takes; None removes.
        line: the text that sets a key.
        removal: the text that removes one.
        rows: the lines that are there now, key to what ``line`` takes, in what codec read.
    """

    def __init__(
        self,
        name: str,
        codec: Reader[R],
        *,
        key: Callable[[Any], Any],
        value: Callable[[Any], Any],
        line: Callable[[Any, Any], str],
        removal: Callable[[Any], str],
        rows: Callable[[Any], Mapping[Any, Any]] = dict,
    ) -> None:
        self.name = name
        self.files = (name,)
        self._file: File[R, Any] = File(name, codec)
        self._key, self._value, self._line, self._removal, self._rows = key, value, line, removal, rows

    def sources(self) -> tuple[Source, ...]:
        return self._file.sources()

    def reader(self, cgroup: Cgroup, parameter: str) -> Read:
        return self._file.reader(cgroup, parameter)

    def write(self, cgroup: Cgroup, parameter: str, value: W) -> None:
        if not isinstance(value, Mapping):
            message = f"{shown(value)} is not a mapping"
            raise InvalidValue(message)
        # All of it is checked before any of it is written.
        wanted = {self._key(key): self._value(one) for key, one in value.items()}
        wanted = {key: one for key, one in wanted.items() if one is not None}
        for key, one in wanted.items():
            self._line(key, one)
        cgroup.place_for_writing(f"set {parameter} of {cgroup}")
        before = self._rows(self.reader(cgroup, parameter)(cgroup))
        self._replace(cgroup, parameter, before, wanted)

    def _replace(self, cgroup: Cgroup, parameter: str, before: Mapping[Any, Any], wanted: Mapping[Any, Any]) -> None:
        steps = [(key, None) for key in before if key not in wanted]
        steps += list(wanted.items())
        written = []
        try:
            for key, one in steps:
                written.append(key)
                self._write_line(cgroup, parameter, key, one)
        except BaseException as error:
            if isinstance(error, CgroupError):
                written.pop()  # it was refused; where it was interrupted, it may have been taken
            for key in reversed(written):
                self._restore(cgroup, parameter, key, before.get(key))
            raise

    def _write_line(self, cgroup: Cgroup, parameter: str, key: Any, one: Any) -> None:
        text = self._removal(key) if one is None else self._line(key, one)
        cgroup.write_text(self.name, text, parameter, text)

    def _restore(self, cgroup: Cgroup, parameter: str, key: Any, one: Any) -> None:
        try:
            self._write_line(cgroup, parameter, key, one)
        except CgroupError:
            return  # gone meanwhile: the error that led here is the one to report
