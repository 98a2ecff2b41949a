"""Files with a line for each device or name, where ``set`` replaces all lines.

The kernel takes one line per write and keeps the others.  Lines that the new
value does not name are removed first, then each new line is written.  If a
write fails, the lines already written are restored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ..core.errors import CgroupError, InvalidValue, shown
from ..core.rollback import Rollback
from .bindings import Binding, File, FileRead, Read

if TYPE_CHECKING:
    from ..core.codecs import Reader
    from ..core.node import Node

R = TypeVar("R")
W = TypeVar("W")


class Replacing(Binding[R, W]):
    """A file with one line for each key.

    Args:
        name: the control file.
        codec: reads the file.
        key: checks a key of the new value; raises InvalidValue.
        value: checks a value and converts it to the argument of ``line``; None removes the line.
        line: returns the text that sets a key.
        removal: returns the text that removes a key.
        rows: returns the current lines from the codec's result: key to argument of ``line``.
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

    def sources(self) -> tuple[FileRead, ...]:
        return self._file.sources()

    def reader(self, cgroup: Node, parameter: str) -> Read:
        return self._file.reader(cgroup, parameter)

    def write(self, cgroup: Node, parameter: str, value: W) -> None:
        if not isinstance(value, Mapping):
            message = f"value must be a mapping, got {shown(value)}"
            raise InvalidValue(message)
        # Check everything before the first write.
        wanted = {self._key(key): self._value(one) for key, one in value.items()}
        wanted = {key: one for key, one in wanted.items() if one is not None}
        for key, one in wanted.items():
            self._line(key, one)
        cgroup.locate_for_writing(f"set {parameter} of {cgroup}")
        before = self._rows(self.reader(cgroup, parameter)(cgroup))
        self._replace(cgroup, parameter, before, wanted)

    def _replace(self, cgroup: Node, parameter: str, before: Mapping[Any, Any], wanted: Mapping[Any, Any]) -> None:
        steps = [(key, None) for key in before if key not in wanted]
        steps += list(wanted.items())
        with Rollback() as rollback:
            for key, one in steps:
                rollback.add(self._write_line, cgroup, parameter, key, before.get(key))
                try:
                    self._write_line(cgroup, parameter, key, one)
                except CgroupError:
                    rollback.drop()
                    raise

    def _write_line(self, cgroup: Node, parameter: str, key: Any, one: Any) -> None:
        text = self._removal(key) if one is None else self._line(key, one)
        cgroup.write_text(self.name, text, parameter, text)
