"""Other libraries, if they are installed; otherwise the command to install them.

Each library reads in the way of its users, and is left out of works that it cannot read.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from .measure import Subject
from .remote import Process
from .subjects import Parts
from .world import HERE, compiled


class Peer(NamedTuple):
    """A library: ``prepare`` returns its version, and a function that makes its subject if it can read all files."""

    name: str
    install: str
    prepare: Callable[[], tuple[str, Callable[[Parts], Subject | None]]]


def _one_by_one(reads: list[Callable[[], Any]]) -> Subject:
    def subject() -> None:
        for read in reads:
            read()

    return subject


def _is_memory(parts: Parts) -> bool:
    return all(file.startswith("memory.") and cgroup.version == 1 for part in parts for cgroup, file in part.files())


# ---- Python ----------------------------------------------------------------------------


def _cgroupspy() -> tuple[str, Callable[[Parts], Subject | None]]:
    from cgroupspy.nodes import Node  # noqa: PLC0415 - may be missing

    def controller_of(path: str, mount: str) -> Any:
        node = Node(mount.rpartition("/")[2], parent=Node(mount.rpartition("/")[0] + "/"))
        for name in path[len(mount) :].strip("/").split("/"):
            node = Node(name, parent=node)
        return node.controller

    def subject(parts: Parts) -> Subject | None:
        if not _is_memory(parts):
            return None
        files = [one for part in parts for one in part.files()]
        todo = [
            (controller_of(str(cgroup.path), str(cgroup.hierarchy.mount_point)), file.removeprefix("memory."))
            for cgroup, file in files
        ]

        def read() -> None:
            for controller, name in todo:
                getattr(controller, name)

        return read

    return importlib.metadata.version("cgroupspy"), subject


def _benchexec() -> tuple[str, Callable[[Parts], Subject | None]]:
    from benchexec.cgroupsv1 import CgroupsV1  # noqa: PLC0415 - may be missing
    from benchexec.cgroupsv2 import CgroupsV2  # noqa: PLC0415

    def numbers(cgroup: Any, name: str) -> Callable[[], Any]:
        if name == "stat":
            return lambda: {key: int(value) for key, value in cgroup.get_key_value_pairs("memory", name)}
        return lambda: int(cgroup.get_value("memory", name))

    def subject(parts: Parts) -> Subject | None:
        files = [one for part in parts for one in part.files()]
        if _is_memory(parts):
            return _one_by_one(
                [
                    numbers(CgroupsV1({"memory": str(cgroup.path)}), file.removeprefix("memory."))
                    for cgroup, file in files
                ]
            )
        if {file for _, file in files} != {"cpu.stat", "memory.pressure"}:
            return None
        where = {cgroup.path: Path(str(cgroup.path)) for cgroup, _ in files}
        cgroups = [CgroupsV2({"cpu": path, "memory": path}) for path in where.values()]
        return _one_by_one([read for one in cgroups for read in (one.read_cputime, one.read_mem_pressure)])

    return importlib.metadata.version("benchexec"), subject


# ---- C ---------------------------------------------------------------------------------

_LIBCGROUP = """
int peer_init(void);
long peer_pass(const char *const *controllers, const char *const *paths, char **files, const int *kinds, size_t count);
"""
_VALUE, _KEYED, _LINES = range(3)


def _libcgroup() -> tuple[str, Callable[[Parts], Subject | None]]:
    ffi, lib = compiled("libcgroup.c", _LIBCGROUP, "-lcgroup")
    if lib.peer_init() != 0:
        message = "libcgroup finds no cgroups here"
        raise OSError(message)

    def kind(file: str) -> int:
        if file.endswith(".stat"):
            return _KEYED
        return _LINES if "throttle" in file else _VALUE

    def subject(parts: Parts) -> Subject | None:
        files = [one for part in parts for one in part.files()]
        if any(cgroup.version != 1 for cgroup, _ in files):
            return None
        columns = (
            [file.partition(".")[0] for _, file in files],
            [cgroup.location for cgroup, _ in files],
            [file for _, file in files],
        )
        texts = [[ffi.new("char[]", text.encode()) for text in column] for column in columns]
        controllers, paths, names = (ffi.new("char *[]", column) for column in texts)
        kinds = ffi.new("int[]", [kind(file) for _, file in files])
        constant = [ffi.cast("const char *const *", array) for array in (controllers, paths)]

        def read(_keep: Any = (texts, controllers, paths)) -> None:
            if lib.peer_pass(*constant, names, kinds, len(files)) < 0:
                message = "libcgroup did not read all of it"
                raise RuntimeError(message)

        return read

    return _debian("libcgroup-dev"), subject


# ---- Go --------------------------------------------------------------------------------


def _containerd() -> tuple[str, Callable[[Parts], Subject | None]]:
    go = shutil.which("go")
    if go is None:
        message = "no go"
        raise OSError(message)
    directory = tempfile.TemporaryDirectory()
    program = str(Path(directory.name, "containerd"))
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": ""}
    environment.setdefault("GOCACHE", str(Path(directory.name, "cache")))
    subprocess.run(
        [go, "build", "-o", program, HERE / "containerd.go"], check=True, env=environment, capture_output=True
    )

    def subject(parts: Parts, _keep: Any = directory) -> Subject | None:
        mounts = [part.cgroups[0].hierarchy for part in parts]
        if any(mount.version != 1 for mount in mounts):
            return None  # the library does not read memory.pressure
        task = {
            "Root": str(mounts[0].mount_point).rpartition("/")[0],
            "Parts": [
                {
                    "Controller": part.files()[0][1].partition(".")[0],
                    "Paths": [cgroup.location for cgroup in part.cgroups],
                }
                for part in parts
            ],
        }
        return Process([program], task)

    return _debian("golang-github-containerd-cgroups-dev"), subject


def _debian(package: str) -> str:
    command = ["dpkg-query", "--show", "--showformat", "${Version}", package]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


PEERS = (
    Peer("cgroupspy", "pip install cgroupspy", _cgroupspy),
    Peer("BenchExec", "pip install benchexec", _benchexec),
    Peer("libcgroup", "apt-get install libcgroup-dev", _libcgroup),
    Peer(
        "containerd/cgroups, all of a controller",
        "apt-get install golang-go golang-github-containerd-cgroups-dev",
        _containerd,
    ),
)


class Peers:
    """The installed ones of some peers."""

    def __init__(self, peers: tuple[Peer, ...]) -> None:
        self.versions: dict[str, str] = {}
        self.missing: dict[str, str] = {}
        self._makers: dict[str, Callable[[Parts], Subject | None]] = {}
        for peer in peers:
            try:
                self.versions[peer.name], self._makers[peer.name] = peer.prepare()
            except (ImportError, OSError, subprocess.CalledProcessError):
                self.missing[peer.name] = peer.install

    def subjects(self, parts: Parts) -> dict[str, Subject]:
        """Return the subjects that can read all files."""
        made = {name: maker(parts) for name, maker in self._makers.items()}
        return {name: subject for name, subject in made.items() if subject is not None}
