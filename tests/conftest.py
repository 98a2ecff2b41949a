"""Fixtures of all tiers, and the rule that a test which did not run is a failure in CI.

The backend under test is the one that ``CGROUPS_BACKEND`` chose when cgroups
was imported: run.sh runs the suite once with each.  What is below the façade
takes the ``implementation`` fixture and runs on both at once.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

import cgroups
from cgroups import Cgroup, Core, Hierarchy, Parameters
from cgroups.core import reference
from cgroups.core.specs import IMPLICIT

try:
    from cgroups.core import native
except ModuleNotFoundError:
    native = None

# What a test starts is to take these signals, also where the tests run under nohup or in the background of a script.
for _number, _handler in {
    signal.SIGHUP: signal.SIG_DFL,
    signal.SIGQUIT: signal.SIG_DFL,
    signal.SIGINT: signal.default_int_handler,
}.items():
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)

TESTS = Path(__file__).parent
FIXTURES = TESTS / "fixtures"
CI = os.environ.get("CI") == "true"

# The committed list of what may be skipped; a virtual machine has another.
SKIPS = Path(os.environ.get("CGROUPS_TESTS_SKIPS", TESTS / "skips.txt"))

IMPLEMENTATIONS = {"native": native, "python": reference}


# ---- what was not run -----------------------------------------------------------


def _allowed_skips() -> set[str]:
    """The committed list: ``nodeid  # reason`` a line."""
    lines = SKIPS.read_text().splitlines()
    return {line.partition("#")[0].strip() for line in lines if line.partition("#")[0].strip()}


_skipped: set[str] = set()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped.add(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    unexpected = _skipped - _allowed_skips()
    if CI and unexpected:
        print(f"\nskipped, and not in {SKIPS}:", *sorted(unexpected), sep="\n  ", file=sys.stderr)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_report_header() -> str:
    return f"cgroups {cgroups.__version__} from {Path(cgroups.__file__).parent}, backend {cgroups.backend}"


# ---- backends ----------------------------------------------------------------------


@pytest.fixture(params=["native", "python"])
def implementation(request: pytest.FixtureRequest) -> ModuleType:
    """Each backend module, whichever the façade uses."""
    module = IMPLEMENTATIONS[request.param]
    if module is None:
        pytest.skip("the extension was not built")
    return module


# ---- cgroups of our own -------------------------------------------------------------

_numbers = itertools.count(1)


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _remove_tree(cgroup: Cgroup) -> None:
    """Ends what is inside, and removes all of it; only ever what a test has made."""
    assert "/cgroups-test-" in cgroup.location
    for _ in range(200):
        if not cgroup.exists:
            return
        for one in reversed(list(cgroup.walk())):
            with contextlib.suppress(cgroups.CgroupError):
                for pid in one.processes():
                    assert pid != os.getpid(), f"the tests' own process is in {one}"
                    _end(pid)
        try:
            cgroup.remove(recursive=True)
        except cgroups.CgroupError:
            time.sleep(0.02)
    raise AssertionError(f"{cgroup} could not be removed")


MakeCgroup = Callable[..., Cgroup]

# Set where the whole machine is the tests' own, as a virtual machine is.
OWN_HOST = os.environ.get("CGROUPS_TESTS_OWN_HOST") == "1"


def _would_write_the_root(root: Cgroup, controller: str) -> bool:
    """Return whether creating a cgroup with a controller must enable it in an existing cgroup, which happens on v2."""
    if root.version == 1 or not controller or controller in IMPLICIT or OWN_HOST:
        return False
    name = "io" if controller == "blkio" else controller
    return name not in Parameters.get(Core.subtree_control, root)


@pytest.fixture
def make_cgroup() -> Iterator[MakeCgroup]:
    """``make_cgroup("memory")`` is a fresh cgroup of this test's own; it is gone after the test, whatever happens."""
    made: list[Cgroup] = []

    def make(controller: str, below: str = "") -> Cgroup:
        hierarchy_root = Hierarchy.find(controller if controller else ":/")
        if hierarchy_root is None:
            pytest.skip(f"no hierarchy with {controller or 'the unified hierarchy'} is mounted here")
        if _would_write_the_root(hierarchy_root, controller):
            pytest.skip(f"{controller} would have to be enabled in the root, which is not the tests' own")
        name = f"cgroups-test-{os.getpid()}-{next(_numbers)}"
        base = hierarchy_root.location.rstrip("/")
        cgroup = Hierarchy.find_or_create(f"{controller}:{base}/{name}{below}")
        top = Hierarchy.find_exn(f"{controller}:{base}/{name}")
        made.append(top)
        return cgroup

    yield make
    for cgroup in reversed(made):
        _remove_tree(cgroup)


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """``spawn("sleep", "60")`` is a child that is ended after the test."""
    children: list[subprocess.Popen[bytes]] = []

    def start(*args: str, **keywords: object) -> subprocess.Popen[bytes]:
        child = subprocess.Popen(args, **keywords)  # type: ignore[call-overload]
        children.append(child)
        return child

    yield start
    for child in children:
        if child.poll() is None:
            child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """No cgroup of this process's tests survives them, on any hierarchy."""
    yield
    mark = f"cgroups-test-{os.getpid()}-"
    left = [
        str(child)
        for hierarchy in Hierarchy.scan()
        for child in hierarchy.root().children()
        if child.name.startswith(mark)
    ]
    assert not left, f"left behind: {left}"


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The captured control files."""
    return FIXTURES
