"""The seed program on real control groups: its cgroup's name replaced, and to the letter in a cgroup namespace."""

from __future__ import annotations

import json
import mmap
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cgroups import Cgroup, Hierarchy

PROGRAM = """\
import os
from cgroups import Hierarchy, Subsystem

memory_cgroup = Hierarchy.find_exn("memory:/foobar")     # ValueError when it does not exist
cpuacct_cgroup = Hierarchy.find_exn("cpuacct:/foobar")
pid = os.getpid()
Hierarchy.add_process(memory_cgroup, pid)
Hierarchy.add_process(cpuacct_cgroup, pid)
total_cpu_time = Subsystem.Parameters.get(Subsystem.Cpuacct.usage, cpuacct_cgroup)        # nanoseconds
memory_used = Subsystem.Parameters.get(Subsystem.Memory.usage_in_bytes, memory_cgroup)    # bytes
Subsystem.Parameters.set(Subsystem.Memory.limit_in_bytes, memory_cgroup, 1_000_000_000)
Subsystem.Parameters.set(Subsystem.Memory.memsw_limit_in_bytes, memory_cgroup, 2_000_000_000)
"""

# What it left in its variables and in the files, read without the package.
EPILOGUE = """
import json

def number(path):
    with open(path) as file:
        return int(file.read())

def keyed(path, key):
    with open(path) as file:
        return int(dict(line.split() for line in file)[key])

def inside(cgroup):
    with open(f"{cgroup.path}/cgroup.procs") as file:
        return sorted(map(int, file))

import time
start = time.process_time()
while time.process_time() < start + 0.05:
    pass
v1 = memory_cgroup.version == 1
if cpuacct_cgroup.version == 1:
    cpu_after = number(f"{cpuacct_cgroup.path}/cpuacct.usage")
else:
    cpu_after = keyed(f"{cpuacct_cgroup.path}/cpu.stat", "usage_usec") * 1000
limit = number(f"{memory_cgroup.path}/" + ("memory.limit_in_bytes" if v1 else "memory.max"))
if v1:
    memsw = number(f"{memory_cgroup.path}/memory.memsw.limit_in_bytes")
else:
    memsw = limit + number(f"{memory_cgroup.path}/memory.swap.max")
print(json.dumps({
    "pid": pid, "cpu": total_cpu_time, "cpu_after": cpu_after, "used": memory_used,
    "limit": limit, "memsw": memsw, "inside": [inside(memory_cgroup), inside(cpuacct_cgroup)],
}))
"""

PAGE = mmap.PAGESIZE
LIMIT, MEMSW = 1_000_000_000, 2_000_000_000


def check(printed: str) -> None:
    """The values that the program read, and the limits that it set."""
    seen = json.loads(printed.splitlines()[-1])
    # Only this process is in both cgroups.
    assert seen["inside"] == [[seen["pid"]], [seen["pid"]]]
    assert isinstance(seen["cpu"], int)
    assert 0 <= seen["cpu"] <= seen["cpu_after"]
    assert seen["cpu_after"] >= seen["cpu"] + 25_000_000  # of the 50 ms that it burned since
    assert isinstance(seen["used"], int)
    assert 0 <= seen["used"] < LIMIT
    # The kernel rounds down to a page.
    assert seen["limit"] == LIMIT // PAGE * PAGE
    assert MEMSW - 2 * PAGE < seen["memsw"] <= MEMSW


def test_seed_program_in_cgroups_of_the_test(
    need: Callable[[str], None], make_cgroup: Callable[..., Cgroup], run_script: Callable[..., str]
) -> None:
    need("memory")
    need("cpuacct")
    memory = make_cgroup("memory")
    # One cgroup where both are on one hierarchy: a process is in one of each.
    together = Hierarchy.find_exn("cpuacct").hierarchy == memory.hierarchy
    cpuacct = memory if together else make_cgroup("cpuacct")
    program = PROGRAM.replace("memory:/foobar", f"memory:{memory.location}")
    program = program.replace("cpuacct:/foobar", f"cpuacct:{cpuacct.location}")
    assert "foobar" not in program
    check(run_script(program + EPILOGUE))


NAMESPACE = """
print("ready", flush=True)
sys.stdin.readline()
unshare(CLONE_NEWCGROUP | CLONE_NEWNS)
mount(None, "/", flags=MS_REC | MS_PRIVATE)
for kind, options, point in json.loads(sys.argv[1]):
    umount(point)  # the kernel refuses the same file system on top of itself
    mount("cgroup", point, kind, data=options)
assert Hierarchy.find("memory:/foobar") is None
for head in ("memory", "cpuacct"):
    # Out of the namespace's root, where a process would keep v2 from enabling controllers.
    inner = Hierarchy.find_or_create(f":/inner" if Hierarchy.find_exn(head).version == 2 else f"{head}:/inner")
    Hierarchy.add_process(inner, os.getpid())
    assert [inner] == [one for one in Hierarchy.process_info(os.getpid()) if one.hierarchy == inner.hierarchy]
    assert Hierarchy.own(head).path == inner.path
user = int(sys.argv[2])
for head in ("memory", "cpuacct"):
    foobar = Hierarchy.find_or_create(f"{head}:/foobar", owner=(user, user))
    root = foobar.hierarchy.root()
    for name in ("", "cgroup.procs", "tasks", "cgroup.threads", "cgroup.subtree_control"):
        if os.path.exists(f"{root.path}/{name}"):
            os.chown(f"{root.path}/{name}", user, user)
if user:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
"""

NOBODY = 65534


@pytest.mark.parametrize("user", [0, NOBODY], ids=["root", "unprivileged"])
def test_seed_program_unaltered_in_a_cgroup_namespace(
    user: int,
    need: Callable[[str], None],
    make_cgroup: Callable[..., Cgroup],
    script: Callable[..., list[str]],
    spawn: Callable[..., subprocess.Popen[bytes]],
) -> None:
    """As root, and as a user who owns the subtree and was started inside it."""
    need("memory")
    need("cpuacct")
    roots = [make_cgroup("memory")]
    if make_cgroup("cpuacct").hierarchy != roots[0].hierarchy:
        roots.append(make_cgroup("cpuacct"))
    mounts = []
    for root in roots:
        hierarchy = root.hierarchy
        kind = ("cgroup", ",".join(hierarchy.subsystems)) if hierarchy.version == 1 else ("cgroup2", None)
        mounts.append((*kind, hierarchy.mount_point))
    pipe = subprocess.PIPE
    command = script(NAMESPACE + PROGRAM + EPILOGUE, json.dumps(mounts), str(user))
    child = spawn(*command, stdin=pipe, stdout=pipe, stderr=pipe, cwd="/")
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    for root in roots:
        root.add_process(child.pid)
    output, errors = child.communicate(b"\n", timeout=60)
    assert child.returncode == 0, errors.decode()
    check(output.decode())
    # It is a cgroup of the test's own that it called /foobar.
    for root in roots:
        assert (Path(str(root.path)) / "foobar").is_dir()
