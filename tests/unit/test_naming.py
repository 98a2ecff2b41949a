"""Host.resolve on captured trees: each form, what is chosen among several, and each error."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cgroups import (
    Cgroup,
    CgroupNotFound,
    CgroupTimeout,
    Hierarchy,
    Host,
    InvalidValue,
    ProcessNotFound,
    SubsystemNotAvailable,
)
from cgroups.core import name_matches, name_search
from cgroups.core.descent import descend
from cgroups.core.errors import CgroupError

V2 = "/sys/fs/cgroup / cgroup2 rw"
V1 = (
    "/sys/fs/cgroup/systemd / cgroup rw,xattr,name=systemd",
    "/sys/fs/cgroup/memory / cgroup rw,memory",
    "/sys/fs/cgroup/cpu,cpuacct / cgroup rw,cpu,cpuacct",
    "/sys/fs/cgroup/pids / cgroup rw,pids",
)
UNIFIED = "/sys/fs/cgroup/unified / cgroup2 rw"

ID = "4f0f5e1c9d2b" + "0" * 52
OTHER_ID = "4f0f77" + "1" * 58
POD_ID = "abcdef" + "2" * 58
UUID = "0b0f7a52-1234-4321-aaaa-0123456789ab"

UNITS = (
    "system.slice/ssh.service",
    "system.slice/docker.service",
    r"system.slice/dev-disk-by\x2duuid.swap",
    "system.slice/_memory.service",
    "system.slice/dbus-:1.2-org.example@0.service",
    "user.slice/user-1000.slice/session-3.scope",
    "user.slice/user-1000.slice/user@1000.service/app.slice/ssh.service",
    "user.slice/user-1000.slice/user@1000.service/app.slice/editor.service",
    f"system.slice/docker-{ID}.scope/init",
    f"machine.slice/libpod-{OTHER_ID}.scope/container",
    f"kubepods.slice/kubepods-besteffort.slice/crio-{POD_ID}.scope",
    f"system.slice/containerd.service/default/{UUID}",
    "jobs/one/worker",
    "jobs/two/worker",
    "a.slice/twice.service",
    "b.slice/twice.service",
)


def below(points: str, *locations: str) -> tuple[str, ...]:
    return tuple(f"{points}/{one}" for one in locations)


@pytest.fixture
def unified(make_host: Callable[..., Host], tmp_path: Path) -> Host:
    host = make_host(tmp_path / "v2", V2, directories=below("/sys/fs/cgroup", *UNITS))
    controllers(host, "/sys/fs/cgroup", "cpu memory pids")
    return host


@pytest.fixture
def legacy(make_host: Callable[..., Host], tmp_path: Path) -> Host:
    """A host of v1: systemd has all units, memory has two, and one job is on pids and cpu only."""
    directories = (
        *below("/sys/fs/cgroup/systemd", *UNITS[:8]),
        *below("/sys/fs/cgroup/memory", UNITS[0], "jobs/one"),
        *below("/sys/fs/cgroup/cpu,cpuacct", UNITS[0], "only", "apart"),
        *below("/sys/fs/cgroup/pids", "only"),
    )
    host = make_host(tmp_path / "v1", *V1, directories=directories)
    os.symlink("cpu,cpuacct", Path(host.root) / "sys/fs/cgroup/cpu")
    return host


@pytest.fixture
def hybrid(make_host: Callable[..., Host], tmp_path: Path) -> Host:
    directories = (
        *below("/sys/fs/cgroup/unified", UNITS[0]),
        *below("/sys/fs/cgroup/systemd", UNITS[0]),
        *below("/sys/fs/cgroup/memory", UNITS[0], "job"),
    )
    host = make_host(tmp_path / "hybrid", *V1, UNIFIED, directories=directories)
    controllers(host, "/sys/fs/cgroup/unified", "")
    return host


def controllers(host: Host, point: str, names: str) -> None:
    (Path(host.root + point) / "cgroup.controllers").write_text(f"{names}\n")


def put_process(host: Host, name: str, *lines: str) -> None:
    path = Path(host.root) / f"proc/{name}"
    path.mkdir(parents=True, exist_ok=True)
    (path / "cgroup").write_text("".join(f"{line}\n" for line in lines))


def check_message(error: CgroupError, *words: str) -> None:
    """One line, short without its path, and in plain English."""
    text = str(error)
    assert "\n" not in text
    assert text.startswith("cannot ")
    bare = re.sub(r"'[^']*['…]", "''", text.replace(error.path or "\0", ""))
    listed = text.count(":/") if "use one of" in text else 0
    assert len(bare) <= 172 + 100 * listed
    assert text.count(error.path or "\0") <= 1
    for word in words:
        assert word in text, text


def refused(kind: type[CgroupError], host: Host, text: Any, *words: str, controller: Any = None) -> CgroupError:
    with pytest.raises(CgroupError) as caught:
        host.resolve(text, controller)
    assert type(caught.value) is kind, repr(caught.value)
    check_message(caught.value, *words)
    return caught.value


# ---- units ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("session-3.scope", UNITS[5]),
        ("user@1000.service", "user.slice/user-1000.slice/user@1000.service"),
        ("app.slice", "user.slice/user-1000.slice/user@1000.service/app.slice"),
        ("editor.service", UNITS[7]),
        ("user-1000.slice", "user.slice/user-1000.slice"),
        (r"dev-disk-by\x2duuid.swap", UNITS[2]),
        ("dev-disk-by-uuid.swap", UNITS[2]),
        ("memory.service", UNITS[3]),
        ("_memory.service", UNITS[3]),
        ("dbus-:1.2-org.example@0.service", UNITS[4]),
        ("-.slice", ""),
    ],
)
def test_resolve_unit_returns_its_cgroup(unified: Host, text: str, location: str) -> None:
    assert unified.resolve(text) == unified.find_exn(f":/{location}")


def test_resolve_unit_of_the_system_comes_before_a_users(unified: Host) -> None:
    assert unified.resolve("ssh.service").location == "/system.slice/ssh.service"


def test_resolve_unit_on_v1_is_found_on_systemds_hierarchy(legacy: Host) -> None:
    assert str(legacy.resolve("ssh.service")) == "name=systemd:/system.slice/ssh.service"
    assert str(legacy.resolve("session-3.scope")) == f"name=systemd:/{UNITS[5]}"


def test_resolve_unit_with_a_controller_is_the_same_location_there(legacy: Host, hybrid: Host, unified: Host) -> None:
    assert str(legacy.resolve("ssh.service", "memory")) == "memory:/system.slice/ssh.service"
    assert str(legacy.resolve("ssh.service", "cpuacct")) == "cpu,cpuacct:/system.slice/ssh.service"
    assert str(hybrid.resolve("ssh.service", "memory")) == "memory:/system.slice/ssh.service"
    assert str(hybrid.resolve("ssh.service")) == ":/system.slice/ssh.service"
    assert str(unified.resolve("ssh.service", "memory")) == ":/system.slice/ssh.service"


def test_resolve_unit_without_a_cgroup_of_the_controller_says_where_it_is(legacy: Host) -> None:
    error = refused(CgroupNotFound, legacy, "docker.service", "for 'memory'", "no directory", controller="memory")
    assert "name=systemd:/system.slice/docker.service" in str(error)


def test_resolve_unit_ambiguous_lists_five_and_the_count(unified: Host) -> None:
    error = refused(CgroupNotFound, unified, "twice.service", "2 have this name")
    assert ":/a.slice/twice.service, :/b.slice/twice.service" in str(error)
    for number in range(7):
        (Path(unified.root) / f"sys/fs/cgroup/c{number}.slice/twice.service").mkdir(parents=True)
    error = refused(CgroupNotFound, unified, "twice.service", "9 have this name", "and 4 more")
    assert str(error).count("twice.service") == 6


def test_resolve_unit_unknown_says_where_and_suggests(unified: Host) -> None:
    refused(CgroupNotFound, unified, "sshd.service", "no cgroup of :/ has this name", "did you mean ssh.service?")
    refused(CgroupNotFound, unified, "ssh", "did you mean ssh.service?")
    refused(CgroupNotFound, unified, "logrotate.timer", "name the service")
    error = refused(CgroupNotFound, unified, "zzz.service", "Cgroup.walk")
    assert "cgroups tree" in error.for_command()


def test_resolve_unit_under_a_link_is_not_found(unified: Host, tmp_path: Path) -> None:
    (tmp_path / "outside/linked.service").mkdir(parents=True)
    os.symlink(tmp_path / "outside", Path(unified.root) / "sys/fs/cgroup/link.slice")
    refused(CgroupNotFound, unified, "linked.service", "no cgroup")
    with pytest.raises(CgroupError):
        unified.resolve("/link.slice/linked.service")


# ---- processes -----------------------------------------------------------------------------------


def test_resolve_process_returns_its_cgroup(unified: Host) -> None:
    put_process(unified, "1234", "0::/system.slice/ssh.service")
    assert unified.resolve("1234") == unified.resolve("pid:1234") == unified.find_exn(":/system.slice/ssh.service")
    assert unified.resolve("1234", "memory") == unified.resolve("1234")


def test_resolve_process_on_v1_is_below_a_root_or_the_controllers(legacy: Host) -> None:
    put_process(legacy, "77", "4:pids:/", "3:cpu,cpuacct:/only", "2:memory:/jobs/one", "1:name=systemd:/")
    assert str(legacy.resolve("77")) == "memory:/jobs/one"
    assert str(legacy.resolve("77", "pids")) == "pids:/"
    assert str(legacy.resolve("77", "cpu")) == "cpu,cpuacct:/only"
    put_process(legacy, "78", "4:pids:/", "2:memory:/", "1:name=systemd:/")
    assert str(legacy.resolve("78")) == "name=systemd:/"


def test_resolve_dot_is_the_callers_own(unified: Host) -> None:
    put_process(unified, "self", "0::/jobs/one")
    assert str(unified.resolve(".")) == ":/jobs/one"


def test_resolve_process_without_a_cgroup_says_why(unified: Host, legacy: Host) -> None:
    put_process(unified, "5", "0::/gone")
    refused(CgroupNotFound, unified, "5", "cannot find the cgroup of process 5", ":/gone was removed")
    put_process(legacy, "6", "2:memory:/jobs/one")
    refused(CgroupNotFound, legacy, "6", "for 'pids'", "does not list it", controller="pids")
    refused(CgroupNotFound, legacy, ".", "this process")
    put_process(legacy, "7", "8:freezer:/x")
    refused(CgroupNotFound, legacy, "7", "no mount shows freezer:/x")


@pytest.mark.parametrize("text", ["0", "pid:", "pid:0", "pid:x", "pid:-1", "pid: 1", "pid:1.5", "9" * 5000, "4194305"])
def test_resolve_process_id_that_cannot_be_is_invalid(unified: Host, text: str) -> None:
    error = refused(InvalidValue, unified, text, "process id must be a number from 1 to 4194304")
    assert len(str(error)) < 320


def test_resolve_process_unknown_is_process_not_found(unified: Host) -> None:
    refused(ProcessNotFound, unified, "pid:4000000", "process 4000000")


# ---- containers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("container:4f0f5", f"system.slice/docker-{ID}.scope"),
        ("container:4F0F5E1C9D2B", f"system.slice/docker-{ID}.scope"),
        ("container:4f0f5e…", f"system.slice/docker-{ID}.scope"),
        (f"container:{ID}", f"system.slice/docker-{ID}.scope"),
        ("container:4f0f77", f"machine.slice/libpod-{OTHER_ID}.scope"),
        ("container:abcd", f"kubepods.slice/kubepods-besteffort.slice/crio-{POD_ID}.scope"),
        ("container:0b0f7a52-12", f"system.slice/containerd.service/default/{UUID}"),
    ],
)
def test_resolve_container_by_a_prefix_of_its_id(unified: Host, text: str, location: str) -> None:
    assert unified.resolve(text).location == f"/{location}"


def test_resolve_container_within_itself_is_the_outer_one(unified: Host) -> None:
    inner = f"sys/fs/cgroup/machine.slice/libpod-{OTHER_ID}.scope/libpod-payload-{OTHER_ID}"
    (Path(unified.root) / inner).mkdir()
    assert unified.resolve("container:4f0f77").name == f"libpod-{OTHER_ID}.scope"


def test_resolve_container_on_v1_takes_the_controllers(make_host: Callable[..., Host], tmp_path: Path) -> None:
    directories = below("/sys/fs/cgroup/memory", f"docker/{ID}") + below("/sys/fs/cgroup/pids", f"docker/{ID}")
    host = make_host(tmp_path / "docker", *V1, directories=directories)
    assert str(host.resolve("container:4f0f")) == f"memory:/docker/{ID}"
    assert str(host.resolve("container:4f0f", "pids")) == f"pids:/docker/{ID}"


def test_resolve_container_faked_by_a_user_is_ambiguous(unified: Host) -> None:
    """The same whole id in another subtree is not taken for the container."""
    fake = f"user.slice/user-1000.slice/user@1000.service/docker-{ID}.scope"
    (Path(unified.root) / "sys/fs/cgroup" / fake).mkdir()
    refused(
        CgroupNotFound,
        unified,
        f"container:{ID}",
        "2 have an id with this prefix",
        f":/system.slice/docker-{ID}.scope"[:60],
    )


def test_resolve_container_ambiguous_lists_them(unified: Host) -> None:
    refused(CgroupNotFound, unified, "container:4f0f", "2 have an id with this prefix", ":/system.slice/docker-4f0f5")


def test_resolve_container_unknown_says_where(unified: Host) -> None:
    refused(CgroupNotFound, unified, "container:beef", "no container of :/ has an id with this prefix")


@pytest.mark.parametrize(
    "text", ["container:", "container:4f0", "container:docker", "container:4f0f/..", "container:*"]
)
def test_resolve_container_id_that_cannot_be_is_invalid(unified: Host, text: str) -> None:
    refused(InvalidValue, unified, text, "at least 4 hexadecimal digits")


# ---- locations and directories -------------------------------------------------------------------


@pytest.mark.parametrize("text", [f"/{UNITS[0]}", f"/{UNITS[0]}/", "//system.slice//ssh.service///", UNITS[0]])
def test_resolve_location_is_on_the_unified_hierarchy(unified: Host, hybrid: Host, text: str) -> None:
    for host in (unified, hybrid):
        assert host.resolve(text) == host.find_exn(f":/{UNITS[0]}")


def test_resolve_location_without_unified_takes_systemds_then_memorys(legacy: Host, hybrid: Host) -> None:
    assert str(legacy.resolve(f"/{UNITS[0]}")) == f"name=systemd:/{UNITS[0]}"
    assert str(legacy.resolve(f"/{UNITS[0]}", "cpu")) == f"cpu,cpuacct:/{UNITS[0]}"
    assert str(legacy.resolve("/jobs/one")) == "memory:/jobs/one"
    assert str(hybrid.resolve("/job")) == "memory:/job"
    assert str(legacy.resolve("/apart")) == "cpu,cpuacct:/apart"
    assert str(legacy.resolve("/")) == "name=systemd:/"


def test_resolve_location_on_two_other_hierarchies_is_ambiguous(legacy: Host) -> None:
    refused(CgroupNotFound, legacy, "/only", "2 are at this location", "cpu,cpuacct:/only, pids:/only")
    assert str(legacy.resolve("/only", "pids")) == "pids:/only"


def test_resolve_location_unknown_suggests_a_neighbour(unified: Host) -> None:
    refused(CgroupNotFound, unified, "/system.slice/shs.service", "no cgroup of :/", "did you mean ssh.service?")
    refused(CgroupNotFound, unified, "/sys/fs", "is at this location", "did you mean /sys/fs/cgroup?")
    refused(CgroupNotFound, unified, "/nope/nope", "is at this location", "Cgroup.walk")


@pytest.mark.parametrize(
    ("path", "spec"),
    [
        ("/sys/fs/cgroup/memory/jobs/one", "memory:/jobs/one"),
        ("/sys/fs/cgroup/memory/jobs/one/", "memory:/jobs/one"),
        ("/sys/fs/cgroup/memory", "memory:/"),
        ("/sys/fs/cgroup/cpu,cpuacct/only", "cpu,cpuacct:/only"),
        ("/sys/fs/cgroup/cpu/only", "cpu,cpuacct:/only"),
        ("/sys/fs/cgroup/cpu", "cpu,cpuacct:/"),
    ],
)
def test_resolve_directory_below_a_mount_point(legacy: Host, path: str, spec: str) -> None:
    for text in (path, legacy.root + path):
        assert legacy.resolve(text) == legacy.resolve(text, "pids") == legacy.find_exn(spec)


def test_resolve_directory_takes_the_innermost_mount(make_host: Callable[..., Host], tmp_path: Path) -> None:
    host = make_host(
        tmp_path / "nested",
        "/sys/fs/cgroup / cgroup2 rw",
        "/sys/fs/cgroup/memory / cgroup rw,memory",
        "/mnt/part /jobs cgroup rw,pids",
        directories=("/sys/fs/cgroup/memory/a", "/mnt/part/one"),
    )
    assert str(host.resolve("/sys/fs/cgroup/memory/a")) == "memory:/a"
    assert str(host.resolve("/mnt/part/one")) == "pids:/jobs/one"
    assert str(host.resolve("/mnt/part")) == "pids:/jobs"


def test_resolve_directory_unknown_advises_to_create_it(legacy: Host) -> None:
    error = refused(CgroupNotFound, legacy, "/sys/fs/cgroup/memory/nope", "cannot find memory:/nope")
    assert error.path == f"{legacy.root}/sys/fs/cgroup/memory/nope"
    assert "cgroups create memory:/nope" in error.for_command()


def test_resolve_directory_that_is_a_control_file_names_its_cgroup(legacy: Host) -> None:
    (Path(legacy.root) / "sys/fs/cgroup/memory/jobs/memory.max").touch()
    refused(CgroupNotFound, legacy, "/sys/fs/cgroup/memory/jobs/memory.max", "control file", "memory:/jobs")


@pytest.mark.parametrize(
    "text", ["/a/../b", "/sys/fs/cgroup/memory/../pids", "/a\0b", "/a\nb", f"/{'x' * 256}", "a/../b"]
)
def test_resolve_path_that_cannot_be_is_invalid(legacy: Host, text: str) -> None:
    with pytest.raises(InvalidValue):
        legacy.resolve(text)


# ---- ids -----------------------------------------------------------------------------------------


def test_resolve_id_is_the_inode(unified: Host) -> None:
    cgroup = unified.find_exn(f":/{UNITS[0]}")
    assert unified.resolve(f"id:{cgroup.inode}") == cgroup


def test_resolve_id_unknown_or_without_v2_raises(unified: Host, legacy: Host) -> None:
    refused(CgroupNotFound, unified, "id:18446744073709551615", "no cgroup of :/ has this id")
    refused(SubsystemNotAvailable, legacy, "id:5", "only cgroups of v2 have an id")


@pytest.mark.parametrize("text", ["id:", "id:0", "id:x", "id:-5", "id:18446744073709551616", f"id:{'9' * 5000}"])
def test_resolve_id_that_cannot_be_is_invalid(unified: Host, text: str) -> None:
    refused(InvalidValue, unified, text, "cgroup id must be a number from 1 to 2^64 - 1")


# ---- specs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec", ["memory:/jobs/one", "memory", "memory:", "name=systemd:/", "name=systemd", "cpu,cpuacct:/only", "cpu"]
)
def test_resolve_spec_is_the_result_of_find(legacy: Host, spec: str) -> None:
    (Path(legacy.root) / "sys/fs/cgroup/memory/memory").mkdir()  # a name does not hide a controller
    assert legacy.resolve(spec) == legacy.resolve(spec, "pids") == legacy.find_exn(spec)


@pytest.mark.parametrize(
    "spec",
    [
        "",
        ":/nope",
        "memory:/nope",
        "nope:/x",
        "memory,pids:/",
        "memory,nope",
        "name=nope",
        "a\nb",
        "freezer",
        "memory:/../x",
    ],
)
def test_resolve_spec_that_names_nothing_fails_as_find_exn_does(legacy: Host, spec: str) -> None:
    with pytest.raises(CgroupError) as wanted:
        legacy.find_exn(spec)
    with pytest.raises(type(wanted.value)) as caught:
        legacy.resolve(spec)
    assert str(caught.value) == str(wanted.value)


# ---- names that are shown ------------------------------------------------------------------------


def test_resolve_name_that_tree_shows(unified: Host) -> None:
    assert unified.resolve("one").location == "/jobs/one"
    refused(CgroupNotFound, unified, "worker", "2 have this name", ":/jobs/one/worker, :/jobs/two/worker")


def test_resolve_name_with_a_controller_is_looked_for_on_its_hierarchy(legacy: Host) -> None:
    assert str(legacy.resolve("only", "pids")) == "pids:/only"
    refused(CgroupNotFound, legacy, "only", "2 are at this location")
    refused(CgroupNotFound, legacy, "apart", "no directory", "cpu,cpuacct:/apart", controller="memory")
    refused(CgroupNotFound, legacy, "nowhere", "no cgroup of", controller="memory")


def test_resolve_every_name_that_watch_shows_leads_back(unified: Host) -> None:
    """But for a unit of a user's manager, behind the system's unit of the same name."""
    shown: dict[str, list[Cgroup]] = {}
    for cgroup in unified.find_exn(":/").walk():
        shown.setdefault(name_matches.name_of(cgroup), []).append(cgroup)
    assert f"docker {ID[:12]}/init" in shown
    for name, cgroups in shown.items():
        if len(cgroups) == 1:
            assert unified.resolve(name) == cgroups[0]


def test_resolve_name_with_bytes_as_they_are_shown(unified: Host) -> None:
    odd = os.fsdecode(b"sys/fs/cgroup/jobs/od\xffd\x1b")
    os.mkdir(os.path.join(unified.root, odd))
    for text in (r"od\xffd\x1b", r"/jobs/od\xffd\x1b", os.fsdecode(b"/jobs/od\xffd\x1b")):
        assert os.fsencode(unified.resolve(text).name) == b"od\xffd\x1b"


# ---- hostile trees -------------------------------------------------------------------------------


def test_resolve_in_a_deep_tree_keeps_its_time_and_leaves_out_the_unreachable(unified: Host) -> None:
    """Names of 250 bytes reach PATH_MAX at 17 levels; a spec cannot name a location past it."""
    fd = os.open(f"{unified.root}/sys/fs/cgroup/jobs", os.O_RDONLY)
    for _ in range(40):
        os.mkdir("n" * 250, dir_fd=fd)
        os.mkdir("deep.service", dir_fd=fd)
        below_fd = os.open("n" * 250, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below_fd
    os.close(fd)
    error = refused(CgroupNotFound, unified, "deep.service", "17 have this name", "and 12 more")
    assert len(str(error)) < 800
    assert unified.resolve("ssh.service").location == f"/{UNITS[0]}"


def test_resolve_past_the_deadline_raises(unified: Host) -> None:
    with pytest.raises(CgroupTimeout) as caught:
        unified.resolve("nope.service", timeout=0)
    check_message(caught.value, "cannot find 'nope.service'", "timed out after 0 s", "give a location")
    assert unified.resolve(f"/{UNITS[0]}", timeout=0).name == "ssh.service"  # nothing is searched
    with pytest.raises(CgroupNotFound):
        unified.resolve("/system.slice/nope", timeout=0)
    with pytest.raises(InvalidValue):
        unified.resolve("nope.service", timeout=-1)


def test_resolve_past_the_deadline_names_the_matches(unified: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def until_found(top: Cgroup, check: Callable[[], None], **keywords: Any) -> Any:
        for node in descend(top, **keywords):
            yield node
            if node.name == "worker":
                monkeypatch.setattr("time.monotonic", lambda: 1e12)
                check()

    monkeypatch.setattr(name_search, "descend", until_found)
    with pytest.raises(CgroupTimeout) as caught:
        unified.resolve("worker")
    assert "found so far: :/jobs/one/worker" in str(caught.value)


def test_resolve_the_systems_unit_visits_no_users_tree(unified: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    visited: list[str] = []

    def noted(*arguments: Any, **keywords: Any) -> Any:
        for node in descend(*arguments, **keywords):
            visited.append(node.name)
            yield node

    monkeypatch.setattr(name_search, "descend", noted)
    unified.resolve("ssh.service")
    assert "user@1000.service" in visited
    assert "app.slice" not in visited


def test_resolve_after_a_hundred_of_one_name_ends(unified: Host) -> None:
    for number in range(150):
        (Path(unified.root) / f"sys/fs/cgroup/x{number}/many").mkdir(parents=True)
    refused(CgroupNotFound, unified, "many", "100 or more have this name", "and 95 more")


def test_resolve_directory_that_may_not_be_listed_is_left_out(unified: Host) -> None:
    top = Path(unified.root) / "sys/fs/cgroup/aaa"
    top.mkdir()
    top.chmod(0)
    program = f"""
import difflib, os
from cgroups import Host
host = Host({unified.root!r})
if os.geteuid() == 0:
    os.seteuid(65534)
print(host.resolve("one"))
try:
    host.resolve("nope")
except ValueError as error:
    print(error)
"""
    for parent in [Path(unified.root), *Path(unified.root).parents]:
        if not parent.stat().st_mode & 0o005 and parent != Path("/"):
            parent.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines()[0] == ":/jobs/one", done
    assert "1 directory may not be listed" in done.stdout
    top.chmod(0o755)


# ---- invalid types and controllers ---------------------------------------------------------------


@pytest.mark.parametrize("text", [None, 5, b"ssh.service", ["a"], Path("/a")])
def test_resolve_other_type_is_invalid(unified: Host, text: Any) -> None:
    with pytest.raises(InvalidValue, match="not a str"):
        unified.resolve(text)


def test_resolve_name_longer_than_a_path_is_invalid(unified: Host) -> None:
    error = refused(InvalidValue, unified, "x" * 5000, "at most 4095 characters, got 5000")
    assert len(str(error)) < 320
    refused(CgroupNotFound, unified, "x" * 4000, "no cgroup")


def test_resolve_controller_that_is_nowhere_or_none(unified: Host, legacy: Host) -> None:
    for text in ("ssh.service", f"/{UNITS[0]}", "container:4f0f"):
        refused(SubsystemNotAvailable, unified, text, "has the controller 'hugetlb'", controller="hugetlb")
        refused(SubsystemNotAvailable, legacy, text, "is of version 2", controller="")
    with pytest.raises(InvalidValue, match="controller must be a name or None"):
        unified.resolve("ssh.service", 5)  # type: ignore[arg-type]


def test_resolve_without_any_hierarchy_raises(make_host: Callable[..., Host], tmp_path: Path) -> None:
    host = make_host(tmp_path / "none")
    for text in ("ssh.service", "/a", "container:4f0f", "x"):
        refused(CgroupNotFound, host, text, "no hierarchy is mounted")


def test_hierarchy_resolve_is_the_local_hosts() -> None:
    assert Hierarchy.resolve(".") == Host("/").resolve(str(os.getpid()))
    with pytest.raises(CgroupNotFound):
        Hierarchy.resolve("cgroups-test-no-such.service", timeout=60)
