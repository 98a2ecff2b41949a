"""Vitals: their figures and units, rows of several hierarchies, and no number without a meaning."""

from __future__ import annotations

import csv
import inspect
import json
import re
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import cgroups
from cgroups import MAX, Cgroup, CgroupNotFound, Frame, Host, Io, Sampler, backend, rates
from cgroups.cli.common import tables, thinned
from cgroups.cli.common.merged import merged
from cgroups.cli.common.panels import panels_of
from cgroups.cli.common.replay import vitals_of
from cgroups.cli.common.rows import Table
from cgroups.cli.common.several import Failures
from cgroups.cli.common.ticks import Figures, Raw
from cgroups.cli.common.vitals import RAW, VITALS, Vitals, parameters_on
from cgroups.cli.record import record

INNER = "/cgroups-capture/inner"
NO_STALL = "some avg10=0.00 avg60=0.00 avg300=0.00 total={0}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"


def write(cgroup: Cgroup, name: str, text: str) -> None:
    Path(str(cgroup.path), name).write_text(text)


def later(sampler: Sampler, then: Frame) -> Frame:
    """A frame of a time that is not the one before's."""
    time.sleep(0.001)
    frame = sampler.sample()
    assert frame.timestamp_ns > then.timestamp_ns
    return frame


Change = Callable[[], object]


def row_after(change: Change, cgroups: Sequence[Cgroup]) -> dict[str, Any]:
    """Return the vitals of one row, by title, and the seconds that its rates cover."""
    vitals = Vitals({"row": cgroups})
    with vitals.sampler() as sampler:
        first = sampler.sample()
        vitals.start(first)
        change()
        now = later(sampler, first)
        ((_, taken, label, *figures),) = vitals.rows([now])
    assert (label, taken) == ("row", now.row_times[0])
    elapsed = (now.row_times[0] - first.row_times[0]) / 1e9
    return {**dict(zip(VITALS, figures)), "seconds": elapsed}


def fill(cgroup: Cgroup, *, usage_usec: int, kills: int, groups: int = 0, io: int, stall: int) -> None:
    """Write the files of a cgroup of v2."""
    write(cgroup, "cpu.stat", f"usage_usec {usage_usec}\nnr_periods {usage_usec}\nnr_throttled {usage_usec // 4}\n")
    write(cgroup, "memory.current", "1000\n")
    write(cgroup, "memory.stat", "inactive_file 300\n")
    write(cgroup, "memory.swap.current", "50\n")
    write(cgroup, "memory.max", "4096\n")
    write(cgroup, "pids.current", "7\n")
    write(cgroup, "memory.events", f"low 0\nhigh 0\nmax 0\noom 0\noom_kill {kills}\noom_group_kill {groups}\n")
    write(cgroup, "io.stat", f"254:0 rbytes={io} wbytes={2 * io} rios={3 * io} wios={4 * io} dbytes=0 dios=0\n")
    for at, name in enumerate(("cpu", "memory", "io"), 1):
        write(cgroup, f"{name}.pressure", NO_STALL.format(at * stall))


# ---- figures -------------------------------------------------------------------------------------


def test_vitals_of_v2_have_their_units(v2: Host) -> None:
    job = v2.find_exn(":/job/a")
    fill(job, usage_usec=0, kills=2, io=100, stall=0)
    found = row_after(lambda: fill(job, usage_usec=400, kills=3, io=1100, stall=60), [job])
    seconds = found["seconds"]
    rounded = 1e-4 * seconds
    assert found["cpu"] * seconds == pytest.approx(400e-6, rel=0.01, abs=rounded)
    assert found["throttled"] == 0.25
    assert (found["memory"], found["working_set"], found["swap"], found["limit"]) == (1000, 700, 50, 4096)
    assert (found["oom_kills"], found["pids"]) == (1, 7)
    moved = [found[name] * seconds for name in ("read_bytes", "write_bytes", "reads", "writes")]
    assert moved == pytest.approx([1000, 2000, 3000, 4000], rel=0.01, abs=seconds)
    stalled = [found[f"{name}_pressure"] * seconds for name in ("cpu", "memory", "io")]
    assert stalled == pytest.approx([60e-6, 120e-6, 180e-6], rel=0.01, abs=rounded)


def test_vitals_limit_is_max_without_one(v2: Host) -> None:
    job = v2.find_exn(":/job/a")
    write(job, "memory.max", "max\n")
    assert row_after(lambda: None, [job])["limit"] is MAX


def test_vitals_oom_kill_of_a_group_counts_its_first_process_once(v2: Host) -> None:
    """The kernel counts this process twice."""
    job = v2.find_exn(":/job/a")
    fill(job, usage_usec=0, kills=5, groups=1, io=0, stall=0)
    assert row_after(lambda: fill(job, usage_usec=0, kills=9, groups=2, io=0, stall=0), [job])["oom_kills"] == 3


def test_vitals_of_a_reset_counter_are_none(v2: Host) -> None:
    job = v2.find_exn(":/job/a")
    fill(job, usage_usec=1000, kills=5, io=500, stall=100)
    found = row_after(lambda: fill(job, usage_usec=10, kills=1, io=5, stall=1), [job])
    counted = ("cpu", "throttled", "oom_kills", "read_bytes", "writes", "cpu_pressure", "io_pressure")
    assert {found[name] for name in counted} == {None}
    assert found["memory"] == 1000


def test_vitals_of_a_cgroup_created_again_are_none(v2: Host) -> None:
    """Its counters may be higher than those of the former cgroup."""
    job = v2.find_exn(":/job/a")
    fill(job, usage_usec=10, kills=0, io=5, stall=1)
    path = Path(str(job.path))

    vitals = Vitals({"row": [job]})
    cgroups.set_fd_budget(0)
    try:
        with vitals.sampler() as sampler:
            frames = [sampler.sample()]
            vitals.start(frames[0])
            shutil.copytree(path.rename(path.with_name("moved")), path)
            fill(job, usage_usec=1000, kills=3, io=500, stall=100)
            for _ in range(3):
                frames.append(later(sampler, frames[-1]))
            found = [dict(zip(VITALS, figures)) for _, _, _, *figures in vitals.rows(frames[1:])]
    finally:
        cgroups.set_fd_budget(1024)
    counted = ("cpu", "oom_kills", "read_bytes", "memory_pressure")
    at = next(number for number, one in enumerate(found) if one["memory"] is not None)
    assert {one[name] for one in found[: at + 1] for name in counted} == {None}
    assert (found[at]["memory"], found[at]["pids"]) == (1000, 7)
    assert [found[at + 1][name] for name in counted] == [0, 0, 0, 0]


def test_vitals_of_a_removed_cgroup_are_none(v2: Host) -> None:
    job = v2.find_exn(":/job/a")
    cgroups.set_fd_budget(0)
    try:
        found = row_after(lambda: shutil.rmtree(str(job.path)), [job])
    finally:
        cgroups.set_fd_budget(1024)
    assert {one for name, one in found.items() if name != "seconds"} == {None}


@pytest.mark.parametrize("vital", VITALS.values(), ids=list(VITALS))
def test_vital_is_written_without_an_exponent(vital: Any) -> None:
    for one in (0.000051, 0.00012345, 0.5, 123456.7, 3.9e12):
        assert "e" not in repr(vital.rounded(one))
    assert vital.rounded(7) == 7
    assert vital.rounded(MAX) is MAX


# ---- IO ------------------------------------------------------------------------------------------


def test_vitals_first_io_of_a_fresh_cgroup_is_counted(v2: Host) -> None:
    """The columns of a sampler are fixed at its start, when only the root has used the device."""
    root, job = v2.find_exn(":/"), v2.find_exn(":/job/a")
    write(root, "io.stat", "254:0 rbytes=900 wbytes=0 rios=9 wios=0 dbytes=0 dios=0\n")
    write(job, "io.stat", "")
    used = "254:0 rbytes=512 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n"
    found = row_after(lambda: write(job, "io.stat", used), [job])
    assert found["read_bytes"] * found["seconds"] == pytest.approx(512, abs=found["seconds"])
    assert found["write_bytes"] == 0


@pytest.mark.skipif(backend != "native", reason="only the native backend records")
def test_recorded_frames_of_a_cgroup_without_the_file_have_no_io(v2: Host) -> None:
    """A missing file was taken for an empty one: the figure was 0."""
    with_io, without = v2.find_exn(":/job"), v2.find_exn(":/job/a")
    write(with_io, "io.stat", "254:0 rbytes=900 wbytes=0 rios=9 wios=0 dbytes=0 dios=0\n")
    Path(str(without.path), "io.stat").unlink()
    with Sampler([with_io, without], [Io.stat]) as sampler, sampler.record(0.001, duration=0.005) as recorder:
        while recorder.running:
            time.sleep(0.001)
        block = recorder.read()
    found = rates(block.frame(0), block.frame(-1))
    assert found[with_io].read_bytes == 0
    assert found[without].read_bytes is None


def test_vitals_of_uncounted_io_on_v1_are_none(v1: Host) -> None:
    """v1 counts only under a throttle: 0 is no figure if the device moved more than was counted."""
    blkio = v1.find_exn(f"blkio:{INNER}")
    for one in (blkio, v1.find_exn("blkio:/")):
        for name in ("io_service_bytes", "io_serviced"):
            lines = "".join(f"254:0 {key} 0\n" for key in ("Read", "Write", "Sync", "Async", "Total"))
            write(one, f"blkio.throttle.{name}_recursive", f"{lines}Total 0\n")
    diskstats = Path(v1.root, "proc/diskstats")
    diskstats.write_text("254 0 vda 1 0 8 0 1 0 8 0 0 0 0\n")
    found = row_after(lambda: diskstats.write_text("254 0 vda 9 0 80 0 1 0 8 0 0 0 0\n"), [blkio])
    assert (found["read_bytes"], found["reads"]) == (None, None)
    assert (found["write_bytes"], found["writes"]) == (0, 0)


# ---- several hierarchies -----------------------------------------------------------------------------


def rows(host: Host, *specs: str, recursive: bool = False) -> dict[str, list[Cgroup]]:
    context: Any = SimpleNamespace(obj=host)
    return merged(context, list(specs), failures=Failures(is_single=True), recursive=recursive)


@pytest.mark.parametrize(("spec", "label"), [(INNER, INNER), (f"memory:{INNER}", f"memory:{INNER}")])
def test_merged_row_has_the_cgroups_of_all_hierarchies(spec: str, label: str, v1: Host) -> None:
    found = rows(v1, spec)
    assert found.keys() == {label}
    controllers = {name for cgroup in found[label] for name in cgroup.hierarchy.subsystems}
    assert {"memory", "cpuacct", "cpu", "blkio", "pids"} <= controllers
    assert {cgroup.location for cgroup in found[label]} == {INNER}
    assert len({cgroup.hierarchy for cgroup in found[label]}) == len(found[label])


def test_merged_specs_of_one_cgroup_are_one_row(v1: Host) -> None:
    assert list(rows(v1, f"memory:{INNER}", f"pids:{INNER}", INNER)) == [f"memory:{INNER}"]


def test_merged_pattern_and_recursive_have_a_row_for_each_location(v1: Host) -> None:
    assert list(rows(v1, "/cgroups-capture/*")) == [INNER]
    assert list(rows(v1, "/cgroups-capture", recursive=True)) == ["/cgroups-capture", INNER]


def test_merged_row_of_a_process_has_its_cgroup_on_each_hierarchy(
    v1: Host, write_cgroup: Callable[[Host, int, str], list[Cgroup]]
) -> None:
    lines = f"3:memory:{INNER}\n2:cpuacct:/cgroups-capture\n0::/\n"
    write_cgroup(v1, 5447, lines)
    (cgroups,) = rows(v1, "5447").values()
    found = {str(one) for one in cgroups}
    assert {f"memory:{INNER}", "cpuacct:/cgroups-capture"} <= found


def test_merged_unknown_cgroup_is_refused(v1: Host) -> None:
    with pytest.raises(CgroupNotFound, match="/nope"):
        rows(v1, "/nope")


def test_vitals_row_takes_each_figure_from_the_hierarchy_of_its_controller(v1: Host) -> None:
    (several,) = rows(v1, INNER).values()
    by = {name: cgroup for cgroup in several for name in cgroup.hierarchy.subsystems}
    write(by["memory"], "memory.usage_in_bytes", "1000\n")
    write(by["memory"], "memory.stat", "swap 1\ntotal_swap 20\ninactive_file 1\ntotal_inactive_file 300\n")
    write(by["memory"], "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    write(by["pids"], "pids.current", "5\n")
    write(by["cpuacct"], "cpuacct.usage", "0\n")

    def change() -> None:
        write(by["cpuacct"], "cpuacct.usage", "2000000\n")
        write(by["memory"], "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")

    found = row_after(change, several)
    assert (found["memory"], found["working_set"], found["swap"], found["pids"]) == (1000, 700, 20, 5)
    assert found["oom_kills"] == 1
    assert found["cpu"] * found["seconds"] == pytest.approx(0.002, rel=0.2)


def test_vitals_memory_of_the_v1_root_includes_kernel_memory(v1: Host) -> None:
    """As in ``watch``: the root would have less memory than its children."""
    root = v1.find_exn("memory:/")
    write(root, "release_agent", "\n")
    write(root, "memory.usage_in_bytes", "1000\n")
    write(root, "memory.kmem.usage_in_bytes", "500\n")
    write(root, "memory.stat", "total_inactive_file 100\n")
    found = row_after(lambda: None, [root])
    assert (found["memory"], found["working_set"]) == (1500, 1400)


# ---- the command -----------------------------------------------------------------------------------


def contents(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    if path.suffix == ".parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        return [dict(row) for row in parquet.read_table(path).to_pylist()]
    with path.open(newline="") as file:
        return [dict(row) for row in csv.DictReader(file)]


@pytest.mark.parametrize("suffix", tables.SUFFIXES)
def test_record_default_has_the_vitals_as_columns(suffix: str, command: Any, v2_root: Path, tmp_path: Path) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    job = Host(str(v2_root)).find_exn(":/job/a")
    fill(job, usage_usec=10, kills=0, io=5, stall=1)
    path = tmp_path / f"out{suffix}"
    ran = command.run("record", "/job/a", "-o", str(path), "-i", "0.05", "-d", "0.5", root=v2_root)
    assert ran.code == 0, ran.err
    first = contents(path)[0]
    known = {name for name, one in first.items() if one not in (None, "")}
    assert known == {"time", "monotonic", "cgroup", *VITALS} - {"throttled"}  # no period has passed
    assert (first["cgroup"], float(first["memory"]), float(first["oom_kills"])) == ("/job/a", 1000, 0)
    table = tables.read(str(path))
    assert table.titles[0] == "cpu"
    assert {cgroup for _, cgroup, _ in table.rows} == {"/job/a"}


@pytest.mark.parametrize("suffix", tables.SUFFIXES)
def test_record_all_has_the_raw_columns(suffix: str, command: Any, v2_root: Path, tmp_path: Path) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    job = Host(str(v2_root)).find_exn(":/job/a")
    fill(job, usage_usec=10, kills=3, io=5, stall=1)
    path = tmp_path / f"out{suffix}"
    ran = command.run("record", ":/job/a", "--all", "-o", str(path), "-i", "0.05", "-d", "0.5", root=v2_root)
    assert ran.code == 0, ran.err
    first = contents(path)[0]
    assert float(first["cpuacct.usage"]) == 10_000
    assert float(first["memory.events[oom_kill]"]) == 3
    with Sampler([job], parameters_on(job.hierarchy, RAW)) as sampler:
        released = [column.title for column in sampler.columns]
    table = tables.read(str(path))
    assert {"memory", "pids"} <= {one.title for one in panels_of(table)}
    assert [name for name in table.titles if name in released] == [
        name for name in released if suffix != ".jsonl" or name in first
    ]


def test_record_all_and_parameters_exclude_each_other(command: Any, v2_root: Path, tmp_path: Path) -> None:
    words = ("record", ":/job/a", "--all", "-p", "pids.current", "-o", str(tmp_path / "out.csv"), "-d", "0.05")
    assert "exclude each other" in command.misused(command.run(*words, root=v2_root))
    assert not (tmp_path / "out.csv").exists()


def test_record_needs_a_hierarchy_with_vitals(v1: Host, tree: Any, tmp_path: Path) -> None:
    for name in ("freezer",):
        Path(str(v1.find_exn(f"{name}:/").path), "only").mkdir()
    with pytest.raises(CgroupNotFound, match="record a parameter with -p"):
        rows(v1, "freezer:/only")


# ---- raw numbers replayed -----------------------------------------------------------------------------


def test_vitals_of_raw_numbers_are_those_recorded(v2: Host) -> None:
    """Both forms of the same frames."""
    job = v2.find_exn(":/job/a")
    fill(job, usage_usec=0, kills=0, io=5, stall=0)
    vitals = Vitals({":/job/a": [job]})
    form = Figures(vitals)
    with form.sampler as sampler:
        raw, figures = Raw(sampler), []
        raw_rows = []
        last = sampler.sample()
        vitals.start(last)
        raw_rows += raw.of_frame(last)
        for step in range(1, 4):
            fill(job, usage_usec=100 * step, kills=step // 2, io=50 * step, stall=10 * step)
            last = later(sampler, last)
            raw_rows += raw.of_frame(last)
            figures += form.of_frame(last)
        titles = [column.title for column in sampler.columns]
    table = Table(titles, [(mono / 1e9, name, [plain(one) for one in rest]) for _, mono, name, *rest in raw_rows])
    replayed = vitals_of(table)
    assert replayed.titles == list(VITALS)
    assert len(replayed.rows) == len(figures) == 3
    for (_, _, again), (_, _, _, *recorded) in zip(replayed.rows, figures):
        for vital, one, other in zip(VITALS.values(), again, recorded):
            assert (one is None) == (other is None), vital.title
            if one is not None:
                assert one == pytest.approx(float(other), abs=10 ** -(vital.digits or 0)), vital.title


def plain(value: Any) -> Any:
    return None if value is MAX or value is None else float(value)


def test_vitals_of_raw_numbers_of_a_restart_are_none() -> None:
    titles = ["cpuacct.usage", "memory.usage_in_bytes"]
    raw = Table(titles, [(1.0, "a", [5e9, 10.0]), (2.0, "a", [1e9, 20.0]), (3.0, "a", [2e9, None])])
    found = vitals_of(raw)
    at = list(VITALS).index
    assert [(time, row[at("cpu")], row[at("memory")]) for time, _, row in found.rows] == [
        (2.0, None, 20),
        (3.0, 1.0, None),
    ]
    assert {row[at("read_bytes")] for _, _, row in found.rows} == {None}


def test_guide_and_help_name_each_vital_with_its_unit() -> None:
    page = Path(cgroups.__file__).with_name("guide").joinpath("record.md").read_text(encoding="utf-8")
    rows = [
        tuple(cell.strip() for cell in line.split("|")[1:3]) for line in page.splitlines() if line.startswith("| `")
    ]
    assert [row for row in rows if row[0].strip("`") in VITALS and row[1] == VITALS[row[0].strip("`")].unit] == [
        (f"`{title}`", vital.unit) for title, vital in VITALS.items()
    ]
    for title in VITALS:
        assert re.search(rf"^ +(\w+, )*{title}\b", inspect.getdoc(record) or "", re.MULTILINE), title


# ---- samples of a command -------------------------------------------------------------------------------


def test_thinned_keeps_few_frames_and_all_counts(v2: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thinned, "MOST", 8)
    monkeypatch.setattr(thinned, "FIRST_S", 0.001)
    job = v2.find_exn(":/job/a")
    fill(job, usage_usec=0, kills=0, io=0, stall=0)
    with thinned.Thinned("job", [job]) as samples:
        for kills in range(1, 6):
            time.sleep(0.03)
            fill(job, usage_usec=100 * kills, kills=kills, io=0, stall=0)
    table = samples.table()
    assert 2 <= len(table.rows) <= 8
    times = [moment for moment, _, _ in table.rows]
    assert times == sorted(times)
    assert {label for _, label, _ in table.rows} == {"job"}
    kills = list(VITALS).index("oom_kills")
    assert sum(row[kills] or 0 for _, _, row in table.rows) == 5


def test_thinned_with_an_interval_keeps_all_frames(v2: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thinned, "MOST", 4)
    with thinned.Thinned("job", [v2.find_exn(":/job/a")], interval=0.002) as samples:
        time.sleep(0.2)
    assert len(samples.table().rows) > 8
