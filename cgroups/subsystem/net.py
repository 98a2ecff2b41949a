"""NetCls and NetPrio: marks and priorities of network packets.  v1.

Sources: cgroup-v1/net_cls.rst, cgroup-v1/net_prio.rst.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

from .._interface import Cells, Shape
from ..errors import InvalidValue, shown
from .binding import File
from .codecs import Reader, bounded_int, count
from .parameter import read_write, readable
from .replacing import Replacing

U32_MAX = (1 << 32) - 1
_NO_V2 = "v2 matches packets by cgroup path, in iptables and BPF"


def _check_interface(name: Any) -> str:
    if not isinstance(name, str) or not name or set(name) & set(" \t\n\0/"):
        message = f"{shown(name)} is not the name of a network interface"
        raise InvalidValue(message)
    return name


_priority = bounded_int(min=0, max=U32_MAX)


def _decode_priorities(cells: Cells) -> dict[str, int]:
    for key, value in cells:
        if not isinstance(value, int):
            message = f"the interface {key!r} has no priority"
            raise ValueError(message)  # noqa: TRY004 - what a decoder raises
    return dict(cells)


@final
class NetCls:
    """NetCls: a mark on each packet."""

    CONTROLLER: ClassVar = "net_cls"

    # The kernel cuts silently what is more than 32 bits.
    classid = read_write(
        File("net_cls.classid", bounded_int(min=0, max=U32_MAX)),
        None,
        "0xAAAABBBB",
        "major and minor of a tc handle",
        no_v2=_NO_V2,
    )


@final
class NetPrio:
    """NetPrio: a priority for each network interface."""

    CONTROLLER: ClassVar = "net_prio"

    prioidx = readable(
        File("net_prio.prioidx", count), None, "id", "the kernel's own number for the cgroup", no_v2=_NO_V2
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
        "the priority by interface; set replaces the whole, 0 is none",
        no_v2=_NO_V2,
    )
