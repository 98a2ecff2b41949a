"""Waiting for a child: both backends, with and without a deadline, pidfds and a parent that ignores SIGCHLD."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

import cgroups
from cgroups.core import reference
from cgroups.core.backend import backend

MODULES = {"python": reference, cgroups.backend: backend}


@pytest.fixture(params=sorted(MODULES))
def wait(request: pytest.FixtureRequest) -> Any:
    return MODULES[request.param].wait_child


@pytest.fixture
def child() -> Iterator[Any]:
    """Starts programs that are gone after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*words: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(words))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.wait()


@pytest.mark.parametrize("seconds", [None, 60])
def test_wait_child_returns_the_time_of_its_end_and_leaves_it_to_be_reaped(
    wait: Any, child: Any, seconds: int | None
) -> None:
    before = time.monotonic_ns()
    one = child("sh", "-c", "sleep 0.1; exit 3")
    ended = wait(one.pid, None if seconds is None else before + seconds * 10**9)
    assert before + 100_000_000 <= ended <= time.monotonic_ns()
    assert wait(one.pid, 0) >= ended
    assert one.wait() == 3


def test_wait_child_deadline_that_passes_first_is_0(wait: Any, child: Any) -> None:
    one = child("sleep", "100")
    before = time.monotonic_ns()
    assert wait(one.pid, before + 50_000_000) == 0
    assert wait(one.pid, before) == wait(one.pid, 0) == 0
    assert 50_000_000 <= time.monotonic_ns() - before < 20 * 10**9


@pytest.mark.parametrize("deadline", [None, 10**18])
def test_wait_child_lets_signal_handlers_run_and_raise(wait: Any, child: Any, deadline: int | None) -> None:
    came: list[int] = []

    def come(*_: Any) -> None:
        came.append(1)
        if len(came) == 2:
            raise KeyError

    before = signal.signal(signal.SIGALRM, come)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        with pytest.raises(KeyError):
            wait(child("sleep", "100").pid, deadline)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


IGNORED = """
import signal, subprocess, sys, time
from cgroups.core import reference
from cgroups.core.backend import backend
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for module in (backend, reference):
    for deadline in (None, 10**18):
        before = time.monotonic_ns()
        child = subprocess.Popen(["sleep", "0.1"])
        assert module.wait_child(child.pid, deadline) >= before + 100_000_000
        assert module.wait_child(child.pid, deadline) > 0
"""


def test_wait_child_that_the_kernel_reaps_has_ended() -> None:
    subprocess.run([sys.executable, "-c", IGNORED], cwd="/", check=True, timeout=60, env={**os.environ})


def test_wait_child_without_pidfds_looks_again_and_again(monkeypatch: pytest.MonkeyPatch, child: Any) -> None:
    monkeypatch.setattr(reference.children, "open_process", lambda _: -1)
    one = child("sleep", "0.1")
    assert reference.wait_child(one.pid, time.monotonic_ns() + 10**7) == 0
    assert reference.wait_child(one.pid, time.monotonic_ns() + 60 * 10**9) > 0


def test_watch_that_watches_nobody_has_seen_no_end() -> None:
    for module in MODULES.values():
        assert module.Watch().ended_ns() == 0
