"""The command ``cgroups`` on real cgroups, as root and as nobody, compared with the files themselves."""

from __future__ import annotations

import json
import os
import pwd
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from common import MakeCgroup, Spawn, text_of

from cgroups import Cgroup, Hierarchy, Parameters, Subsystem

NOBODY = 65534


class Ran(NamedTuple):
    code: int
    out: str
    err: str


def _run(command: list[str], **keywords: Any) -> Ran:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **keywords)
    return Ran(done.returncode, done.stdout, done.stderr)


def run(*words: str) -> Ran:
    return _run([sys.executable, "-m", "cgroups", *words])


# The interpreter may be where only root may look, so it has to load all that it needs
# before it becomes nobody: by doing once as root what does no harm.
AS_NOBODY = f"""
import contextlib, io, os, sys
from cgroups.cli import main

words = sys.argv[1:]
for warm in (["info"], ["get", "--json", "memory", "memory.stat"], ["tree", "--depth", "0"], ["ps", "memory"],
             ["set", "memory:/cgroups-test-none", "memory.limit_in_bytes", "1.5G"], ["nope"]):
    sys.argv[1:] = warm
    quiet = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        main()
sys.argv[1:] = words
os.chdir("/")
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
main()
"""


def run_as_nobody(*words: str) -> Ran:
    return _run([sys.executable, "-c", AS_NOBODY, *words])


def assert_done(ran: Ran) -> str:
    assert (ran.code, ran.err) == (0, ""), ran
    return ran.out


def assert_failed(ran: Ran) -> str:
    """Exit code 1, nothing printed, and one line on stderr."""
    assert (ran.code, ran.out) == (1, ""), ran
    assert ran.err.startswith("cgroups: "), ran
    assert ran.err.endswith("\n"), ran
    assert ran.err.count("\n") == 1, ran
    return ran.err


def names_of(drawn: str) -> list[str]:
    """The last column of a tree."""
    heading, *lines = drawn.splitlines()
    assert heading.split() == ["PROCS", "MEMORY", "CPU", "PIDS", "CGROUP"]
    return [line[heading.index("CGROUP") :] for line in lines]


def top_of(cgroup: Cgroup) -> str:
    return f"{cgroup}  v{cgroup.version}, {cgroup.hierarchy.mount_point}"


@pytest.fixture
def memory(make_cgroup: MakeCgroup) -> Cgroup:
    return make_cgroup("memory")


@pytest.fixture
def unified(make_cgroup: MakeCgroup) -> Cgroup:
    return make_cgroup("")


# ---- one job, from its making to its end -------------------------------------------------


def test_cli_job_from_creation_to_removal(memory: Cgroup, spawn: Spawn) -> None:
    job = f"memory:{memory.location}/a/b"
    assert assert_done(run("create", job)) == ""
    cgroup = Hierarchy.find_exn(job)
    assert assert_done(run("create", job)) == ""  # is no error
    assert assert_done(run("set", job, "memory.limit_in_bytes", "1.5G")) == ""
    file = "memory.max" if cgroup.version == 2 else "memory.limit_in_bytes"
    assert text_of(cgroup, file) == str(3 << 29)
    assert assert_done(run("get", job, "memory.max", "memory.limit_in_bytes")) == (
        f"memory.max {3 << 29}\nmemory.limit_in_bytes {3 << 29}\n"
    )
    children = [spawn("sleep", "60"), spawn("sleep", "61")]
    assert assert_done(run("attach", job, *(str(child.pid) for child in children))) == ""
    assert set(text_of(cgroup, "cgroup.procs").split()) == {str(child.pid) for child in children}

    found = json.loads(assert_done(run("ps", "--json", job)))
    user = pwd.getpwuid(os.getuid()).pw_name
    assert found == [
        {"pid": pid, "user": user, "state": "sleeping", "command": f"sleep {60 + (pid != children[0].pid)}"}
        for pid in sorted(child.pid for child in children)
    ]
    listed = assert_done(run("ps", job)).splitlines()
    assert listed[0].split() == ["PID", "USER", "STATE", "COMMAND"]
    assert len(listed) == 3

    assert "processes" in assert_failed(run("remove", job))
    assert "cannot remove" in assert_failed(run("remove", "-r", f"{memory}/a"))
    assert cgroup.exists
    for child in children:
        child.kill()
        child.wait()
    assert "cannot remove" in assert_failed(run("remove", f"{memory}/a"))
    assert names_of(assert_done(run("tree", str(memory)))) == [top_of(memory), "└── a", "    └── b"]
    assert assert_done(run("remove", "-r", f"{memory}/a")) == ""
    assert not cgroup.exists
    assert memory.exists
    assert "no cgroup" in assert_failed(run("get", job))


def test_attach_ends_at_the_first_that_cannot_be_moved(memory: Cgroup, spawn: Spawn) -> None:
    gone, child = spawn("true"), spawn("sleep", "60")
    gone.wait()
    assert f"process {gone.pid}" in assert_failed(run("attach", str(memory), str(gone.pid), str(child.pid)))
    assert text_of(memory, "cgroup.procs") == ""


def test_create_with_an_owner_and_a_mode(memory: Cgroup) -> None:
    made = f"{memory}/owned"
    assert assert_done(run("create", made, "--owner", f"{NOBODY}:{NOBODY}", "--perm", "0710")) == ""
    path = Path(Hierarchy.find_exn(made).path or "")
    status = path.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (NOBODY, NOBODY, 0o710)
    assert (path / "cgroup.procs").stat().st_uid == NOBODY
    assert "it exists" in assert_failed(run("create", made, "--perm", "0755"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o710


# More than Python recurses; not where the machine is emulated, where they take minutes.
DEPTH = 1100 if os.environ.get("CGROUPS_TESTS_SCALE", "1") == "1" else 100


@pytest.fixture
def deep(make_cgroup: MakeCgroup) -> Iterator[Cgroup]:
    """Cgroups below each other."""
    top = make_cgroup("pids")
    path = os.path.join(top.path or "", "deep")
    os.mkdir(path)
    at = os.open(path, os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    yield top
    subprocess.run(
        ["find", top.path or "", "-mindepth", "1", "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"], check=True
    )


def test_cli_deep_tree_is_shown_and_removed(deep: Cgroup) -> None:
    assert len(names_of(assert_done(run("tree", str(deep))))) == DEPTH + 2
    assert_done(run("remove", "-r", f"{deep}/deep"))
    assert deep.children() == []


# ---- set, as the file then says ------------------------------------------------------------


SETTINGS = [
    (
        "memory",
        "memory.limit_in_bytes",
        "64M",
        {1: ("memory.limit_in_bytes", "67108864"), 2: ("memory.max", "67108864")},
    ),
    (
        "memory",
        "memory.soft_limit_in_bytes",
        "max",
        {1: ("memory.soft_limit_in_bytes", "9223372036854771712"), 2: ("memory.low", "0")},
    ),
    ("memory", "memory.swappiness", "10", {1: ("memory.swappiness", "10")}),
    ("cpu", "cpu.shares", "2", {1: ("cpu.shares", "2"), 2: ("cpu.weight", "1")}),
    ("cpu", "cpu.max", "50000/200000", {1: ("cpu.cfs_quota_us", "50000"), 2: ("cpu.max", "50000 200000")}),
    ("cpu", "cpu.cfs_quota_us", "max", {1: ("cpu.cfs_quota_us", "-1"), 2: ("cpu.max", "max 100000")}),
    ("cpuset", "cpuset.cpus", "0", {1: ("cpuset.cpus", "0"), 2: ("cpuset.cpus", "0")}),
    ("cpuset", "cpuset.sched_load_balance", "off", {1: ("cpuset.sched_load_balance", "0")}),
    ("pids", "pids.max", "64", {1: ("pids.max", "64"), 2: ("pids.max", "64")}),
    ("pids", "pids.max", "max", {1: ("pids.max", "max"), 2: ("pids.max", "max")}),
    ("freezer", "freezer.state", "FROZEN", {1: ("freezer.state", "FROZEN"), 2: ("cgroup.freeze", "1")}),
    ("memory", "notify_on_release", "true", {1: ("notify_on_release", "1")}),
    ("", "cgroup.freeze", "on", {2: ("cgroup.freeze", "1")}),
    ("", "cgroup.max.depth", "3", {2: ("cgroup.max.depth", "3")}),
    ("", "cgroup.max_descendants", "max", {2: ("cgroup.max.descendants", "max")}),
    (
        "hugetlb",
        "hugetlb.2MB.max",
        "4M",
        {1: ("hugetlb.2MB.limit_in_bytes", "4194304"), 2: ("hugetlb.2MB.max", "4194304")},
    ),
]


@pytest.mark.parametrize(("controller", "parameter", "word", "files"), SETTINGS)
def test_set(
    make_cgroup: MakeCgroup, controller: str, parameter: str, word: str, files: dict[int, tuple[str, str]]
) -> None:
    cgroup = make_cgroup(controller)
    ran = run("set", str(cgroup), parameter, word)
    if cgroup.version not in files:
        assert f"version {cgroup.version}" in assert_failed(ran)
        return
    assert assert_done(ran) == ""
    file, text = files[cgroup.version]
    assert text_of(cgroup, file) == text


@pytest.fixture
def block_device() -> str:
    """The path of a block device of this machine: a name in /dev, or a node made of its numbers."""
    for line in Path("/proc/partitions").read_text().splitlines()[2:]:
        path = f"/dev/{line.split()[3]}"
        if os.path.exists(path) and stat.S_ISBLK(os.stat(path).st_mode) and "loop" not in path:
            return path
    pytest.skip("this machine has no block device")


def test_set_of_a_table_of_devices(make_cgroup: MakeCgroup, block_device: str) -> None:
    cgroup = make_cgroup("blkio")
    device = os.stat(block_device).st_rdev
    numbers = f"{os.major(device)}:{os.minor(device)}"
    name = "blkio.throttle_read_bps_device"
    assert_done(run("set", str(cgroup), name, f"{block_device}=1M"))
    assert json.loads(assert_done(run("get", "--json", str(cgroup), name))) == {name: {numbers: 1048576}}
    assert assert_done(run("get", str(cgroup), f"{name}[{numbers}]")) == f"{name}[{numbers}] 1048576\n"
    file = "io.max" if cgroup.version == 2 else "blkio.throttle.read_bps_device"
    assert text_of(cgroup, file).split()[:2] == [numbers, "rbps=1048576" if cgroup.version == 2 else "1048576"]
    assert "/dev/null" in assert_failed(run("set", str(cgroup), name, f"{numbers}=2M,/dev/null=1M"))
    assert "1048576" in text_of(cgroup, file)
    assert_done(run("set", str(cgroup), name, ""))
    assert text_of(cgroup, file) == ""


def test_cli_refusal_of_the_kernel_is_one_line(make_cgroup: MakeCgroup) -> None:
    cgroup = make_cgroup("cpuset")
    before = text_of(cgroup, "cpuset.cpus")
    message = assert_failed(run("set", str(cgroup), "cpuset.cpus", "60000"))
    assert f"cpuset.cpus of {cgroup}" in message
    assert text_of(cgroup, "cpuset.cpus") == before


# ---- tree, reset --------------------------------------------------------------------------------


def _busy(cgroup: Cgroup, spawn: Spawn) -> "subprocess.Popen[bytes]":
    """A process in a cgroup that has used memory and CPU time there, and waits."""
    work = "import sys; input(); a = bytearray(8 << 20); sum(range(2_000_000)); print('done', flush=True); input()"
    child = spawn(sys.executable, "-c", work, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert_done(run("attach", str(cgroup), str(child.pid)))
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(b"\n")
    child.stdin.flush()
    assert child.stdout.readline() == b"done\n"
    return child


def test_reset(memory: Cgroup, spawn: Spawn) -> None:
    if memory.version == 2:
        assert "cannot be reset" in assert_failed(run("reset", str(memory), "memory.failcnt"))
        return
    child = _busy(memory, spawn)
    child.kill()
    child.wait()
    assert int(text_of(memory, "memory.max_usage_in_bytes")) > 8 << 20
    assert_done(run("reset", str(memory), "memory.force_empty"))
    assert_done(run("reset", str(memory), "memory.max_usage_in_bytes"))
    assert int(text_of(memory, "memory.max_usage_in_bytes")) < 4 << 20
    assert "cannot be reset" in assert_failed(run("reset", str(memory), "memory.limit_in_bytes"))


@pytest.mark.parametrize("controller", ["memory", "cpuacct", "pids"])
def test_tree_tells_what_is_used(make_cgroup: MakeCgroup, spawn: Spawn, controller: str) -> None:
    top = make_cgroup(controller)
    assert_done(run("create", f"{controller}:{top.location}/busy"))
    busy = Hierarchy.find_exn(f"{top}/busy")
    _busy(busy, spawn)
    above, below = json.loads(assert_done(run("tree", "--json", str(top))))
    assert (above["cgroup"], below["cgroup"]) == (str(top), str(busy))
    assert (above["processes"], below["processes"]) == (0, 1)
    column = {"memory": "memory_bytes", "cpuacct": "cpu_ns", "pids": "pids"}[controller]
    least = {"memory": 4 << 20, "cpuacct": 1_000_000, "pids": 1}[controller]
    assert above[column] >= least
    assert below[column] >= least
    if top.version == 1:
        counted = set(top.hierarchy.subsystems)
        for name, key in (("memory", "memory_bytes"), ("cpuacct", "cpu_ns"), ("pids", "pids")):
            assert (below[key] is None) is (name not in counted)


def test_tree_cgroups_that_come_and_go(make_cgroup: MakeCgroup) -> None:
    top = make_cgroup("pids")
    code = (
        "import os, sys, itertools\nprint(flush=True)\n"
        "for n in itertools.count():\n"
        "    names = [os.path.join(sys.argv[1], f'x{i}') for i in range(30)]\n"
        "    [os.mkdir(name) for name in names]\n    [os.rmdir(name) for name in names]\n"
        "    if os.path.exists(os.path.join(sys.argv[1], 'stop')): break\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, top.path or ""], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        try:
            for _ in range(5):
                names = names_of(assert_done(run("tree", str(top))))
                assert names[0] == top_of(top)
                assert all(name[4:].startswith("x") for name in names[1:])
        finally:
            (Path(top.path or "") / "stop").mkdir()
            child.wait(30)


# ---- get ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "controller", ["memory", "cpu", "cpuacct", "cpuset", "pids", "freezer", "devices", "blkio", "hugetlb", ""]
)
def test_get_reads_all_that_the_cgroup_has(make_cgroup: MakeCgroup, controller: str) -> None:
    cgroup = make_cgroup(controller)
    found = json.loads(assert_done(run("get", "--json", str(cgroup))))
    there = set(os.listdir(cgroup.path or ""))
    known = {str(parameter): parameter for parameter in Subsystem.parameters()}
    files = [file for name in found for file in known[name].files(cgroup.version) if file in there]
    assert len(files) == len(set(files)), "a control file is there twice"
    readable = {
        file
        for parameter in known.values()
        if isinstance(parameter, Parameters.Readable)
        for file in parameter.files(cgroup.version)
    }
    # A pressure file that is there may be off: nothing else may be missing.
    assert {file for file in readable & there - set(files) if "pressure" not in file} == set()
    for name, value in found.items():
        assert set(known[name].files(cgroup.version)) & there, name
        # Nothing is in it, so nothing counts.
        if known[name].files(cgroup.version) == (name,) and isinstance(value, int):
            assert str(int(value)) == text_of(cgroup, name)


def test_get_agrees_with_the_files(memory: Cgroup) -> None:
    assert_done(run("set", str(memory), "memory.limit_in_bytes", "100M"))
    found = dict(line.split(" ", 1) for line in assert_done(run("get", str(memory))).splitlines() if " " in line)
    shown, hidden = ["memory.limit_in_bytes", "memory.max"][:: 1 if memory.version == 1 else -1]
    assert found[shown] == str(100 << 20)
    assert hidden not in found
    assert assert_done(run("get", str(memory), hidden)) == f"{hidden} {100 << 20}\n"
    for line in text_of(memory, "memory.stat").splitlines():
        assert f"memory.stat[{line.split()[0]}]" in found


def test_names_that_are_not_utf_8(memory: Cgroup) -> None:
    name = os.fsdecode(b"odd\xff\x1b[2J")
    assert_done(run("create", f"memory:{memory.location}/{name}"))
    assert names_of(assert_done(run("tree", str(memory))))[1] == "└── odd\\xff\\x1b[2J"
    assert "memory.usage_in_bytes 0\n" in assert_done(run("get", f"{memory}/{name}", "memory.usage_in_bytes"))
    assert "odd\\xff" in assert_failed(run("get", f"{memory}/{name}/gone"))
    paths = [one["path"] for one in json.loads(assert_done(run("tree", "--json", str(memory))))]
    assert paths == [memory.path, f"{memory.path}/odd\\xff\x1b[2J"]
    assert_done(run("remove", f"{memory}/{name}"))


# ---- as nobody ------------------------------------------------------------------------------


def test_cli_unprivileged_user_may_read(memory: Cgroup, spawn: Spawn) -> None:
    child = spawn("sleep", "60")
    assert_done(run("attach", str(memory), str(child.pid)))
    info = assert_done(run_as_nobody("info"))
    assert "uid 65534, not root" in info
    assert "nowhere" in info
    assert "everywhere" not in info
    assert "everywhere" in assert_done(run("info"))
    as_nobody = json.loads(assert_done(run_as_nobody("get", "--json", str(memory))))
    assert as_nobody.keys() == json.loads(assert_done(run("get", "--json", str(memory)))).keys()
    assert f"{memory.name}\n" in assert_done(run_as_nobody("tree", "memory"))
    [node] = json.loads(assert_done(run_as_nobody("tree", "--json", str(memory))))
    assert (node["processes"], node["path"]) == (1, memory.path)
    assert node["memory_bytes"] is not None
    [found] = json.loads(assert_done(run_as_nobody("ps", "--json", str(memory))))
    assert (found["pid"], found["command"]) == (child.pid, "sleep 60")


def test_cli_unprivileged_user_may_not_write(memory: Cgroup, spawn: Spawn) -> None:
    child = spawn("sleep", "60")
    before = text_of(memory, "memory.swappiness") if memory.version == 1 else ""
    for words in (
        ["set", str(memory), "memory.limit_in_bytes", "64M"],
        ["set", str(memory), "notify_on_release", "1"]
        if memory.version == 1
        else ["set", str(memory), "cgroup.freeze", "1"],
        ["create", f"{memory}/below"],
        ["attach", str(memory), str(child.pid)],
        ["remove", str(memory)],
    ):
        assert "ermission" in assert_failed(run_as_nobody(*words)), words
    assert memory.exists
    assert memory.children() == []
    assert text_of(memory, "cgroup.procs") == ""
    assert before == (text_of(memory, "memory.swappiness") if memory.version == 1 else "")


def test_cli_unprivileged_user_may_use_a_delegated_tree(memory: Cgroup) -> None:
    assert_done(run("create", f"memory:{memory.location}/given", "--owner", f"{NOBODY}:{NOBODY}"))
    assert_done(run_as_nobody("set", f"{memory}/given", "memory.limit_in_bytes", "64M"))
    assert_done(run_as_nobody("create", f"{memory}/given/below"))
    assert_done(run_as_nobody("remove", f"{memory}/given/below"))
    assert json.loads(assert_done(run("get", "--json", f"{memory}/given", "memory.max"))) == {"memory.max": 64 << 20}


@pytest.fixture
def closed(memory: Cgroup) -> Iterator[Cgroup]:
    """A cgroup into which only root may look."""
    assert_done(run("create", f"{memory}/closed/below"))
    closed = Hierarchy.find_exn(f"{memory}/closed")
    os.chmod(closed.path or "", 0o700)
    yield closed
    os.chmod(closed.path or "", 0o755)


def test_tree_with_an_unreadable_part(memory: Cgroup, closed: Cgroup) -> None:
    assert_done(run("create", f"{memory}/open"))
    drawn = assert_done(run_as_nobody("tree", str(memory)))
    assert names_of(drawn) == [top_of(memory), "├── closed", "│   └── (permission denied)", "└── open"]
    assert drawn.splitlines()[2].split()[:4] == ["-"] * 4
    found = json.loads(assert_done(run_as_nobody("tree", "--json", str(memory))))
    assert [(Path(one["path"]).name, one["denied"]) for one in found[1:]] == [("closed", True), ("open", False)]
    assert "ermission" in assert_failed(run_as_nobody("tree", str(closed)))
    assert "ermission" in assert_failed(run_as_nobody("get", str(closed), "memory.max"))


# ---- what is there changes meanwhile ----------------------------------------------------------


def test_ps_zombie_has_no_command_line(memory: Cgroup, spawn: Spawn) -> None:
    child = spawn("sleep", "60")
    assert_done(run("attach", str(memory), str(child.pid)))
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    listed = json.loads(assert_done(run("ps", "--json", str(memory))))
    # v1 lists a zombie until its parent has waited for it, v2 does not.
    assert listed in ([], [{"pid": child.pid, "user": "root", "state": "zombie", "command": "[sleep]"}])
