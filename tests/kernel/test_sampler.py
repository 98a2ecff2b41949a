"""Sampler on the real kernel: what it reads, by which system calls, and whose numbers they are."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from common import MakeCgroup, needs

import cgroups
from cgroups import MAX, Cell, Cgroup, CgroupError, Core, Hierarchy, Memory, Parameters, Pids, Sampler, Subsystem

RunScript = Callable[..., str]

SCALE = float(os.environ.get("CGROUPS_TESTS_SCALE", "1"))


# Hierarchies whose cgroups have a number that a test can set: of v1, that of pids.
COUNTABLE = [head for head in ("pids", "") if Hierarchy.find(f"{head}:/") is not None]


@pytest.fixture(params=sorted({Hierarchy.find_exn(f"{head}:/").hierarchy.spec_head for head in COUNTABLE}))
def countable(request: pytest.FixtureRequest) -> str:
    """Return the spec head of a hierarchy with a number that a test can set."""
    head: str = request.param
    return head


def a_limit(cgroup: Cgroup) -> Any:
    """A number that a test can set, and that tells one cgroup from another."""
    return Pids.max if "pids" in cgroup.subsystems else Core.max_descendants if cgroup.version == 2 else None


# ---- the numbers -------------------------------------------------------------------------------


def test_each_number_is_what_get_gives(controller_here: str, make_cgroup: MakeCgroup) -> None:
    """All parameters of a controller that are one number, in one frame."""
    cgroup = make_cgroup(controller_here)
    parameters = []
    for parameter in Subsystem.parameters():
        if isinstance(parameter, Parameters.Readable):
            try:
                value = Parameters.get(parameter, cgroup)
                Sampler([cgroup], [parameter])
            except CgroupError:
                continue
            if isinstance(value, (int, float)) or value is MAX:
                parameters.append(parameter)
    with Sampler([cgroup], parameters) as sampler:
        for _ in range(5):  # a counter may move between two reads
            wanted = [Parameters.get(parameter, cgroup) for parameter in parameters]
            got = [sampler.sample()[cgroup, parameter] for parameter in parameters]
            if got == wanted:
                break
    assert got == wanted
    assert parameters


# ---- system calls ------------------------------------------------------------------------------

FRAMES = """
import gc
from cgroups import Sampler
tops, frames = sys.argv[2:], int(sys.argv[1])
cgroups = [child for top in tops for child in Hierarchy.find_exn(top).children()]
parameters = {1: [Pids.max, Pids.current], 2: [Core.max_depth, Core.max_descendants, Core.stat]}[cgroups[0].version]
sampler = Sampler(cgroups, parameters)
gc.collect()
gc.disable()
for _ in range(50):
    frame = sampler.sample()
for _ in range(frames):
    os.getppid()
    frame = sampler.sample()
os.getppid()
print(len(cgroups) * len(parameters), set(frame.status.tolist()[0]))
"""


@needs("native", "strace")
def test_sampler_frame_is_one_pread_per_file(
    countable: str, make_cgroup: MakeCgroup, script: Any, tmp_path: Path
) -> None:
    """And no other system call."""
    top = make_cgroup(countable)
    for number in range(5):
        top.make_sub(f"{number}")
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-qq", "-o", str(trace), *script(FRAMES, "3", str(top))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    files, statuses = done.stdout.split(" ", 1)
    assert statuses.strip() <= "{0, 1}"
    calls = [re.sub(r"^\d+ +", "", line) for line in trace.read_text().splitlines()]
    marks = [at for at, call in enumerate(calls) if call.startswith("getppid")][-4:]
    for start, end in zip(marks, marks[1:]):
        frame = calls[start + 1 : end]
        assert [call for call in frame if not re.match(r"pread64\(.*, 0\) += \d+$", call)] == []
        assert len(frame) == int(files)


# ---- whose numbers they are --------------------------------------------------------------------


class Churn:
    """A thread that removes and makes cgroups under a few names; each has a number of its own."""

    def __init__(self, top: Cgroup, names: list[str]) -> None:
        self.top, self.names = top, names
        self.parameter = a_limit(top)
        self.numbers: dict[int, int] = {}  # by inode
        self.made = 0
        self.failure: BaseException | None = None
        self.done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def make(self, name: str) -> None:
        cgroup = self.top.make_sub(name)
        self.made += 1
        number = 1000 + self.made
        self.numbers[cgroup.inode] = number
        Parameters.set(self.parameter, cgroup, number)

    def _run(self) -> None:
        try:
            at = 0
            while not self.done.is_set():
                name = self.names[at % len(self.names)]
                at += 1
                Hierarchy.find_exn(f"{self.top}/{name}").remove()
                self.make(name)
        except BaseException as error:  # noqa: BLE001 - it is the test's to tell
            self.failure = error

    def __enter__(self) -> Churn:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure


def test_sampler_numbers_are_of_the_inode_of_their_row(countable: str, make_cgroup: MakeCgroup) -> None:
    """While half of the rows are removed and made again, as fast as it goes, and single reads share the files."""
    top = make_cgroup(countable)
    churn = Churn(top, [f"moving{number}" for number in range(10)])
    rows = []
    for number in range(10):
        for name in (f"still{number}", f"moving{number}"):
            churn.make(name)
            rows.append(Hierarchy.find_exn(f"{top}/{name}"))
    counts = dict.fromkeys(Cell, 0)
    frames = []
    with Sampler(rows, [churn.parameter]) as sampler, churn:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            frames.append(sampler.sample())
            if len(frames) > 2000:
                del frames[:-1000]
    for frame in frames:
        for row, inode in enumerate(frame.inodes):
            status = frame.status[row, 0]
            counts[Cell(status)] += 1
            if status == Cell.OK:
                assert frame.values[row, 0] == churn.numbers[inode]
            elif status == Cell.MAX:
                assert inode in churn.numbers  # its number was not yet set
            if "still" in rows[row].name:
                assert status == Cell.OK
    assert counts[Cell.ERROR] == counts[Cell.RANGE] == 0
    assert counts[Cell.OK] > len(frames) * 10
    assert churn.made > 20 + 50 * SCALE


def test_sampler_half_of_the_rows_are_removed(countable: str, make_cgroup: MakeCgroup) -> None:
    top = make_cgroup(countable)
    rows = [top.make_sub(f"{number:02}") for number in range(20)]
    parameter = a_limit(top)
    for number, row in enumerate(rows):
        Parameters.set(parameter, row, 100 + number)
    with Sampler(rows, [parameter]) as sampler:
        before = sampler.sample()
        for row in rows[::2]:
            row.remove()
        after = sampler.sample()
        assert [status for (status,) in after.status.tolist()] == [Cell.GONE, Cell.OK] * 10
        assert list(after.inodes) == list(before.inodes)
        assert [value for (value,) in after.values.tolist()][1::2] == list(range(101, 120, 2))
        assert before[rows[0], parameter] == 100
        # Made again, they answer, under inodes of their own.
        again = [top.make_sub(row.name) for row in rows[::2]]
        frame = sampler.sample()
        assert [frame.inodes[at] for at in range(0, 20, 2)] == [row.inode for row in again]
        assert {status for (status,) in frame.status.tolist()} == {Cell.OK, Cell.MAX}


def test_sampler_more_files_than_the_budget(countable: str, make_cgroup: MakeCgroup, kept_budget: None) -> None:
    """Slower, and as right; what others have kept stays."""
    top = make_cgroup(countable)
    rows = [top.make_sub(f"{number:02}") for number in range(40)]
    parameter = a_limit(top)
    for number, row in enumerate(rows):
        Parameters.set(parameter, row, 100 + number)
    for budget in (1000, 20, 1, 0, 30):
        cgroups.set_fd_budget(budget)
        with Sampler(rows, [parameter]) as sampler:
            for _ in range(3):
                assert [value for (value,) in sampler.sample().values.tolist()] == list(range(100, 140))


def test_sampler_controller_disabled_and_enabled_again(make_cgroup: MakeCgroup) -> None:
    """On v2 its files go while the cgroup stays: ABSENT, and looked for again within a second."""
    root = Hierarchy.find(":/")
    enabled = Parameters.get(Core.subtree_control, root) if root is not None else ()
    top = make_cgroup("memory" if "memory" in enabled else "")
    below = top.make_sub("below")
    if "memory" not in below.subsystems:
        with Sampler([below], [Core.max_depth]) as sampler:
            assert sampler.sample().row(0) == [MAX]
        return
    with Sampler([below], [Memory.max, Core.max_depth]) as sampler:
        assert sampler.sample().row(0) == [MAX, MAX]
        Parameters.set(Core.subtree_control, top, [])
        frame = sampler.sample()
        assert frame.status.tolist() == [[Cell.ABSENT, Cell.MAX]]
        Parameters.set(Core.subtree_control, top, ["memory"])
        Parameters.set(Memory.max, below, 1 << 20)
        end = time.monotonic() + 20
        while frame.row(0)[0] is None and time.monotonic() < end:
            time.sleep(0.05)
            frame = sampler.sample()
        assert frame.row(0) == [1 << 20, MAX]


def test_row_of_a_renamed_cgroup_follows_its_name(need: Callable[[str], None], make_cgroup: MakeCgroup) -> None:
    """Version 1 can rename a cgroup; another one made under the old name is found within ten seconds."""
    need("pids")
    top = make_cgroup("pids")
    if top.version == 2:  # which has no rename
        pytest.skip("version 1 only")
    one = top.make_sub("one")
    with Sampler([one], [Pids.current]) as sampler:
        old = sampler.sample().inodes[0]
        os.rename(str(one.path), f"{top.path}/other")
        os.mkdir(str(one.path))
        deadline = time.monotonic() + 30
        while (frame := sampler.sample()).inodes[0] == old:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert frame.inodes[0] == one.inode
        assert frame[one, Pids.current] == 0
