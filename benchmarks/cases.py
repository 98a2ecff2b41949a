"""What is read, by whom, and the bound that this library is held to."""

from __future__ import annotations

import contextlib
import os
import re
import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import cgroups
from cgroups import Blkio, Cell, Cgroup, Cpu, Cpuacct, Hierarchy, Memory, Parameters, Pids, Sampler

from .measure import Result, Subject, interleaved
from .world import Floor, fresh_cgroups, open_files

GET, SAMPLER, FLOOR = "Parameters.get", "Sampler.sample", "floor: pread in C"
BY_HAND, PLAIN = "os.pread, by hand", "open().read(), plain"


class Work(NamedTuple):
    """Some files of each of some cgroups: by controller, the parameters that are read."""

    title: str
    parts: dict[str, tuple[Any, ...]]
    bounds: dict[str, float]
    cgroups: int = 200


WORKS = (
    Work("one integer", {"memory": (Memory.usage_in_bytes,)}, {GET: 1.7, SAMPLER: 1.04}),
    Work("memory.stat", {"memory": (Memory.stat,)}, {GET: 1.6, SAMPLER: 1.08}),
    Work("v2 cpu.stat and memory.pressure", {"": (Cpu.stat, Memory.pressure)}, {SAMPLER: 1.10}),
    Work(
        "13 files",
        {
            "memory": (
                *(Memory.stat, Memory.usage_in_bytes, Memory.max_usage_in_bytes),
                *(Memory.failcnt, Memory.limit_in_bytes),
            ),
            "cpu": (Cpu.stat,),
            "cpuacct": (Cpuacct.usage, Cpuacct.usage_percpu, Cpuacct.stat),
            "pids": (Pids.current, Pids.max),
            "blkio": (Blkio.throttle_io_service_bytes, Blkio.throttle_io_serviced),
        },
        {SAMPLER: 1.10},
    ),
)


def is_here(work: Work) -> bool:
    """Whether this host has all of its files."""
    roots = {controller: Hierarchy.find(f"{controller}:/") for controller in work.parts}
    return all(
        (root := roots[controller]) is not None and all(parameter.files(root.version) for parameter in parameters)
        for controller, parameters in work.parts.items()
    )


# ---- subjects --------------------------------------------------------------------------


def _flat(data: bytes) -> dict[bytes, int]:
    return {key: int(value) for key, value in (line.split() for line in data.splitlines())}


def _nested(data: bytes) -> dict[bytes, dict[bytes, float]]:
    rows = (line.split() for line in data.splitlines())
    return {row: {key: float(value) for key, value in (field.split(b"=") for field in fields)} for row, *fields in rows}


def _triples(data: bytes) -> dict[tuple[bytes, ...], int]:
    return {tuple(keys): int(value) for *keys, value in (line.split() for line in data.splitlines())}


def _number(data: bytes) -> int | None:
    try:
        return int(data)
    except ValueError:
        return None  # max


# How a careful program would parse a file, by its name; else it is one number.
_PARSERS: tuple[tuple[str, Callable[[bytes], Any]], ...] = (
    (r".*/(memory|cpu|cpuacct)\.stat", _flat),
    (r".*\.pressure", _nested),
    (r".*/blkio\.throttle\..*", _triples),
    (r".*_percpu", lambda data: [int(word) for word in data.split()]),
)


def _parser(path: str) -> Callable[[bytes], Any]:
    return next((parser for pattern, parser in _PARSERS if re.fullmatch(pattern, path)), _number)


def _by_hand(fds: list[int], paths: list[str]) -> Subject:
    files = [(fd, _parser(path)) for fd, path in zip(fds, paths)]
    pread = os.pread

    def subject() -> None:
        for fd, parse in files:
            parse(pread(fd, 16384, 0))

    return subject


def _plain(paths: list[str]) -> Subject:
    files = [(path, _parser(path)) for path in paths]

    def subject() -> None:
        for path, parse in files:
            with open(path, "rb") as file:
                parse(file.read())

    return subject


def _get(parts: list[tuple[list[Cgroup], tuple[Any, ...]]]) -> Subject:
    get = Parameters.get
    pairs = [(parameter, cgroup) for cgroups, parameters in parts for cgroup in cgroups for parameter in parameters]

    def subject() -> None:
        for parameter, cgroup in pairs:
            get(parameter, cgroup)

    return subject


def _sampler(parts: list[tuple[list[Cgroup], tuple[Any, ...]]]) -> Subject:
    """One sampler for each hierarchy: a cell for each file of each cgroup, and none that cannot be."""
    samplers = [Sampler(cgroups, parameters) for cgroups, parameters in parts]
    for sampler in samplers:
        statuses = set(sampler.sample().status.cast("B"))
        assert statuses <= {Cell.OK, Cell.MAX}, f"a file was not read: {statuses}"
    if len(samplers) == 1:
        return samplers[0].sample

    def subject() -> None:
        for sampler in samplers:
            sampler.sample()

    return subject


def paths_of(parts: list[tuple[list[Cgroup], tuple[Any, ...]]]) -> list[str]:
    """All files, in the order of the cgroups."""
    return [
        f"{cgroup.path}/{file}"
        for cgroups, parameters in parts
        for cgroup in cgroups
        for parameter in parameters
        for file in parameter.files(cgroup.version)[:1]
    ]


def reading(floor: Floor, rounds: int) -> Iterator[tuple[str, list[Result]]]:
    """The works, on kept-open files."""
    for work in filter(is_here, WORKS):
        files = work.cgroups * sum(map(len, work.parts.values()))
        with ExitStack() as stack, many_files(2 * files):  # Parameters.get keeps them, and the sampler its own
            parts = [
                (stack.enter_context(fresh_cgroups(controller, work.cgroups)), parameters)
                for controller, parameters in work.parts.items()
            ]
            paths = paths_of(parts)
            fds = stack.enter_context(open_files(paths))
            subjects: dict[str, Subject] = {
                FLOOR: floor.pread(fds),
                GET: _get(parts),
                SAMPLER: _sampler(parts),
                BY_HAND: _by_hand(fds, paths),
                PLAIN: _plain(paths),
            }
            title = f"{work.cgroups} cgroups, {work.title}"
            yield title, interleaved(subjects, items=len(paths), rounds=rounds, bounds=work.bounds)


# ---- more and more cgroups ---------------------------------------------------------------

SIZES = (10, 100, 1_000, 10_000)
LIMITED = 1024
_OTHERS = 500  # files of the interpreter, its libraries, the other subjects


@contextlib.contextmanager
def many_files(count: int) -> Iterator[None]:
    """Lets this process have so many files open, for the floor and the library each."""
    soft, hard = before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * count + _OTHERS
    if wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    cgroups.set_fd_budget(count + _OTHERS // 2)
    try:
        yield
    finally:
        cgroups.set_fd_budget(soft // 4)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def most_kept(wanted: int) -> int:
    """As many files as the floor and the library may both keep open, at most those wanted."""
    with contextlib.suppress(ValueError, OSError), many_files(wanted):
        return wanted
    return min(wanted, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - _OTHERS) // 2)


def sizes(floor: Floor, rounds: int, most: int) -> Iterator[tuple[str, list[Result]]]:
    """One integer of ever more cgroups; and of the most, with fewer descriptors than files."""
    for size in (one for one in SIZES if one <= most):
        few = max(rounds * 100 // max(size, 100), 10)
        with fresh_cgroups("memory", size) as those:
            fitting = those[: most_kept(size)]
            parts = [(fitting, (Memory.usage_in_bytes,))]
            with many_files(len(fitting)), open_files(paths_of(parts)) as fds:
                kept: dict[str, Subject] = {FLOOR: floor.pread(fds), SAMPLER: _sampler(parts)}
                bounds = {SAMPLER: 1.05} if size == SIZES[-1] else {}
                title = f"{len(fitting)} cgroups, one integer"
                yield title, interleaved(kept, items=len(fitting), rounds=few, bounds=bounds)
            if size > LIMITED:
                cgroups.set_fd_budget(LIMITED)
                parts = [(those, (Memory.usage_in_bytes,))]
                reopened: dict[str, Subject] = {
                    "floor: open, read, close in C": floor.open_read_close(paths_of(parts)),
                    SAMPLER: _sampler(parts),
                }
                title = f"{size} cgroups, one integer, {LIMITED} descriptors"
                yield title, interleaved(reopened, items=size, rounds=few, bounds={SAMPLER: 1.1})
