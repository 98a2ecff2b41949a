"""PerfEvent, Rdma, Misc and Dmem: controllers of few files.  Source: cgroup-v2.rst, cgroup-v1/rdma.rst, misc.rst."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

from ..converter import to_int
from ..errors import InvalidValue, shown
from ..values import MAX, Limit
from .binding import Binding, File
from .codecs import INT_MAX, keyed_limits, limit, named_rows
from .parameter import ReadWrite, read_write, readable
from .replacing import Replacing


def _check_name(name: Any) -> str:
    if not isinstance(name, str) or not name or set(name) & set(" \t\n\0="):
        message = f"{shown(name)} is not the name of a resource"
        raise InvalidValue(message)
    return name


def _amounts(name: str, none: Limit = MAX) -> Replacing[dict[str, Limit], Mapping[str, Limit]]:
    """An amount for each resource; what is not named has none, which is MAX of a limit and 0 of a protection."""
    return Replacing(
        name,
        keyed_limits,
        key=_check_name,
        value=lambda value: None if value == none else limit.encode(value),
        line=lambda resource, text: f"{resource} {text}",
        removal=lambda resource: f"{resource} {none}",
        rows=lambda table: {resource: value for resource, value in table.items() if value != none},
    )


_HANDLES = ("hca_handle", "hca_object")


def _check_handles(row: Any) -> dict[str, Limit]:
    if not isinstance(row, Mapping) or set(row) - set(_HANDLES):
        message = f"{shown(row)} is not a mapping of {', '.join(_HANDLES)}"
        raise InvalidValue(message)
    for value in row.values():
        if value is not MAX and not 0 <= to_int(value) <= INT_MAX:
            message = f"{shown(value)} is neither MAX nor from 0 to {INT_MAX}"
            raise InvalidValue(message)
    return {key: row.get(key, MAX) for key in _HANDLES}


def _handles_line(device: str, row: Mapping[str, Limit]) -> str:
    return " ".join([device, *(f"{key}={row.get(key, MAX)}" for key in _HANDLES)])


_rdma_max: Binding[dict[str, dict[str, Limit]], Mapping[str, Mapping[str, Limit]]] = Replacing(
    "rdma.max",
    named_rows,
    key=_check_name,
    value=_check_handles,
    line=_handles_line,
    removal=lambda device: _handles_line(device, {}),
)
_rdma_current: Binding[dict[str, dict[str, Limit]], Any] = File("rdma.current", named_rows)


@final
class PerfEvent:
    """PerfEvent: perf events by cgroup.  It has no control files."""

    CONTROLLER: ClassVar = "perf_event"


@final
class Rdma:
    """Rdma: handles and objects of RDMA devices."""

    CONTROLLER: ClassVar = "rdma"

    max = read_write(
        _rdma_max,
        _rdma_max,
        "count",
        "limits by device: hca_handle, hca_object; set replaces the whole, a key it lacks is MAX",
    )
    current = readable(_rdma_current, _rdma_current, "count", "how many are used, by device")


@final
class Misc:
    """Misc: scalar resources, such as the encryption ids of virtual machines."""

    CONTROLLER: ClassVar = "misc"

    max: ReadWrite[dict[str, Limit], Mapping[str, Limit]] = read_write(
        _amounts("misc.max"), _amounts("misc.max"), "count", "the limit by resource; set replaces the whole"
    )
    current = readable(
        File("misc.current", keyed_limits), File("misc.current", keyed_limits), "count", "what is used, by resource"
    )
    peak = readable(
        File("misc.peak", keyed_limits),
        File("misc.peak", keyed_limits),
        "count",
        "the most that was ever used (from Linux 6.12)",
    )
    capacity = readable(
        File("misc.capacity", keyed_limits),
        File("misc.capacity", keyed_limits),
        "count",
        "what the machine has",
        root_only=True,
    )
    events = readable(
        File("misc.events", keyed_limits),
        File("misc.events", keyed_limits),
        "count",
        "how often a limit was hit",
        counter=True,
    )
    events_local = readable(
        File("misc.events.local", keyed_limits),
        File("misc.events.local", keyed_limits),
        "count",
        "the same of this cgroup alone (from Linux 6.12)",
        counter=True,
    )


_NO_DMEM = "v1 has no controller of device memory"


@final
class Dmem:
    """Dmem: memory of devices, such as of a graphics card, by region (from Linux 6.14)."""

    CONTROLLER: ClassVar = "dmem"

    max: ReadWrite[dict[str, Limit], Mapping[str, Limit]] = read_write(
        None, _amounts("dmem.max"), "bytes", "the limit by region; set replaces the whole", no_v1=_NO_DMEM
    )
    min: ReadWrite[dict[str, Limit], Mapping[str, Limit]] = read_write(
        None,
        _amounts("dmem.min", none=0),
        "bytes",
        "what is never evicted, by region; set replaces the whole",
        no_v1=_NO_DMEM,
    )
    low: ReadWrite[dict[str, Limit], Mapping[str, Limit]] = read_write(
        None,
        _amounts("dmem.low", none=0),
        "bytes",
        "what is evicted last, by region; set replaces the whole",
        no_v1=_NO_DMEM,
    )
    current = readable(None, File("dmem.current", keyed_limits), "bytes", "what is used, by region", no_v1=_NO_DMEM)
    capacity = readable(
        None, File("dmem.capacity", keyed_limits), "bytes", "what there is", no_v1=_NO_DMEM, root_only=True
    )
