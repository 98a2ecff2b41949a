"""A cpuset hierarchy mounted ``noprefix``, as on Android: its files are called without the controller's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cgroups import (
    Cgroup,
    CgroupNotFound,
    Cpuset,
    Host,
    ParameterNotSupported,
    Parameters,
    ParseError,
    Sampler,
    capacity,
)

FILES = {"cpus": "0-3", "mems": "0", "effective_cpus": "0-1", "effective_mems": "0", "memory_pressure": "7"}


@pytest.fixture
def android(tree: Any, tmp_path: Path) -> Host:
    host: Host = tree(
        tmp_path / "android",
        "30 20 0:27 / /dev/cpuset rw - cgroup none rw,cpuset,noprefix,release_agent=/sbin/agent\n",
        "/dev/cpuset/top-app",
    )
    for directory in ("dev/cpuset", "dev/cpuset/top-app"):
        for name, text in {**FILES, "cgroup.procs": "", "tasks": "5"}.items():
            (tmp_path / "android" / directory / name).write_text(f"{text}\n")
    for name, text in {
        "proc/9/cgroup": "3:cpuset:/top-app",
        "proc/9/status": "Cpus_allowed_list:\t0-3",
        "proc/meminfo": "MemTotal: 1024 kB",
        "sys/devices/system/cpu/online": "0-3",
    }.items():
        path = tmp_path / "android" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return host


@pytest.fixture
def app(android: Host) -> Cgroup:
    return android.find_exn("cpuset:/top-app")


def test_get_noprefix_cpuset_reads_the_short_names(app: Cgroup) -> None:
    assert app.subsystems == ("cpuset",)
    assert Parameters.get(Cpuset.cpus, app) == [0, 1, 2, 3]
    assert Parameters.get(Cpuset.mems, app) == [0]
    assert Parameters.get(Cpuset.effective_cpus, app) == [0, 1]
    assert Parameters.get(Cpuset.cpus_effective, app) == [0, 1]
    assert app.threads() == [5]


def test_get_noprefix_error_names_the_file_that_is_there(app: Cgroup) -> None:
    Path(str(app.path), "cpus").write_text("x\n")
    with pytest.raises(ParseError, match="/top-app/cpus"):
        Parameters.get(Cpuset.cpus, app)
    with pytest.raises(ParameterNotSupported, match="/top-app/cpu_exclusive"):
        Parameters.get(Cpuset.cpu_exclusive, app)


def test_sampler_noprefix_cpuset_reads_the_short_names(app: Cgroup) -> None:
    with Sampler([app], [Cpuset.memory_pressure]) as sampler:
        assert sampler.sample()[app, Cpuset.memory_pressure] == 7


def test_capacity_noprefix_cpuset_counts_its_cpus(android: Host) -> None:
    assert capacity(9, host=android).cpuset == (0, 1)


def test_set_noprefix_cpuset_writes_the_short_name(app: Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, bytes]] = []

    class Directory:
        def write(self, path: str, data: bytes) -> None:
            written.append((path, data))

    monkeypatch.setattr(Cgroup, "locate_for_writing", lambda *_: (Directory(), "top-app"))
    Parameters.set(Cpuset.cpus, app, [0, 1])
    assert written == [("top-app/cpus", b"0-1")]


def test_find_noprefix_is_no_controller(android: Host) -> None:
    with pytest.raises(CgroupNotFound):
        android.find_exn("noprefix:/")
