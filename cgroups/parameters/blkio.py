"""Blkio: block devices on v1, with the same names on v2.

Source: Documentation/admin-guide/cgroup-v1/blkio-controller.rst.  Current kernels
have no CFQ.  CFQ's statistics are read from BFQ if BFQ provides them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

from ..core import quantities
from ..core.literals import Table, device_literal
from ..core.values import Device, DeviceTable, Limit
from .bindings import File, FirstOf
from .block import (
    by_operation,
    check_bfq,
    check_cfq,
    default_weight,
    either,
    same,
    throttle,
    to_blkio_weight,
    to_io_weight,
    weight_devices,
)
from .device_formats import device_numbers, device_operations
from .formats import bounded_int, no_value
from .kinds import Readable, ReadWrite, read_write, readable, resettable

_NO_STAT = "Io.stat has the statistics of v2"


def _throttle(name: str, key: str, unit: str, doc: str) -> ReadWrite[DeviceTable[Limit], Mapping[Device, Limit]]:
    v1, v2 = throttle(name, key)
    return read_write(
        v1,
        v2,
        unit,
        f"{doc}; set replaces all lines; MAX or 0 is no limit",
        literal=Table(device_literal, quantities.limit),
    )


def _numbers(name: str, unit: str, doc: str, *, counter: bool = True) -> Readable[DeviceTable[int]]:
    return readable(either(name, device_numbers()), None, unit, doc, no_v2=_NO_STAT, counter=counter)


def _operations(
    name: str, unit: str, doc: str, v2: Any = None, *, counter: bool = True
) -> Readable[DeviceTable[dict[str, int]]]:
    hint = None if v2 is not None else _NO_STAT
    return readable(either(name, device_operations), v2, unit, doc, no_v2=hint, counter=counter)


def _throttled(name: str, unit: str, doc: str, v2: Any) -> Readable[DeviceTable[dict[str, int]]]:
    return readable(File(f"blkio.throttle.{name}", device_operations), v2, unit, doc, counter=True)


_bytes: Any = by_operation("rbytes", "wbytes", "dbytes")
_requests: Any = by_operation("rios", "wios", "dios")


@final
class Blkio:
    """Blkio: block devices.  A device is ``Device(major, minor)``.

    On v1 the ``throttle_io_...`` counters of Linux 6.1 count only while the cgroup has a throttle on the device.
    """

    CONTROLLER: ClassVar = "blkio"
    NAMES_DEVICES: ClassVar = True

    weight: ReadWrite[int, int] = read_write(
        FirstOf(
            File("blkio.weight", bounded_int(min=10, max=1000)),
            File("blkio.bfq.weight", bounded_int(min=1, max=1000)),
        ),
        FirstOf(
            default_weight("io.bfq.weight", check_bfq, same, same),
            default_weight("io.weight", check_cfq, to_io_weight, to_blkio_weight),
        ),
        "10-1000",
        "the share of IO time; 1-1000 with BFQ; v2: the scaled default of io.bfq.weight, else of io.weight",
    )
    weight_device: ReadWrite[DeviceTable[int], Mapping[Device, int]] = read_write(
        FirstOf(
            weight_devices("blkio.weight_device", check_cfq, "0"),
            weight_devices("blkio.bfq.weight_device", check_bfq, "default"),
        ),
        FirstOf(
            weight_devices("io.bfq.weight", check_bfq, "default"),
            weight_devices("io.weight", check_cfq, "default", to_io_weight, to_blkio_weight),
        ),
        "10-1000",
        "the share by device, 1-1000 with BFQ; set replaces all lines",
        literal=Table(device_literal, quantities.whole),
    )
    throttle_read_bps_device = _throttle("read_bps_device", "rbps", "bytes/s", "maximum bytes read per second")
    throttle_read_iops_device = _throttle("read_iops_device", "riops", "1/s", "maximum reads per second, below 2^32")
    throttle_write_bps_device = _throttle("write_bps_device", "wbps", "bytes/s", "maximum bytes written per second")
    throttle_write_iops_device = _throttle("write_iops_device", "wiops", "1/s", "maximum writes per second, below 2^32")
    throttle_io_service_bytes = _throttled("io_service_bytes", "bytes", "bytes by device and operation", _bytes)
    throttle_io_serviced = _throttled("io_serviced", "count", "requests by device and operation", _requests)
    throttle_io_service_bytes_recursive = _throttled(
        "io_service_bytes_recursive", "bytes", "bytes by device and operation, descendants included", _bytes
    )
    throttle_io_serviced_recursive = _throttled(
        "io_serviced_recursive", "count", "requests by device and operation, descendants included", _requests
    )
    reset_stats = resettable(
        File("blkio.reset_stats", no_value, reset="1"),
        None,
        "",
        "resets the statistics except those of throttle; write-only",
        no_v2="the counters of io.stat cannot be reset",
    )
    time = _numbers("time", "ms", "IO time in ms")
    sectors = _numbers("sectors", "sectors", "sectors transferred")
    avg_queue_size = _numbers("avg_queue_size", "count", "the average length of the queue", counter=False)
    group_wait_time = _numbers("group_wait_time", "ns", "time waited for a time slice, in ns")
    empty_time = _numbers("empty_time", "ns", "time without a request, in ns")
    idle_time = _numbers("idle_time", "ns", "time the scheduler idled for a better request, in ns")
    dequeue = _numbers("dequeue", "count", "removals from the service tree")
    io_serviced = _operations("io_serviced", "count", "requests by device and operation", _requests)
    io_service_bytes = _operations("io_service_bytes", "bytes", "bytes by device and operation", _bytes)
    io_service_time = _operations("io_service_time", "ns", "time between dispatch and completion, in ns")
    io_merged = _operations("io_merged", "count", "requests merged")
    io_queued = _operations("io_queued", "count", "requests in the queues", counter=False)
    wait_time = _operations("io_wait_time", "ns", "time waited in the queues, in ns")
    io_serviced_recursive = _operations(
        "io_serviced_recursive", "count", "io_serviced, descendants included", _requests
    )
    io_service_bytes_recursive = _operations(
        "io_service_bytes_recursive", "bytes", "io_service_bytes, descendants included", _bytes
    )
    io_service_time_recursive = _operations("io_service_time_recursive", "ns", "io_service_time, descendants included")
    io_wait_time_recursive = _operations("io_wait_time_recursive", "ns", "wait_time, descendants included")
    io_merged_recursive = _operations("io_merged_recursive", "count", "io_merged, descendants included")
    io_queued_recursive = _operations("io_queued_recursive", "count", "io_queued, descendants included", counter=False)
    time_recursive = _numbers("time_recursive", "ms", "time, descendants included")
    sectors_recursive = _numbers("sectors_recursive", "sectors", "sectors, descendants included")
