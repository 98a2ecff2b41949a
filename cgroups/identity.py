"""What a cgroup's path stands for: a systemd unit, a container, a pod.  Pure: no file is read, and no daemon asked.

Each component of a path says something by its form alone.  The forms are
those of systemd (systemd.unit(5), and its cgroup names), of docker, podman,
containerd and CRI-O with either cgroup driver (``systemd``:
``docker-ID.scope``; ``cgroupfs``: ``docker/ID``), and of the kubelet.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from .values import Identity

__all__ = ["identify"]


_ID = r"[0-9a-f]{64}"
# In a slice's name dashes are levels, so there it has underscores.  The kubelet's own pods have a hash, which
# others may have as well.
_UID = r"[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}"
_POD = rf"{_UID}|[0-9a-f]{{32}}"
_QOS = r"burstable|besteffort"
_UNITS = r"service|scope|socket|mount|swap"

_RUNTIMES: Final = {
    "docker": "docker",
    "libpod": "podman",
    "libpod-payload": "podman",
    "cri-containerd": "containerd",
    "nerdctl": "containerd",
    "crio": "cri-o",
}
_PREFIX = "|".join(_RUNTIMES)

# By a component and the one above it, `above/name`, in this order: a later form that matches too knows better.
# The groups are fields of Identity; `prefix` and `parent` tell the runtime.
_FORMS: Final = [
    (kind, re.compile(form))
    for kind, form in (
        # systemd puts an underscore before what the kernel could take for a control file.
        ("slice", r"[^/]*/_?(?P<slice>[^/]+\.slice)"),
        ("unit", rf"(?:_?(?P<slice>[^/]+\.slice)|[^/]*)/_?(?P<unit>[^/]+\.(?:{_UNITS}))"),
        ("qos", rf"kubepods/(?P<qos>{_QOS})"),
        ("qos", rf"[^/]*/(?:.+-)?kubepods-(?P<qos>{_QOS})\.slice"),
        ("pod", rf"[^/]*/pod(?P<pod>{_UID})"),
        ("pod", rf"(?:(?P<qos>{_QOS})|kubepods)/pod(?P<pod>{_POD})"),
        ("pod", rf"[^/]*/(?:.+-)?kubepods(?:-(?P<qos>{_QOS}))?-pod(?P<pod>{_POD})\.slice"),
        ("podman", rf"[^/]*/(?:.+-)?libpod_pod_(?P<pod>{_ID})\.slice"),
        ("container", rf"[^/]*/(?P<prefix>{_PREFIX})-(?P<container>{_ID})(?:\.scope)?"),
        ("container", rf"(?P<parent>[^/]*)/(?P<container>{_ID})"),
        ("podman", rf"libpod_parent/(?P<pod>{_ID})"),
    )
]

_PARENTS: Final = {"docker": "docker", "k8s.io": "containerd", "default": "containerd"}
"""The directories that runtimes keep their containers in, with the cgroupfs driver."""

# A runtime with the cgroupfs driver that is told a path of the other one's makes a directory of its text.
_COLONS: Final = re.compile(rf"([^:/]+\.slice):({_PREFIX}):({_ID})")

_ESCAPED: Final = re.compile(r"\\x([0-9a-fA-F]{2})")

_KINDS: Final = {"podman": "pod"}
"""Forms whose kind is another's."""

_CLEARS: Final[dict[str, tuple[str, ...]]] = {
    "slice": ("unit",),
    "unit": ("slice",),
    "qos": ("pod", "container", "runtime"),
    "pod": ("qos", "container", "runtime"),
    "podman": ("qos", "container"),
}
"""What is over where such a thing begins: a pod within a container is not of that container."""

_INNER: Final = frozenset({"qos", "pod", "podman", "container"})
"""What within a container is not of that container's own unit."""


def _unescape(name: str) -> str:
    r"""Systemd's ``\x2d``; a character of several bytes is escaped byte by byte."""
    data = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), name.encode("utf-8", "surrogateescape").decode("latin-1"))
    return data.encode("latin-1").decode("utf-8", "surrogateescape")


@lru_cache(maxsize=16384)
def identify(location: str) -> Identity | None:
    """What a location stands for; None when none of its components has a form that is known."""
    names = location.strip("/").split("/")
    kind, facts, known = "", dict[str, str](), 0
    above = ""
    for depth, component in enumerate(names, 1):
        for name in _COLONS.sub(r"\1/\2-\3", component).split("/"):
            for form_kind, form in _FORMS:
                match = form.fullmatch(f"{above}/{name}")
                if match is not None:
                    kind, known = _learn(facts, form_kind, match.groupdict()), depth
            above = name
    return Identity(kind, **facts, below="/".join(names[known:])) if kind else None


def _clear(facts: dict[str, str], *fields: str) -> None:
    for field in fields:
        facts.pop(field, None)


def _learn(facts: dict[str, str], kind: str, groups: dict[str, str | None]) -> str:
    """Adds what one form has found, and gives the kind."""
    runtime = "podman" if kind == "podman" else None
    found = {field: text for field, text in groups.items() if text}
    outer = facts.get("container")
    if outer and outer in facts.get("unit", "") and kind in _INNER and found.get("container") != outer:
        _clear(facts, "unit", "slice")
    _clear(facts, *_CLEARS.get(kind, ()))
    kind = _KINDS.get(kind, kind)
    if kind == "container":
        _clear(facts, "runtime")
        runtime = _RUNTIMES.get(found.pop("prefix", "")) or _PARENTS.get(found.pop("parent", ""))
    if kind == "pod" and runtime is None:
        found.setdefault("qos", "guaranteed")
        found["pod"] = found["pod"].replace("_", "-")
    for field in ("unit", "slice"):
        if field in found:
            found[field] = _unescape(found[field])
    facts |= found
    if runtime is not None:
        facts["runtime"] = runtime
    return kind
