"""The state of the machine itself: CPUs, memory, swap and pressure, from /proc."""

from __future__ import annotations

import re
from typing import NamedTuple

from ...hierarchy import Host

__all__ = ["Machine", "MachineReader"]


class Machine(NamedTuple):
    """The state of a machine.  A missing figure is None; memory and swap are in bytes, pressures shares of time.

    ``cpu`` is in busy CPUs since the previous reading, and the pressures are averages of 10 s.
    """

    cpus: int = 0
    cpu: float | None = None
    memory: int | None = None
    memory_total: int | None = None
    swap: int | None = None
    swap_total: int | None = None
    load: float | None = None
    cpu_pressure: float | None = None
    memory_pressure: float | None = None
    io_pressure: float | None = None


class MachineReader:
    """A reader of the machine's state, which remembers the CPU counters of the previous reading."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._ticks: tuple[int, int] | None = None

    def read(self) -> Machine:
        """Return the state now."""
        stat = self._text("stat")
        # user nice system idle iowait irq softirq steal
        fields = [int(word) for word in next(iter(stat.splitlines()), "").split()[1:9]]
        cpus = len(re.findall(r"^cpu\d", stat, re.MULTILINE))
        lines = re.findall(r"^(\w+): +(\d+) kB", self._text("meminfo"), re.MULTILINE)
        memory = {name: int(kib) << 10 for name, kib in lines}
        load = self._text("loadavg").split()
        return Machine(
            cpus,
            self._busy(fields, cpus),
            _used(memory, "MemTotal", "MemAvailable"),
            memory.get("MemTotal"),
            _used(memory, "SwapTotal", "SwapFree"),
            memory.get("SwapTotal"),
            float(load[0]) if load else None,
            *map(self._pressure, ("cpu", "memory", "io")),
        )

    def _busy(self, fields: list[int], cpus: int) -> float | None:
        """Return the busy CPUs: the share of ticks that were neither idle nor waiting for IO, of all CPUs."""
        before, self._ticks = self._ticks, (sum(fields), sum(fields[3:5])) if fields else None
        if before is None or self._ticks is None:
            return None
        passed, idle = self._ticks[0] - before[0], self._ticks[1] - before[1]
        return max(passed - idle, 0) / passed * cpus if passed > 0 else None

    def _pressure(self, resource: str) -> float | None:
        found = re.match(r"some avg10=([\d.]+)", self._text(f"pressure/{resource}"))
        return float(found[1]) / 100 if found else None

    def _text(self, name: str) -> str:
        try:
            with open(self._host.system_path(f"proc/{name}"), encoding="ascii", errors="replace") as file:
                return file.read()
        except OSError:  # no such file on this kernel, or a captured tree
            return ""


def _used(memory: dict[str, int], total: str, free: str) -> int | None:
    return memory[total] - memory[free] if total in memory and free in memory else None
