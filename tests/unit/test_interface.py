"""The Python copies of C's constants: each has the value that csrc/cg_abi.h gives it, and none is left out."""

from __future__ import annotations

import enum
import re
from pathlib import Path
from typing import Any

import pytest

from cgroups.control import start_places
from cgroups.core import interface
from cgroups.core.interface import Cell, Flag, Shape, Status, Step

native = pytest.importorskip("cgroups._native")
HEADER = Path(__file__).parents[2] / "csrc" / "cg_abi.h"

ENUMS: list[tuple[str, type[enum.IntEnum] | type[enum.IntFlag], str, set[str]]] = [
    # enum of C, enum of Python, prefix of C's names, names that only C needs
    ("cg_status", Status, "CG_", {"OK", "SPACE", "LAYOUT", "INTERRUPTED", "PAUSED"}),
    ("cg_shape", Shape, "CG_", set()),
    ("cg_cell", Cell, "CG_CELL_", set()),
    ("cg_target_flags", Flag, "CG_TARGET_", set()),
    ("cg_spawn_step", Step, "CG_SPAWN_", set()),
]

NUMBERS: dict[str, Any] = {
    "CG_MOUNTS_SAME": interface.SAME,
    "CG_MOUNTS_CHANGED": interface.CHANGED,
    "CG_MOUNTS_FOREIGN": interface.FOREIGN,
    "CG_PLACE_FREEZER": start_places.FREEZER,
    "CG_PLACE_CPUSET": start_places.CPUSET,
    "CG_RANGE_LAST": interface.RANGE_LAST,
}


@pytest.mark.parametrize(("name", "kind", "prefix", "only_in_c"), ENUMS, ids=[name for name, *_ in ENUMS])
def test_enum_has_the_values_of_c(name: str, kind: type[enum.IntEnum], prefix: str, only_in_c: set[str]) -> None:
    text = re.search(rf"enum {name} \{{(.*?)\}};", HEADER.read_text(encoding="utf-8"), re.DOTALL)
    assert text is not None
    without_comments = re.sub(r"/\*.*?\*/", "", text[1], flags=re.DOTALL)
    names = {one.removeprefix(prefix) for one in re.findall(rf"\b({prefix}\w+)\s*=", without_comments)}
    assert names == {member.name for member in kind} | only_in_c
    assert {member.name: getattr(native.lib, f"{prefix}{member.name}") for member in kind} == {
        member.name: member.value for member in kind
    }


@pytest.mark.parametrize("name", NUMBERS)
def test_number_is_the_one_of_c(name: str) -> None:
    assert getattr(native.lib, name) == NUMBERS[name]
