"""The columns of ``watch``: texts, and what is red."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from screens import usage

from cgroups import MAX
from cgroups.cli.common.columns import COLUMNS

pytest.importorskip("textual")

from cgroups.cli.screen import bars, palette
from cgroups.cli.screen.keys import IN_PAGE, IN_TABLE
from cgroups.cli.screen.palette import PALETTES, styles
from cgroups.cli.screen.screens import TABS

FULL: dict[str, Any] = {
    **{"cpu": 1.5, "throttled": 0.25, "cpu_limit": 2.0, "memory": 950, "working_set": 900, "swap": 0, "limit": MAX},
    **{
        "effective_limit": 1000,
        "limited_by": "/top",
        "oom_kills_total": 0,
        "limit_hits_total": 3,
        "read_bytes": 2048.4,
    },
    **{"write_bytes": 0.0, "reads": 10.4, "writes": 0.0, "pids": 5, "pids_limit": 100, "refused_forks_total": 0},
    **{"cpu_pressure": 0.5, "memory_pressure": 0.0, "io_pressure": 0.05},
    **{"cpu_full_pressure": 0.0, "memory_full_pressure": 0.0, "io_full_pressure": 0.0},
}


@pytest.mark.parametrize(
    ("title", "text", "is_red"),
    [
        ("CPU", "1.50", False),
        ("THROTTLED", "25%", True),
        ("CPU LIMIT", "2.00", False),
        ("CPU %LIM", "75%", False),
        ("MEMORY", "950 B", True),
        ("LIMIT", "max", False),
        ("EFFECTIVE", "1000 B", False),
        ("MEM %LIM", "95%", True),
        ("LIMITED BY", "/top", False),
        ("OOM KILLS", "0", False),
        ("LIMIT HITS", "3", False),
        ("IO/S", "2.0 KiB", False),
        ("READS/S", "10", False),
        ("PIDS %LIM", "5%", False),
        ("PRESSURE", "55%", False),
        ("CPU PSI", "50%", True),
        ("IO PSI", "5%", False),
    ],
)
def test_column_of_a_full_usage(title: str, text: str, is_red: bool) -> None:
    column, one = COLUMNS[title], usage("/a", **FULL)
    assert (column.cell(one), column.is_red(one)) == (text, is_red)


@pytest.mark.parametrize("title", COLUMNS)
def test_column_of_a_missing_figure_is_a_dash(title: str) -> None:
    column = COLUMNS[title]
    assert column.cell(usage("/a")) == "-"
    assert not column.is_red(usage("/a"))


@pytest.mark.parametrize("title", COLUMNS)
def test_column_texts_fit_its_width(title: str) -> None:
    column = COLUMNS[title]
    assert len(column.title) <= column.width
    assert len(column.cell(usage("/a", **FULL))) <= column.width


@pytest.mark.parametrize(
    ("figures", "title"),
    [
        ({"memory": 90, "limit": 100}, "MEMORY"),
        ({"cpu": 0.95, "cpu_limit": 1.0}, "CPU"),
        ({"pids": 9, "pids_limit": 10}, "PIDS"),
        ({"oom_kills_total": 1}, "OOM KILLS"),
        ({"refused_forks_total": 1}, "REFUSED"),
        ({"memory_full_pressure": 0.1}, "MEM FULL"),
    ],
)
def test_column_near_a_limit_is_red(figures: dict[str, Any], title: str) -> None:
    assert COLUMNS[title].is_red(usage("/a", **figures))


def test_column_without_a_limit_is_not_red() -> None:
    unlimited = usage(
        "/a", cpu=9.0, cpu_limit=MAX, memory=1 << 40, limit=MAX, effective_limit=MAX, pids=9, pids_limit=MAX
    )
    assert [title for title, column in COLUMNS.items() if column.is_red(unlimited)] == []
    assert COLUMNS["MEM %LIM"].cell(unlimited) == "-"


def test_tabs_have_known_columns() -> None:
    assert [*TABS] == ["general", "cpu", "memory", "io", "pressure", "limits"]
    assert {title for titles in TABS.values() for title in titles} <= set(COLUMNS)


def test_keys_of_a_screen_are_unique() -> None:
    for keys in (IN_TABLE, IN_PAGE):
        names = [name for key in keys for name in key.keys.split(",")]
        assert len(set(names)) == len(names)


def test_help_names_each_key_and_column() -> None:
    text = "\n".join("".join(part.text for part in line) for line in bars.help_lines(IN_TABLE))
    assert all(key.meaning in text for key in IN_TABLE)
    assert all(column.meaning in text for column in COLUMNS.values())


@pytest.mark.parametrize("name", PALETTES)
def test_palette_has_a_style_for_each_role(name: str) -> None:
    source = "".join(path.read_text() for path in Path(palette.__file__).parent.glob("*.py"))
    roles = {*re.findall(r'Part\([^()]*(?:\([^()]*\))?[^()]*, "([a-z ]+)"', source)}
    assert {"bold", "dim", "key", "spark"} < roles
    assert roles <= styles(name).keys()
    assert styles(name)["red"] != styles(name)[""]


def test_palette_for_colour_blind_people_has_neither_red_nor_green() -> None:
    assert not {"red", "green"} & {word for style in PALETTES["colour-blind"].values() for word in style.split()}
    assert not any("#" in style or "red" in style.split() for style in PALETTES["mono"].values())
