"""The mount table: captured ones, and hand-written ones of what kernels and containers do."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cgroups.core.interface import Failure, MountRow, Status
from cgroups.core.mounts import Mount, controllers_of, split_above

POINT = "/sys/fs/cgroup"


def line(
    kind: str = "cgroup",
    options: str = "rw,memory",
    *,
    root: str = "/",
    point: str = "/sys/fs/cgroup/memory",
    flags: str = "rw,relatime",
    optional: str = "",
    source: str = "cgroup",
    device: str = "0:32",
) -> bytes:
    """A line of mountinfo, proc(5)."""
    return f"35 31 {device} {root} {point} {flags} {optional}- {kind} {source} {options}\n".encode(
        "utf-8", "surrogateescape"
    )


def rows(implementation: ModuleType, text: bytes) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in implementation.parse_mountinfo(text)]


# ---- captured ---------------------------------------------------------------------------


def test_mountinfo_hybrid_host_is_parsed(implementation: ModuleType, fixtures: Path) -> None:
    text = (fixtures / "linux-6.18-v1/proc_self_mountinfo").read_bytes()
    names = ["cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"]
    v1 = [
        (1, 0, 29 + i, "/", f"{POINT}/{name.removeprefix('name=')}", "rw,relatime", f"rw,{name}")
        for i, name in enumerate([*names, "name=systemd"])
    ]
    assert rows(implementation, text) == [*v1, (2, 0, 38, "/", f"{POINT}/unified", "rw,relatime", "rw")]
    assert all(isinstance(row, MountRow) for row in implementation.parse_mountinfo(text))


def test_mountinfo_unified_host_is_parsed(implementation: ModuleType, fixtures: Path) -> None:
    text = (fixtures / "linux-6.1-v2/proc_self_mountinfo").read_bytes()
    assert rows(implementation, text) == [(2, 0, 24, "/", POINT, "rw,relatime", "rw")]


def test_mountinfo_open_table_is_read_to_its_end(implementation: ModuleType, fixtures: Path) -> None:
    path = fixtures / "linux-6.18-v1/proc_self_mountinfo"
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for _ in range(2):
            assert implementation.scan_mounts(fd) == implementation.parse_mountinfo(path.read_bytes())
    finally:
        os.close(fd)


def test_mountinfo_of_this_machine_is_parsed(implementation: ModuleType) -> None:
    expected = [
        fields[fields.index("-") + 1]
        for fields in (text.split(" ") for text in Path("/proc/self/mountinfo").read_text().splitlines())
        if fields[fields.index("-") + 1] in ("cgroup", "cgroup2")
    ]
    fd = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
    try:
        assert [{1: "cgroup", 2: "cgroup2"}[row[0]] for row in implementation.scan_mounts(fd)] == expected
    finally:
        os.close(fd)


# ---- lines ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        (r"/a\040b", "/a b"),
        (r"/a\011b", "/a\tb"),
        (r"/a\012b", "/a\nb"),
        (r"/a\134b", r"/a\b"),
        (r"/a\043b", "/a#b"),
        (r"/\134040", r"/\040"),  # decoded once
        (r"/a\04", r"/a\04"),
        ("/a\\", "/a\\"),
        (r"/a\089", r"/a\089"),
        (r"/a\777", r"/a\777"),  # over a byte
        (r"/\303\251", "/é"),
        (r"/\377", "/\udcff"),
        ("/\udcfe", "/\udcfe"),
        ("/né", "/né"),
    ],
)
def test_mountinfo_octal_escapes_are_decoded(implementation: ModuleType, text: str, decoded: str) -> None:
    [row] = rows(implementation, line(root=text, point=text))
    assert row[3:5] == (decoded, decoded)


@pytest.mark.parametrize(
    "optional", ["", "shared:5 ", "master:1 ", "shared:5 master:1 propagate_from:2 ", "unbindable ", "future "]
)
def test_mountinfo_optional_fields_are_skipped(implementation: ModuleType, optional: str) -> None:
    assert rows(implementation, line(optional=optional)) == rows(implementation, line())


@pytest.mark.parametrize("source", ["cgroup", "none", "memory", "", "/dev/null", "-", r"my\040source", "cgroup2"])
def test_mountinfo_any_source_is_accepted(implementation: ModuleType, source: str) -> None:
    """The source is a free word of whoever mounted it, and may be empty."""
    [row] = rows(implementation, line(source=source))
    assert row == (1, 0, 32, "/", "/sys/fs/cgroup/memory", "rw,relatime", "rw,memory")


def test_mountinfo_only_the_type_marks_a_cgroup_mount(implementation: ModuleType) -> None:
    others = [line("tmpfs", source="cgroup"), line("cgroup3"), line("fuse.cgroup"), line("Cgroup"), line("cgroup2x")]
    assert rows(implementation, b"".join(others)) == []
    assert rows(implementation, b"") == []
    assert rows(implementation, b"\n\n") == []
    assert [row[0] for row in rows(implementation, line("cgroup2", "rw,nsdelegate") + line("cgroup"))] == [2, 1]


def test_mountinfo_hyphen_in_a_field_is_no_separator(implementation: ModuleType) -> None:
    [row] = rows(implementation, line(root="/-", point="/a - b".replace(" ", r"\040")))
    assert row[3:5] == ("/-", "/a - b")


def test_mountinfo_without_a_final_newline_is_parsed(implementation: ModuleType) -> None:
    assert rows(implementation, line()[:-1]) == rows(implementation, line())


def test_mountinfo_order_and_repetition_are_kept(implementation: ModuleType) -> None:
    text = line(root="/b", point="/1") + line(point="/2") + line(point="/2")
    assert [row[3:5] for row in rows(implementation, text)] == [("/b", "/1"), ("/", "/2"), ("/", "/2")]


def test_mountinfo_over_a_megabyte_is_parsed(implementation: ModuleType, tmp_path: Path) -> None:
    other = b"40 31 0:99 / /var/lib/containers/overlay/" + b"x" * 200 + b" rw - overlay overlay rw,lowerdir=/l\n"
    text = other * 6000 + line() + b"".join(line(point=f"/m/{i}") for i in range(1000))
    assert len(text) > 1 << 20
    assert len(rows(implementation, text)) == 1001
    path = tmp_path / "mountinfo"
    path.write_bytes(text)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = implementation.scan_mounts(fd)
    finally:
        os.close(fd)
    assert [row[4] for row in found] == ["/sys/fs/cgroup/memory", *(f"/m/{i}" for i in range(1000))]


GOOD = line()


@pytest.mark.parametrize(
    "broken",
    [
        b"35\n",
        b"35 31 0:32 / /m rw,relatime\n",  # cut before the separator
        b"35 31 0:32 / /m rw,relatime - cgroup cgroup\n",  # cut before the options
        b"35 31 0:32 / /m rw,relatime shared:5 cgroup cgroup rw\n",  # no separator
        b"x 31 0:32 / /m rw - cgroup cgroup rw\n",
        b"35 -1 0:32 / /m rw - cgroup cgroup rw\n",
        b"35 31 032 / /m rw - cgroup cgroup rw\n",
        b"35 31 0: / /m rw - cgroup cgroup rw\n",
        b"35 31 :32 / /m rw - cgroup cgroup rw\n",
        b"35 31 0:4294967296 / /m rw - cgroup cgroup rw\n",
        b"35 31 0:32  /m rw - cgroup cgroup rw\n",
        b"\0\0\0\0\n",
        b"\xff\xfe\xfd\n",
        b"cut in the midd",
        b"35 31 0:32 / /m rw - tmp",  # also in the line of another file system
    ],
)
def test_mountinfo_broken_line_raises_at_its_start(implementation: ModuleType, broken: bytes) -> None:
    with pytest.raises(Failure) as caught:
        implementation.parse_mountinfo(GOOD + broken)
    assert (caught.value.status, caught.value.offset) == (Status.SYNTAX, len(GOOD))
    assert caught.value.excerpt == broken[:40]


# ---- options --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "names", "label"),
    [
        ("rw,memory", ("memory",), None),
        ("ro,memory", ("memory",), None),
        ("rw,cpu,cpuacct", ("cpu", "cpuacct"), None),
        ("rw,net_cls,net_prio", ("net_cls", "net_prio"), None),
        ("rw,name=systemd", (), "systemd"),
        ("rw,xattr,name=systemd", (), "systemd"),
        ("rw,cpuset,noprefix,clone_children", ("cpuset",), None),
        ("rw,cpuset,cpuset_v2_mode", ("cpuset",), None),
        ("rw,seclabel,memory", ("memory",), None),
        ("rw,memory,release_agent=/sbin/agent,clone_children", ("memory",), None),
        ("rw,xattr,release_agent=/usr/lib/systemd/systemd-cgroups-agent,name=systemd", (), "systemd"),
        ('rw,context="system_u:object_r:cgroup_t:s0:c1,c2",memory', ("memory",), None),
        ("rw,sync,dirsync,mand,lazytime,favordynmods,pids", ("pids",), None),
        ("rw,name=a,name2", ("name2",), "a"),
        ("rw,name=", (), ""),
        ("rw", (), None),
        ("", (), None),
    ],
)
def test_controllers_of_options_has_names_and_label(options: str, names: tuple[str, ...], label: str | None) -> None:
    """Only controllers and the label count, whatever options flags and security modules add."""
    assert controllers_of(options) == (names, label)


@pytest.mark.parametrize("flags", ["rw", "ro,nosuid,nodev,noexec,relatime", "rw,nosuid,memory"])
def test_mount_per_mount_flags_are_no_controllers(implementation: ModuleType, flags: str) -> None:
    [row] = implementation.parse_mountinfo(line(flags=flags, options="rw,nosuid_like"))
    assert Mount(row, "/nowhere").subsystems == ("nosuid_like",)


# ---- which part a mount shows -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/", (0, "/")),
        ("/a/b", (0, "/a/b")),
        ("/..", (1, "/")),
        ("/../..", (2, "/")),
        ("/../../a/b", (2, "/a/b")),
        ("/..a", (0, "/..a")),
        ("/a/..b", (0, "/a/..b")),
        ("/../..a", (1, "/..a")),
    ],
)
def test_split_above_counts_levels(location: str, expected: tuple[int, str]) -> None:
    assert split_above(location) == expected


@pytest.mark.parametrize(
    ("root", "location", "relative"),
    [
        ("/", "/", ""),
        ("/", "/a/b", "a/b"),
        ("/foo", "/foo", ""),
        ("/foo", "/foo/bar", "bar"),
        ("/foo", "/foobar", None),  # /foo is no parent of /foobar
        ("/foo", "/fo", None),
        ("/foo", "/", None),
        ("/foo/bar", "/foo", None),
    ],
)
def test_mount_relative_location_is_below_its_root(root: str, location: str, relative: str | None) -> None:
    row = MountRow((1, 0, 32, root, "/sys/fs/cgroup/memory", "rw", "rw,memory"))
    assert Mount(row, "/nowhere").relative(location) == relative


def test_mounts_are_equal_when_all_their_facts_are() -> None:
    def mount(root: str = "/", point: str = "/m", minor: int = 32) -> Mount:
        return Mount(MountRow((1, 0, minor, root, point, "rw", "rw,memory")), "/nowhere")

    assert mount() == mount()
    assert hash(mount()) == hash(mount())
    assert len({mount(), mount(root="/a"), mount(point="/n"), mount(minor=33)}) == 4
    assert mount() != "mount"
