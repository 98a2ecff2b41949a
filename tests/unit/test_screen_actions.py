"""Changes to a cgroup from the full screen, and the facts on its page, on captured hosts."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from screens import look, usage

from cgroups import Cgroup, CgroupError, CgroupNotFound, Host
from cgroups.cli.screen.actions import ACTIONS, assign, cgroups_at, send

JOB = "/job/a"


def write(cgroup: Cgroup, name: str, text: str) -> None:
    Path(str(cgroup.path), name).write_text(text)


def test_cgroups_at_has_one_of_each_hierarchy(v1: Host, v2: Host) -> None:
    assert [str(one) for one in cgroups_at(v2, JOB)] == [":/job/a"]
    found = cgroups_at(v1, "/cgroups-capture")
    assert {"memory", "cpu", "pids", "freezer"} <= {name for one in found for name in one.hierarchy.subsystems}
    assert len({one.hierarchy for one in found}) == len(found)
    assert cgroups_at(v2, "/none") == []


@pytest.mark.parametrize(
    ("pids", "question"),
    [("252\n", "the only process"), ("252\n253\n", "all 2 processes")],
)
@pytest.mark.parametrize(("name", "verb"), [("freeze", "Freeze"), ("kill", "Kill")])
def test_action_question_has_the_number_of_processes(name: str, verb: str, pids: str, question: str, v2: Host) -> None:
    write(v2.find_exn(f":{JOB}"), "cgroup.procs", pids)
    assert ACTIONS[name](v2, JOB).question == f"{verb} {question} in {JOB} and below?"


def test_action_without_a_process_says_so(v2: Host) -> None:
    for one in [v2.find_exn(f":{JOB}"), *v2.find_exn(f":{JOB}").walk()]:
        write(one, "cgroup.procs", "")
    assert ACTIONS["freeze"](v2, JOB).question == f"Freeze {JOB}, which has no processes?"
    for prepare in (ACTIONS["kill"], lambda host, place: send(host, place, "TERM")):
        with pytest.raises(typer.BadParameter, match="no process is in it or below"):
            prepare(v2, JOB)


def test_action_question_counts_a_process_of_several_hierarchies_once(v1: Host) -> None:
    for top in cgroups_at(v1, "/cgroups-capture"):
        for one in top.walk():
            write(one, "cgroup.procs", "4242\n")
    assert ACTIONS["kill"](v1, "/cgroups-capture").question == "Kill the only process in /cgroups-capture and below?"


@pytest.mark.parametrize("name", ACTIONS)
def test_action_on_a_removed_cgroup_says_so(name: str, v2: Host) -> None:
    with pytest.raises(CgroupNotFound, match=re.escape(f"cannot {name} /none: the cgroup was removed")):
        ACTIONS[name](v2, "/none").run()


def test_action_on_a_captured_host_is_refused(v2: Host) -> None:
    with pytest.raises(CgroupError, match="cannot freeze"):
        ACTIONS["freeze"](v2, JOB).run()


def test_send_names_the_signal(v2: Host) -> None:
    assert send(v2, JOB, "15").question.startswith("Send SIGTERM to ")
    assert send(v2, JOB, "usr1").question.startswith("Send SIGUSR1 to ")
    assert send(v2, JOB, "40").question.startswith("Send signal 40 to ")
    with pytest.raises(typer.BadParameter, match="signal must be a name or a number"):
        send(v2, JOB, "FOO")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("memory.max", "limit must be PARAMETER=VALUE, such as memory.max=1G, got 'memory.max'"),
        ("memory.maximum=1", "unknown parameter"),
    ],
)
def test_assign_word_of_another_form_is_refused(word: str, message: str, v2: Host) -> None:
    with pytest.raises(typer.BadParameter, match=re.escape(message)):
        assign(v2, JOB, word)


def test_assign_asks_with_the_old_and_the_new_value(v2: Host) -> None:
    write(v2.find_exn(f":{JOB}"), "memory.max", "1048576\n")
    assert assign(v2, JOB, " memory.max = 2M ").question == f"Set memory.max of {JOB} from 1.0 MiB to 2.0 MiB?"


def test_assign_selects_the_hierarchy_of_the_controller(v1: Host) -> None:
    write(v1.find_exn("pids:/cgroups-capture"), "pids.max", "77\n")
    assert " from 77 to 5?" in assign(v1, "/cgroups-capture", "pids.max=5").question


def test_assign_without_a_cgroup_of_the_controller_says_so(v1: Host) -> None:
    Path(str(v1.find_exn("memory:/").path), "only").mkdir()
    with pytest.raises(CgroupNotFound, match="it has no cgroup on the hierarchy of pids"):
        assign(v1, "/only", "pids.max=5")


# ---- the page ------------------------------------------------------------------------------------


@pytest.fixture
def page_text() -> Callable[[Host | None, str], str]:
    pytest.importorskip("textual")
    from cgroups.cli.screen.history import History
    from cgroups.cli.screen.incidents import Incidents
    from cgroups.cli.screen.page import Processes, page

    def text(host: Host | None, location: str) -> str:
        history, incidents = History(), Incidents()
        for number in range(2):
            incidents.add(history.add(look(float(number), usage(location, memory=4096, oom_kills_total=number))))
        lines = page(host, location, history, incidents, Processes())
        return "\n".join("".join(part.text for part in line) for line in lines)

    return text


def test_page_limits_name_the_cgroup_that_limits(v2: Host, page_text: Callable[[Host | None, str], str]) -> None:
    write(v2.find_exn(":/job"), "memory.max", "1048576\n")
    write(v2.find_exn(":/job/a"), "memory.max", "2097152\n")
    write(v2.find_exn(":/job/a"), "cpu.max", "150000 100000\n")
    write(v2.find_exn(":/job"), "cpu.max", "max 100000\n")
    lines = [line.split() for line in page_text(v2, JOB).splitlines()]
    assert ["memory", "2.0", "MiB", "/job/a"] in lines
    assert ["memory", "1.0", "MiB", "/job", "←", "this", "one", "limits"] in lines
    assert ["cpu", "1.50", "CPUs", "/job/a", "←", "this", "one", "limits"] in lines


def test_page_of_a_container_says_what_it_is(page_text: Callable[[Host | None, str], str]) -> None:
    container = "4f0f5e1c9d2b" + 52 * "0"
    text = page_text(None, f"/docker/{container}")
    assert "a container: " in text
    assert f"container {container}" in text
    assert "runtime docker" in text


def test_page_lists_processes_with_their_memory(v2: Host, page_text: Callable[[Host | None, str], str]) -> None:
    write(v2.find_exn(f":{JOB}"), "cgroup.procs", "252\n")
    proc = Path(v2.system_path("proc/252"))
    (proc / "status").write_text("Name:\tsleep\nState:\tS (sleeping)\nUid:\t1000\t1000\t1000\t1000\n")
    (proc / "cmdline").write_bytes(b"sleep\x001000\x00")
    fields = ["252", "(a b) c)", "S", *["0"] * 10, "5", "6", *["0"] * 8, "300", *["0"] * 10]
    (proc / "stat").write_text(" ".join(fields))
    text = page_text(v2, JOB)
    assert "Processes: 1" in text
    row = next(line for line in text.splitlines() if "sleep 1000" in line)
    assert row.split()[:4] == ["252", "-", "1.2", "MiB"]
    assert row.split()[4] == "1000"  # the user


def test_page_of_a_recording_has_neither_limits_nor_processes(page_text: Callable[[Host | None, str], str]) -> None:
    text = page_text(None, "/a")
    assert "OOM kill in /a" in text
    assert "4.0 KiB" in text
    assert "Limits" not in text
    assert "Processes" not in text


@pytest.mark.parametrize("error", [PermissionError(13, "hidden"), ProcessLookupError()])
def test_page_of_hidden_processes_has_none(
    error: OSError, v2: Host, page_text: Callable[[Host | None, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mount of /proc with hidepid hides the processes of other users."""
    write(v2.find_exn(f":{JOB}"), "cgroup.procs", "252\n")
    Path(v2.system_path("proc/252/stat")).write_text("252 (cut")

    def hidden(*_: object) -> None:
        raise error

    monkeypatch.setattr("cgroups.cli.common.facts.process", hidden)
    assert "Processes: 1" in page_text(v2, JOB)
