"""A user who owns a subtree, against a root process that works on it.

Each line of ATTACKS is what the user does inside; each line of CALLS is what
root calls meanwhile.  Whatever the user does, a call ends within its timeout,
raises only CgroupError, and does not touch anything outside: a process in
the cgroup beside is neither killed, stopped nor moved.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import pytest
from common import SLOW, MakeCgroup, Spawn

import cgroups
from cgroups import Cgroup, CgroupError, Cpuacct, Hierarchy, Memory, Parameters, Pids, Popen, Sampler, Subsystem
from cgroups.control import freeze

# Sampler.follow says that it leaves them out.
pytestmark = [
    pytest.mark.filterwarnings("ignore:cgroups whose path is longer than PATH_MAX:RuntimeWarning"),
    pytest.mark.anywhere,  # by hand in a virtual machine, where they take minutes
]

NOBODY = 65534
TIMEOUT = 1.0
SLACK = 1.0 + 1.0
"""Seconds beyond its timeout that a call may take: one by contract, one for the load of the machine."""

# ---- the user ------------------------------------------------------------------------------

USER = """
import itertools, os, signal, sys, threading, time
top, version = sys.argv[1], int(sys.argv[2])
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
os.chdir(top)
MAX = 200_000  # rounds, so that no program runs without a limit

def write(name, text):
    try:
        with open(name, "w") as file:
            file.write(text)
    except OSError:
        pass

def attempt(act, *words):
    try:
        return act(*words)
    except OSError:
        return None

def begin():
    print("ready", flush=True)   # root puts the victims where this process is
    global victims
    victims = sys.stdin.readline().split()
    print("begun", flush=True)

def rounds():
    end = time.monotonic() + 60
    return itertools.takewhile(lambda _: time.monotonic() < end, range(MAX))

def freezer(path, frozen):
    if version == 1:
        write(path + "/freezer.state", "FROZEN" if frozen else "THAWED")
    else:
        write(path + "/cgroup.freeze", "1" if frozen else "0")
"""


class Attack(NamedTuple):
    """An action of the hostile user.

    Attributes:
        text: a program; ``begin()`` in it waits until the victims are in its working directory.
        heads: the hierarchies that it is of; '' is the unified one.
        victim: what runs inside.
    """

    text: str
    heads: tuple[str, ...] = ("pids", "")
    victim: str = "time.sleep(1000)"


ODD_NAMES = [
    b"-rf",
    b"...",
    b"..a",
    b" ",
    b"\xff\xfe",
    b"a" * 255,
    b"\x1b[31mred",
    b"%s%n",
    b"*",
    b"$(id)",
    b"cgroup.procs.",
    b"memory.max~",
    b"tasks2",
    b"tab\tbed",
    b"back\\040slash",
    "\u202eltr".encode(),
    b"a:b",
    b"\x7f",
]

ATTACKS = {
    "depth": Attack("for _ in range(40): os.mkdir('n' * 250); os.chdir('n' * 250)\nbegin()"),
    "width": Attack("for n in range(3000): os.mkdir(str(n))\nos.chdir('9'); begin()"),
    "names": Attack(f"""
        for name in {ODD_NAMES!r}: os.mkdir(name)
        for name in b'a\\nb', b'cgroup.procs': attempt(os.mkdir, name)
        assert not os.path.exists(b'a\\nb') and not os.path.isdir('cgroup.procs')  # the kernel takes neither
        os.chdir(b'\\xff\\xfe'); begin()
        """),
    "come and go": Attack("""
        os.mkdir('home'); os.chdir('home'); begin()
        for n in rounds():
            name = '../c%d' % (n % 7)
            attempt(os.mkdir, name); attempt(os.mkdir, name + '/below')
            attempt(os.rmdir, name + '/below'); attempt(os.rmdir, name)
            # Also what root is about to make.
            attempt(os.rmdir, '../new/below'); attempt(os.rmdir, '../new'); attempt(os.mkdir, '../new')
        """),
    "more and more": Attack("""
        os.mkdir('home'); os.chdir('home'); begin()
        for n in rounds():
            if n < 20_000: attempt(os.mkdir, '../%d' % n)
        """),
    "forks": Attack(
        "os.mkdir('home'); os.chdir('home'); begin()",
        victim="""
        for _ in range(20_000):   # the parent exits, the child continues: another process each time
            if os.fork(): os._exit(0)
        """,
    ),
    "fork and exit": Attack(
        "os.mkdir('home'); os.chdir('home'); begin()",
        victim="""
        for _ in range(20_000):
            child = os.fork()
            if child == 0: os._exit(0)
            os.waitpid(child, 0)
        time.sleep(1000)
        """,
    ),
    "frozen inside": Attack(
        """
        os.mkdir('outer'); os.mkdir('outer/inner'); os.chdir('outer/inner'); begin()
        freezer('.', True); freezer('..', True)
        """,
        heads=("freezer", ""),
    ),
    "freeze toggled": Attack(
        """
        os.mkdir('inner'); os.chdir('inner'); begin()
        for n in rounds():
            freezer('.', n % 2); freezer('..', n % 3 == 0)
        """,
        heads=("freezer", ""),
    ),
    "threads": Attack(
        """
        os.mkdir('domain'); os.mkdir('domain/t'); write('domain/t/cgroup.type', 'threaded')
        os.chdir('domain'); begin()
        for victim in victims:
            for thread in attempt(os.listdir, '/proc/%s/task' % victim) or []:
                if thread != victim: write('t/cgroup.threads', thread)
        """,
        heads=("",),
        victim="""
        for _ in range(3): threading.Thread(target=time.sleep, args=[1000], daemon=True).start()
        time.sleep(1000)
        """,
    ),
    "rename": Attack(
        """
        os.mkdir('a'); os.mkdir('a/b'); os.mkdir('a/b/home'); os.chdir('a/b/home'); begin()
        for n in rounds():
            for where in '../..', '..', '.':
                attempt(os.rename, top + '/a', top + '/x'); attempt(os.rename, top + '/x/b', top + '/x/a')
                attempt(os.rename, top + '/x', top + '/a'); attempt(os.rename, top + '/a/a', top + '/a/b')
        """,
        heads=("pids", "freezer"),
    ),
    "moves": Attack("""
        for n in range(8): os.mkdir('m%d' % n)
        os.chdir('m0'); begin()
        for n in rounds():
            for victim in victims: write('../m%d/cgroup.procs' % (n % 8), victim)
        """),
    "no OOM kill": Attack(
        """
        os.mkdir('home'); write('home/memory.oom_control', '1')
        write('home/memory.limit_in_bytes', '8M'); os.chdir('home'); begin()
        """,
        heads=("memory",),
        victim="all = [bytearray(b'x' * (1 << 20)) for _ in range(64)]; time.sleep(1000)",
    ),
}

VICTIMS = 3


def cases() -> list[Any]:
    return [
        pytest.param((name, head), id=f"{name}-{head or 'unified'}")
        for name, attack in ATTACKS.items()
        for head in attack.heads
        if _is_here(name, head)
    ]


def _is_here(name: str, head: str) -> bool:
    if not head:
        return Hierarchy.find(":/") is not None
    return Subsystem.find(head).version == 1


# ---- root's calls ----------------------------------------------------------------------------


class Scene:
    """A subtree that the user owns, with victims in it; beside it root's own cgroup, with a sentinel."""

    def __init__(self, top: Cgroup, beside: Cgroup, spawn: Spawn, attack: Attack) -> None:
        self.top, self.beside, self.attack = top, beside, attack
        self.started: list[Popen[bytes]] = []
        self.sentinel = spawn("sleep", "1000")
        beside.add_process(self.sentinel.pid)
        self.own = self._own()
        self.user = spawn(
            *(sys.executable, "-c", USER + _plain(attack.text), str(top.path), str(top.version)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._line() == b"ready\n"
        program = USER + "print('here', flush=True); sys.stdin.readline()\n" + _plain(attack.victim)
        self.victims = [
            spawn(sys.executable, "-c", program, "/", "0", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for _ in range(VICTIMS)
        ]
        procs = os.open(f"/proc/{self.user.pid}/cwd/cgroup.procs", os.O_WRONLY)
        for victim in self.victims:
            assert victim.stdout is not None
            victim.stdout.readline()
            os.write(procs, str(victim.pid).encode())
        os.close(procs)
        for victim in self.victims:
            assert victim.stdin is not None
            victim.stdin.write(b"go\n")
            victim.stdin.flush()
        assert self.user.stdin is not None
        self.user.stdin.write(" ".join(str(victim.pid) for victim in self.victims).encode() + b"\n")
        self.user.stdin.flush()
        assert self._line() == b"begun\n"

    def _line(self) -> bytes:
        assert self.user.stdout is not None
        return self.user.stdout.readline()

    def _own(self) -> list[Cgroup]:
        return [one for one in Hierarchy.process_info(os.getpid()) if one.hierarchy == self.top.hierarchy]

    def check_outside(self, call: str) -> None:
        """Check that everything outside is unchanged."""
        assert self.sentinel.poll() is None, call
        with open(f"/proc/{self.sentinel.pid}/stat") as file:
            state = file.read().rpartition(")")[2].split()[0]
        assert state in "SRD", (call, state)
        assert self.beside.processes() == [self.sentinel.pid], call
        assert self._own() == self.own, call

    def end(self) -> None:
        self.user.kill()
        self.user.wait()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with suppress(CgroupError):
                self.top.remove(recursive=True, kill=True, timeout=20)
                break
        assert not self.top.exists
        for process in self.started:
            process.wait(60)


def _plain(text: str) -> str:
    import textwrap

    return textwrap.dedent(text)


def follow(scene: Scene) -> None:
    parameter = {"pids": Pids.current, "memory": Memory.usage_in_bytes, "": Cpuacct.usage}.get(
        scene.top.hierarchy.spec_head
    )
    if parameter is not None:
        with Sampler.follow(scene.top, [parameter]) as sampler:
            for _ in range(3):
                sampler.sample()


def watch(scene: Scene) -> None:
    for _ in scene.top.events(timeout=TIMEOUT):
        pass


def start(scene: Scene) -> None:
    scene.started.append(Popen(["sleep", "1000"], cgroup=next(itertools.islice(scene.top.walk(), 1, None))))


def make(scene: Scene) -> None:
    made = Hierarchy.find_or_create(f"{scene.top}/new/below", owner=(NOBODY, NOBODY))
    with suppress(FileNotFoundError):
        assert os.stat(str(made.path)).st_uid == NOBODY


def move_all(scene: Scene) -> None:
    for cgroup in itertools.islice(scene.top.walk(), 5):
        with suppress(CgroupError):
            cgroup.move_all(scene.top, TIMEOUT / 5)


def freeze_and_thaw(scene: Scene) -> None:
    if freeze.has_freezer(scene.top):
        try:
            scene.top.freeze(TIMEOUT / 2)
        finally:
            scene.top.thaw(TIMEOUT / 2)


CALLS: dict[str, Callable[[Scene], object]] = {
    "walk": lambda scene: list(itertools.islice(scene.top.walk(), 50_000)),
    "signal": lambda scene: scene.top.signal(signal.SIGCONT, timeout=TIMEOUT),
    "freeze": freeze_and_thaw,
    "follow": follow,
    "events": watch,
    "find_or_create": make,
    "move_all": move_all,
    "wait_empty": lambda scene: scene.top.wait_empty(TIMEOUT),
    "popen": start,
    "kill": lambda scene: scene.top.kill(TIMEOUT),
    "remove": lambda scene: scene.top.remove(recursive=True, kill=True, timeout=TIMEOUT),
}

FOLLOW = 20.0 if cgroups.backend == "native" else 60.0  # three frames of up to 20,000 rows, one file after the other
UNBOUNDED = {"walk": 20.0, "follow": FOLLOW, "find_or_create": 20.0, "popen": 15.0}
"""Calls without a timeout of the caller's, and how long they may take here."""


def called(name: str, scene: Scene) -> None:
    """Call it in a thread, so that a call that hangs is a failure and no more."""
    result: list[BaseException | None] = []

    def act() -> None:
        try:
            CALLS[name](scene)
        except BaseException as error:
            result.append(error)
        else:
            result.append(None)

    thread = threading.Thread(target=act, daemon=True)
    began = time.monotonic()
    thread.start()
    thread.join(120 * SLOW)
    took = time.monotonic() - began
    assert result, f"{name} hangs"
    assert took < UNBOUNDED.get(name, TIMEOUT + SLACK) * SLOW, f"{name} took {took:.1f} s"
    # That a program cannot be executed, for which it has no memory there, is an OSError of subprocess.
    allowed = (CgroupError, OSError) if name == "popen" else CgroupError
    if result[0] is not None and not isinstance(result[0], allowed):
        raise result[0]


@pytest.fixture
def beside(make_cgroup: MakeCgroup) -> Callable[[str], tuple[Cgroup, Cgroup]]:
    """A cgroup that the user owns, and root's beside it."""

    def make(head: str) -> tuple[Cgroup, Cgroup]:
        above = make_cgroup(head)
        top = above.make_sub("users", owner=(NOBODY, NOBODY))
        return top, above.make_sub("roots")

    return make


@pytest.fixture(params=cases())
def scene(request: pytest.FixtureRequest, beside: Any, spawn: Spawn) -> Iterator[Scene]:
    name, head = request.param
    top, other = beside(head)
    if head == "pids":
        Parameters.set(Pids.max, top, 100)  # the machine is to survive it too
    found = Scene(top, other, spawn, ATTACKS[name])
    yield found
    found.end()


def test_calls_under_attack_end_in_time_and_touch_nothing_outside(scene: Scene) -> None:
    for name in CALLS:
        called(name, scene)
        scene.check_outside(name)
    assert scene.user.poll() is None or scene.user.returncode == 0  # it is outside too


def test_kill_under_attack_leaves_nothing_alive(scene: Scene) -> None:
    deadline = time.monotonic() + 30 * SLOW
    while time.monotonic() < deadline:
        with suppress(CgroupError):
            scene.top.kill(TIMEOUT)
            break
    for victim in scene.victims:
        assert victim.wait(5) is not None
    scene.top.wait_empty(5 * SLOW)
    scene.check_outside("kill")
