"""Tests with a real systemd as init: only inside a guest of tests/vm, which sets the place."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator

import pytest

PLACE = os.environ.get("CGROUPS_TESTS_PLACE", "")
"""``root``, ``hybrid`` (root too), ``session`` (of a user) or ``service`` (of the user's manager); '' elsewhere."""

WHOLE = os.environ.get("CGROUPS_TESTS_WHOLE") == "1"
"""Whether tests that say little new in a place run there too: by hand, since each takes ten seconds."""


def at(*places: str, whole: tuple[str, ...] = ()) -> Callable[[Callable[..., None]], Callable[..., None] | None]:
    """Collect a test in some places only, and in others if the whole tier was asked for."""
    return lambda test: test if PLACE in places or (WHOLE and PLACE in whole) else None


USERS = ("session", "service")
EVERYWHERE = (*USERS, "root")

collect_ignore_glob = [] if PLACE else ["test_*.py"]

# Long enough for the slowest, and said where it hangs.
SECONDS = 300 if os.environ.get("CGROUPS_TESTS_WHOLE") == "1" else 90

# A process of its own for each.
PRELUDE = """
import faulthandler, os, subprocess, sys, time, warnings
faulthandler.dump_traceback_later({seconds}, exit=True)
from cgroups import *

USER = {user}
NAME = {name!r}
UNIT = NAME + ".scope"
SYSTEMCTL = ["systemctl", *(["--user"] if USER else [])]

def state(unit=UNIT):
    words = [*SYSTEMCTL, "show", unit, "-p", "LoadState,ActiveState,ControlGroup,Delegate,DelegateControllers"]
    lines = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    return dict(line.split("=", 1) for line in lines)

def obtain(name=NAME, controllers=("memory", "pids"), user=USER, timeout=60):
    return Scope.obtain(name, controllers, user=user, timeout=timeout)

def raises(kind, call, *args, **keywords):
    try:
        call(*args, **keywords)
    except kind as error:
        assert type(error) is kind, repr(error)
        return error
    raise AssertionError(f"no {{kind.__name__}}")

def is_gone(unit=UNIT):
    deadline = time.monotonic() + 60
    while state(unit)["LoadState"] != "not-found":
        assert time.monotonic() < deadline, state(unit)
        time.sleep(0.2)
    return True

def scopes():
    words = [*SYSTEMCTL, "list-units", "--no-legend", "--plain", "--all", "cgroups-run-*", "job-*"]
    return [line.split()[0] for line in subprocess.run(words, capture_output=True, text=True).stdout.splitlines()]

def no_scopes():
    deadline = time.monotonic() + 60
    while scopes():
        assert time.monotonic() < deadline, scopes()
        time.sleep(0.2)
    return True

def sleep():
    # It holds none of the pipes that the test reads.
    return subprocess.Popen(["sleep", "300"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

def own():
    return [str(one) for one in Hierarchy.process_info(os.getpid())]
"""


@pytest.fixture
def run_script(request: pytest.FixtureRequest) -> Iterator[Callable[..., str]]:
    """Runs a script after the prelude, and gives what it printed; ``NAME`` is a scope's of the test's own."""
    name = f"cgroups-test-{PLACE}-{request.node.name.removeprefix('test_').replace('_', '-')}"

    def run(script: str, *words: str, **environment: str) -> str:
        prelude = PRELUDE.format(seconds=SECONDS, user=PLACE in ("session", "service"), name=name)
        result = subprocess.run(
            [sys.executable, "-c", prelude + textwrap.dedent(script), *words],
            capture_output=True,
            text=True,
            timeout=SECONDS + 30,
            cwd="/",
            env={**os.environ, **environment},
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    yield run
    of_user = ["--user"] if PLACE in ("session", "service") else []
    # A test that failed may have left it.
    subprocess.run(["systemctl", *of_user, "stop", f"{name}.scope"], capture_output=True, check=False)
