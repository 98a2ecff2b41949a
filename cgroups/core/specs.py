"""Parse specs and names, without system calls: ``memory:/a/b`` to controllers and a location."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from .errors import InvalidValue, shown
from .interface import Version, decode_name, encode_name

NAME_MAX = 255
PATH_MAX = 4096

ALIASES = {"blkio": "io", "io": "blkio"}
"""The two names of one controller: blkio on v1, io on v2."""

IMPLICIT = frozenset({"cpuacct", "freezer", "perf_event"})
"""v1 controllers that on v2 are part of every cgroup and need not be enabled."""

CONTROLLERS = frozenset(
    "blkio cpu cpuacct cpuset debug devices dmem freezer hugetlb io memory misc net_cls net_prio perf_event pids "
    "rdma".split()
)
"""The kernel's controllers of both versions.  Each word is a spec, mounted or not."""


def to_enable(version: int, controllers: Iterable[str]) -> list[str]:
    """Return the v2 names of the controllers to write to cgroup.subtree_control; empty on v1."""
    if version == Version.V1:
        return []
    return [ALIASES["blkio"] if name == "blkio" else name for name in controllers if name and name not in IMPLICIT]


class Spec(NamedTuple):
    """A parsed spec; ``names`` is empty for the unified hierarchy, ``location`` None for the visible root."""

    names: tuple[str, ...]
    location: str | None


def _invalid(what: str, value: object, why: str) -> InvalidValue:
    return InvalidValue(f"{what} {shown(value)}: {why}")


def check_name(name: str) -> str:
    """Return a name if it is one valid component of a location; raise InvalidValue if not."""
    if not isinstance(name, str):
        raise _invalid("cgroup name", name, "not a str")
    if "/" in name:
        raise _invalid("cgroup name", name, "it must be one component, without a slash")
    _check_component(name, name)
    return name


def check_controller(name: str) -> str:
    """Return a name if it may be a controller's in cgroup.subtree_control; raise InvalidValue if not."""
    if not isinstance(name, str) or not name or not name.replace("_", "").isalnum() or not name.isascii():
        raise _invalid("controller", name, "not a name")
    return name


def _check_component(name: str, whole: str) -> None:
    if name in ("", ".", ".."):
        raise _invalid("cgroup name", whole, f"{shown(name)} is not a name" if name else "it is empty")
    if "\0" in name or "\n" in name:
        raise _invalid("cgroup name", whole, "it has a NUL or a newline")
    if len(_encode(name, whole)) > NAME_MAX:
        raise _invalid("cgroup name", whole, f"a component is longer than {NAME_MAX} bytes")


def _encode(text: str, whole: str) -> bytes:
    try:
        encoded = encode_name(text)
    except UnicodeEncodeError:
        raise _invalid("cgroup name", whole, "it cannot be encoded") from None
    if decode_name(encoded) != text:
        raise _invalid("cgroup name", whole, "its surrogates form a character, so it would be listed differently")
    return encoded


def split_path(path: str) -> list[str]:
    """Return the components of ``a/b`` or ``/a/b``.  Repeated slashes count as one."""
    if not isinstance(path, str):
        raise _invalid("cgroup path", path, "not a str")
    names = [name for name in path.split("/") if name]
    for name in names:
        _check_component(name, path)
    if len(_encode(path, path)) >= PATH_MAX:
        raise _invalid("cgroup path", path, f"longer than {PATH_MAX - 1} bytes")
    return names


def parse_spec(spec: str) -> Spec:
    """Parse ``CONTROLLER[,CONTROLLER…][:PATH]``, ``name=LABEL[:PATH]`` or ``:PATH``; else raise InvalidValue."""
    try:
        return _parse(spec)
    except TypeError:  # unhashable
        raise _invalid("cgroup spec", spec, "not a str") from None


@lru_cache(maxsize=1024)
def _parse(spec: str) -> Spec:
    if not isinstance(spec, str):
        raise _invalid("cgroup spec", spec, "not a str")
    if not spec:
        raise _invalid("cgroup spec", spec, "it is empty; write CONTROLLER:/PATH, or :/PATH for the unified hierarchy")
    head, colon, path = spec.partition(":")
    names = tuple(head.split(",")) if head else ()
    for name in names:
        if not name or "/" in name or "\0" in name or "\n" in name:
            raise _invalid("cgroup spec", spec, f"{shown(name)} is not a controller; use a spec such as memory:/a")
    location = "/" + "/".join(split_path(path)) if colon and path else None
    return Spec(names, location)
