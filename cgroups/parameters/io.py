"""Io: block devices on v2.  Source: cgroup-v2.rst (IO)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, final

from ..core import quantities
from ..core.codecs import to_device, to_int
from ..core.errors import InvalidValue, shown
from ..core.literals import Row, Table, device_literal, number_or_word
from ..core.values import EVENTS, FLAG, MAX, Device, DeviceTable, Limit, Quantity
from .bindings import File
from .block import check_bfq, check_io, check_io_max, io_max_line
from .device_formats import device_numbers, device_rows
from .formats import pressure, word_of
from .kinds import PressureParameter, ReadWrite, read_write, readable
from .per_device import Replacing

if TYPE_CHECKING:
    from ..core.node import Node

_NO_V1 = "the parameters of Blkio"

_PERCENT, _MICROSECONDS = Quantity("percent"), Quantity("us")
_RATES = {
    **dict.fromkeys(("rbps", "wbps"), Quantity("bytes/s")),
    **dict.fromkeys(("riops", "wiops", "rseqiops", "rrandiops", "wseqiops", "wrandiops"), Quantity("1/s")),
}
_STAT = {
    **dict.fromkeys(("rbytes", "wbytes", "dbytes"), Quantity("bytes", counter=True)),
    **dict.fromkeys(("rios", "wios", "dios"), EVENTS),
    # From the cost controller: block/blk-iocost.c.
    **dict.fromkeys(("cost.usage", "cost.wait", "cost.indebt", "cost.indelay"), Quantity("us", counter=True)),
    "cost.vrate": _PERCENT,
    # From the latency controller: block/blk-iolatency.c.
    **dict.fromkeys(("depth", "use_delay"), Quantity("count")),
    **dict.fromkeys(("missed", "total"), EVENTS),
    "avg_lat": _MICROSECONDS,
    "delay_nsec": Quantity("ns"),
    "win": Quantity("ms"),
}
_QOS = {
    "enable": FLAG,
    **dict.fromkeys(("rpct", "wpct", "min", "max"), _PERCENT),
    **dict.fromkeys(("rlat", "wlat"), _MICROSECONDS),
}


def _limited(table: DeviceTable[dict[str, Limit]]) -> dict[Device, dict[str, Limit]]:
    return {device: row for device, row in table.items() if row}


class _Weights(Replacing[DeviceTable[int], Mapping[Device, int]]):
    """A weight for each device, and a default weight, set only if the new DeviceTable has a default."""

    def __init__(self, name: str, check: Callable[[Any], int]) -> None:
        super().__init__(
            name,
            device_numbers(),
            key=to_device,
            value=check,
            line=lambda device, weight: f"{device} {weight}",
            removal=lambda device: f"{device} default",
        )
        self._check = check

    def write(self, cgroup: Node, parameter: str, value: Mapping[Device, int]) -> None:
        default = value.default if isinstance(value, DeviceTable) else None
        text = None if default is None else f"default {self._check(default)}"
        super().write(cgroup, parameter, value)
        if text is not None:
            cgroup.write_text(self.name, text, parameter, value)


def _check_latency(row: Any) -> dict[str, Limit] | None:
    """Check a target in microseconds; return None, which removes the target, for MAX."""
    if not isinstance(row, Mapping) or set(row) != {"target"}:
        message = f"row must be a mapping of target, got {shown(row)}"
        raise InvalidValue(message)
    if row["target"] is MAX:
        return None
    if to_int(row["target"]) <= 0:
        message = f"target must be MAX or a number of microseconds, got {row['target']}"
        raise InvalidValue(message)
    return {"target": row["target"]}


def _check_cost(row: Any) -> Mapping[str, Any]:
    valid = isinstance(row, Mapping) and row
    if not valid or not all(isinstance(key, str) and key.isidentifier() for key in row):
        message = f"row must be a mapping of keys such as enable, ctrl, rpct, got {shown(row)}"
        raise InvalidValue(message)
    for value in row.values():
        if not isinstance(value, (int, float, str)) or " " in str(value) or "\n" in str(value):
            message = f"value must be a number or a word, got {shown(value)}"
            raise InvalidValue(message)
    result: Mapping[str, Any] = row
    return result


def _cost_line(device: Device, row: Mapping[str, Any]) -> str:
    return " ".join(
        [
            str(device),
            *(f"{key}={value:.2f}" if isinstance(value, float) else f"{key}={value}" for key, value in row.items()),
        ]
    )


def _cost(name: str) -> Replacing[DeviceTable[dict[str, Any]], Mapping[Device, Mapping[str, Any]]]:
    # The kernel never removes a device's cost parameters.
    return Replacing(
        name, device_rows, key=to_device, value=_check_cost, line=_cost_line, removal=str, rows=lambda _: {}
    )


@final
class Io:
    """Io: block devices.  A device is ``Device(major, minor)``."""

    CONTROLLER: ClassVar = "io"
    NAMES_DEVICES: ClassVar = True

    stat = readable(
        None,
        File("io.stat", device_rows),
        "device table",
        "bytes and requests by device: rbytes, wbytes, rios, wios, dbytes, dios",
        keys=(_STAT,),
        no_v1="Blkio.throttle_io_service_bytes and Blkio.throttle_io_serviced",
    )
    max = read_write(
        None,
        Replacing[DeviceTable[dict[str, Limit]], Mapping[Device, Mapping[str, Limit]]](
            "io.max",
            device_rows,
            key=to_device,
            value=check_io_max,
            line=io_max_line,
            removal=lambda device: io_max_line(device, {}),
            rows=_limited,
        ),
        "device table",
        "limits by device: rbps, wbps, riops, wiops; set replaces all lines; a missing key is MAX",
        keys=(_RATES,),
        no_v1="Blkio.throttle_read_bps_device and similar ones",
        literal=Table(device_literal, Row(quantities.limit)),
    )
    weight = read_write(
        None,
        _Weights("io.weight", check_io),
        "1-10000",
        "the share of IO by device, and the default",
        no_v1="Blkio.weight",
        literal=Table(device_literal, quantities.whole, DeviceTable),
    )
    bfq_weight = read_write(
        None,
        _Weights("io.bfq.weight", check_bfq),
        "1-1000",
        "the share of IO by device with the BFQ scheduler, and the default",
        no_v1="Blkio.weight",
        literal=Table(device_literal, quantities.whole, DeviceTable),
    )
    latency = read_write(
        None,
        Replacing[DeviceTable[dict[str, Limit]], Mapping[Device, Mapping[str, Limit]]](
            "io.latency",
            device_rows,
            key=to_device,
            value=_check_latency,
            line=lambda device, row: f"{device} target={row['target']}",
            removal=lambda device: f"{device} target=max",
            rows=_limited,
        ),
        "us",
        "the latency target by device: target",
        no_v1=_NO_V1,
        literal=Table(device_literal, Row(quantities.limit)),
    )
    cost_qos = read_write(
        None,
        _cost("io.cost.qos"),
        "device table",
        "quality of service of the cost controller",
        keys=(_QOS,),
        no_v1=_NO_V1,
        root_only=True,
        literal=Table(device_literal, Row(number_or_word)),
    )
    cost_model = read_write(
        None,
        _cost("io.cost.model"),
        "device table",
        "the cost model",
        keys=(_RATES,),
        no_v1=_NO_V1,
        root_only=True,
        literal=Table(device_literal, Row(number_or_word)),
    )
    prio_class: ReadWrite[str, str] = read_write(
        File("blkio.prio.class", word_of("no-change", "promote-to-rt", "restrict-to-be", "idle", "none-to-rt")),
        File("io.prio.class", word_of("no-change", "promote-to-rt", "restrict-to-be", "idle", "none-to-rt")),
        "word",
        "the policy for the IO priority of requests",
    )
    pressure = PressureParameter(
        None, File("io.pressure", pressure), "percent", "IO stalls", no_v1="/proc/pressure/io is the whole system's"
    )
