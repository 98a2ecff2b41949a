"""The files to read, the subjects that read them, and the bounds for this library."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import cgroups
from cgroups import Blkio, Cpu, Cpuacct, Hierarchy, Memory, Pids
from cgroups.core.backend import backend

from .measure import Result, Subject, interleaved
from .peers import Peers
from .remote import python_backend
from .subjects import Part, by_hand, get, paths_of, plain, sampler
from .world import Floor, fresh_cgroups, open_files

GET, SAMPLER, FLOOR = "Parameters.get", "Sampler.sample", "floor: pread in C"
BY_HAND, PLAIN = "os.pread, by hand", "open().read(), plain"


class Work(NamedTuple):
    """Some files of each of some cgroups: the parameters to read, by controller."""

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
    """Return whether this host has all files of a work."""
    roots = {controller: Hierarchy.find(f"{controller}:/") for controller in work.parts}
    return all(
        (root := roots[controller]) is not None and all(parameter.files(root.version) for parameter in parameters)
        for controller, parameters in work.parts.items()
    )


def reading(floor: Floor, peers: Peers, rounds: int) -> Iterator[tuple[str, list[Result]]]:
    """Run the works, on files that stay open."""
    for work in filter(is_here, WORKS):
        files = work.cgroups * sum(map(len, work.parts.values()))
        with ExitStack() as stack, many_files(2 * files):  # Parameters.get and the sampler keep all files open
            parts = [
                Part(stack.enter_context(fresh_cgroups(controller, work.cgroups)), parameters)
                for controller, parameters in work.parts.items()
            ]
            paths = paths_of(parts)
            fds = stack.enter_context(open_files(paths))
            subjects: dict[str, Subject] = {
                FLOOR: floor.pread(fds),
                SAMPLER: sampler(parts),
                GET: get(parts),
                f"{SAMPLER}, Python backend": python_backend("sampler", parts),
                f"{GET}, Python backend": python_backend("get", parts),
                BY_HAND: by_hand(fds, paths),
                PLAIN: plain(paths),
                **peers.subjects(parts),
            }
            title = f"{work.cgroups} cgroups, {work.title}"
            yield title, interleaved(subjects, items=len(paths), rounds=rounds, bounds=work.bounds)


# ---- more and more cgroups ---------------------------------------------------------------

SIZES = (10, 100, 1_000, 10_000)
LIMITED = 1024
_OTHERS = 500  # files of the interpreter, its libraries and the other subjects


@contextlib.contextmanager
def many_files(count: int) -> Iterator[None]:
    """Raise the limit of open files to ``count`` for the floor, and the same for the library."""
    soft, hard = before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * count + _OTHERS
    if wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    budget = backend.fd_budget()
    cgroups.set_fd_budget(count + _OTHERS // 2)
    try:
        yield
    finally:
        cgroups.set_fd_budget(budget)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def most_kept(wanted: int) -> int:
    """Return how many files the floor and the library can both keep open, at most ``wanted``."""
    with contextlib.suppress(ValueError, OSError), many_files(wanted):
        return wanted
    return min(wanted, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - _OTHERS) // 2)


def sizes(floor: Floor, rounds: int, most: int) -> Iterator[tuple[str, list[Result]]]:
    """Measure one integer of more and more cgroups; for the most cgroups, also with fewer descriptors than files."""
    for size in (one for one in SIZES if one <= most):
        few = max(rounds * 100 // max(size, 100), 10)
        with fresh_cgroups("memory", size) as those:
            fitting = those[: most_kept(size)]
            parts = [Part(fitting, (Memory.usage_in_bytes,))]
            with many_files(len(fitting)), open_files(paths_of(parts)) as fds:
                kept: dict[str, Subject] = {FLOOR: floor.pread(fds), SAMPLER: sampler(parts)}
                bounds = {SAMPLER: 1.05} if size == SIZES[-1] else {}
                title = f"{len(fitting)} cgroups, one integer"
                yield title, interleaved(kept, items=len(fitting), rounds=few, bounds=bounds)
            if size > LIMITED:
                cgroups.set_fd_budget(LIMITED)
                parts = [Part(those, (Memory.usage_in_bytes,))]
                reopened: dict[str, Subject] = {
                    "floor: open, read, close in C": floor.open_read_close(paths_of(parts)),
                    SAMPLER: sampler(parts),
                }
                title = f"{size} cgroups, one integer, {LIMITED} descriptors"
                yield title, interleaved(reopened, items=size, rounds=few, bounds={SAMPLER: 1.1})
