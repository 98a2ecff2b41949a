"""Specs and names: ``memory:/a/b`` to controllers and a location.  Pure; no system call."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from ._interface import decode_name, encode_name
from .errors import InvalidValue, shown

NAME_MAX = 255
PATH_MAX = 4096

ALIASES = {"blkio": "io", "io": "blkio"}
"""One controller under two names: blkio of v1, io of v2."""

IMPLICIT = frozenset({"cpuacct", "freezer", "perf_event"})
"""Controllers of v1 that on v2 are the hierarchy itself, in every cgroup and never to be enabled."""


def to_enable(version: int, controllers: Iterable[str]) -> list[str]:
    """Controllers as cgroup.subtree_control of v2 names them, without those that are always there; of v1 none."""
    if version == 1:
        return []
    return [ALIASES["blkio"] if name == "blkio" else name for name in controllers if name and name not in IMPLICIT]


class Spec(NamedTuple):
    """``names`` is empty for the unified hierarchy; ``location`` None for the root that is visible."""

    names: tuple[str, ...]
    location: str | None


def _invalid(what: str, value: object, why: str) -> InvalidValue:
    return InvalidValue(f"{what} {shown(value)}: {why}")


def check_name(name: str) -> str:
    """One component of a location: what mkdir(2) takes on a cgroup file system."""
    if not isinstance(name, str):
        raise _invalid("cgroup name", name, "not a str")
    if "/" in name:
        raise _invalid("cgroup name", name, "one component is expected, and it has a slash")
    _check_component(name, name)
    return name


def check_controller(name: str) -> str:
    """The name of a controller, as it may stand in cgroup.subtree_control."""
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
        raise _invalid("cgroup name", whole, "its surrogates together are a character, and it would be listed as that")
    return encoded


def split_path(path: str) -> list[str]:
    """The components of ``a/b`` or ``/a/b``; further slashes are of no meaning, as everywhere."""
    if not isinstance(path, str):
        raise _invalid("cgroup path", path, "not a str")
    names = [name for name in path.split("/") if name]
    for name in names:
        _check_component(name, path)
    if len(_encode(path, path)) >= PATH_MAX:
        raise _invalid("cgroup path", path, f"longer than {PATH_MAX - 1} bytes")
    return names


def parse_spec(spec: str) -> Spec:
    """``CONTROLLER[,CONTROLLER…][:PATH]``, ``name=LABEL[:PATH]`` or ``:PATH``; InvalidValue for anything else."""
    try:
        return _parse(spec)
    except TypeError:  # what cannot be hashed
        raise _invalid("cgroup spec", spec, "not a str") from None


@lru_cache(maxsize=1024)
def _parse(spec: str) -> Spec:
    if not isinstance(spec, str):
        raise _invalid("cgroup spec", spec, "not a str")
    if not spec:
        raise _invalid("cgroup spec", spec, "empty; it is CONTROLLER:/PATH, or :/PATH for the unified hierarchy")
    head, colon, path = spec.partition(":")
    names = tuple(head.split(",")) if head else ()
    for name in names:
        if not name or "/" in name or "\0" in name or "\n" in name:
            raise _invalid("cgroup spec", spec, f"{shown(name)} is no controller; write CONTROLLER:/PATH, as memory:/a")
    location = "/" + "/".join(split_path(path)) if colon and path else None
    return Spec(names, location)
