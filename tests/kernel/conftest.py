"""Fixtures of the kernel tier: what this host has, asked of the host itself, and scripts run in processes of their own.

Tests run on whatever hierarchies are mounted: a fixture's cases are those that
exist, so that a host without v1, or without v2, has fewer tests rather than
skipped ones.  Nothing here asks for the kernel's version.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from common import Terminal

import cgroups
from cgroups import Cgroup, Cpuset, Hierarchy, Parameters, Subsystem
from cgroups.control import kill

HERE = Path(__file__).parent

# Set where the whole machine is the tests' own, as a virtual machine is: there
# the root's cgroup.subtree_control may be written.
OWN_HOST = os.environ.get("CGROUPS_TESTS_OWN_HOST") == "1"

CONTROLLERS = (
    *("memory", "cpu", "cpuacct", "cpuset", "blkio", "pids", "freezer", "devices"),
    *("hugetlb", "net_cls", "net_prio", "perf_event", "rdma", "misc", "dmem"),
)
IN_EVERY_CGROUP = frozenset({"cpuacct", "freezer", "perf_event"})


def usable(controller: str) -> bool:
    """Return whether a test can create a cgroup with this controller without writing to a root of others."""
    found = Subsystem.find(controller)
    if found.hierarchy is None:
        return False
    if found.version == 1 or controller in IN_EVERY_CGROUP or OWN_HOST:
        return True
    name = "io" if controller == "blkio" else controller
    return name in Parameters.get(Subsystem.Core.subtree_control, found.hierarchy.root())


def usable_controllers() -> list[str]:
    """Return the usable controllers, and '' for the unified hierarchy, with the controllers that it always has."""
    unified = [""] if Hierarchy.find(":/") is not None else []
    on_v2 = {name for name in IN_EVERY_CGROUP if Subsystem.find(name).version == 2}
    return [controller for controller in CONTROLLERS if usable(controller) and controller not in on_v2] + unified


def heads() -> list[str]:
    """Return the head of a spec on each hierarchy."""
    return [hierarchy.spec_head for hierarchy in Hierarchy.scan()]


def representative_heads() -> list[str]:
    """One v1 hierarchy whose cgroups need no preparation, and the unified one.

    First a controller that v2 does not have by itself: where its v1 hierarchy is hidden, it is nowhere.
    """
    v1 = [name for name in ("pids", "memory", "devices", "freezer", "cpuacct") if Subsystem.find(name).version == 1][:1]
    return v1 + ([""] if Hierarchy.find(":/") is not None else [])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``controller_here``, ``every_head`` and ``head`` take each value that this host has."""
    sources = {"controller_here": usable_controllers, "every_head": heads, "head": representative_heads}
    for name, values in sources.items():
        if name in metafunc.fixturenames:
            found = values()
            metafunc.parametrize(name, found, ids=[value or "unified" for value in found])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.getuid() != 0:
        for item in items:
            if item.path.is_relative_to(HERE):
                item.add_marker(pytest.mark.skip(reason="making cgroups needs root"))


@pytest.fixture(autouse=True)
def terminals() -> Iterator[None]:
    """End the programs that a failed test has left on terminals."""
    yield
    Terminal.end_all()


@pytest.fixture(scope="session", autouse=True)
def the_root_keeps_its_controllers() -> Iterator[None]:
    """Check at the end that the controllers enabled in a root of others are unchanged."""
    unified = Hierarchy.find(":/")
    before = None if unified is None or OWN_HOST else Parameters.get(Subsystem.Core.subtree_control, unified)
    yield
    if unified is not None and before is not None:
        assert Parameters.get(Subsystem.Core.subtree_control, unified) == before


@pytest.fixture
def need() -> Callable[[str], None]:
    """``need("pids")`` skips a test where no cgroup with this controller can be made."""

    def check(controller: str) -> None:
        if not usable(controller):
            pytest.skip(f"no cgroup with the controller {controller} can be made here")

    return check


# ---- scripts in processes of their own ------------------------------------------------

PRELUDE = '''
import ctypes, errno, json, os, sys, threading, time
from cgroups import *

_libc = ctypes.CDLL(None, use_errno=True)
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
CLONE_NEWNS, CLONE_NEWCGROUP = 0x20000, 0x2000000

def _encode(text):
    return None if text is None else os.fsencode(text)

def _check(result, what):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), what)

def mount(source, target, kind="none", flags=0, data=None):
    words = [_encode(source), _encode(target), _encode(kind), ctypes.c_ulong(flags), _encode(data)]
    _check(_libc.mount(*words), target)

def bind(source, target):
    os.makedirs(target, exist_ok=True)
    mount(source, target, flags=MS_BIND)

def umount(target):
    _check(_libc.umount2(_encode(target), MNT_DETACH), target)

def unshare(flags):
    _check(_libc.unshare(flags), "unshare")

def hide(hierarchy):
    """Takes away all mounts of a hierarchy, in this mount namespace."""
    for one in hierarchy.mounts:
        umount(one.path)

def raises(kind, function, *arguments):
    try:
        result = function(*arguments)
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was expected, and there was {result!r}")
'''


@pytest.fixture
def script() -> Callable[..., list[str]]:
    """The command line of a Python program with the prelude; its arguments are ``sys.argv[1:]``."""

    def command(text: str, *arguments: str) -> list[str]:
        return [sys.executable, "-c", PRELUDE + textwrap.dedent(text), *arguments]

    return command


@pytest.fixture
def run_script(script: Callable[..., list[str]]) -> Callable[..., str]:
    """Runs one to its end, away from the checkout, and gives what it printed; a failed assert in it fails the test."""

    def run(text: str, *arguments: str, prefix: tuple[str, ...] = (), timeout: float = 120) -> str:
        command = [*prefix, *script(text, *arguments)]
        done = subprocess.run(command, capture_output=True, cwd="/", timeout=timeout, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout.decode("utf-8", "surrogateescape")

    return run


@pytest.fixture
def run_unshared(run_script: Callable[..., str], tmp_path: Path) -> Callable[..., str]:
    """The same in a mount namespace of its own, with an empty tmpfs whose path is ``sys.argv[1]``."""

    def run(text: str, *arguments: str) -> str:
        start = 'mount("tmpfs", sys.argv[1], "tmpfs")\n'
        return run_script(start + textwrap.dedent(text), str(tmp_path), *arguments, prefix=("unshare", "-m"))

    return run


# ---- cgroups that take processes --------------------------------------------------------


@pytest.fixture
def make_ready(make_cgroup: Callable[..., Cgroup]) -> Callable[..., Cgroup]:
    """A fresh cgroup into which processes can be moved: a v1 cpuset gets its parent's CPUs and nodes."""

    def make(controller: str, below: str = "") -> Cgroup:
        cgroup = make_cgroup(controller, below)
        if cgroup.version == 1 and "cpuset" in cgroup.subsystems:
            chain = [cgroup]
            while (above := chain[-1].parent) is not None and not above.is_root:
                chain.append(above)
            for one in reversed(chain):
                for parameter in (Cpuset.cpus, Cpuset.mems):
                    Parameters.set(parameter, one, Parameters.get(parameter, one.parent))
        return cgroup

    return make


@pytest.fixture
def kept_budget() -> Iterator[None]:
    """Puts the descriptor budget back."""
    from cgroups.core.backend import backend  # noqa: PLC0415 - a public setter, but no getter

    before = backend.fd_budget()
    yield
    cgroups.set_fd_budget(before)


@pytest.fixture
def parents(make_ready: Callable[..., Cgroup]) -> list[Cgroup]:
    """A fresh cgroup of each hierarchy that counts or limits something; on v2 with what can be had there."""
    made = [make_ready(one.spec_head) for one in Hierarchy.scan() if one.version == 1 and one.subsystems]
    if Hierarchy.find(":/") is not None:
        unified = make_ready("")
        for controller in CONTROLLERS:
            if Subsystem.find(controller).version == 2 and usable(controller) and controller not in IN_EVERY_CGROUP:
                Hierarchy.find_or_create(f"{controller}:{unified.location}")
        made.append(unified)
    return made


@pytest.fixture
def open_descriptors() -> Callable[[], int]:
    """Return a function that counts the open descriptors after a garbage collection."""

    def count() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    return count


@pytest.fixture(params=["the kernel's own", "one by one"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test with cgroup.kill if the kernel has it, and once more without."""
    if request.param == "one by one":
        monkeypatch.setattr(kill, "kill_at_once", lambda _: False)
    return str(request.param)
