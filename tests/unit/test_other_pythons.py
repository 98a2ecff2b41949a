"""The package on a Python without some functions of CPython, such as PyPy: a fresh process lacks each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cgroups

LACKING = """
import os, signal, sys
for module, names in (
    (os, ["O_PATH", "eventfd", "eventfd_read", "eventfd_write", "EFD_CLOEXEC", "EFD_NONBLOCK", "EFD_SEMAPHORE"]),
    (os, ["pidfd_open", "P_PIDFD", "getxattr", "memfd_create", "posix_spawn", "sched_getaffinity", "waitid"]),
    (signal, ["pidfd_send_signal", "sigtimedwait"]),
):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
sys.path.insert(0, sys.argv[1])
import cgroups
from cgroups import *
host, root = Host(sys.argv[2]), sys.argv[2]
job = host.find_exn(":/job/a")
"""

USES = {
    "capacity": """
        cgroups.capacity()
        assert cgroups.capacity(252, host=host).memory > 0
    """,
    "reading": """
        assert Parameters.get(Memory.current, job) > 0
        assert job.effective(Memory.max)
        assert job.exists and job.inode > 0 and job.parent.children()
        Parameters.get(Subsystem.Blkio.weight, job, default=None)
    """,
    "sampling": """
        with Sampler([job], [Memory.current, Memory.stat["anon"]]) as sampler:
            assert sampler.sample()[job, Memory.current] == Parameters.get(Memory.current, job)
    """,
    "an eventfd": """
        from cgroups.core.eventfd import create_eventfd, read_eventfd
        fd = create_eventfd()
        assert read_eventfd(fd) == 0
        os.write(fd, (3).to_bytes(8, sys.byteorder))
        assert read_eventfd(fd) == 3 and read_eventfd(fd) == 0
        assert not os.get_inheritable(fd)
    """,
    "a process's end": """
        from cgroups.core.pidfd import open_process
        assert open_process(os.getpid()) == -1
    """,
    "whose tree it is": """
        from cgroups.core import systemd
        assert not systemd.is_delegated(["/nothing"])
    """,
}


# An extension with sanitizers is loaded only where their run-time library is first.
SANITIZERS = {name: os.environ[name] for name in ("LD_PRELOAD", "ASAN_OPTIONS") if name in os.environ}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("backend", ["auto", "python"])
def test_package_without_cpythons_own_functions_works(v2_root: Path, use: str, backend: str) -> None:
    put = {"proc/meminfo": "MemTotal: 1024 kB\n", "sys/devices/system/cpu/online": "0-3\n"}
    put["proc/252/status"] = "Cpus_allowed_list:\t0-7\n"
    for name, text in put.items():
        (v2_root / name).parent.mkdir(parents=True, exist_ok=True)
        (v2_root / name).write_text(text)
    lines = (line.removeprefix("        ") for line in USES[use].splitlines())
    package = str(Path(cgroups.__file__).parent.parent)
    command = [sys.executable, "-W", "error", "-c", LACKING + "\n".join(lines), package, str(v2_root)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        env={**SANITIZERS, "CGROUPS_BACKEND": backend},
        check=False,
    )
    assert done.returncode == 0, done.stderr
