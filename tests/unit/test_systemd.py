"""Requests to systemd, and the results of its answers, on a bus of the test's own.  tests/systemd has a real one."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import re
import signal
import socket
import subprocess
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
from cgroups import Cgroup, Hierarchy, Host, Scope
from cgroups.control.bus import bus_address
from cgroups.control.dbus import Manager, ScopeRequest, explain
from cgroups.control.keeper import ScopeKeeper
from cgroups.control.keeping import KeepingProcess
from cgroups.core import systemd
from cgroups.core.deadline import Deadline
from cgroups.scope import LONGEST, _checked

JOB = "/org/freedesktop/systemd1/job/7"
UNIT_PATH = "/org/freedesktop/systemd1/unit/job_2escope"
ERROR = "org.freedesktop.DBus.Error."
REQUEST = ScopeRequest("job.scope", "job", [])


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
                answers = (some.pop(0) if len(some) > 1 else some[0])(message)
                if message.header.flags & jeepney.MessageFlag.no_reply_expected:
                    continue
                for answer in answers:
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
def test_start_scope_returns_its_cgroup(early: bool, bus: Bus, tmp_path: Path) -> None:
    bus.answers["StartTransientUnit"] = [starts(early=early)]
    with manager(tmp_path) as one:
        one.start_scope(ScopeRequest("job.scope", "make -j4", ["memory", "pids"], "batch.slice"), 42)
        one.attach("job.scope", "/job.supervisor", 43)
    assert [name for name, _ in bus.calls] == [
        *("Hello", "AddMatch", "Subscribe", "StartTransientUnit", "Unsubscribe", "RemoveMatch", "AttachProcessesToUnit")
    ]
    unit, mode, properties, others = bus.calls[3][1]
    assert (unit, mode, others) == ("job.scope", "fail", [])
    values = dict(properties)
    assert values == {
        "Description": ("s", "make -j4"),
        "DelegateControllers": ("as", ["memory", "pids"]),
        "PIDs": ("au", [42]),
        "CollectMode": ("s", "inactive-or-failed"),
        "Slice": ("s", "batch.slice"),
        "OOMPolicy": ("s", "continue"),
    }
    assert bus.calls[6][1] == ("job.scope", "/job.supervisor", [43])


@pytest.mark.parametrize(("answer", "survives"), [(says("v", ("s", "continue")), True), (fails(f"{ERROR}X"), False)])
def test_start_scope_without_oom_policy_asks_again_without(
    answer: Any, survives: bool, bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Manager, "_has_oom_policy", True)
    unknown = fails(f"{ERROR}PropertyReadOnly", "Cannot set property OOMPolicy, or unknown property.")
    bus.answers["StartTransientUnit"] = [unknown, starts()]
    bus.answers["GetUnit"] = [says("o", UNIT_PATH)]
    bus.answers["Get"] = [answer]
    with manager(tmp_path) as one:
        one.start_scope(REQUEST, 42)
        assert one.survives_oom("job.scope") is survives
    first, second = [dict(body[2]) for method, body in bus.calls if method == "StartTransientUnit"]
    assert first.pop("OOMPolicy") == ("s", "continue")
    assert first == second


def test_start_scope_job_that_fails_raises(bus: Bus, tmp_path: Path) -> None:
    bus.answers["StartTransientUnit"] = [starts("failed")]
    with manager(tmp_path) as one, pytest.raises(cgroups.SystemdError, match="'failed'"):
        one.start_scope(REQUEST, 42)


@pytest.mark.parametrize(
    ("name", "kind", "hint"),
    [
        (f"{ERROR}AccessDenied", cgroups.AccessDenied, "polkit"),
        (f"{ERROR}InteractiveAuthorizationRequired", cgroups.AccessDenied, "user=True"),
        (f"{ERROR}InvalidArgs", cgroups.InvalidValue, None),
        (f"{ERROR}NoReply", cgroups.CgroupTimeout, None),
        (f"{ERROR}ServiceUnknown", cgroups.SystemdError, "systemd is not connected to it"),
        ("org.freedesktop.systemd1.UnitMasked", cgroups.SystemdError, None),
        ("", cgroups.SystemdError, None),
    ],
)
def test_explain_bus_error_names_kind_and_hint(
    name: str, kind: type[Exception], hint: str | None, bus: Bus, tmp_path: Path
) -> None:
    error = explain(name, "because", "cannot start job.scope")
    assert type(error) is kind
    assert "cannot start job.scope: because" in str(error)
    assert error.hint is None if hint is None else hint in str(error.hint)
    if name:
        bus.answers["StartTransientUnit"] = [fails(name)]
        with manager(tmp_path) as one, pytest.raises(kind, match="cannot start"):
            one.start_scope(REQUEST, 42)


def test_start_scope_existing_unit_raises(bus: Bus, tmp_path: Path) -> None:
    bus.answers["StartTransientUnit"] = [fails("org.freedesktop.systemd1.UnitExists")]
    bus.answers["GetUnit"] = [says("o", UNIT_PATH)]
    bus.answers["Get"] = [says("v", ("s", "active"))]
    with manager(tmp_path) as one, pytest.raises(cgroups.CgroupExists, match=r"job\.scope"):
        one.start_scope(REQUEST, 42)


@pytest.mark.parametrize("state", ["inactive", "deactivating", None])
def test_start_scope_unit_that_is_stopping_is_waited_for(state: str | None, bus: Bus, tmp_path: Path) -> None:
    exists = fails("org.freedesktop.systemd1.UnitExists")
    bus.answers["StartTransientUnit"] = [exists, exists, starts()]
    gone = fails("org.freedesktop.systemd1.NoSuchUnit")
    bus.answers["GetUnit"] = [gone if state is None else says("o", UNIT_PATH)]
    bus.answers["Get"] = [says("v", ("s", state or ""))]
    with manager(tmp_path) as one:
        one.start_scope(REQUEST, 42)
    assert [name for name, _ in bus.calls].count("StartTransientUnit") == 3


def test_delegated_name_that_is_taken_gets_a_fresh_one(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus.answers["StartTransientUnit"] = [fails("org.freedesktop.systemd1.UnitExists"), starts()]
    bus.answers["GetUnit"] = [says("o", UNIT_PATH)]
    bus.answers["Get"] = [says("v", ("s", "active"))]
    monkeypatch.setattr("cgroups.control.keeper.Manager", partial(Manager, directory=str(tmp_path)))
    name = "j" * LONGEST
    # This bus starts nothing: that is noticed once the unit has been started.
    with pytest.raises(cgroups.SystemdError, match=f"{name}-.*scope was started, but its process .* is not in it"):
        Scope.obtain(name, ["memory"], timeout=30)
    first, second = [body[0] for method, body in bus.calls if method == "StartTransientUnit"]
    assert first == f"{name}.scope"
    assert re.fullmatch(rf"{name}-{os.getpid()}-[0-9a-f]{{16}}\.scope", second)
    assert len(second) + len(".supervisor") - len(".scope") <= 255


@pytest.mark.parametrize("silent", ["Hello", "StartTransientUnit"])
def test_manager_silent_bus_times_out(silent: str, bus: Bus, tmp_path: Path) -> None:
    bus.answers[silent] = [lambda _: []]
    start = time.monotonic()
    with pytest.raises(cgroups.CgroupTimeout), manager(tmp_path, 0.3) as one:
        one.start_scope(REQUEST, 42)
    assert 0.3 <= time.monotonic() - start < 20


def test_manager_bus_of_another_user_is_refused(bus: Bus, tmp_path: Path) -> None:
    bus.refuse = True
    with pytest.raises(cgroups.AccessDenied, match="D-Bus authentication failed"):
        manager(tmp_path)


def test_manager_bus_outside_of_this_pid_namespace_is_refused(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There a number of ours is another process's."""
    monkeypatch.setattr("cgroups.control.dbus.socket.socket.getsockopt", lambda *_: bytes(12))
    with pytest.raises(cgroups.SystemdError, match="PID namespace"):
        manager(tmp_path)
    assert bus.calls == []


# ---- no systemd -------------------------------------------------------------------------------------


def test_manager_without_systemd_raises(tmp_path: Path) -> None:
    missing = str(tmp_path / "systemd")
    with pytest.raises(cgroups.SystemdError, match="does not run here") as caught:
        Manager(user=False, deadline=Deadline(1), directory=missing)
    assert caught.value.path == missing


def test_manager_without_the_extra_names_the_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "jeepney"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "jeepney", None)
    with pytest.raises(cgroups.SystemdError) as caught:
        manager(tmp_path)
    assert caught.value.hint == "pip install 'cgroups-cffi[systemd]'"


@pytest.mark.parametrize("address", ["tcp:host=localhost,port=1", "nonsense", "unix:path=/nonexistent/socket"])
def test_manager_address_without_a_bus_raises(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
    with pytest.raises(cgroups.SystemdError, match="cannot connect to"):
        manager(tmp_path)


def test_bus_address_of_the_system(tmp_path: Path) -> None:
    place = tmp_path / "system_bus_socket"
    with pytest.raises(cgroups.SystemdError, match="the D-Bus socket .* does not exist"):
        bus_address(user=False, environ={}, system_bus=str(place))
    place.touch()
    assert bus_address(user=False, environ={}, system_bus=str(place)) == f"unix:path={place}"
    other = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/other"}
    assert bus_address(user=False, environ=other, system_bus=str(place)) == "unix:path=/other"


def test_bus_address_of_the_user(tmp_path: Path) -> None:
    run = tmp_path / "user" / str(os.geteuid())
    for environ in ({}, {"XDG_RUNTIME_DIR": str(run)}):
        with pytest.raises(cgroups.SystemdError, match="no user manager") as caught:
            bus_address(user=True, environ=environ, run=str(tmp_path))
        assert caught.value.path == str(run)
    (run / "systemd").mkdir(parents=True)
    with pytest.raises(cgroups.SystemdError, match="the D-Bus socket .* does not exist") as caught:
        bus_address(user=True, environ={}, run=str(tmp_path))
    assert "dbus-user-session" in str(caught.value.hint)
    session = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/session"}
    assert bus_address(user=True, environ=session, run=str(tmp_path)) == "unix:path=/session"
    (run / "bus").touch()
    assert bus_address(user=True, environ=session, run=str(tmp_path)) == f"unix:path={run}/bus"


# ---- names and places -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", ".scope", ".", "..", "a/b", "a b", "ü", "x@1", "x" * (LONGEST + 1), 3, None])
def test_scope_name_invalid_is_refused(name: Any) -> None:
    with pytest.raises(cgroups.InvalidValue, match="must be the name of a scope"):
        _checked(name)


@pytest.mark.parametrize("name", ["job", "job.scope", "a:b-c_d.e\\x2d", "x" * LONGEST])
def test_scope_name_valid_is_accepted(name: str) -> None:
    assert _checked(name) == name.removesuffix(".scope")


def test_obtain_invalid_arguments_are_refused_first() -> None:
    with pytest.raises(cgroups.InvalidValue, match="must be an iterable of names"):
        Scope.obtain("job", "memory")
    with pytest.raises(cgroups.SubsystemNotAvailable, match="nonesuch"):
        Scope.obtain("job", ["nonesuch"])


# ---- what keeps a scope -----------------------------------------------------------------------------


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def open_fds() -> int:
    gc.collect()  # other tests' files are not this one's
    return len(os.listdir("/proc/self/fd"))


def keeping(*, is_deaf: bool = False) -> KeepingProcess:
    keeper = KeepingProcess(is_deaf=is_deaf)
    keeper.start()
    return keeper


def await_cat(pid: int) -> None:
    """Wait until a keeping process has executed its last program."""
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}/comm").read_text().strip() != "cat":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_keeping_process_is_ended_and_leaves_nothing() -> None:
    before = open_fds()
    keeper = keeping()
    pid = keeper.pid
    assert is_running(pid)
    assert os.getpgid(pid) == pid
    keeper.end()
    keeper.end()
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    assert open_fds() == before


def test_keeping_process_that_somebody_waited_for_is_no_error() -> None:
    keeper = keeping()
    os.kill(keeper.pid, signal.SIGKILL)
    os.waitpid(keeper.pid, 0)
    keeper.end()


def test_keeping_process_ends_beside_a_handler_that_reaps_all() -> None:
    def reap(*_: Any) -> None:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    before = signal.signal(signal.SIGCHLD, reap)
    try:
        for _ in range(100):
            keeping().end()
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_keeping_process_inherits_no_descriptor() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    keeper = keeping()
    try:
        await_cat(keeper.pid)
        deadline = time.monotonic() + 20
        # While it starts, it reads its libraries.
        while not {int(name) for name in os.listdir(f"/proc/{keeper.pid}/fd")} <= {0, 1, 2}:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        keeper.end()
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("is_deaf", [False, True])
def test_keeping_process_that_is_deaf_outlives_sigterm(is_deaf: bool) -> None:
    keeper = keeping(is_deaf=is_deaf)
    await_cat(keeper.pid)
    os.kill(keeper.pid, signal.SIGTERM)
    time.sleep(0.1)
    assert is_running(keeper.pid) is is_deaf
    keeper.end()


def test_keeping_process_ends_with_its_process() -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, str(keeping().pid).encode())
        os._exit(0)
    os.waitpid(child, 0)
    pid = int(os.read(reading, 100))
    os.close(reading)
    os.close(writing)
    deadline = time.monotonic() + 20
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_keeping_process_is_not_ended_by_a_forked_copy() -> None:
    keeper = keeping()
    child = os.fork()
    if child == 0:
        keeper.end()
        os._exit(0)
    os.waitpid(child, 0)
    assert is_running(keeper.pid)
    keeper.end()


def test_keeping_process_is_ended_by_a_second_end_after_a_handler_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_fds()
    keeper = keeping()
    pid = keeper.pid
    close = os.close

    def raises(fd: int) -> None:
        monkeypatch.setattr(os, "close", close)
        close(fd)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "close", raises)
    with pytest.raises(KeyboardInterrupt):
        keeper.end()
    keeper.end()
    assert not is_running(pid)
    assert open_fds() == before


def test_scope_whose_process_is_elsewhere_is_refused() -> None:
    keeper = ScopeKeeper(Host(), user=False)
    keeper.process.start()
    try:
        with pytest.raises(cgroups.SystemdError, match="is not in it"):
            keeper.look("cgroups-test-unit.scope")
    finally:
        keeper.end(None)


def test_scope_keeper_asks_for_no_longer_than_its_deadline_while_another_thread_asks() -> None:
    keeper = ScopeKeeper(Host(), user=False)
    with keeper._lock:
        start = time.monotonic()
        with pytest.raises(cgroups.CgroupTimeout, match="another thread"):
            keeper.survives_oom(Deadline(0.2))
    assert 0.2 <= time.monotonic() - start < 5


def test_scope_keeper_reconnects_where_the_connection_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lost:
        deadline: Any = None
        is_lost = False

        def close(self) -> None: ...

        def survives_oom(self, _: str) -> bool:
            self.is_lost = True
            raise cgroups.SystemdError("lost", errno=errno.EPIPE)

    class Fresh(Lost):
        def __init__(self, **_: Any) -> None: ...

        def survives_oom(self, _: str) -> bool:
            return True

    monkeypatch.setattr("cgroups.control.keeper.Manager", Fresh)
    keeper = ScopeKeeper(Host(), user=False)
    keeper._manager = Lost()  # type: ignore[assignment]
    assert keeper.survives_oom(Deadline(5))
    assert isinstance(keeper._manager, Fresh)


@pytest.mark.parametrize(
    ("answer", "delegates"),
    [(says("v", ("b", True)), True), (says("v", ("b", False)), False), (fails(f"{ERROR}X"), False)],
)
def test_manager_tells_whether_a_unit_is_delegated(answer: Any, delegates: bool, bus: Bus, tmp_path: Path) -> None:
    bus.answers["GetUnit"] = [says("o", UNIT_PATH)]
    bus.answers["Get"] = [answer]
    with manager(tmp_path) as one:
        assert one.delegates("job.service") is delegates
    assert bus.calls[-1][1] == ("org.freedesktop.systemd1.Service", "Delegate")


def test_manager_keeps_no_signals_of_other_units(bus: Bus, tmp_path: Path) -> None:
    bus.answers["StartTransientUnit"] = [starts()]
    noise = [removed("done", f"{JOB}{number}") for number in range(50)]
    bus.answers["AttachProcessesToUnit"] = [lambda message: [*noise, jeepney.new_method_return(message)]]
    with manager(tmp_path) as one:
        one.start_scope(REQUEST, 42)
        one.attach("job.scope", "/job", 43)
        assert one._signals == []
    assert [name for name, _ in bus.calls][-3:] == ["Unsubscribe", "RemoveMatch", "AttachProcessesToUnit"]


# ---- whose tree it is -------------------------------------------------------------------------------


def test_delegation_marks_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = {("/a", "trusted.delegate"): b"1", ("/a/b", "user.delegate"): b"0", ("/c", "user.delegate"): b"1"}

    def read(path: str, name: str) -> bytes:
        if (path, name) not in marks:
            raise OSError(61, "no data")
        return marks[path, name]

    monkeypatch.setattr(os, "getxattr", read)
    assert systemd.is_delegated(["/a/b", "/a"])
    assert systemd.is_delegated(["/c"])
    assert not systemd.is_delegated(["/a/b", "/"])
    assert not systemd.is_delegated([])


def test_is_manager_is_looked_up_once(tmp_path: Path) -> None:
    place = tmp_path / "system"
    assert not systemd.is_manager(str(place))
    place.mkdir()
    assert not systemd.is_manager(str(place))
    assert systemd.is_manager(str(tmp_path))


@pytest.fixture
def a_local_cgroup(monkeypatch: pytest.MonkeyPatch) -> Cgroup:
    """A root that is systemd's, if there is systemd."""
    monkeypatch.setattr(systemd, "_warned", False)
    monkeypatch.setattr(systemd, "_owner", lambda _: 0)
    monkeypatch.setattr(systemd, "is_delegated", lambda _: False)
    found = Hierarchy.find("memory") or Hierarchy.find(":/")
    assert found is not None
    return found


def warned(cgroup: Cgroup, directory: Path) -> list[Any]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        systemd.check(cgroup, str(directory))
    return found


def test_warning_is_given_once(a_local_cgroup: Cgroup, tmp_path: Path) -> None:
    assert warned(a_local_cgroup, tmp_path / "none") == []
    (one,) = warned(a_local_cgroup, tmp_path)
    assert one.category is cgroups.SystemdWarning
    assert "Scope.obtain" in str(one.message)
    assert one.filename == __file__
    assert warned(a_local_cgroup, tmp_path) == []


@pytest.fixture
def tree(tmp_path: Path) -> Hierarchy:
    """A captured tree of v2."""
    (tmp_path / "proc/1").mkdir(parents=True)
    (tmp_path / "proc/1/mountinfo").write_text("34 29 0:29 / /cg rw,relatime - cgroup2 cgroup2 rw\n")
    (tmp_path / "cg/job.scope/job").mkdir(parents=True)
    hierarchy = Host(str(tmp_path)).find_exn(":/").hierarchy
    assert isinstance(hierarchy, Hierarchy)
    return hierarchy


@pytest.mark.parametrize("why", ["marked", "owned", "obtained", "captured"])
def test_warning_delegated_or_owned_is_not_given(
    why: str, a_local_cgroup: Cgroup, tree: Hierarchy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cgroup = a_local_cgroup
    if why == "marked":
        monkeypatch.setattr(systemd, "is_delegated", lambda _: True)
    elif why == "owned":
        monkeypatch.setattr(systemd, "_owner", lambda _: 1000)
    elif why == "obtained":
        cgroup = cgroup.child("job.scope").child("inner")
        monkeypatch.setattr(systemd, "obtained", {f"{cgroup.location.removesuffix('/inner')}": object()})
    else:
        cgroup = tree.root()
    assert warned(cgroup, tmp_path) == []


def test_warning_is_not_given_on_v1_hierarchies_without_systemd(a_local_cgroup: Cgroup, tmp_path: Path) -> None:
    for hierarchy in Hierarchy.scan():
        if (
            hierarchy.version == 1
            and hierarchy.subsystems
            and set(hierarchy.subsystems) <= {"freezer", "perf_event", "hugetlb", "cpuset"}
        ):
            assert warned(hierarchy.root(), tmp_path) == []
    assert len(warned(a_local_cgroup, tmp_path)) == 1


# ---- a bus that does not answer ----------------------------------------------------------------------

SILENT = """
import os, signal, socket, sys, threading, time
import cgroups
from cgroups.control import bus
bus.is_manager = lambda directory: True
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()

def interrupt():
    connection, _ = listening.accept()
    connection.recv(1)
    os.kill(os.getpid(), getattr(signal, sys.argv[2]))
    threading.Event().wait()  # the connection stays open, and silent

threading.Thread(target=interrupt, daemon=True).start()
began = time.monotonic()
try:
    with cgroups.Group.temporary("job", [""], place="systemd") if sys.argv[3] == "group" else open(os.devnull):
        cgroups.run(["true"], place="systemd")
except BaseException as error:
    print(type(error).__name__, time.monotonic() - began < 5)
"""


@pytest.mark.skipif(Hierarchy.scan() == [], reason="no cgroup file system is mounted")
@pytest.mark.parametrize("what", ["run", "group"])
@pytest.mark.parametrize(("name", "error"), [("SIGINT", "KeyboardInterrupt"), ("SIGTERM", "Ended")])
def test_placement_of_a_bus_that_is_silent_ends_at_a_signal(name: str, error: str, what: str, tmp_path: Path) -> None:
    words = [sys.executable, "-c", SILENT, str(tmp_path / "bus"), name, what]
    place = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={tmp_path}/bus", "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, env={**os.environ, **place}, check=False)
    assert done.stdout.split() == [error, "True"], done
