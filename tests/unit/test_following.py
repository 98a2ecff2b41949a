"""Sampler.follow over directories: what interrupts a change of its rows never mixes them up."""

from __future__ import annotations

import linecache
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import cgroups
from cgroups import Cgroup, Host, Pids, Sampler

PACKAGE = str(Path(cgroups.__file__).parent)


class Boom(Exception):
    """The exception that the handler of a signal raises."""


@contextmanager
def raising_at(event: int) -> Iterator[None]:
    """Raises where the sampler reaches this line, counted from 0 over all the lines that it runs."""
    left = event
    entered: dict[FrameType, set[int]] = {}

    def trace(frame: FrameType, kind: str, _: Any) -> Callable[..., Any] | None:
        nonlocal left
        ours = frame.f_code.co_filename.startswith(PACKAGE)
        caller = frame.f_back.f_code.co_name if frame.f_back else ""
        if not ours or "__del__" in (frame.f_code.co_name, caller):  # what a destructor raises is ignored
            return None
        if kind != "line":
            return trace
        # A with statement is a line event at its end too, before it calls __exit__: there CPython runs no handler.
        line, seen = frame.f_lineno, entered.setdefault(frame, set())
        if line in seen and linecache.getline(frame.f_code.co_filename, line).lstrip().startswith("with "):
            return trace
        seen.add(line)
        left -= 1
        if left < 0:
            sys.settrace(None)
            raise Boom
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


@pytest.fixture
def no_kept_files() -> Iterator[None]:
    """A plain file that is gone, and was kept open, would still answer."""
    cgroups.set_fd_budget(0)
    yield
    cgroups.set_fd_budget(1024)


@pytest.fixture
def top(v2: Host) -> Cgroup:
    cgroup = v2.find_exn(":/job")
    shutil.rmtree(f"{cgroup.path}/a")
    Path(f"{cgroup.path}/pids.max").write_text("99\n")
    return cgroup


def make(top: Cgroup, name: str, number: int) -> None:
    """As the kernel does: the cgroup appears with its files."""
    directory = Path(f"{top.path}.new")
    directory.mkdir()
    (directory / "pids.max").write_text(f"{number}\n")
    directory.rename(f"{top.path}/{name}")


def numbers(sampler: Sampler) -> dict[str, Any]:
    frame = sampler.sample()
    assert len(frame) == len(frame.cgroups) == len(frame.inodes)
    assert frame.inodes.tolist() == [os.stat(str(cgroup.path)).st_ino for cgroup in frame.cgroups]
    return {cgroup.name: frame[cgroup, Pids.max] for cgroup in frame.cgroups}


@pytest.mark.slow
@pytest.mark.usefixtures("no_kept_files")
def test_follow_interrupted_at_any_line_keeps_names_and_numbers_together(top: Cgroup) -> None:
    wanted = {"job": 99, **{name: 100 + number for number, name in enumerate("abcd")}}
    for name, number in wanted.items():
        if name != "job":
            make(top, name, number)
    with Sampler.follow(top, [Pids.max]) as sampler:
        assert numbers(sampler) == wanted
        interrupted, event = True, 0
        while interrupted:
            # The first row below the top goes, so that all others move, and one comes.
            gone = next(name for name in wanted if name != "job")
            del wanted[gone]
            shutil.rmtree(f"{top.path}/{gone}")
            name, wanted[name] = f"n{event}", event
            make(top, name, event)
            try:
                with raising_at(event):
                    sampler.sample()
                interrupted = False
            except Boom:
                event += 1
            assert numbers(sampler) == wanted
            assert numbers(sampler) == wanted
        assert event > 50


@pytest.mark.usefixtures("no_kept_files")
def test_follow_interrupted_again_and_again_recovers(top: Cgroup) -> None:
    make(top, "a", 1)
    with Sampler.follow(top, [Pids.max]) as sampler:
        shutil.rmtree(f"{top.path}/a")
        make(top, "b", 2)
        for event in range(60):
            with pytest.raises(Boom), raising_at(event):
                sampler.sample()
        assert numbers(sampler) == {"job": 99, "b": 2}


@pytest.mark.usefixtures("no_kept_files")
def test_follow_where_selects_the_rows(top: Cgroup) -> None:
    make(top, "a", 1)
    with Sampler.follow(top, [Pids.max], where=lambda cgroup: cgroup.name in ("a", "c")) as sampler:
        assert numbers(sampler) == {"a": 1}
        make(top, "b", 2)
        make(top, "c", 3)
        assert numbers(sampler) == {"a": 1, "c": 3}
        shutil.rmtree(f"{top.path}/a")
        assert numbers(sampler) == {"c": 3}


@pytest.mark.usefixtures("no_kept_files")
def test_follow_where_that_raises_loses_no_cgroup(top: Cgroup) -> None:
    make(top, "a", 1)
    fails = [False]

    def where(_: Cgroup) -> bool:
        if fails[0]:
            raise Boom
        return True

    with Sampler.follow(top, [Pids.max], where=where) as sampler:
        assert numbers(sampler) == {"job": 99, "a": 1}
        make(top, "b", 2)
        fails[0] = True
        with pytest.raises(Boom):
            sampler.sample()
        fails[0] = False
        assert numbers(sampler) == {"job": 99, "a": 1, "b": 2}


def test_follow_where_must_be_a_function(top: Cgroup) -> None:
    with pytest.raises(cgroups.InvalidValue, match="where must be a function"):
        Sampler.follow(top, [Pids.max], where="a*")  # type: ignore[arg-type]


def test_backend_frame_of_another_count_of_rows_is_refused(implementation: Any, tmp_path: Path) -> None:
    """C knows how many rows there are: a frame of other rows would show numbers under other names."""
    from cgroups.core.interface import Shape, Target

    (tmp_path / "value").write_text("5\n")
    sampler = implementation.Sampler(1)
    program = implementation.Program(Shape.VALUE, [Target("", "", 0, 0, 0, 1, 0)])
    for _ in range(2):
        sampler.add(implementation.open_directory(str(tmp_path), 0), "", [("value", program)])
    sampler.sample(2)
    for rows in (0, 1, 3):
        with pytest.raises(RuntimeError, match=f"has 2 rows, not {rows}"):
            sampler.sample(rows)
    sampler.remove([0])
    with pytest.raises(RuntimeError, match="has 1 rows, not 2"):
        sampler.sample(2)
    sampler.sample(1)
