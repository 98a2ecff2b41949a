"""Which devices v1 has not counted: its counters, and the kernel's own, before and after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cgroups import Cgroup, Host
from cgroups.cli.common import activity
from cgroups.jobs.disks import Disks
from cgroups.jobs.measure import _without_uncounted
from cgroups.jobs.report import Usage

FILE = "blkio.throttle.io_service_bytes_recursive"
MIB = 1 << 20

Set = Callable[..., None]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "proc/1").mkdir(parents=True)
    (tmp_path / "proc/1/mountinfo").write_text("34 29 0:29 / /cg rw,relatime - cgroup cgroup rw,blkio\n")
    (tmp_path / "cg/job").mkdir(parents=True)
    (tmp_path / "sys/dev/block/254:1").mkdir(parents=True)
    (tmp_path / "sys/dev/block/254:1/partition").touch()
    return tmp_path


@pytest.fixture
def job(tree: Path) -> Cgroup:
    return Host(str(tree)).find_exn("blkio:/job")


@pytest.fixture
def counters(tree: Path) -> Set:
    """Sets in MiB what vda has done, and what v1 has counted: of all, of the job."""

    def put(done: tuple[int, int], of_all: tuple[int, int] | None, own: tuple[int, int] | None) -> None:
        read, written = (2048 * amount for amount in done)
        line = f"0 {read} 0 9 0 {written} 0 0 0 0"
        lines = [f"254 0 vda 9 {line}", f"254 1 vda1 9 {line}", "7 0 loop0 0 0 0 0 0 0 0 0 0 0 0"]
        (tree / "proc/diskstats").write_text("\n".join(lines) + "\n")
        for name, counted in (("cg", of_all), ("cg/job", own)):
            rows = [] if counted is None else [f"254:0 Read {counted[0] * MIB}", f"254:0 Write {counted[1] * MIB}"]
            # Somebody else's throttle on loop0.
            text = "\n".join([*rows, "7:0 Read 512", "7:0 Write 0", "Total 0"])
            (tree / name / FILE).write_text(f"{text}\n")

    put((100, 100), None, None)
    return put


@pytest.mark.parametrize(
    ("done", "of_all", "own", "uncounted"),
    [
        # Nothing was done at all.
        ((100, 100), None, None, {"Read": [], "Write": []}),
        # Something was read, and nothing counts vda; the throttle on loop0 does not matter.
        ((164, 100), None, None, {"Read": ["vda"], "Write": []}),
        ((164, 101), None, None, {"Read": ["vda"], "Write": ["vda"]}),
        # All of it was counted, none of it as the job's.
        ((164, 101), (64, 1), (0, 0), {"Read": [], "Write": []}),
        ((164, 101), (64, 1), None, {"Read": [], "Write": []}),
        # A part of it was counted, none of it as the job's: the rest may be the job's.
        ((164, 100), (60, 0), (0, 0), {"Read": ["vda"], "Write": []}),
        # The job is counted.
        ((164, 100), (60, 0), (60, 0), {"Read": [], "Write": []}),
        ((164, 101), (60, 0), (60, 0), {"Read": [], "Write": ["vda"]}),
    ],
)
def test_uncounted_devices_by_direction(
    job: Cgroup, counters: Set, done: tuple[int, int], of_all: tuple[int, int] | None,
    own: tuple[int, int] | None, uncounted: dict[str, list[str]],
) -> None:  # fmt: skip
    seen = Disks(job)
    counters(done, of_all, own)
    assert seen.uncounted() == uncounted


def test_uncounted_without_the_kernels_counters_is_everything(job: Cgroup) -> None:
    assert Disks(job).uncounted() == {"Read": ["?"], "Write": ["?"]}


def test_uncounted_without_a_cgroup_is_nothing() -> None:
    assert Disks(None).uncounted() == {"Read": [], "Write": []}


def test_watch_shows_no_rate_of_a_device_that_is_not_counted(tree: Path, job: Cgroup, counters: Set) -> None:
    for file in ("blkio.throttle.io_serviced_recursive", "blkio.throttle.io_serviced", FILE.removesuffix("_recursive")):
        for name in ("cg", "cg/job"):
            (tree / name / file).write_text("254:0 Read 0\n254:0 Write 0\nTotal 0\n")
    counters((100, 100), (0, 0), (0, 0))
    looks = activity.Activity(job.hierarchy.host, None, None)
    looks.step()
    counters((100, 100), (0, 0), (0, 0))
    assert {one.read_bytes for one in looks.step()} == {0.0}
    # Read by somebody, and counted of nobody.
    counters((164, 100), (0, 0), (0, 0))
    found = looks.step()
    assert {(one.read_bytes, one.reads) for one in found} == {(None, None)}
    assert {one.write_bytes for one in found} == {0.0}
    looks.close()


def test_report_uncounted_direction_is_none_and_names_the_device() -> None:
    found = {"read_bytes": 0, "reads": 0, "written_bytes": 5, "writes": 1}
    why = _without_uncounted(found, {"Read": ["vda", "vdb"], "Write": []})
    assert why == "reads of vda, vdb may be uncounted: version 1 counts only under a throttle"
    usage = Usage(**found)  # type: ignore[arg-type]
    assert (usage.read_bytes, usage.reads, usage.written_bytes, usage.writes) == (None, None, 5, 1)
    assert _without_uncounted(found, {"Read": [], "Write": []}) is None
