"""Identify the systemd unit, container or pod of a cgroup from its path, without reading a file or asking a daemon.

Each path component is matched by its form.  The known forms are those of
systemd (systemd.unit(5), and its cgroup names), of docker, podman, containerd
and CRI-O with either cgroup driver (``systemd``: ``docker-ID.scope``;
``cgroupfs``: ``docker/ID``), of the kubelet, ECS and Cloud Foundry's garden; of
the machines of libvirt, nspawn, LXC and Proxmox; and of the jobs of Slurm and
HTCondor.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from .values import Identity

__all__ = ["identify", "unescape"]


_ID = r"[0-9a-f]{64}"
# A dash in a slice's name separates levels, so a uid has underscores there.  The kubelet's static pods have a
# hash, a form that other names share.
_UID = r"[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}"
_POD = rf"{_UID}|[0-9a-f]{{32}}"
_QOS = r"burstable|besteffort"
_UNITS = r"service|scope|socket|mount|swap"
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# A UUID may stand for many things.  Only below these parents is a UUID a container's id.
_KEEPERS = rf"docker|k8s\.io|default|kubepods|{_QOS}|pod(?:{_POD})|[^/]*-pod(?:{_POD})\.slice|[0-9a-f]{{32}}"

_RUNTIMES: Final = {
    "docker": "docker",
    "libpod": "podman",
    "libpod-payload": "podman",
    "cri-containerd": "containerd",
    "nerdctl": "containerd",
    "crio": "cri-o",
}
_PREFIX = "|".join(_RUNTIMES)


def _unit(name: str) -> str:
    return rf"(?:_?(?P<slice>[^/]+\.slice)|[^/]*)/_?(?P<unit>{name})"


# Forms of a component and the one above it, `above/name`.  The last form that matches wins.
# The groups are fields of Identity; `prefix` and `parent` name the runtime.
_FORMS: Final = [
    (kind, runtime, re.compile(form))
    for kind, runtime, form in (
        # systemd puts an underscore before a name that could be a control file.
        ("slice", None, r"[^/]*/_?(?P<slice>[^/]+\.slice)"),
        ("slice", None, r"[^/]*/(?P<slice>user-(?P<uid>\d+)\.slice)"),
        ("unit", None, _unit(rf"[^/]+\.(?:{_UNITS})")),
        ("unit", None, _unit(r"user@(?P<uid>\d+)\.service")),
        ("unit", None, _unit(r"session-(?P<session>[^/]+)\.scope")),
        ("qos", None, rf"kubepods/(?P<qos>{_QOS})"),
        ("qos", None, rf"[^/]*/(?:.+-)?kubepods-(?P<qos>{_QOS})\.slice"),
        ("pod", None, rf"[^/]*/pod(?P<pod>{_UID})"),
        ("pod", None, rf"(?:(?P<qos>{_QOS})|kubepods)/pod(?P<pod>{_POD})"),
        ("pod", None, rf"[^/]*/(?:.+-)?kubepods(?:-(?P<qos>{_QOS}))?-pod(?P<pod>{_POD})\.slice"),
        ("podman", "podman", rf"[^/]*/(?:.+-)?libpod_pod_(?P<pod>{_ID})\.slice"),
        ("container", None, rf"[^/]*/(?P<prefix>{_PREFIX})-(?P<container>{_ID}|{_UUID})(?:\.scope)?"),
        ("container", None, rf"(?P<parent>[^/]*)/(?P<container>{_ID})"),
        ("container", None, rf"(?P<parent>{_KEEPERS})/(?P<container>{_UUID})"),
        ("container", "ecs", r"[0-9a-f]{32}/(?P<container>[0-9a-f]{32}-\d{10})"),
        ("container", "garden", r"(?:garden|good|bad)/(?P<container>[0-9a-f]{8}(?:-[0-9a-f]{4}){3,4}(?:[0-9a-f]{8})?)"),
        ("podman", "podman", rf"libpod_parent/(?P<pod>{_ID})"),
        ("machine", None, r"[^/]*/machine-(?P<machine>[^/]+)\.scope"),
        ("machine", "libvirt", r"[^/]*/machine-(?:qemu|lxc)\\x2d\d+\\x2d(?P<machine>[^/]+)\.scope"),
        ("machine", "nspawn", r"[^/]*/systemd-nspawn@(?P<machine>[^/]+)\.service"),
        ("machine", "proxmox", r"qemu\.slice/(?P<machine>\d+)\.scope"),
        ("machine", "proxmox", r"lxc/(?P<machine>\d+)"),
        ("machine", "lxc", r"[^/]*/lxc\.(?:payload|monitor)\.(?P<machine>[^/]+)"),
        ("machine", "lxc", r"lxc\.(?:payload|monitor)/(?P<machine>[^/]+)"),
        ("job", "slurm", r"uid_(?P<uid>\d+)/job_(?P<job>\d+)"),
        ("job", "slurm", r"[^/]*slurmstepd\.scope/job_(?P<job>\d+)"),
        ("step", "slurm", r"job_\d+/step_(?P<step>[^/]+)"),
        ("task", "slurm", r"(?:step_[^/]+|user)/task_(?P<task>[^/]+)"),
        ("job", "htcondor", r"[^/]*/(?:condor|htcondor)_(?:[^/]*_)?(?P<job>slot\d+(?:_\d+)?@[^/]+)"),
    )
]

_PARENTS: Final = {"docker": "docker", "k8s.io": "containerd", "default": "containerd"}
"""Parent directory of a runtime's containers, with the cgroupfs driver, to the runtime."""

# With a path of the systemd driver, the cgroupfs driver creates a directory of its literal text.
_COLONS: Final = re.compile(rf"([^:/]+\.slice):({_PREFIX}):({_ID})")

_ESCAPED: Final = re.compile(r"\\x([0-9a-fA-F]{2})")

_KINDS: Final = {"podman": "pod", "step": "job", "task": "job"}
"""Forms that report the kind of another form."""

_PART_OF: Final = {"step": "job", "task": "step"}
"""Forms that are valid only within another form."""

_CLEARS: Final[dict[str, tuple[str, ...]]] = {
    "slice": ("unit",),
    "unit": ("slice",),
    "qos": ("pod", "container", "runtime"),
    "pod": ("qos", "container", "runtime"),
    "podman": ("qos", "container"),
    "machine": ("qos", "pod", "container", "runtime"),
    "job": ("step", "task"),
    "step": ("task",),
}
"""Fields that a form resets: a pod within a container does not belong to that container."""

_INNER: Final = frozenset({"qos", "pod", "podman", "container"})
"""Forms that, within a container, do not belong to that container's unit."""


def unescape(name: str) -> str:
    r"""Replace systemd's escapes, such as ``\x2d``, which escape each byte of a character."""
    data = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), name.encode("utf-8", "surrogateescape").decode("latin-1"))
    return data.encode("latin-1").decode("utf-8", "surrogateescape")


@lru_cache(maxsize=16384)
def _matches(above: str, name: str) -> tuple[tuple[str, str | None, dict[str, str | None]], ...]:
    """Return the kind, the runtime and the groups of each form that a component matches.

    All cgroups below share the components above them, so a deep path costs one look for each.
    """
    path = f"{above}/{name}"
    found = ((kind, runtime, form.fullmatch(path)) for kind, runtime, form in _FORMS)
    return tuple((kind, runtime, match.groupdict()) for kind, runtime, match in found if match is not None)


@lru_cache(maxsize=16384)
def identify(location: str) -> Identity | None:
    """Return the identity of a location; None if no component has a known form."""
    names = location.strip("/").split("/")
    kind, facts, known = "", dict[str, str](), 0
    above = ""
    for depth, component in enumerate(names, 1):
        for name in _COLONS.sub(r"\1/\2-\3", component).split("/") if ":" in component else (component,):
            for form_kind, runtime, groups in _matches(above, name):
                if _PART_OF.get(form_kind, "") in {"", *facts}:
                    kind, known = _learn(facts, form_kind, groups, runtime), depth
            above = name
    if not kind:
        return None
    uid = facts.pop("uid", None)
    return Identity(kind, **facts, uid=None if uid is None else int(uid), below="/".join(names[known:]))


def _clear(facts: dict[str, str], *fields: str) -> None:
    for field in fields:
        facts.pop(field, None)


def _learn(facts: dict[str, str], kind: str, groups: dict[str, str | None], runtime: str | None) -> str:
    """Add the fields that one form has found, and return the kind."""
    found = {field: text for field, text in groups.items() if text}
    outer = facts.get("container")
    if outer and outer in facts.get("unit", "") and kind in _INNER and found.get("container") != outer:
        _clear(facts, "unit", "slice")
    if kind in ("unit", "slice") and facts.get("unit", "").startswith("user@") and found.get("unit") != facts["unit"]:
        facts["system_unit"] = facts["unit"]
    _clear(facts, *_CLEARS.get(kind, ()))
    kind = _KINDS.get(kind, kind)
    if kind == "container":
        _clear(facts, "runtime")
        told = _RUNTIMES.get(found.pop("prefix", "")) or _PARENTS.get(found.pop("parent", ""))
        runtime = runtime or told
    if kind == "pod" and runtime is None:
        found.setdefault("qos", "guaranteed")
        found["pod"] = found["pod"].replace("_", "-")
    for field in ("unit", "slice", "machine"):
        if field in found:
            found[field] = unescape(found[field])
    facts |= found
    if runtime is not None:
        facts["runtime"] = runtime
    return kind
