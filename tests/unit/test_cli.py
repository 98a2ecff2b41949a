"""The command ``cgroups`` on captured hosts: what info, get and ps print."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import cgroups
from cgroups import Host, Parameters, Subsystem
from cgroups.cli.common import render
from cgroups.cli.get import _is_own

CAPTURE = "/cgroups-capture"


# ---- info ------------------------------------------------------------------------------


def test_info_on_v1(command: Any, v1_root: Path) -> None:
    (v1_root / "proc/sys/kernel").mkdir(parents=True)
    (v1_root / "proc/sys/kernel/osrelease").write_text("6.18.1-captured\n")
    ran = command.run("info", root=v1_root)
    assert (ran.code, ran.err) == (0, "")
    lines = [line.split() for line in ran.out.splitlines() if line]
    assert lines[0][:4] == ["version", f"{cgroups.__version__},", cgroups.backend, "backend,"]
    assert ["kernel", "6.18.1-captured"] in lines
    assert ["root", str(v1_root)] in lines
    where = f"{v1_root}/sys/fs/cgroup"
    assert [f"{where}/memory", "v1", "memory", "memory", *"nowhere: a captured tree".split()] in lines
    assert [f"{where}/systemd", "v1", "name=systemd", "-", *"nowhere: a captured tree".split()] in lines
    assert [line[0] for line in lines if line[1] == "v2"] == [f"{where}/unified"]


def test_info_on_v2(command: Any, v2_root: Path) -> None:
    (v2_root / "sys/fs/cgroup/cgroup.subtree_control").write_text("cpu memory\n")
    ran = command.run("info", root=v2_root)
    [line] = [line for line in ran.out.splitlines() if " v2 " in line]
    assert line.split()[2:12] == "cpuset cpu io memory hugetlb pids rdma misc cpu memory".split()
    assert "kernel   unknown" in ran.out


def _why(ran: Any) -> dict[str, str]:
    """The second table: controller to reason."""
    lines = ran.out.partition("\nMISSING")[2].splitlines()[1:]
    return {name: why.strip() for name, _, why in (line.partition(" ") for line in lines)}


def test_info_missing_controllers_have_a_reason(command: Any, v2_root: Path) -> None:
    listed = (v2_root / "proc/cgroups").read_text()
    assert "net_cls\t0\t3\t1" in listed
    listed = listed.replace("net_cls\t0\t3\t1", "net_cls\t0\t3\t0").replace("net_prio\t0\t3\t1", "net_prio\t7\t3\t1")
    (v2_root / "proc/cgroups").write_text(listed)
    assert _why(command.run("info", root=v2_root)) == {
        "devices": "compiled in, but neither mounted on v1 nor listed by v2",
        "net_cls": "disabled at boot: cgroup_disable=net_cls",
        "net_prio": "on v1 hierarchy 7, which is not mounted here",
        "dmem": "not in this kernel",
    }


def test_info_without_a_unified_hierarchy(command: Any, v1_root: Path) -> None:
    table = v1_root / "proc/self/mountinfo"
    lines = [line for line in table.read_text().splitlines() if "cgroup2" not in line and " pids" not in line]
    table.write_text("\n".join([*[line for line in lines if not line.endswith(",pids")], ""]))
    why = _why(command.run("info", root=v1_root))
    assert why["misc"].startswith("the kernel does not list it")
    assert why["perf_event"] == "compiled in, but not mounted"
    assert why["pids"] == "on v1 hierarchy 8, which is not mounted here"
    assert "memory" not in why
    assert "io" not in why  # blkio is there


def test_info_of_this_host(command: Any) -> None:
    ran = command.run("info")
    assert (ran.code, ran.err) == (0, "")
    assert os.uname().release in ran.out
    for hierarchy in cgroups.Hierarchy.scan():
        assert f"\n{hierarchy.mount_point} " in ran.out


def test_info_as_json(command: Any, v2_root: Path) -> None:
    (v2_root / "sys/fs/cgroup/cgroup.subtree_control").write_text("cpu memory\n")
    found = json.loads(command.run("info", "--json", root=v2_root).out)
    assert found["version"] == cgroups.__version__
    assert (found["backend"], found["kernel"]) == (cgroups.backend, None)
    assert (found["root"], found["uid"]) == (str(v2_root), os.geteuid())
    assert found["hierarchies"] == [
        {
            "mounted_at": [f"{v2_root}/sys/fs/cgroup"],
            "version": 2,
            "controllers": "cpuset cpu io memory hugetlb pids rdma misc".split(),
            "in_cgroups_below": ["cpu", "memory"],
            "you_may_make_cgroups": "nowhere: a captured tree",
        }
    ]
    assert found["missing"] == _why(command.run("info", root=v2_root))


# ---- get -------------------------------------------------------------------------------


def test_get_named_parameters(command: Any, v2_root: Path) -> None:
    job = v2_root / "sys/fs/cgroup/job/a"
    (job / "cpu.max").write_text("max 100000\n")
    (job / "memory.max").write_text("18446744073709551615\n")
    (job / "io.max").write_text("8:0 rbps=1048576 wbps=max riops=max wiops=100\n")
    (job / "cpuset.cpus").write_text("0-3,8\n")
    (job / "memory.oom.group").write_text("1\n")
    names = [
        "memory.max",
        "memory.limit_in_bytes",
        "cpu.max",
        "io.max",
        "cpuset.cpus",
        "memory.oom.group",
        "io.max[8:0,wiops]",
    ]
    ran = command.run("get", ":/job/a", *names, root=v2_root)
    assert ran == command.Ran(
        0,
        "memory.max 18446744073709551615\n"
        "memory.limit_in_bytes 18446744073709551615\n"
        "cpu.max[quota] max\n"
        "cpu.max[period] 100000\n"
        "io.max[8:0,rbps] 1048576\n"
        "io.max[8:0,wbps] max\n"
        "io.max[8:0,riops] max\n"
        "io.max[8:0,wiops] 100\n"
        "cpuset.cpus 0-3,8\n"
        "memory.oom.group true\n"
        "io.max[8:0,wiops] 100\n",
        "",
    )
    found = json.loads(command.run("get", "--json", ":/job/a", *names, root=v2_root).out)
    assert found == {
        "memory.max": 18446744073709551615,
        "memory.limit_in_bytes": 18446744073709551615,
        "cpu.max": {"quota": "max", "period": 100000},
        "io.max": {"8:0": {"rbps": 1048576, "wbps": "max", "riops": "max", "wiops": 100}},
        "cpuset.cpus": [0, 1, 2, 3, 8],
        "memory.oom.group": True,
        "io.max[8:0,wiops]": 100,
    }


def test_get_printed_names_are_accepted_again(command: Any, v2_root: Path) -> None:
    lines = [line.partition(" ")[::2] for line in command.run("get", ":/job/a", root=v2_root).out.splitlines()]
    again = command.run("get", ":/job/a", *(name for name, _ in lines), root=v2_root)
    assert again.code == 0, again.err
    assert [line.partition(" ")[::2] for line in again.out.splitlines()] == lines


@pytest.mark.parametrize("spec", [":/job/a", ":/", f"memory:{CAPTURE}", f"cpuacct:{CAPTURE}/inner", f"blkio:{CAPTURE}"])
def test_get_all_of_a_cgroup_is_printed(command: Any, v1_root: Path, v2_root: Path, spec: str) -> None:
    root = v2_root if spec.startswith(":") else v1_root
    cgroup = Host(str(root)).find_exn(spec)
    ran = command.run("get", "--json", spec, root=root)
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    there = set(os.listdir(cgroup.path or ""))
    for parameter in Subsystem.parameters():
        files = set(parameter.files(cgroup.version))
        if not isinstance(parameter, Parameters.Readable) or not files & there:
            assert str(parameter) not in found
        # What goes by the file's own name is there, what translates or renames it is not.
        own = str(parameter).replace("_", ".") in {file.replace("_", ".") for file in files}
        if isinstance(parameter, Parameters.Readable) and own and files <= there:
            assert str(parameter) in found


@pytest.mark.parametrize("version", [1, 2])
def test_get_all_names_each_control_file_once(version: int) -> None:
    shown = [one for one in Subsystem.parameters() if _is_own(one, version)]
    named: dict[str, list[str]] = {}
    for parameter in shown:
        for file in parameter.files(version):
            named.setdefault(file, []).append(str(parameter))
    files = {file for parameter in Subsystem.parameters() for file in parameter.files(version)}
    assert named.keys() == files
    assert {file: names for file, names in named.items() if len(names) > 1} == {}


@pytest.mark.parametrize(
    ("version", "name", "shown"),
    [
        (1, "memory.limit_in_bytes", True),
        (1, "memory.max", False),
        (1, "cpu.cfs_quota_us", True),
        (1, "cpu.max", False),
        (1, "cpuset.effective_cpus", True),
        (1, "cgroup.threads", True),
        (1, "blkio.weight_device", True),
        (2, "memory.limit_in_bytes", False),
        (2, "memory.max", True),
        (2, "memory.memsw_limit_in_bytes", False),
        (2, "memory.failcnt", False),
        (2, "memory.events_local", True),
        (2, "cpu.shares", False),
        (2, "cpuacct.usage", False),
        (2, "cpu.stat", True),
        (2, "freezer.state", False),
        (2, "blkio.throttle_read_bps_device", False),
        (2, "cgroup.irq_pressure", True),
    ],
)
def test_get_all_names_are_those_of_control_files(version: int, name: str, shown: bool) -> None:
    assert _is_own(Subsystem.parameter_named(name), version) is shown


def test_get_all_has_single_values_before_tables(command: Any, v2_root: Path) -> None:
    found = json.loads(command.run("get", "--json", ":/job/a", root=v2_root).out)
    tables = [isinstance(value, dict) for value in found.values()]
    assert set(tables) == {True, False}
    assert tables == sorted(tables)
    order = {str(one): number for number, one in enumerate(Subsystem.parameters())}
    for kind in (True, False):
        names = [name for name, table in zip(found, tables) if table is kind]
        assert names == sorted(names, key=order.__getitem__)
    lines = command.run("get", ":/job/a", root=v2_root).out.splitlines()
    assert [*dict.fromkeys(line.partition(" ")[0].partition("[")[0] for line in lines)] == [*found]


@pytest.mark.slow
def test_get_processes_on_a_terminal_is_a_count(command: Any, v2_root: Path) -> None:
    ids = [*range(100, 143)]
    (v2_root / "sys/fs/cgroup/job/a/cgroup.procs").write_text("".join(f"{pid}\n" for pid in ids))
    drawn = command.on_terminal("get", ":/job/a", root=v2_root)
    [line] = [line.split() for line in drawn.splitlines() if line.startswith("cgroup.procs")]
    assert line == "cgroup.procs 43: 100 101 102 103 104 … process ids".split()
    # In full where another program reads it, and where it is asked for.
    whole = " ".join(map(str, ids))
    assert f"cgroup.procs {whole}\n" in command.run("get", ":/job/a", root=v2_root).out
    assert json.loads(command.run("get", "--json", ":/job/a", root=v2_root).out)["cgroup.procs"] == ids
    named = command.on_terminal("get", ":/job/a", "cgroup.procs", root=v2_root)
    assert [word for word in named.split() if word.isdigit()] == whole.split()


def test_get_all_v2_constants_are_left_out(command: Any, v2_root: Path) -> None:
    # A constant is no control file: it is read when it is named.
    assert "memory.use_hierarchy" not in command.run("get", ":/job/a", root=v2_root).out
    assert command.run("get", ":/job/a", "memory.use_hierarchy", root=v2_root).out == "memory.use_hierarchy true\n"


def test_get_all_broken_file_is_reported_and_the_rest_printed(command: Any, v2_root: Path) -> None:
    (v2_root / "sys/fs/cgroup/job/a/memory.high").write_text("\x00garbage\n")
    ran = command.run("get", ":/job/a", root=v2_root)
    assert ran.code == 1
    assert ran.err.startswith("cgroups: cannot read memory.high of :/job/a")
    assert ran.err.count("\n") == 1
    assert "memory.low 0\n" in ran.out
    assert "pids.current" in ran.out


def test_get_table_without_rows_is_printed(command: Any, v2_root: Path) -> None:
    (v2_root / "sys/fs/cgroup/job/a/io.max").write_text("")
    assert command.run("get", ":/job/a", "io.max", root=v2_root).out == "io.max\n"
    assert json.loads(command.run("get", "--json", ":/job/a", "io.max", root=v2_root).out) == {"io.max": {}}


def test_get_on_a_terminal_has_units(command: Any, v2_root: Path) -> None:
    job = v2_root / "sys/fs/cgroup/job/a"
    (job / "memory.max").write_text("1610612736\n")
    (job / "memory.stat").write_text("anon 1048576\nfile 1023\npgfault 4096\nworkingset_refault_anon 2048\n")
    drawn = command.on_terminal("get", ":/job/a", "memory.max", "memory.stat", "cpu.stat", "pids.max", root=v2_root)
    lines = {line.split()[0]: line.split()[1:] for line in drawn.splitlines() if line}
    assert lines["memory.max"] == ["1610612736", "(1.5", "GiB)", "bytes"]
    assert lines["memory.stat[anon]"] == ["1048576", "(1.0", "MiB)", "bytes"]
    assert lines["memory.stat[file]"] == ["1023", "bytes"]
    assert lines["memory.stat[pgfault]"] == ["4096", "count"]
    assert lines["memory.stat[workingset_refault_anon]"] == ["2048", "pages"]
    assert lines["cpu.stat[usage_usec]"][-1] == "us"
    assert "PARAMETER" in lines
    assert "memory.max 1610612736\n" in command.run("get", ":/job/a", "memory.max", root=v2_root).out


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (-2048, "-2.0 KiB"),
        ((1 << 64) - 1, "16.0 EiB"),
    ],
)
def test_size_is_readable(size: int, text: str) -> None:
    assert render.size(size) == text


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0.00s"),
        (9_999_999, "0.00s"),
        (1_500_000_000, "1.50s"),
        (59_999_999_999, "59.99s"),
        (60 * 10**9, "1m00s"),
        (3599 * 10**9, "59m59s"),
        (3600 * 10**9, "1h00m"),
        (86399 * 10**9, "23h59m"),
        (90000 * 10**9, "1d01h"),
        (1000 * 86400 * 10**9, "1000d00h"),
    ],
)
def test_duration_is_readable(nanoseconds: int, text: str) -> None:
    assert render.duration(nanoseconds) == text


@pytest.mark.slow
def test_table_narrow_terminal_cuts_nothing_and_wraps_no_name(command: Any, v2_root: Path) -> None:
    (v2_root / "sys/fs/cgroup/job/a/memory.max").write_text("1610612736\n")
    (v2_root / "sys/fs/cgroup/job/a/cpuset.cpus").write_text("0,2,4,6,8,10,12,14,16,18,20\n")
    for columns in (20, 40, 60):
        drawn = command.on_terminal("get", ":/job/a", "memory.max", "cpuset.cpus", root=v2_root, columns=columns)
        assert "…" not in drawn
        lines = drawn.splitlines()
        assert [line.split()[0] for line in lines if line[0] != " "] == ["PARAMETER", "memory.max", "cpuset.cpus"]
        # The values may be folded over several lines.
        values = "".join(line[13:].partition("bytes")[0] for line in lines[1:])
        assert "".join(filter(str.isdigit, values)).startswith("1610612736")
        assert "02468101214161820" in "".join(filter(str.isdigit, values))


@pytest.mark.slow
def test_table_no_color_has_no_colour(command: Any, v2_root: Path) -> None:
    for words in (["info"], ["tree"], ["get", ":/job/a", "memory.max"], ["parameters", "pids"]):
        # NO_COLOR leaves bold, by its own words; a dumb terminal has not even that.
        drawn = command.on_terminal(*words, root=v2_root, styled=True, NO_COLOR="1")
        assert drawn.replace("\x1b[1m", "").replace("\x1b[0m", "").count("\x1b") == 0
        assert "\x1b" not in command.on_terminal(*words, root=v2_root, styled=True, TERM="dumb")
    for words in (["info"], ["tree"], ["get", ":/job/a"], ["parameters"]):
        ran = command.program(*words, root=v2_root, env={**os.environ, "FORCE_COLOR": "1"})
        assert (ran.code, "\x1b" in ran.out) == (0, False)


# ---- ps --------------------------------------------------------------------------------


def _process(root: Path, pid: int, name: str, command: bytes | None, state: str = "S (sleeping)") -> None:
    directory = root / f"proc/{pid}"
    directory.mkdir(exist_ok=True)
    (directory / "status").write_text(f"Name:\t{name}\nState:\t{state}\nUid:\t1000\t0\t0\t0\n")
    if command is not None:
        (directory / "cmdline").write_bytes(command)


def test_ps_lists_processes(command: Any, v2_root: Path) -> None:
    (v2_root / "sys/fs/cgroup/job/a/cgroup.procs").write_text("0\n10\n11\n12\n13\n14\n")
    _process(v2_root, 10, "sleep", b"sleep\x0060\x00")
    # 11 has ended before it is looked at, 12 while it is.
    _process(v2_root, 12, "gone", None)
    _process(v2_root, 13, "kworker/0:1", b"", "I (idle)")
    _process(v2_root, 14, "evil", b"\x1b[2Jevil\xff\n\x00", "R (running)")
    ran = command.run("ps", ":/job/a", root=v2_root)
    assert ran == command.Ran(
        0,
        "PID  USER  STATE     COMMAND\n"
        "10   1000  sleeping  sleep 60\n"
        "13   1000  idle      [kworker/0:1]\n"
        "14   1000  running   \\x1b[2Jevil\\xff\\n\n",
        "",
    )
    found = json.loads(command.run("ps", "--json", ":/job/a", root=v2_root).out)
    assert found[0] == {"pid": 10, "user": "1000", "state": "sleeping", "command": "sleep 60"}
    assert [one["pid"] for one in found] == [10, 13, 14]
    assert "sleep 60" in command.on_terminal("ps", ":/job/a", root=v2_root)


def test_ps_empty_cgroup_has_only_a_header(command: Any, v1_root: Path) -> None:
    (v1_root / f"sys/fs/cgroup/memory{CAPTURE}/cgroup.procs").write_text("")
    assert command.run("ps", f"memory:{CAPTURE}", root=v1_root) == command.Ran(0, "PID  USER  STATE  COMMAND\n", "")
    assert json.loads(command.run("ps", "--json", f"memory:{CAPTURE}", root=v1_root).out) == []


# ---- text --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 日本", "plain é 日本"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b[31m", "\\x1b[31m"),
        (os.fsdecode(b"\xff\xfe"), "\\xff\\xfe"),
        ("\u202e", "\\u202e"),
        ("", ""),
    ],
)
def test_printable_escapes_control_characters(text: str, shown: str) -> None:
    assert render.printable(text) == shown
