"""NetCls and NetPrio: marks and priorities of network packets.  v1.

Sources: cgroup-v1/net_cls.rst, cgroup-v1/net_prio.rst.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

from ..core import quantities
from ..core.errors import InvalidValue, shown
from ..core.interface import Cells, Shape
from ..core.literals import Table, handle_literal
from .bindings import File
from .formats import Reader, bounded_int, count
from .kinds import read_write, readable
from .per_device import Replacing

U32_MAX = (1 << 32) - 1
_NO_V2 = "v2 matches packets by cgroup path, in iptables and BPF"


def _check_interface(name: Any) -> str:
    if not isinstance(name, str) or not name or set(name) & set(" \t\n\0/"):
        message = f"key must be the name of a network interface, got {shown(name)}"
        raise InvalidValue(message)
    return name


_priority = bounded_int(min=0, max=U32_MAX)


def _decode_priorities(cells: Cells) -> dict[str, int]:
    for key, value in cells:
        if not isinstance(value, int):
            message = f"the interface {key!r} has no priority"
            raise ValueError(message)  # noqa: TRY004 - decoders raise ValueError
    return dict(cells)


@final
class NetCls:
    """NetCls: a mark on each packet."""

    CONTROLLER: ClassVar = "net_cls"

    # The kernel silently truncates a number to 32 bits.
    classid = read_write(
        File("net_cls.classid", bounded_int(min=0, max=U32_MAX)),
        None,
        "0xAAAABBBB",
        "major and minor of a tc handle",
        no_v2=_NO_V2,
        literal=handle_literal,
    )


@final
class NetPrio:
    """NetPrio: a priority for each network interface."""

    CONTROLLER: ClassVar = "net_prio"
    NAMES_DEVICES: ClassVar = True

    prioidx = readable(
        File("net_prio.prioidx", count), None, "id", "the kernel's internal number of the cgroup", no_v2=_NO_V2
    )
    ifpriomap = read_write(
        Replacing[Mapping[str, int], Mapping[str, int]](
            "net_prio.ifpriomap",
            Reader(_decode_priorities, Shape.KEYED),
            key=_check_interface,
            value=lambda value: int(_priority.encode(value)),
            line=lambda name, priority: f"{name} {priority}",
            removal=lambda name: f"{name} 0",
            rows=lambda table: {name: priority for name, priority in table.items() if priority},
        ),
        None,
        "priority",
        "the priority by interface; set replaces all lines; 0 is the default",
        no_v2=_NO_V2,
        literal=Table(str, quantities.whole),
    )
