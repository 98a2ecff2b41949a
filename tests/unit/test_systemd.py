"""What is asked of systemd, and what its answers become: on a bus of the test's own.  tests/systemd has a real one."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jeepney
import pytest

import cgroups
from cgroups import Cgroup, Hierarchy, Host, managed
from cgroups._systemd import Manager, bus_address, explain
from cgroups.deadline import Deadline
from cgroups.delegation import LONGEST, _can_move, _checked, _Life

JOB = "/org/freedesktop/systemd1/job/7"
UNIT_PATH = "/org/freedesktop/systemd1/unit/job_2escope"
ERROR = "org.freedesktop.DBus.Error."


class Bus(threading.Thread):
    """A D-Bus daemon and systemd in one, for one connection; ``answers`` by method, ``calls`` as they came."""

    def __init__(self, place: Path) -> None:
        super().__init__(daemon=True)
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(place))
        self.listening.listen()
        self.calls: list[tuple[str, Any]] = []
        self.answers: dict[str, list[Callable[[Any], list[Any]]]] = {}
        self.refuse = False

    def run(self) -> None:
        connection, _ = self.listening.accept()
        with connection:
            with connection.makefile("rb") as lines:
                asked = lines.readline()
                if not asked:
                    return  # nobody came
                assert asked.startswith(b"\0AUTH EXTERNAL "), asked
                if self.refuse:
                    connection.sendall(b"REJECTED EXTERNAL\r\n")
                    return
                connection.sendall(b"OK 0123456789abcdef0123456789abcdef\r\n")
                assert lines.readline() == b"BEGIN\r\n"
                self.serve(connection, lines)

    def serve(self, connection: socket.socket, data: Any) -> None:
        parser = jeepney.Parser()
        serial = 0
        while part := data.read1(1 << 16):
            parser.add_data(part)
            while (message := parser.get_next_message()) is not None:
                method = message.header.fields[jeepney.HeaderFields.member]
                self.calls.append((method, message.body))
                some = self.answers.get(method, [done])
                for answer in (some.pop(0) if len(some) > 1 else some[0])(message):
                    serial += 1
                    connection.sendall(answer.serialise(serial=serial))


def done(message: Any) -> list[Any]:
    return [jeepney.new_method_return(message)]


def says(signature: str, *body: Any) -> Callable[[Any], list[Any]]:
    return lambda message: [jeepney.new_method_return(message, signature, body)]


def fails(name: str, text: str = "no") -> Callable[[Any], list[Any]]:
    return lambda message: [jeepney.new_error(message, name, "s", (text,))]


def removed(result: str, job: str = JOB) -> Any:
    manager = jeepney.DBusAddress("/org/freedesktop/systemd1", None, "org.freedesktop.systemd1.Manager")
    return jeepney.new_signal(manager, "JobRemoved", "uoss", (7, job, "job.scope", result))


def starts(result: str = "done", *, early: bool = False) -> Callable[[Any], list[Any]]:
    """With the signal of another job, and its own before or after the answer."""

    def answer(message: Any) -> list[Any]:
        told = [removed("failed", f"{JOB}1"), removed(result)]
        answered = jeepney.new_method_return(message, "o", (JOB,))
        return [*told, answered] if early else [answered, *told]

    return answer


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bus]:
    place = tmp_path / "socket"
    bus = Bus(place)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={place}")
    bus.start()
    yield bus
    # One that nobody came to.
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(place))
    bus.join(10)
    bus.listening.close()


def manager(tmp_path: Path, timeout: float = 30) -> Manager:
    return Manager(user=False, deadline=Deadline(timeout), directory=str(tmp_path))


# ---- messages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("early", [False, True])
def test_starting_a_scope(early: bool, bus: Bus, tmp_path: Path) -> None:
    bus.answers["StartTransientUnit"] = [starts(early=early)]
    with manager(tmp_path) as one:
        one.start_scope("job.scope", ["memory", "pids"], 42)
        one.attach("job.scope", "/job.supervisor", 43)
    assert [name for name, _ in bus.calls] == [
        *("Hello", "AddMatch", "Subscribe", "StartTransientUnit", "AttachProcessesToUnit")
    ]
    unit, mode, properties, others = bus.calls[3][1]
    assert (unit, mode, others) == ("job.scope", "fail", [])
    values = dict(properties)
    assert "job.scope" in values.pop("Description")[1]
    assert values == {
        "DelegateControllers": ("as", ["memory", "pids"]),
        "PIDs": ("au", [42]),
        "CollectMode": ("s", "inactive-or-failed"),
    }
    assert bus.calls[4][1] == ("job.scope", "/job.supervisor", [43])


def test_a_job_that_fails(bus: Bus, tmp_path: Path) -> None:
    bus.answers["StartTransientUnit"] = [starts("failed")]
    with manager(tmp_path) as one, pytest.raises(cgroups.SystemdError, match="'failed'"):
        one.start_scope("job.scope", [], 42)


@pytest.mark.parametrize(
    ("name", "kind", "hint"),
    [
        (f"{ERROR}AccessDenied", cgroups.AccessDenied, "polkit"),
        (f"{ERROR}InteractiveAuthorizationRequired", cgroups.AccessDenied, "user=True"),
        (f"{ERROR}InvalidArgs", cgroups.InvalidValue, None),
        (f"{ERROR}NoReply", cgroups.CgroupTimeout, None),
        (f"{ERROR}ServiceUnknown", cgroups.SystemdError, "systemd is not on it"),
        ("org.freedesktop.systemd1.UnitMasked", cgroups.SystemdError, None),
        ("", cgroups.SystemdError, None),
    ],
)
def test_refusals(name: str, kind: type[Exception], hint: str | None, bus: Bus, tmp_path: Path) -> None:
    error = explain(name, "because", "cannot start job.scope")
    assert type(error) is kind
    assert "cannot start job.scope: because" in str(error)
    assert error.hint is None if hint is None else hint in str(error.hint)
    if name:
        bus.answers["StartTransientUnit"] = [fails(name)]
        with manager(tmp_path) as one, pytest.raises(kind, match="cannot start"):
            one.start_scope("job.scope", [], 42)


def test_a_unit_that_is_there(bus: Bus, tmp_path: Path) -> None:
    bus.answers["StartTransientUnit"] = [fails("org.freedesktop.systemd1.UnitExists")]
    bus.answers["GetUnit"] = [says("o", UNIT_PATH)]
    bus.answers["Get"] = [says("v", ("s", "active"))]
    with manager(tmp_path) as one, pytest.raises(cgroups.CgroupExists, match=r"job\.scope"):
        one.start_scope("job.scope", [], 42)


@pytest.mark.parametrize("state", ["inactive", "deactivating", None])
def test_a_unit_that_is_about_to_go(state: str | None, bus: Bus, tmp_path: Path) -> None:
    exists = fails("org.freedesktop.systemd1.UnitExists")
    bus.answers["StartTransientUnit"] = [exists, exists, starts()]
    gone = fails("org.freedesktop.systemd1.NoSuchUnit")
    bus.answers["GetUnit"] = [gone if state is None else says("o", UNIT_PATH)]
    bus.answers["Get"] = [says("v", ("s", state or ""))]
    with manager(tmp_path) as one:
        one.start_scope("job.scope", [], 42)
    assert [name for name, _ in bus.calls].count("StartTransientUnit") == 3


def test_delegated_name_that_is_taken_gets_a_fresh_one(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus.answers["StartTransientUnit"] = [fails("org.freedesktop.systemd1.UnitExists"), starts()]
    bus.answers["GetUnit"] = [says("o", UNIT_PATH)]
    bus.answers["Get"] = [says("v", ("s", "active"))]
    monkeypatch.setattr("cgroups.delegation.Manager", partial(Manager, directory=str(tmp_path)))
    name = "j" * LONGEST
    # This bus starts nothing: that is noticed once the unit has been started.
    with pytest.raises(cgroups.SystemdError, match=f"{name}-.*scope was started, and its process .* is not in it"):
        Cgroup.delegated(name, ["memory"], timeout=30)
    first, second = [body[0] for method, body in bus.calls if method == "StartTransientUnit"]
    assert first == f"{name}.scope"
    assert re.fullmatch(rf"{name}-{os.getpid()}-[0-9a-f]{{16}}\.scope", second)
    assert len(second) + len(".supervisor") - len(".scope") <= 255


@pytest.mark.parametrize("silent", ["Hello", "Subscribe", "StartTransientUnit"])
def test_silence_is_bounded(silent: str, bus: Bus, tmp_path: Path) -> None:
    bus.answers[silent] = [lambda _: []]
    start = time.monotonic()
    with pytest.raises(cgroups.CgroupTimeout), manager(tmp_path, 0.3) as one:
        one.start_scope("job.scope", [], 42)
    assert 0.3 <= time.monotonic() - start < 20


def test_a_bus_of_another_user(bus: Bus, tmp_path: Path) -> None:
    bus.refuse = True
    with pytest.raises(cgroups.AccessDenied, match="does not take this user"):
        manager(tmp_path)


def test_a_bus_outside_of_this_pid_namespace(bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There a number of ours is another process's."""
    monkeypatch.setattr("cgroups._systemd.socket.socket.getsockopt", lambda *_: bytes(12))
    with pytest.raises(cgroups.SystemdError, match="PID namespace"):
        manager(tmp_path)
    assert bus.calls == []


# ---- no systemd -------------------------------------------------------------------------------------


def test_without_systemd(tmp_path: Path) -> None:
    missing = str(tmp_path / "systemd")
    with pytest.raises(cgroups.SystemdError, match="does not run here") as caught:
        Manager(user=False, deadline=Deadline(1), directory=missing)
    assert caught.value.path == missing


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "jeepney"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jeepney", None)
    with pytest.raises(cgroups.SystemdError) as caught:
        manager(tmp_path)
    assert caught.value.hint == "pip install 'cgroups-cffi[systemd]'"


@pytest.mark.parametrize("address", ["tcp:host=localhost,port=1", "nonsense", "unix:path=/nonexistent/socket"])
def test_an_address_that_leads_nowhere(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
    with pytest.raises(cgroups.SystemdError, match="cannot connect to"):
        manager(tmp_path)


def test_the_address_of_the_system_s_bus(tmp_path: Path) -> None:
    place = tmp_path / "system_bus_socket"
    with pytest.raises(cgroups.SystemdError, match="no D-Bus socket"):
        bus_address(user=False, environ={}, system_bus=str(place))
    place.touch()
    assert bus_address(user=False, environ={}, system_bus=str(place)) == f"unix:path={place}"
    other = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/other"}
    assert bus_address(user=False, environ=other, system_bus=str(place)) == "unix:path=/other"


def test_the_address_of_the_user_s_bus(tmp_path: Path) -> None:
    run = tmp_path / "user" / str(os.geteuid())
    for environ in ({}, {"XDG_RUNTIME_DIR": str(run)}):
        with pytest.raises(cgroups.SystemdError, match="no user manager") as caught:
            bus_address(user=True, environ=environ, run=str(tmp_path))
        assert caught.value.path == str(run)
    (run / "systemd").mkdir(parents=True)
    with pytest.raises(cgroups.SystemdError, match="no D-Bus socket") as caught:
        bus_address(user=True, environ={}, run=str(tmp_path))
    assert "dbus-user-session" in str(caught.value.hint)
    session = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/session"}
    assert bus_address(user=True, environ=session, run=str(tmp_path)) == "unix:path=/session"
    (run / "bus").touch()
    assert bus_address(user=True, environ=session, run=str(tmp_path)) == f"unix:path={run}/bus"


# ---- names and places -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", ".scope", ".", "..", "a/b", "a b", "ü", "x@1", "x" * (LONGEST + 1), 3, None])
def test_names_that_no_scope_has(name: Any) -> None:
    with pytest.raises(cgroups.InvalidValue, match="name of a scope"):
        _checked(name)


@pytest.mark.parametrize("name", ["job", "job.scope", "a:b-c_d.e\\x2d", "x" * LONGEST])
def test_names_of_scopes(name: str) -> None:
    assert _checked(name) == name.removesuffix(".scope")


def test_what_is_asked_for_is_checked_first() -> None:
    with pytest.raises(cgroups.InvalidValue, match="names are expected"):
        Cgroup.delegated("job", "memory")
    with pytest.raises(cgroups.SubsystemNotAvailable, match="nonesuch"):
        Cgroup.delegated("job", ["nonesuch"])


@pytest.fixture
def tree(tmp_path: Path) -> Hierarchy:
    """A captured tree of v2: session and service are the user's, user is root's, as far as modes tell here."""
    (tmp_path / "proc/1").mkdir(parents=True)
    (tmp_path / "proc/1/mountinfo").write_text("34 29 0:29 / /cg rw,relatime - cgroup2 cgroup2 rw\n")
    for name in ("user/session", "user/manager/service", "user/manager/job.scope/job"):
        (tmp_path / "cg" / name).mkdir(parents=True)
    for directory in ("session", "manager", "manager/service", "manager/job.scope", "manager/job.scope/job"):
        (tmp_path / "cg/user" / directory / "cgroup.procs").touch()
    for above in ("cg/user", "cg"):
        # Root may write everything but this.
        (tmp_path / above / "cgroup.procs").mkdir()
    hierarchy = Host(str(tmp_path)).find_exn(":/").hierarchy
    assert isinstance(hierarchy, Hierarchy)
    return hierarchy


def test_where_the_caller_has_to_come_in(tree: Hierarchy) -> None:
    target = Cgroup(tree, "/user/manager/job.scope/job")
    assert not _can_move(Cgroup(tree, "/user/session"), target)
    assert not _can_move(Cgroup(tree, "/"), target)
    assert not _can_move(Cgroup(tree, "/elsewhere", visible=False), target)
    assert _can_move(Cgroup(tree, "/user/manager/service"), target)
    assert _can_move(Cgroup(tree, "/user/manager/job.scope/job.supervisor"), target)
    assert not _can_move(Cgroup(tree, "/user/managers"), target)


# ---- what keeps a scope -----------------------------------------------------------------------------


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_the_keeper_is_ended_and_leaves_nothing() -> None:
    before = open_fds()
    life = _Life()
    assert is_running(life.pid)
    assert os.getpgid(life.pid) == life.pid
    life.end(Deadline(5))
    life.end(Deadline(5))
    with pytest.raises(ChildProcessError):
        os.waitpid(life.pid, os.WNOHANG)
    assert open_fds() == before


def test_a_keeper_that_somebody_waited_for() -> None:
    life = _Life()
    os.kill(life.pid, signal.SIGKILL)
    os.waitpid(life.pid, 0)
    life.end(Deadline(5))


def test_the_keeper_ends_with_its_process() -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, str(_Life().pid).encode())
        os._exit(0)
    os.waitpid(child, 0)
    keeper = int(os.read(reading, 100))
    os.close(reading)
    os.close(writing)
    deadline = time.monotonic() + 20
    while is_running(keeper):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_forked_copy_ends_nothing() -> None:
    life = _Life()
    child = os.fork()
    if child == 0:
        life.end(Deadline(5))
        os._exit(0)
    os.waitpid(child, 0)
    assert is_running(life.pid)
    life.end(Deadline(5))


def test_a_process_that_is_not_in_the_scope() -> None:
    life = _Life()
    try:
        with pytest.raises(cgroups.SystemdError, match="is not in it"):
            life.look("cgroups-test-unit.scope")
    finally:
        life.end(Deadline(5))


# ---- whose tree it is -------------------------------------------------------------------------------


def test_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = {("/a", "trusted.delegate"): b"1", ("/a/b", "user.delegate"): b"0", ("/c", "user.delegate"): b"1"}

    def read(path: str, name: str) -> bytes:
        if (path, name) not in marks:
            raise OSError(61, "no data")
        return marks[path, name]

    monkeypatch.setattr(os, "getxattr", read)
    assert managed.is_delegated(["/a/b", "/a"])
    assert managed.is_delegated(["/c"])
    assert not managed.is_delegated(["/a/b", "/"])
    assert not managed.is_delegated([])


def test_is_manager_is_looked_up_once(tmp_path: Path) -> None:
    place = tmp_path / "system"
    assert not managed.is_manager(str(place))
    place.mkdir()
    assert not managed.is_manager(str(place))
    assert managed.is_manager(str(tmp_path))


@pytest.fixture
def a_local_cgroup(monkeypatch: pytest.MonkeyPatch) -> Cgroup:
    """A root that is systemd's, if there is systemd."""
    monkeypatch.setattr(managed, "_warned", False)
    monkeypatch.setattr(managed, "_owner", lambda _: 0)
    monkeypatch.setattr(managed, "is_delegated", lambda _: False)
    found = Hierarchy.find("memory") or Hierarchy.find(":/")
    assert found is not None
    return found


def warned(cgroup: Cgroup, directory: Path) -> list[Any]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        managed.check(cgroup, str(directory))
    return found


def test_the_warning_is_given_once(a_local_cgroup: Cgroup, tmp_path: Path) -> None:
    assert warned(a_local_cgroup, tmp_path / "none") == []
    (one,) = warned(a_local_cgroup, tmp_path)
    assert one.category is cgroups.SystemdWarning
    assert "Cgroup.delegated" in str(one.message)
    assert one.filename == __file__
    assert warned(a_local_cgroup, tmp_path) == []


@pytest.mark.parametrize("why", ["marked", "owned", "obtained", "captured"])
def test_no_warning(
    why: str, a_local_cgroup: Cgroup, tree: Hierarchy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cgroup = a_local_cgroup
    if why == "marked":
        monkeypatch.setattr(managed, "is_delegated", lambda _: True)
    elif why == "owned":
        monkeypatch.setattr(managed, "_owner", lambda _: 1000)
    elif why == "obtained":
        cgroup = cgroup.child("job.scope").child("inner")
        monkeypatch.setattr(managed, "obtained", {f"{cgroup.location.removesuffix('/inner')}"})
    else:
        cgroup = tree.root()
    assert warned(cgroup, tmp_path) == []


def test_hierarchies_of_v1_that_systemd_leaves_alone(a_local_cgroup: Cgroup, tmp_path: Path) -> None:
    for hierarchy in Hierarchy.scan():
        if (
            hierarchy.version == 1
            and hierarchy.subsystems
            and set(hierarchy.subsystems) <= {"freezer", "perf_event", "hugetlb", "cpuset"}
        ):
            assert warned(hierarchy.root(), tmp_path) == []
    assert len(warned(a_local_cgroup, tmp_path)) == 1
