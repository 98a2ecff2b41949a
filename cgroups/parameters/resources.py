"""PerfEvent, Rdma, Misc and Dmem.  Sources: cgroup-v2.rst, cgroup-v1/rdma.rst, misc.rst."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

from ..core import quantities
from ..core.codecs import to_int
from ..core.errors import InvalidValue, shown
from ..core.literals import Row, Table
from ..core.values import MAX, Limit
from .bindings import Binding, File
from .device_formats import named_rows
from .formats import keyed_limits
from .kinds import ReadWrite, read_write, readable
from .limit_formats import INT_MAX, limit
from .per_device import Replacing


def _check_name(name: Any) -> str:
    if not isinstance(name, str) or not name or set(name) & set(" \t\n\0="):
        message = f"key must be the name of a resource, got {shown(name)}"
        raise InvalidValue(message)
    return name


def _amounts(name: str, none: Limit = MAX) -> Replacing[dict[str, Limit], Mapping[str, Limit]]:
    """Return the binding of amounts by resource.  A missing resource has ``none``: MAX for a limit, else 0."""
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
        message = f"row must be a mapping of {', '.join(_HANDLES)}, got {shown(row)}"
        raise InvalidValue(message)
    for value in row.values():
        if value is not MAX and not 0 <= to_int(value) <= INT_MAX:
            message = f"value must be MAX or from 0 to {INT_MAX}, got {shown(value)}"
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
    """PerfEvent: perf events by cgroup, without control files."""

    CONTROLLER: ClassVar = "perf_event"


@final
class Rdma:
    """Rdma: handles and objects of RDMA devices."""

    CONTROLLER: ClassVar = "rdma"
    NAMES_DEVICES: ClassVar = True

    max = read_write(
        _rdma_max,
        _rdma_max,
        "count",
        "limits by device: hca_handle, hca_object; set replaces all lines; a missing key is MAX",
        literal=Table(str, Row(quantities.limit)),
    )
    current = readable(_rdma_current, _rdma_current, "count", "handles and objects in use, by device")


@final
class Misc:
    """Misc: scalar resources, such as the encryption ids of virtual machines."""

    CONTROLLER: ClassVar = "misc"

    max: ReadWrite[dict[str, Limit], Mapping[str, Limit]] = read_write(
        _amounts("misc.max"),
        _amounts("misc.max"),
        "count",
        "the limit by resource; set replaces all lines",
        literal=Table(str, quantities.limit),
    )
    current = readable(
        File("misc.current", keyed_limits), File("misc.current", keyed_limits), "count", "usage by resource"
    )
    peak = readable(
        File("misc.peak", keyed_limits),
        File("misc.peak", keyed_limits),
        "count",
        "peak usage by resource (from Linux 6.12)",
    )
    capacity = readable(
        File("misc.capacity", keyed_limits),
        File("misc.capacity", keyed_limits),
        "count",
        "capacity of the machine by resource",
        root_only=True,
    )
    events = readable(
        File("misc.events", keyed_limits),
        File("misc.events", keyed_limits),
        "count",
        "number of times that a limit was hit",
        counter=True,
    )
    events_local = readable(
        File("misc.events.local", keyed_limits),
        File("misc.events.local", keyed_limits),
        "count",
        "number of times that a limit was hit, descendants excluded (from Linux 6.12)",
        counter=True,
    )


_NO_DMEM = "v1 has no device memory controller"


@final
class Dmem:
    """Dmem: memory of devices, such as graphics cards, by region (from Linux 6.14)."""

    CONTROLLER: ClassVar = "dmem"
    NAMES_DEVICES: ClassVar = True

    max: ReadWrite[dict[str, Limit], Mapping[str, Limit]] = read_write(
        None,
        _amounts("dmem.max"),
        "bytes",
        "the limit by region; set replaces all lines",
        no_v1=_NO_DMEM,
        literal=Table(str, quantities.limit),
    )
    min: ReadWrite[dict[str, Limit], Mapping[str, Limit]] = read_write(
        None,
        _amounts("dmem.min", none=0),
        "bytes",
        "memory that is never evicted, by region; set replaces all lines",
        no_v1=_NO_DMEM,
        literal=Table(str, quantities.protection),
    )
    low: ReadWrite[dict[str, Limit], Mapping[str, Limit]] = read_write(
        None,
        _amounts("dmem.low", none=0),
        "bytes",
        "memory that is evicted last, by region; set replaces all lines",
        no_v1=_NO_DMEM,
        literal=Table(str, quantities.protection),
    )
    current = readable(None, File("dmem.current", keyed_limits), "bytes", "usage by region", no_v1=_NO_DMEM)
    capacity = readable(
        None, File("dmem.capacity", keyed_limits), "bytes", "capacity by region", no_v1=_NO_DMEM, root_only=True
    )
