"""Every message that diagnosis.py and errors.py make: one line, short, the path once, and advice that exists."""

from __future__ import annotations

import errno
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import cgroups
from cgroups import (
    Cgroup,
    CgroupBusy,
    CgroupError,
    Cpuset,
    Host,
    InvalidValue,
    Memory,
    Parameters,
    SubsystemNotAvailable,
)
from cgroups.cli.app import NAMES, subcommand
from cgroups.control import create
from cgroups.core import diagnosis, errors, reasons, refusals, systemd
from cgroups.core.advice import FORMS, advise
from cgroups.core.declared import BOUNDS, ROOT_ONLY
from cgroups.core.errors import Advice, in_command, join_hints, printable, shown, visible
from cgroups.core.interface import Failure, Status
from cgroups.core.tree import invisible
from cgroups.observe import pressure_feeds
from cgroups.parameters.bindings import Binding

LONGEST = 172
"""Characters of a message without its path: about 160, and the longest names of v1 repeat."""

BANNED = [
    r"\bthat there (is|are)\b",
    r"\bthere is not\b",
    r"\bis none\b",
    r"\bhas not\b",
    r"\bto be had\b",
    r"\balone\b",
    r", as [A-Z`'\"]",
    r"\ba second\b",
    r"time was over",
]
"""Phrases that are not plain English."""

WORDS: Any = {"cgroup": ":/job", "what": "memory.max", "user": "--user ", "how": "at most", "number": 4096}

ERRNOS = sorted({*errors._BY_ERRNO, errno.EIO, errno.EMFILE, errno.EAGAIN, errno.ENOSPC, errno.EOPNOTSUPP})


# ---- all of them -------------------------------------------------------------------------------


class Cases:
    """Messages of one captured host; each is a function that gives the error."""

    def __init__(self, v1: Host, v2: Host) -> None:
        self.v1, self.v2 = v1, v2
        self.job = v2.find_exn(":/job/a")
        self.above = v2.find_exn(":/job")
        self.memory = v1.find_exn("memory:/job/a")
        self.cpuset = v1.find_exn("cpuset:/job/a")

    def all(self) -> Iterator[CgroupError]:
        for name in sorted(name for name in dir(self) if name.startswith("of_")):
            yield from getattr(self, name)()

    def of_writes(self) -> Iterator[CgroupError]:
        for number in {*ERRNOS, *reasons.WRITE_REASONS}:
            yield diagnosis.explain(_failure(number), self.job, "memory.max", "write", "memory.limit_in_bytes", 8192)
        for name in BOUNDS:
            yield diagnosis.explain(_failure(errno.EINVAL), self.memory, name, "write", name, 8192)
        for name in reasons.CPUSET_LISTS:
            for number in reasons._CPUSET_ERRNOS:
                for cgroup in (self.cpuset, self.job):
                    yield diagnosis.explain(_failure(number), cgroup, name, "write", name, "64-70")
        yield diagnosis.explain(_failure(errno.ENODEV), self.job, "io.max", "write", "io.max", "7:7 rbps=1")

    def of_reads(self) -> Iterator[CgroupError]:
        for number in ERRNOS:
            yield diagnosis.explain(_failure(number), self.job, "memory.current", "read", "memory.usage_in_bytes")
            yield diagnosis.explain(_failure(number), self.job, "", "list")
        for name in (*diagnosis._BY_THREADS, "cpu.pressure", "cgroup.freeze"):
            yield diagnosis.explain(_failure(errno.EOPNOTSUPP), self.job, name, "read")
        yield diagnosis.explain(Failure(Status.FOREIGN), self.job, "memory.max", "read")
        for status in (Status.SYNTAX, Status.RANGE, Status.EMPTY):
            failure = Failure(status, 0, 17, b"0123456789012345678901234567890123456789")
            yield diagnosis.explain(failure, self.job, "memory.current", "read")

    def of_absence(self) -> Iterator[CgroupError]:
        for name, cgroup in (
            ("memory.swap.peak", self.job),
            ("memory.swap.peak", self.v2.find_exn(":/")),
            ("pids.current", self.memory),
            ("hugetlb.2MB.usage_in_bytes", self.memory),
            ("memory.pressure", self.job),
            ("hugetlb.2MB.max", self.job),
            ("memory.current", self.job.child("gone")),
            *((name, self.cpuset) for name in sorted(ROOT_ONLY)),
        ):
            yield diagnosis.explain(_failure(errno.ENOENT), cgroup, name, "read")
        yield invisible(Cgroup(self.memory.hierarchy, "/x", visible=False))

    def of_moves(self) -> Iterator[CgroupError]:
        for number in {*ERRNOS, *refusals._ATTACH_HINTS}:
            for cgroup in (self.job, self.memory):
                yield refusals.explain_attach(_failure(number), cgroup, "cgroup.procs", "process", 4321)

    def of_removals(self) -> Iterator[CgroupError]:
        for number in {*ERRNOS, errno.ENOTEMPTY}:
            for cgroup in (self.job, self.above):
                yield refusals.explain_remove(number, cgroup)

    def of_creations(self) -> Iterator[CgroupError]:
        for number in {*ERRNOS, *refusals._CREATE_HINTS}:
            yield refusals.explain_create(number, self.job.child("new"))

    def of_controllers(self) -> Iterator[CgroupError]:
        for number in {*ERRNOS, *refusals._ENABLE_HINTS}:
            for step in ("+memory", "-memory"):
                for target in (None, self.job):
                    yield refusals.explain_control(_failure(number), self.above, step, target)
        yield _raised(lambda: create.check_may_enable(self.job, "memory", self.job.child("new")))

    def of_watches(self) -> Iterator[CgroupError]:
        for number in {*ERRNOS, *refusals._WATCH_HINTS}:
            yield refusals.explain_watch(OSError(number, ""), "cannot watch :/job/a")
            path = f"{self.job.path}/memory.pressure"
            tried = f"cannot watch memory.pressure of :/job/a for 'some 150000 2000000' ({path})"
            yield pressure_feeds.refused_trigger(number, tried, path)

    def of_errnos(self) -> Iterator[CgroupError]:
        path = f"{self.job.path}/cgroup.procs"
        for number in ERRNOS:
            for tried in (
                f"cannot start 'true' in :/job/a ({path})",
                f"cannot start 'true' in :/job/a ({self.job.path})",
            ):
                yield errors.from_errno(number, tried, path=path)

    def of_names(self) -> Iterator[CgroupError]:
        texts = (
            *("nope.service", "nope", "nope/nope", "docker 4f0f", "x.timer", "memory", "memroy:/a", "jb"),
            *("/nope", "/job/nope", "/sys/fs/cgroup/memory/nope", "/sys/fs/cgroup/nope", "/sys/fs/cgroup/job/a/nope"),
            *("pid:x", "0", "4194304", "pid:4194304", ".", "container:x", "container:beef", "id:x", "id:4242424242"),
        )
        for host in (self.v1, self.v2):
            for text in texts:
                for controller in (None, "memory", "hugetlb"):
                    with suppress(CgroupError):
                        host.resolve(text, controller)
                        continue
                    yield _raised(lambda: host.resolve(text, controller))
        yield _raised(lambda: self.v1.resolve("/job/a", "pids"))
        yield _raised(lambda: self.v2.resolve("nope", timeout=0))

    def of_advice(self) -> Iterator[CgroupError]:
        for key in FORMS:
            yield CgroupError("cannot do it", hint=advise(key, **WORDS))

    def of_warnings(self) -> Iterator[CgroupError]:
        hint = advise("scope", user="--user ")
        yield CgroupError(systemd.warning_of(self.job).message, hint=hint)


def _failure(number: int) -> Failure:
    return Failure(Status.OS, number)


def _raised(function: Callable[[], object]) -> CgroupError:
    with pytest.raises(CgroupError) as caught:
        function()
    return caught.value


@pytest.fixture(params=["root", "user"])
def messages(request: Any, v1: Host, v2: Host, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """All messages in both forms, with the root of their tree: for a caller who may write, and for one who may not."""
    if request.param == "user":
        monkeypatch.setattr(os, "access", lambda *_, **__: False)
    monkeypatch.setattr(systemd, "is_manager", lambda *_: True)
    for controller in ("memory", "cpuset"):
        captured = Path(v1.root) / f"sys/fs/cgroup/{controller}/cgroups-capture"
        shutil.copytree(captured / "inner", captured.parent / "job/a", copy_function=shutil.copyfile)
    found = []
    for error in Cases(v1, v2).all():
        tree = v1.root if error.path and error.path.startswith(v1.root) else v2.root
        found += [(form, tree, error.path or "") for form in (str(error), error.for_command())]
    return found


def test_messages_are_one_short_line_with_one_path(messages: list[tuple[str, str, str]]) -> None:
    wrong = []
    for text, tree, path in messages:
        bare = re.sub(re.escape(tree) + r"[^ ),;:]*", "", text)
        if "\n" in text or len(bare) > LONGEST or text.count(tree) > 1 or (path and tree not in text):
            wrong.append((len(bare), text))
    assert len(messages) > 400
    assert not wrong, "\n".join(f"{length} {text}" for length, text in sorted(set(wrong)))


def test_messages_short_ones_keep_the_words_of_the_kernel(job: Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    monkeypatch.setattr(systemd, "is_manager", lambda *_: False)
    for error in (
        refusals.explain_create(errno.EACCES, job.child("new")),
        diagnosis.explain(_failure(errno.EACCES), job, "memory.max", "write", "memory.max", 8192),
        refusals.explain_attach(_failure(errno.EACCES), job, "cgroup.procs", "process", 4321),
    ):
        assert "EACCES, Permission denied" in str(error)


def test_messages_are_plain_english(messages: list[tuple[str, str, str]]) -> None:
    assert not {text for text, *_ in messages for phrase in BANNED if re.search(phrase, text)}


@pytest.mark.slow
def test_messages_advise_what_exists(messages: list[tuple[str, str, str]]) -> None:
    for text, *_ in messages:
        for words in re.findall(r"(?:: |')cgroups ([a-z]+(?: [^;)']+)?)", text):
            check_command(words.split())
        for name in re.findall(r"\b([A-Z][A-Za-z]+(?:\.[a-z_]+)+)", text):
            check_attribute(name)


def check_command(words: list[str]) -> None:
    name, *arguments = words
    assert name in NAMES, words
    command = subcommand(name)
    known = {option for one in command.params for option in one.opts}
    for word in arguments:
        if word.startswith("--"):
            assert word in known, words
        elif word.startswith("-"):
            assert {f"-{letter}" for letter in word[1:]} <= known, words
    positional = [word for word in arguments if not word.startswith("-")]
    required = [one for one in command.params if one.param_type_name == "argument" and one.required]
    assert len(positional) >= len(required), words


def check_attribute(name: str) -> None:
    found: Any = cgroups
    for part in name.split("."):
        found = getattr(found, part)


def test_the_command_is_advised_commands_and_python_functions() -> None:
    for key in FORMS:
        advice = advise(key, **WORDS)
        assert "cgroups " not in str(advice)
        assert not re.search(r"\b(Cgroup|Hierarchy|Group|Subsystem)\b", advice.command)


def hints_of_parameters() -> set[str]:
    """Return the hints in the tables of parameters, for a version without a file and for a limited file."""
    found: set[str] = set()

    def look(one: Any) -> None:
        if isinstance(getattr(one, "hint", None), str):
            found.add(one.hint)
        for inner in vars(one).values():
            for each in inner if isinstance(inner, (tuple, list)) else [inner]:
                if isinstance(each, Binding):
                    look(each)

    for parameter in cgroups.Subsystem.parameters():
        for version in (1, 2):
            found.add(parameter.hint(version) or "")
            if parameter.files(version):
                look(parameter.binding(version))
    return found - {""}


def test_hints_of_parameters_are_short_and_plain_and_advise_what_exists() -> None:
    hints = hints_of_parameters()
    assert len(hints) > 50
    for hint in hints:
        command = in_command(hint) or ""
        assert len(hint) <= 80
        assert not [phrase for phrase in BANNED if re.search(phrase, hint)], hint
        assert not re.search(r"\b[A-Z][a-z]+\.[a-z]", command), command
        for name in re.findall(r"\b((?!Hugetlb)[A-Z][A-Za-z]+\.[a-z_]+[a-z])\b", hint):
            check_attribute(name)
        for name in re.findall(r"\b([a-z_]+(?:\.[a-z_]+)+)\b", command.replace("vm.swappiness", "")):
            assert _parameter(name.rstrip("_")) is not None
        for words in re.findall(r"cgroups ([a-z]+(?: [A-Z]+)*)", command):
            check_command(words.split())


def test_hint_names_parameters_in_the_form_of_the_command() -> None:
    assert in_command("Memory.max, Core.events, NetCls.classid, Hugetlb(size).failcnt or Parameters.release_agent") == (
        "memory.max, cgroup.events, net_cls.classid, hugetlb.SIZE.failcnt or release_agent"
    )
    assert in_command(Advice("Cgroup.thaw", "cgroups thaw :/a")) == "cgroups thaw :/a"
    assert in_command(None) is None
    error = CgroupError("cannot do it", hint="see Memory.stat")
    assert (str(error), error.for_command()) == ("cannot do it (see Memory.stat)", "cannot do it (see memory.stat)")


# ---- the two forms -----------------------------------------------------------------------------


def test_advice_joined_has_both_forms() -> None:
    hint = join_hints("first", None, Advice("Cgroup.thaw", "cgroups thaw :/a"))
    assert hint is not None
    assert (str(hint), hint.command) == ("first; Cgroup.thaw", "first; cgroups thaw :/a")
    assert join_hints(None, "") is None
    error = CgroupBusy("cannot do it", hint=hint)
    assert str(error) == "cannot do it (first; Cgroup.thaw)"
    assert error.for_command() == "cannot do it (first; cgroups thaw :/a)"


def test_advice_survives_pickle_and_copy() -> None:
    import copy
    import pickle

    error = CgroupBusy("cannot do it", hint=Advice("Cgroup.thaw", "cgroups thaw :/a"))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(error, protocol)).for_command() == error.for_command()
    assert copy.deepcopy(error).for_command() == copy.copy(error).for_command() == error.for_command()


# ---- the real reason ---------------------------------------------------------------------------


def test_enable_without_permission_names_the_owner_and_no_rule(
    recorded_v2: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cgroup has processes, too, but moving them would not help this user."""
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    error = _raised(lambda: recorded_v2.cgroup.hierarchy.host.find_or_create("pids:/job/a/new"))
    assert type(error) is cgroups.AccessDenied
    assert "is owned by" in str(error)
    assert "no internal processes" not in str(error)


def test_enable_on_a_read_only_mount_names_it(recorded_v2: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(create, "is_read_only", lambda _: True)
    error = _raised(lambda: recorded_v2.cgroup.hierarchy.host.find_or_create("pids:/job/a/new"))
    assert (type(error), error.errno) == (cgroups.AccessDenied, errno.EROFS)
    assert "mounted read-only" in str(error)
    assert "no internal processes" not in str(error)
    assert "owned by" not in str(error)


@pytest.mark.parametrize("attempt", ["set", "create", "remove"])
def test_write_read_only_file_system_is_not_explained_by_owner_and_mode(
    recorded_v2: Any, attempt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    cgroup = recorded_v2.cgroup
    error = {
        "set": lambda: diagnosis.explain(_failure(errno.EROFS), cgroup, "memory.max", "write", None, 8192),
        "create": lambda: refusals.explain_create(errno.EROFS, cgroup.child("new")),
        "remove": lambda: refusals.explain_remove(errno.EROFS, cgroup),
    }[attempt]()
    assert "mounted read-only" in str(error)
    assert "owned by" not in str(error)


def test_events_refused_epoll_is_not_explained_by_descriptors(job: Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    from cgroups.observe import events

    def refuse(number: int) -> Callable[..., Any]:
        def epoll() -> Any:
            raise OSError(number, os.strerror(number))

        return epoll

    monkeypatch.setattr(events.select, "epoll", refuse(errno.EPERM))
    error = _raised(lambda: cgroups.Events(job))
    assert "seccomp" in str(error)
    assert "ulimit" not in str(error)
    monkeypatch.setattr(events.select, "epoll", refuse(errno.EMFILE))
    assert "ulimit -n" in str(_raised(lambda: cgroups.Events(job)))


def test_set_refused_cgroup_type_is_not_explained_by_processes(recorded_v2: Any) -> None:
    recorded_v2.refuse("cgroup.type", "threaded", errno.EOPNOTSUPP)
    error = _raised(lambda: recorded_v2.cgroup.write_text("cgroup.type", "threaded"))
    assert "listed" not in str(error)
    assert "domain" in str(error)


def test_set_throttle_on_a_partition_names_the_disk(
    recorded_v2: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cgroup = recorded_v2.cgroup
    disk = Path(cgroup.hierarchy.host.root) / "sys/devices/virtual/block/sda"
    (disk / "sda1").mkdir(parents=True)
    (disk / "dev").write_text("8:0\n")
    (disk / "sda1/partition").write_text("1\n")
    links = Path(cgroup.hierarchy.host.root) / "sys/dev/block"
    links.mkdir(parents=True)
    (links / "8:1").symlink_to(disk / "sda1")
    recorded_v2.refuse("io.max", "8:1 rbps=1024", errno.ENODEV)
    error = _raised(lambda: cgroup.write_text("io.max", "8:1 rbps=1024"))
    assert type(error) is InvalidValue
    assert "8:1 is a partition: name its disk, 8:0 (sda)" in str(error)
    assert "no such device" not in str(error)


def test_set_memsw_without_a_memory_limit_names_max(recorded_v1: Callable[[str], Any]) -> None:
    recorded = recorded_v1("memory")
    recorded.put("memory.limit_in_bytes", f"{2**63 - 4096}\n")
    recorded.refuse("memory.memsw.limit_in_bytes", "8192", errno.EINVAL)
    error = _raised(lambda: Parameters.set(Memory.memsw_limit_in_bytes, recorded.cgroup, 8192))
    assert "memory.limit_in_bytes, now max" in str(error)
    assert str(2**63 - 4096) not in str(error)
    assert f"cgroups set {recorded.cgroup} memory.limit_in_bytes" in error.for_command()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EINVAL, errno.ERANGE])
def test_set_refused_cpuset_names_cpus_of_machine_and_parent(recorded_v1: Callable[[str], Any], number: int) -> None:
    recorded = recorded_v1("cpuset")
    parent = recorded.directory.parent
    online = Path(recorded.cgroup.hierarchy.host.root) / "sys/devices/system/cpu/online"
    online.parent.mkdir(parents=True, exist_ok=True)
    online.write_text("0-1\n")
    recorded.refuse("cpuset.cpus", "7", number)
    before = (parent / "cpuset.cpus").read_text()
    for text, said in (("0\n", "has 0"), ("\n", "has no CPUs")):
        (parent / "cpuset.cpus").write_text(text)
        try:
            error = _raised(lambda: Parameters.set(Cpuset.cpus, recorded.cgroup, [7]))
        finally:
            (parent / "cpuset.cpus").write_text(before)
        assert "this machine has CPUs 0-1" in str(error)
        assert said in str(error)
    assert "cgroups set cpuset:/cgroups-capture cpuset.cpus LIST" in error.for_command()


def test_own_without_proc_self_cgroup_does_not_blame_the_mounts(v2: Host, v2_root: Path) -> None:
    (v2_root / "proc/self").mkdir(exist_ok=True)
    error = _raised(lambda: v2.own("memory"))
    assert type(error) is SubsystemNotAvailable
    assert "no mounted hierarchy" not in str(error)
    assert f"{v2_root}/proc/self/cgroup is missing" in str(error)
    assert "no mounted hierarchy" in str(_raised(lambda: v2.own("nonesuch")))


# ---- names -------------------------------------------------------------------------------------


def test_messages_name_not_utf8_has_one_spelling(v2: Host) -> None:
    name = os.fsdecode(b"bad\xff")
    error = _raised(lambda: v2.find_exn(f":/{name}"))
    assert "bad\\xff" in str(error)
    assert "udcff" not in str(error)
    assert visible(name) == printable(name) == "bad\\xff"
    assert shown(name) == "'bad\\xff'"
    # A text that only looks like one stays as it is, and so does a character of two halves.
    assert shown("bad\\udcff") == repr("bad\\udcff")
    assert visible("\U0001f48f") == "\U0001f48f"


def test_messages_newlines_are_escaped() -> None:
    error = CgroupError("cannot find a\nb\x1b[2J", hint="c\nd")
    assert str(error) == "cannot find a\\nb\\x1b[2J (c\\nd)"


# ---- the command -------------------------------------------------------------------------------


def test_suggestions_of_set_can_be_set(command: Any, v1_root: Path) -> None:
    where = "memory:/cgroups-capture"
    said = command.misused(command.run("set", where, "memory", "64M", root=v1_root))
    names = re.findall(r"memory\.[a-z_.]+", said.partition("did you mean")[2])
    assert names
    for name in names:
        assert isinstance(cgroups.Subsystem.parameters and _parameter(name), Parameters.Writable), name
    said = command.misused(command.run("run", "--limit", "memory=64M", "--", "true"))
    assert "memory.max" in said or "memory.limit_in_bytes" in said
    assert "memory.stat" not in said


def _parameter(name: str) -> Any:
    from cgroups.subsystem import parameter_named

    return parameter_named(name)


def test_command_warning_is_one_line(command: Any, v2_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cgroups.cli.common import facts

    def warn(_: object) -> None:
        warnings.warn("something is\nodd", UserWarning, stacklevel=1)

    monkeypatch.setattr(facts, "kernel", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        ran = command.run("info", root=v2_root)
    assert ran.code == 0
    assert ran.err == "cgroups: warning: something is\\nodd\n"


def test_command_full_disk_names_the_output(command: Any, v2_root: Path) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        ran = command.program("tree", root=v2_root, stdout=full)
    assert ran.code == 1
    assert ran.err == "cgroups: cannot write the output: ENOSPC, No space left on device\n"


def test_info_without_proc_cgroups_says_that_it_cannot_know(command: Any, v2_root: Path) -> None:
    (v2_root / "proc/cgroups").unlink()
    missing = command.run("info", root=v2_root).out.partition("MISSING")[2]
    assert "subset=pid" in missing
    assert "not in this kernel" not in missing


def test_where_cgroups_may_be_made_on_a_read_only_mount(monkeypatch: pytest.MonkeyPatch) -> None:
    from cgroups.cli.common import facts

    monkeypatch.setattr(facts, "is_read_only", lambda _: True)
    assert {facts.writable(one) for one in cgroups.Hierarchy.scan()} == {"nowhere: mounted read-only"}


def test_where_cgroups_may_be_made_if_every_creation_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The modes say yes to root; what refuses is a security module, which only mkdir(2) shows."""
    from cgroups.cli.common import facts

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(facts.os, "mkdir", refuse)
    assert {facts.writable(one) for one in cgroups.Hierarchy.scan()} == {"nowhere"}


def test_where_cgroups_may_be_made_if_systemd_gives_scopes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from cgroups.cli.common import facts

    (tmp_path / "systemd").mkdir()
    (tmp_path / "systemd/private").touch()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(systemd, "is_manager", lambda *_: True)
    monkeypatch.setattr(facts, "_may_make_below", lambda _: False)
    found = {one.version: facts.writable(one) for one in cgroups.Hierarchy.scan()}
    assert found.get(1, "nowhere") == "nowhere"
    assert found.get(2, "systemd-run").count("systemd-run") == 1
