"""The line of the machine itself, from files of /proc that a test writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from cgroups import Host
from cgroups.cli.screen.machine import Machine, MachineReader


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / "proc" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


STAT = "cpu  {} 0 0 {} 0 0 0 0 0 0\ncpu0 1 0 0 1\ncpu1 1 0 0 1\nintr 5\n"


def test_machine_cpu_is_the_share_of_ticks_since_the_previous_reading(tmp_path: Path) -> None:
    write(tmp_path, stat=STAT.format(100, 300))
    reader = MachineReader(Host(str(tmp_path)))
    first = reader.read()
    assert (first.cpus, first.cpu) == (2, None)
    write(tmp_path, stat=STAT.format(175, 325))  # 75 of 100 ticks of all CPUs
    assert reader.read().cpu == pytest.approx(1.5)
    assert reader.read().cpu is None  # no tick since


def test_machine_memory_swap_load_and_pressure(tmp_path: Path) -> None:
    write(
        tmp_path,
        meminfo="MemTotal: 1000 kB\nMemAvailable: 400 kB\nSwapTotal: 10 kB\nSwapFree: 10 kB\nHugePages_Total: 3\n",
        loadavg="1.25 0.5 0.1 1/100 4242\n",
        pressure__cpu="some avg10=12.50 avg60=0.00 avg300=0.00 total=1\n",
        pressure__io="some avg10=0.00 avg60=0.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=1\n",
    )
    found = MachineReader(Host(str(tmp_path))).read()
    assert (found.memory, found.memory_total, found.swap, found.swap_total) == (600 << 10, 1000 << 10, 0, 10 << 10)
    assert (found.load, found.cpu_pressure, found.memory_pressure, found.io_pressure) == (1.25, 0.125, None, 0.0)


def test_machine_without_proc_has_no_figures(tmp_path: Path) -> None:
    assert MachineReader(Host(str(tmp_path))).read() == Machine()


def test_machine_of_this_host_is_read() -> None:
    found = MachineReader(Host()).read()
    assert found.cpus > 0
    assert found.memory is not None
    assert found.memory_total is not None
    assert 0 < found.memory < found.memory_total
