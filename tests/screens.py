"""Usages, looks and the text of a screenshot, for the tests of the full screen."""

from __future__ import annotations

import html
import re
from collections import defaultdict
from typing import Any

from cgroups.cli.common.activity import CgroupUsage
from cgroups.cli.screen.history import Look, look_of
from cgroups.cli.screen.machine import Machine
from cgroups.core.name_matches import name_at

CELL_PX = 12.2
"""Width of a cell in textual's screenshots."""


def usage(location: str, **figures: Any) -> CgroupUsage:
    return CgroupUsage(**{"time": 0.0, "elapsed": 1.0, "location": location, "name": name_at(location), **figures})


def look(time: float, *usages: CgroupUsage, machine: Machine | None = None) -> Look:
    return look_of(time, usages, machine)


def text_of(svg: str) -> list[str]:
    """The lines of a screenshot, without its frame."""
    rows: dict[float, list[tuple[float, str]]] = defaultdict(list)
    for x, y, text in re.findall(r'<text class="[^"]*-r\d+" x="([\d.]+)" y="([\d.]+)"[^>]*>(.*?)</text>', svg):
        rows[float(y)].append((float(x), html.unescape(text).replace("\xa0", " ")))
    lines = []
    for y in sorted(rows):
        line = ""
        for x, text in sorted(rows[y]):
            line = line.ljust(round(x / CELL_PX)) + text
        lines.append(line.rstrip())
    return lines
