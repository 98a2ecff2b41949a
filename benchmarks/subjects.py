"""The readers: this library by each of its functions, and programs that read the kernel's files directly."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cgroups import Cell, Cgroup, Parameters, Sampler

from .measure import Subject


class Part(NamedTuple):
    """Some parameters of some cgroups of one hierarchy."""

    cgroups: Sequence[Cgroup]
    parameters: tuple[Any, ...]

    def files(self) -> list[tuple[Cgroup, str]]:
        """Return the control files of the part, in the order of the cgroups."""
        return [
            (cgroup, file)
            for cgroup in self.cgroups
            for parameter in self.parameters
            for file in parameter.files(cgroup.version)[:1]
        ]


Parts = Sequence[Part]


def paths_of(parts: Parts) -> list[str]:
    """Return the paths of all control files."""
    return [f"{cgroup.path}/{file}" for part in parts for cgroup, file in part.files()]


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


# The parser of a careful program, by file name; any other file has one number.
_PARSERS: tuple[tuple[str, Callable[[bytes], Any]], ...] = (
    (r".*/(memory|cpu|cpuacct)\.stat", _flat),
    (r".*\.pressure", _nested),
    (r".*/blkio\.throttle\..*", _triples),
    (r".*_percpu", lambda data: [int(word) for word in data.split()]),
)


def _parser(path: str) -> Callable[[bytes], Any]:
    return next((parser for pattern, parser in _PARSERS if re.fullmatch(pattern, path)), _number)


def by_hand(fds: list[int], paths: list[str]) -> Subject:
    files = [(fd, _parser(path)) for fd, path in zip(fds, paths)]
    pread = os.pread

    def subject() -> None:
        for fd, parse in files:
            parse(pread(fd, 16384, 0))

    return subject


def plain(paths: list[str]) -> Subject:
    files = [(path, _parser(path)) for path in paths]

    def subject() -> None:
        for path, parse in files:
            with open(path, "rb") as file:
                parse(file.read())

    return subject


def get(parts: Parts) -> Subject:
    get = Parameters.get
    pairs = [(parameter, cgroup) for cgroups, parameters in parts for cgroup in cgroups for parameter in parameters]

    def subject() -> None:
        for parameter, cgroup in pairs:
            get(parameter, cgroup)

    return subject


def sampler(parts: Parts) -> Subject:
    """Return a subject with one sampler per hierarchy, in which every cell can be read."""
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
