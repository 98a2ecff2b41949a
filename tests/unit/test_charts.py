"""Charts: units, panels of every kind of recording, and pictures in which nothing covers anything."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from cgroups import InvalidValue
from cgroups.cli.common import charts, panels, tables
from cgroups.cli.common.panels import Panel, busiest, panels_of
from cgroups.cli.common.rows import Table
from cgroups.cli.common.scales import scale_of
from cgroups.cli.common.vitals import VITALS

pytestmark = pytest.mark.slow

MIB = 1 << 20


def recorded(cgroups: int, **figures: Any) -> Table:
    """Return a recording of vitals: a number, or a function of the time and the number of a cgroup, by title."""

    def figure(title: str, time: int, number: int) -> Any:
        one = figures.get(title)
        return one(time, number) if callable(one) else one

    rows = [
        (float(100 + time), f"/jobs/job-{number:02}.service", [figure(title, time, number) for title in VITALS])
        for time in range(10)
        for number in range(cgroups)
    ]
    return Table(list(VITALS), rows)


def by_title(found: list[Panel]) -> dict[str, Panel]:
    return {one.title: one for one in found}


# ---- units ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "highest", "unit", "factor"),
    [
        ("cpu", 1.5, "CPUs", 1),
        ("throttled", 0.5, "% of periods", 100),
        ("cpu_pressure", 0.5, "% of time", 100),
        ("memory", 300 * MIB, "MiB", 1 / MIB),
        ("memory", 1023, "B", 1),
        ("memory", 1 << 30, "GiB", 1 / (1 << 30)),
        ("memory", 0, "B", 1),
        ("read_bytes", 3.5 * MIB, "MiB/s", 1 / MIB),
        ("write_bytes", 0.5, "B/s", 1),
        ("pids", 3, "processes and threads", 1),
        ("cpuacct.usage", 2e9, "CPUs", 1e-9),
        ("cpu.stat[usage_usec]", 2e6, "CPUs", 1e-6),
        ("cpu.pressure[some,total]", 5e5, "% of time", 1e-4),
        ("memory.pressure[some,avg10]", 5, "%", 1),
        ("memory.usage_in_bytes", 5 * MIB, "MiB", 1 / MIB),
        ("io.stat[8:0,rbytes]", 5 * MIB, "MiB/s", 1 / MIB),
        ("memory.stat[pgfault]", 5000, "count per second", 1),
        ("pids.current", 5, "count", 1),
        ("of_a_newer.version[x]", 5, "", 1),
    ],
)
def test_scale_of_a_column_is_readable(title: str, highest: float, unit: str, factor: float) -> None:
    scale = scale_of(title, highest)
    assert scale.unit == unit
    assert scale.factor == pytest.approx(factor)


# ---- panels --------------------------------------------------------------------------------------


def test_panels_of_vitals_are_one_for_each_figure_that_is_not_always_0() -> None:
    table = recorded(2, cpu=1.0, memory=lambda time, _: time * MIB, swap=0, read_bytes=0, oom_kills=0, pids=3)
    found = panels_of(table)
    assert [one.title for one in found] == ["cpu", "memory", "pids"]
    assert [one.heading for one in found][:2] == ["CPU usage (CPUs)", "memory (MiB)"]
    line = by_title(found)["memory"].lines["/jobs/job-00.service"]
    assert line[:3] == [(100.0, 0.0), (101.0, 1.0), (102.0, 2.0)]


def test_panels_of_an_idle_recording_have_the_known_figures() -> None:
    assert [one.title for one in panels_of(recorded(1, cpu=0.0, memory=0))] == ["cpu", "memory"]
    assert [one.title for one in panels_of(recorded(1))] == ["cpu"]


def test_panel_of_memory_has_the_limit_and_the_kills() -> None:
    table = recorded(
        2,
        memory=lambda time, _: (50 - 40 * (time >= 5)) * MIB,
        limit=lambda _, number: 64 * MIB if number == 0 else None,
        oom_kills=lambda time, number: int(time == 5 and number == 1),
    )
    (memory,) = panels_of(table, ["memory"])
    assert memory.limits == {"/jobs/job-00.service": [(100.0 + time, 64.0) for time in range(10)]}
    assert memory.kills == {"/jobs/job-01.service": [(105.0, 50.0)]}  # at the height before the kill


def test_panel_with_a_missing_number_has_a_gap() -> None:
    (cpu,) = panels_of(recorded(1, cpu=lambda time, _: None if time == 3 else 1.0), ["cpu"])
    assert cpu.lines["/jobs/job-00.service"][2:5] == [(102.0, 1.0), (103.0, None), (104.0, 1.0)]


RAW = ["memory.usage_in_bytes", "memory.pressure[some,avg10]", "memory.pressure[some,total]", "memory.stat[pgfault]"]


def raw(*titles: str, wide: int = 0) -> Table:
    """Return a recording of raw numbers which all rise, with further columns that stay 0."""
    idle = [f"memory.stat[of_a_newer_kernel{number}]" for number in range(wide)]
    rows = [(float(time), "a", [*(1e6 * time + at for at in range(len(titles))), *[0.0] * wide]) for time in range(5)]
    return Table([*titles, *idle], rows)


def test_panels_of_named_parameters_are_all_their_columns() -> None:
    table = raw(*RAW)
    names = ["memory.pressure", "memory.pressure[some]", "memory.stat[pgfault]"]
    assert [one.title for one in panels_of(table, names)] == [*RAW[1:3], *RAW[1:3], RAW[3]]
    assert [one.title for one in panels_of(table, ["memory"])] == ["memory"]  # computed from the raw numbers


@pytest.mark.parametrize("name", ["none", "cpu", "cpuacct.usage", "memory.stat[none]"])
def test_panels_of_an_unknown_name_are_refused(name: str) -> None:
    with pytest.raises(InvalidValue, match="unknown column") as caught:
        panels_of(raw(*RAW), [name])
    assert caught.value.hint is not None
    assert "memory.usage_in_bytes" in caught.value.hint


def test_panels_of_few_raw_columns_are_those_that_change() -> None:
    assert [one.title for one in panels_of(raw(*RAW, wide=3))] == RAW[:2]  # the counters rise evenly


def test_panels_of_many_raw_columns_are_vitals() -> None:
    """The columns of ``record --all``, and those of the releases that recorded them by default."""
    found = by_title(panels_of(raw("cpuacct.usage", *RAW, "memory.limit_in_bytes", wide=30)))
    assert set(found) == {"cpu", "memory", "memory_pressure"}
    assert [y for _, y in found["cpu"].lines["a"]] == pytest.approx([0.001] * 4)
    assert found["memory"].limits


def test_panel_of_raw_memory_has_the_kills() -> None:
    titles = ["memory.usage_in_bytes", "memory.limit_in_bytes", "memory.oom_control[oom_kill]"]
    numbers = [(10, 0), (60, 0), (20, 1), (30, 1)]
    rows = [(float(time), "a", [used * MIB, 64.0 * MIB, kills]) for time, (used, kills) in enumerate(numbers)]
    (memory,) = panels_of(Table(titles, rows), ["memory.usage_in_bytes"])
    assert memory.kills == {"a": [(2.0, 60.0)]}
    assert memory.limits["a"][0] == (1.0, 64.0)


def test_panels_of_many_raw_columns_without_vitals_are_the_first_that_change() -> None:
    titles = [f"memory.stat[key{number}]" for number in range(20)]
    assert [one.title for one in panels_of(raw(*titles))] == titles[: panels.MOST]


# ---- the busiest ------------------------------------------------------------------------------------


def test_busiest_are_those_with_the_greatest_share_of_any_panel() -> None:
    table = recorded(
        40,
        cpu=lambda _, number: 1.0 if number == 7 else 0.001 * number,
        memory=lambda _, number: 512 * MIB if number == 3 else MIB,
    )
    named = busiest(panels_of(table), 5)
    assert len(named) == 5
    assert {"/jobs/job-07.service", "/jobs/job-03.service"} <= {*named}
    assert named == sorted(named)  # in the order of the file
    assert len(busiest(panels_of(table), 100)) == 40


def test_thinned_line_keeps_its_extremes_and_gaps() -> None:
    line: panels.Line = [(float(at), float(at % 7)) for at in range(100_000)]
    line[54_321] = (54_321.0, 999.0)
    line[70_000] = (70_000.0, -5.0)
    line[80_000] = (80_000.0, None)
    found = panels.thinned(line)
    assert len(found) <= 3 * panels.PARTS
    assert {(54_321.0, 999.0), (70_000.0, -5.0), (80_000.0, None)} <= {*found}
    assert {*found} <= {*line}
    assert [x for x, _ in found] == sorted(x for x, _ in found)
    assert panels.thinned(line[:1800]) == line[:1800]
    assert panels.thinned([(float(at), None) for at in range(5000)])[0] == (0.0, None)
    assert panels.thinned([]) == []


# ---- pictures -----------------------------------------------------------------------------------------


def drawn(cgroups: int, *, dark: bool = False, name: str = "") -> Any:
    table = recorded(
        cgroups,
        cpu=lambda time, number: 1 + math.sin(time + number),
        memory=lambda time, number: (100 + 10 * time + number) * MIB,
        limit=lambda _, number: (200 + number) * MIB if number < 3 else None,
        oom_kills=lambda time, number: int(time == 5 and number == 0),
        read_bytes=lambda time, number: 1e6 * time * number,
        cpu_pressure=0.5,
    )
    if name:
        table = table._replace(rows=[(time, f"{name}{cgroup}", row) for time, cgroup, row in table.rows])
    figure = charts.figure_of(panels_of(table), dark=dark)
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).draw()
    return figure


LONG = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podf00d.slice/cri-containerd-0123456789"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("cgroups", "name"), [(1, ""), (3, ""), (10, LONG), (30, ""), (30, LONG), (45, "")])
def test_chart_legend_covers_nothing_and_is_whole(cgroups: int, name: str, dark: bool) -> None:
    pytest.importorskip("matplotlib")
    figure = drawn(cgroups, dark=dark, name=name)
    (legend,) = figure.legends
    box, page = legend.get_window_extent(), figure.bbox
    assert page.x0 <= box.x0 < box.x1 <= page.x1
    assert page.y0 <= box.y0 < box.y1 <= page.y1
    for axis in figure.axes:
        assert not box.overlaps(axis.get_tightbbox())
    texts = [text.get_window_extent() for text in legend.get_texts()]
    assert not any(one.overlaps(other) for at, one in enumerate(texts) for other in texts[:at])
    labels = [text.get_text() for text in legend.get_texts()]
    others = max(cgroups - charts.NAMED, 0)
    assert len(labels) == min(cgroups, charts.NAMED) + bool(others) + 2
    assert labels[-2:] == ["memory limit", "OOM kill"]
    assert (f"{others} others" in labels) == bool(others)


@pytest.mark.parametrize("cgroups", [1, 30])
def test_chart_panels_do_not_overlap(cgroups: int) -> None:
    pytest.importorskip("matplotlib")
    boxes = [axis.get_tightbbox() for axis in drawn(cgroups).axes]
    assert len(boxes) == 3 + (cgroups > 1)
    for above, below in zip(boxes, boxes[1:]):
        assert above.y0 >= below.y1 - 1
    assert min(box.height for box in boxes) > 90


def test_chart_cgroups_have_distinct_colours_and_the_rest_is_grey() -> None:
    pytest.importorskip("matplotlib")
    for theme in (charts.LIGHT, charts.DARK):
        assert len({*theme.cgroups, theme.ground, theme.others}) == charts.NAMED + 2
    axis = drawn(45).axes[0]
    colours = [line.get_color() for line in axis.lines]
    assert colours.count(charts.LIGHT.others) == 15
    assert {*colours} - {charts.LIGHT.others} == {*charts.LIGHT.cgroups}


def luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [charts.LIGHT, charts.DARK], ids=["light", "dark"])
def test_theme_text_and_first_colours_stand_out_from_the_ground(theme: Any) -> None:
    def contrast(colour: str) -> float:
        low, high = sorted((luminance(colour), luminance(theme.ground)))
        return (high + 0.05) / (low + 0.05)

    assert contrast(theme.text) > 12
    assert min(contrast(one) for one in (*theme.cgroups[:10], theme.mark)) > 2.4
    assert min(map(contrast, theme.cgroups)) > 1.5


def test_chart_limit_is_dashed_and_kills_are_marks() -> None:
    pytest.importorskip("matplotlib")
    axes = {axis.get_title(loc="left").partition(" (")[0]: axis for axis in drawn(4).axes}
    dashed = [line for line in axes["memory"].lines if line.is_dashed()]
    assert [line.get_ydata()[0] for line in dashed] == [200, 201, 202]
    (mark,) = [line for line in axes["memory"].lines if line.get_marker() == "X"]
    assert [*map(float, mark.get_xdata())] == [5.0]
    assert not any(line.is_dashed() for line in axes["CPU usage"].lines)


def test_chart_limits_that_change_at_other_times_have_lines_of_their_own() -> None:
    pytest.importorskip("matplotlib")
    table = recorded(2, memory=MIB, limit=lambda time, number: (64 + 64 * (time >= 2 + 6 * number)) * MIB)
    (axis,) = charts.figure_of(panels_of(table)).axes
    dashed = [[*line.get_ydata()] for line in axis.lines if line.is_dashed()]
    assert dashed == [[64.0] * at + [128.0] * (10 - at) for at in (2, 8)]


def test_chart_of_an_equal_limit_has_one_line_of_no_cgroup() -> None:
    pytest.importorskip("matplotlib")
    table = recorded(3, memory=MIB, limit=5 * MIB)
    (axis,) = charts.figure_of(panels_of(table)).axes
    (dashed,) = [line for line in axis.lines if line.is_dashed()]
    assert dashed.get_color() == charts.LIGHT.text


@pytest.mark.parametrize(
    ("seconds", "label", "last"), [(60, "seconds", 60), (1800, "minutes", 30), (36000, "hours", 10)]
)
def test_chart_time_has_a_readable_unit(seconds: int, label: str, last: float) -> None:
    pytest.importorskip("matplotlib")
    table = Table(["cpu"], [(5000.0 + at, "a", [1.0]) for at in (0, seconds)])
    (axis,) = charts.figure_of(panels_of(table)).axes
    assert axis.get_xlabel() == label
    assert axis.lines[0].get_xdata()[-1] == pytest.approx(last)


def test_chart_of_one_row_has_a_dot() -> None:
    pytest.importorskip("matplotlib")
    (axis,) = charts.figure_of(panels_of(Table(["cpu"], [(1.0, "_a$x$", [1.0])]))).axes
    assert axis.lines[0].get_marker() == "."


def test_chart_of_one_raw_row_of_a_counter_is_drawn(tmp_path: Path) -> None:
    """A counter of one row has no rise."""
    pytest.importorskip("matplotlib")
    path = tmp_path / "one.csv"
    path.write_text("time,monotonic,cgroup,cpuacct.usage\n1.5,1.5,a,7\n")
    found = panels_of(tables.read(str(path)))
    assert [one.lines for one in found] == [{"a": []}]
    charts.draw(found, str(tmp_path / "one.png"))
    assert (tmp_path / "one.png").stat().st_size > 1000


def test_chart_without_matplotlib_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InvalidValue, match="a chart needs matplotlib") as caught:
        charts.check("out.svg")
    assert "cgroups-cffi[plot]" in str(caught.value.hint)


def test_chart_location_above_all_cgroups_stands_once() -> None:
    names = ["/jobs.slice/nightly", "/jobs.slice/nightly/one", "/jobs.slice/nightly/two"]
    assert charts._above(names) == "/jobs.slice/nightly"
    assert [charts._below(name, charts._above(names)) for name in names] == [names[0], "…/one", "…/two"]
    for others in (["/a/one", "/a/two"], names[:1], ["/jobs.slice/one", "docker 4f0f5e1c9d2b"], []):
        assert charts._above(others) == ""
