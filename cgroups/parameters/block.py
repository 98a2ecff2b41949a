"""Code shared by Blkio and Io: per-device lines, and the v1 ↔ v2 translation of weights and throttles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..core.codecs import to_device, to_int
from ..core.errors import InvalidValue, shown
from ..core.interface import Numbers
from ..core.values import MAX, Device, DeviceTable, Limit
from .bindings import Binding, Custom, File, FirstOf, read_file
from .device_formats import device_numbers, device_rows
from .formats import Reader, bounded_int
from .limit_formats import U64_MAX
from .per_device import Replacing

if TYPE_CHECKING:
    from ..core.node import Node

IO_KEYS = ("rbps", "wbps", "riops", "wiops")
IOPS_MAX = (1 << 32) - 1
"""The greatest number of operations: v1 stores 32 bits, and silently truncates a greater number."""

BLKIO_MIN, BLKIO_MAX = 10, 1000


def to_io_weight(weight: int) -> int:
    """Convert a weight of blkio (10 … 1000) to one of io.weight (1 … 10000)."""
    return 1 + (weight - BLKIO_MIN) * 9999 // 990


def to_blkio_weight(weight: int) -> int:
    """Convert a weight back, rounding up, so that the round trip from blkio is exact."""
    return BLKIO_MIN + -(-(weight - 1) * 990 // 9999)


def _check_weight(minimum: int, maximum: int) -> Callable[[Any], int]:
    codec = bounded_int(min=minimum, max=maximum)
    return lambda value: int(codec.encode(value))


check_cfq = _check_weight(BLKIO_MIN, BLKIO_MAX)
check_bfq = _check_weight(1, 1000)
check_io = _check_weight(1, 10000)


# ---- weights -------------------------------------------------------------------------


def default_weight(
    name: str, check: Callable[[Any], int], there: Callable[[int], int], back: Callable[[int], int]
) -> Any:
    """Return the binding of a v2 weight file's ``default`` line, with ``there`` and ``back`` to convert the weight."""
    codec: Reader[DeviceTable[int]] = device_numbers(back)

    def read(cgroup: Node, parameter: str) -> int:
        default = read_file(cgroup, name, codec, parameter).default
        if default is None:
            message = "the default line is missing"
            raise InvalidValue(message)
        return default

    def write(cgroup: Node, parameter: str, value: int) -> None:
        cgroup.write_text(name, f"default {there(check(value))}", parameter, value)

    return Custom(name, read=read, write=write)


def weight_devices(
    name: str,
    check: Callable[[Any], int],
    removal: str,
    there: Callable[[int], int] = int,
    back: Callable[[int], int] = int,
) -> Replacing[DeviceTable[int], Mapping[Device, int]]:
    """Return the binding of per-device weights.  A device without a weight uses the default."""
    return Replacing(
        name,
        device_numbers(back),
        key=to_device,
        value=check,
        line=lambda device, weight: f"{device} {there(weight)}",
        removal=lambda device: f"{device} {removal}",
    )


def same(value: int) -> int:
    return value


# ---- throttles -----------------------------------------------------------------------


def check_rate(value: Any, maximum: int) -> int | None:
    """Check a rate; return None, which removes the line, for MAX and 0."""
    if value is MAX:
        return None
    number = to_int(value)
    if not 0 <= number <= maximum:
        message = f"rate must be MAX or from 0 to {maximum}, got {shown(number)}"
        raise InvalidValue(message)
    return number or None


def throttle(name: str, key: str) -> tuple[Binding[Any, Any], Binding[Any, Any]]:
    """Return the bindings of a v1 throttle file and of the v2 key of io.max."""
    maximum = IOPS_MAX if key.endswith("iops") else U64_MAX

    def limited(table: DeviceTable[dict[str, Limit]]) -> dict[Device, Limit]:
        return {device: row[key] for device, row in table.items() if row.get(key, MAX) is not MAX}

    def one_key(cells: Any) -> DeviceTable[Limit]:
        table = device_rows.decode(cells)
        return DeviceTable(limited(table))

    v1: Binding[Any, Any] = Replacing(
        f"blkio.throttle.{name}",
        device_numbers(),
        key=to_device,
        value=lambda value: check_rate(value, maximum),
        line=lambda device, rate: f"{device} {rate}",
        removal=lambda device: f"{device} 0",
    )
    v2: Binding[Any, Any] = Replacing(
        "io.max",
        Reader(one_key, device_rows.shape, Numbers(name=lambda row, name, _: row if name == key else None)),
        key=to_device,
        value=lambda value: check_rate(value, maximum),
        line=lambda device, rate: f"{device} {key}={rate}",
        removal=lambda device: f"{device} {key}=max",
    )
    return v1, v2


def check_io_max(row: Any) -> dict[str, Limit] | None:
    """Check a row of io.max, in which a missing key is MAX; return None if all keys are MAX."""
    if not isinstance(row, Mapping) or set(row) - set(IO_KEYS):
        message = f"row must be a mapping of {', '.join(IO_KEYS)}, got {shown(row)}"
        raise InvalidValue(message)
    rates = {key: check_rate(row.get(key, MAX), U64_MAX) for key in IO_KEYS}
    if all(rate is None for rate in rates.values()):
        return None
    return {key: MAX if rate is None else rate for key, rate in rates.items()}


def io_max_line(device: Device, row: Mapping[str, Limit]) -> str:
    return " ".join([str(device), *(f"{key}={row.get(key, MAX)}" for key in IO_KEYS)])


# ---- statistics -------------------------------------------------------------------------


def by_operation(read: str, write: str, discard: str) -> Binding[Any, Any]:
    """Return the binding of v1's device → {operation: count}, from three keys of io.stat."""
    names = {"Read": read, "Write": write, "Discard": discard}

    def decode(cells: Any) -> DeviceTable[dict[str, int]]:
        rows: dict[Device, dict[str, int]] = {}
        for device, row in device_rows.decode(cells).items():
            found = {name: row[key] for name, key in names.items() if isinstance(row.get(key), int)}
            if found:
                rows[device] = {**found, "Total": sum(found.values())}
        return DeviceTable(rows, total=sum(row["Total"] for row in rows.values()))

    operations = {key: name for name, key in names.items()}
    numbers = Numbers(name=lambda row, key, _: (row, operations[key]) if key in operations else None)
    return File("io.stat", Reader(decode, device_rows.shape, numbers))


def either(name: str, codec: Reader[Any]) -> FirstOf[Any, Any]:
    """Return the binding of ``blkio.name``, which CFQ has, else of ``blkio.bfq.name``."""
    return FirstOf(File(f"blkio.{name}", codec), File(f"blkio.bfq.{name}", codec))
