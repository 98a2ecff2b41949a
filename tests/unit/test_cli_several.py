"""The commands on several cgroups: which words are SPECs, what is printed, and what fails."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cgroups import InvalidValue
from cgroups.cli.common.values import named, write_all

INNER = "/cgroups-capture/inner"


@pytest.fixture
def jobs_root(v2_root: Path) -> Path:
    """A host on which /jobs has three cgroups, of which the last has no control files of memory."""
    top = v2_root / "sys/fs/cgroup"
    for at, name in enumerate(("one", "two", "bare"), 1):
        directory = top / "jobs" / name
        shutil.copytree(top / "job/a", directory)
        (directory / "memory.max").write_text(f"{at}\n")
    for path in (top / "jobs/bare").glob("memory.*"):
        path.unlink()
    (top / "jobs/bare/cgroup.controllers").write_text("pids\n")
    return v2_root


# ---- words ---------------------------------------------------------------------------------


def test_get_several_specs_and_parameters(command: Any, jobs_root: Path) -> None:
    ran = command.run("get", ":/jobs/one", ":/jobs/two", "memory.max", "pids.max", root=jobs_root)
    assert (ran.code, ran.err) == (0, "")
    assert [line.split()[:2] for line in ran.out.splitlines()] == [
        [spec, name] for spec in (":/jobs/one", ":/jobs/two") for name in ("memory.max", "pids.max")
    ]
    assert ran.out.startswith(":/jobs/one memory.max 1\n")


def test_get_several_as_json_is_keyed_by_spec(command: Any, jobs_root: Path) -> None:
    ran = command.run("get", "--json", "/jobs/one", ":/jobs/two", "memory.max", root=jobs_root)
    assert json.loads(ran.out) == {"/jobs/one": {"memory.max": 1}, ":/jobs/two": {"memory.max": 2}}


def test_get_one_spec_has_no_spec_in_its_lines(command: Any, jobs_root: Path) -> None:
    assert command.run("get", ":/jobs/one", "memory.max", root=jobs_root).out == "memory.max 1\n"
    # A pattern has the form of several, however many match: a script can rely on it.
    assert command.run("get", ":/jobs/on*", "memory.max", root=jobs_root).out == ":/jobs/one memory.max 1\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["get", ":/jobs/one", "two", "memory.max"], "a cgroup is written /two"),
        (["get", ":/jobs/one", "memory.mx"], "did you mean memory.max"),
        (["get", "memory.max", ":/jobs/one"], "SPEC ':/jobs/one' must stand before the first PARAMETER, memory.max"),
        (["set", ":/jobs/one", "two", "memory.max=1"], "write /two for a cgroup"),
        (["set", ":/jobs/one", "memory.max=1", ":/jobs/two"], "':/jobs/two' must be PARAMETER=VALUE"),
        (["set", ":/jobs/one", "memory.max=1", "memory.max=2"], "memory.max is given twice"),
        (["set", ":/jobs/one", "memory.mx=1"], "did you mean memory.max"),
        (["set", ":/jobs/one", "memory.current=1"], "memory.current"),
        (["set", ":/jobs/one"], "PARAMETER=VALUE is missing"),
        (["set", ":/jobs/one", ":/jobs/two"], "PARAMETER=VALUE is missing"),
    ],
)
def test_words_ambiguous_are_refused(command: Any, jobs_root: Path, words: list[str], said: str) -> None:
    ran = command.run(*words, root=jobs_root)
    if "memory.current=1" in words:  # it is a parameter, and read-only
        assert "cannot be set" in command.failed(ran)
        return
    assert said in command.misused(ran)


def test_words_units_and_pids_after_the_first_are_specs(command: Any, jobs_root: Path) -> None:
    (jobs_root / "sys/fs/cgroup/ssh.service").mkdir()
    (jobs_root / "sys/fs/cgroup/ssh.service/pids.max").write_text("7\n")
    ran = command.run("get", ":/jobs/one", "ssh.service", "252", "pids.max", root=jobs_root)
    assert [line.split()[0] for line in ran.out.splitlines()] == [":/jobs/one", "ssh.service", "252"]


# ---- patterns ------------------------------------------------------------------------------


def test_get_pattern_skips_a_cgroup_without_the_parameter(command: Any, jobs_root: Path) -> None:
    ran = command.run("get", "/jobs/*", "memory.max", root=jobs_root)
    assert (ran.code, ran.out) == (0, "/jobs/one memory.max 1\n/jobs/two memory.max 2\n")
    ran = command.run("get", "/jobs/b*", "memory.max", root=jobs_root)
    assert "cannot read memory.max: no cgroup of /jobs/b* has it" in command.failed(ran)


def test_get_recursive_reads_the_cgroups_below(command: Any, jobs_root: Path) -> None:
    ran = command.run("get", "-r", "--json", ":/jobs", "pids.max", root=jobs_root)
    assert [*json.loads(ran.out)] == [":/jobs/bare", ":/jobs/one", ":/jobs/two"]  # /jobs itself has no file


def test_pattern_without_a_match_fails_and_the_others_are_read(command: Any, jobs_root: Path) -> None:
    ran = command.run("get", "/nope/*", ":/jobs/one", "memory.max", root=jobs_root)
    assert (ran.code, ran.out) == (1, ":/jobs/one memory.max 1\n")
    assert ran.err.startswith("cgroups: cannot expand '/nope/*': no cgroup matches")
    for words in (["get", "/nope/*"], ["set", "/nope/*", "memory.max=1"], ["watch", "/nope/*", "--once"]):
        assert "'/nope/*'" in command.failed(command.run(*words, root=jobs_root))
    ran = command.run("record", "/nope/*", "-o", str(jobs_root / "x.csv"), root=jobs_root)
    assert "'/nope/*'" in command.failed(ran)


def test_get_missing_spec_fails_and_the_others_are_read(command: Any, jobs_root: Path) -> None:
    ran = command.run("get", ":/gone", ":/jobs/two", "memory.max", root=jobs_root)
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, ":/jobs/two memory.max 2\n", 1)
    assert ":/gone" in ran.err


def test_pattern_of_locations_on_v1_reads_each_parameter_on_its_hierarchy(command: Any, v1_root: Path) -> None:
    ran = command.run("get", "--json", "/cgroups-capture/*", "memory.limit_in_bytes", "pids.max", root=v1_root)
    found = json.loads(ran.out)
    assert found.keys() == {INNER}
    assert found[INNER].keys() == {"memory.limit_in_bytes", "pids.max"}
    assert command.run("get", f"memory:{INNER}", "memory.limit_in_bytes", root=v1_root).out.split()[1] == str(
        found[INNER]["memory.limit_in_bytes"]
    )


def test_get_several_on_a_terminal_has_headings(command: Any, jobs_root: Path) -> None:
    drawn = command.on_terminal("get", ":/jobs/one", ":/jobs/two", "memory.max", root=jobs_root)
    assert [line for line in drawn.splitlines() if line.startswith(":")] == [":/jobs/one", ":/jobs/two"]


# ---- set -----------------------------------------------------------------------------------


def test_set_several_reports_each_failure(command: Any, jobs_root: Path) -> None:
    ran = command.run("set", ":/jobs/one", ":/jobs/two", "memory.max=1", "pids.max=2", root=jobs_root)
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 2)
    assert ":/jobs/one" in ran.err.splitlines()[0]
    assert ":/jobs/two" in ran.err.splitlines()[1]


def test_write_all_is_a_transaction(recorded_v2: Any) -> None:
    import errno

    changes = [(named("pids.max"), "7"), (named("memory.high"), "1M")]
    recorded_v2.put("pids.max", "5\n")
    recorded_v2.refuse("memory.high", str(1 << 20), errno.EINVAL)
    recorded_v2.when("pids.max", "7", lambda: recorded_v2.put("pids.max", "7\n"))
    with pytest.raises(InvalidValue, match=r"memory\.high"):
        write_all(changes, lambda _: recorded_v2.cgroup)
    assert recorded_v2.writes == [("pids.max", "7"), ("memory.high", str(1 << 20)), ("pids.max", "5")]


def test_write_all_invalid_word_writes_nothing(recorded_v2: Any) -> None:
    with pytest.raises(InvalidValue, match="got 'lots'"):
        write_all([(named("pids.max"), "7"), (named("memory.max"), "lots")], lambda _: recorded_v2.cgroup)
    assert recorded_v2.writes == []


# ---- watch, record ---------------------------------------------------------------------------


def locations(ran: Any) -> set[str]:
    return {json.loads(line)["location"] for line in ran.out.splitlines()}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["/jobs/*"], {"/jobs/one", "/jobs/two", "/jobs/bare"}),
        (["/jobs/t*", ":/job"], {"/jobs/two", "/job", "/job/a"}),
        (["/jobs/t*", ":/job", "--depth", "0"], {"/jobs/two", "/job"}),
        ([":/job/a", ":/jobs/one"], {"/job/a", "/jobs/one"}),
    ],
)
def test_watch_several_specs_shows_each(command: Any, jobs_root: Path, words: list[str], found: set[str]) -> None:
    ran = command.run("watch", "--once", "--json", "-i", "0.05", *words, root=jobs_root)
    assert locations(ran) == found


def test_watch_missing_spec_fails_and_the_others_are_shown(command: Any, jobs_root: Path) -> None:
    ran = command.run("watch", "--once", "--json", "-i", "0.05", ":/gone", ":/job/a", root=jobs_root)
    assert (ran.code, locations(ran), ran.err.count("\n")) == (1, {"/job/a"}, 1)


def test_record_several_specs_has_each(command: Any, jobs_root: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    words = [":/job/a", "/jobs/*", ":/gone", "-p", "pids.current", "-d", "0.02", "-i", "0.01", "-o", str(file)]
    ran = command.run("record", *words, root=jobs_root)
    assert ran.code == 1
    assert ":/gone" in ran.err
    assert {line.split(",")[2] for line in file.read_text().splitlines()[1:]} == {
        *(":/job/a", ":/jobs/one", ":/jobs/two", ":/jobs/bare")
    }
