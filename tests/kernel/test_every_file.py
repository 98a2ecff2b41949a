"""Every control file of a fresh cgroup and of the roots: named, read, written, and refused what it does not take.

written.py has the values, and the files that are excepted with the reason; the
roots are written to only where the whole machine is the tests' own.  Each file
is judged by its own mode bits first: what the kernel says can be written has
to be in one of the two tables.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import written
from common import OWN_HOST, MakeCgroup, files_of, path_of, says, text_of, users_of

from cgroups import (
    Cgroup,
    CgroupError,
    Converter,
    Hierarchy,
    InvalidValue,
    ParameterNotSupported,
    Parameters,
    Subsystem,
)

# Files that only one vendor's kernel has.
VENDOR_FILES = {"memory.shown_ram_in_bytes"}


def writable_files(cgroup: Cgroup) -> list[str]:
    return files_of(cgroup, 0o222)


def rows_of(cgroup: Cgroup) -> Iterator[tuple[str, Any]]:
    """The files of a cgroup that are written with values, and the rows of the table."""
    for file in writable_files(cgroup):
        if not written.excepted(cgroup.version, file):
            yield file, written.row_of(cgroup.version, file)


def is_of(controller: str, cgroup: Cgroup, file: str) -> bool:
    """Return whether a file is this controller's; on v2 a new cgroup has the files of all enabled controllers."""
    if cgroup.version == 1:
        return True
    name = file.partition(".")[0]
    return name == {"blkio": "io"}.get(controller, controller) if controller else name not in cgroup.subsystems


def refusal(call: Callable[[], object]) -> Exception | None:
    try:
        call()
    except (CgroupError, TypeError) as error:
        return error
    return None


@pytest.fixture
def roots_of_ours() -> list[Cgroup]:
    if not OWN_HOST:
        pytest.skip("the root cgroups are not the tests' own")
    return [hierarchy.root() for hierarchy in Hierarchy.scan()]


# ---- named, and read ----------------------------------------------------------------------------


def test_root_files_have_a_parameter_and_parse(every_head: str) -> None:
    """A root has other files than a new cgroup, for which test_parameters.py does the same."""
    root = Hierarchy.find_exn(every_head or ":/")
    problems: dict[str, object] = {}
    for file in files_of(root, 0o777) + ["memory.pressure_level"] * path_of(root, "memory.pressure_level").exists():
        users = users_of(file, root.version, Parameters.Parameter)
        if not users and file not in VENDOR_FILES:
            problems[file] = "no parameter names it"
        for parameter in users_of(file, root.version, Parameters.Readable):
            if all(path_of(root, one).exists() for one in parameter.files(root.version)):
                try:
                    Parameters.get(parameter, root)
                except Exception as error:
                    problems[f"{file} by {parameter}"] = error
    assert not problems


def test_readable_files_are_read(controller_here: str, make_cgroup: MakeCgroup) -> None:
    """The mode bits, a read, and the package agree."""
    cgroup = make_cgroup(controller_here)
    problems = []
    for file in files_of(cgroup, 0o777):
        own = users_of(file, cgroup.version, Parameters.Readable)
        try:
            text_of(cgroup, file)
            read = True
        except OSError as error:
            assert error.errno == errno.EINVAL, file
            read = False
        by_mode = file in files_of(cgroup, 0o444) and file != "memory.pressure_level"
        if file not in VENDOR_FILES and not read == by_mode == any(readable(one, cgroup) for one in own):
            problems.append((file, by_mode, read, own))
    assert not problems


def readable(parameter: Any, cgroup: Cgroup) -> bool:
    return refusal(lambda: Parameters.get(parameter, cgroup)) is None


# ---- written ----------------------------------------------------------------------------------------


def check_tables(cgroup: Cgroup) -> dict[str, str]:
    """Every writable file is in one of the tables, with a parameter that writes to it."""
    problems = {}
    for file in writable_files(cgroup):
        row, excepted = written.row_of(cgroup.version, file), written.excepted(cgroup.version, file)
        if (row is None) == (excepted is None):
            problems[file] = "is in both tables of written.py" if row else "is in neither table of written.py"
        elif not written.is_known(cgroup.version, file):
            problems[file] = "was never seen before: a line for seen.txt"
        elif row is not None:
            users = users_of(file, cgroup.version, Parameters.Writable)
            if row.parameter not in map(str, users):
                problems[file] = f"{row.parameter} is not a writable parameter of it: {users}"
    return problems


def test_writable_files_are_in_a_table(controller_here: str, make_cgroup: MakeCgroup) -> None:
    assert check_tables(make_cgroup(controller_here)) == {}


def test_root_writable_files_are_in_a_table(every_head: str) -> None:
    assert check_tables(Hierarchy.find_exn(every_head or ":/")) == {}


def test_read_only_files_have_no_writable_parameter(controller_here: str, make_cgroup: MakeCgroup) -> None:
    """A parameter all of whose files can only be read is refused, with a hint, where the other version may set it."""
    cgroup = make_cgroup(controller_here)
    there = set(files_of(cgroup, 0o777))
    allowed = set(writable_files(cgroup))
    problems: dict[str, object] = {}
    for parameter in Subsystem.parameters():
        files = set(parameter.files(cgroup.version)) & there
        if not files or files & allowed:
            continue
        calls: list[Callable[[], None]] = []
        if isinstance(parameter, Parameters.Writable):
            calls += [lambda one=parameter, value=value: Parameters.set(one, cgroup, value) for value in (True, False)]
        if isinstance(parameter, Parameters.Resettable):
            calls += [lambda one=parameter: Parameters.reset(one, cgroup)]
        texts = {file: text_of(cgroup, file) for file in files} if calls else {}
        for call in calls:
            error = refusal(call)
            if not isinstance(error, ParameterNotSupported) or not error.hint:
                problems[str(parameter)] = error
        # Counters of time move by themselves.
        if calls and "cpu.stat" not in files and texts != {file: text_of(cgroup, file) for file in files}:
            problems[str(parameter)] = texts
    assert not problems


def check_row(cgroup: Cgroup, file: str, row: Any) -> list[str]:
    """Sets each legal value and looks at the file; then each illegal one."""
    parameter: Any = Subsystem.parameter_named(row.parameter)
    problems = []
    texts = {text_of(cgroup, file)}
    for value, wanted in row.legal:
        error = refusal(lambda value=value: Parameters.set(parameter, cgroup, value))
        texts.add(text_of(cgroup, file))
        if error is not None:
            problems.append(f"{value!r} is refused: {error!r}")
        elif not says(cgroup, file, wanted):
            problems.append(f"{value!r} was set, and it says {text_of(cgroup, file)!r} and not {wanted!r}")
        else:
            Parameters.get(parameter, cgroup)
    if row.legal and len(texts) == 1:
        problems.append(f"nothing that was set made a difference: {texts}")
    for value, kind in row.illegal:
        before = text_of(cgroup, file)
        error = refusal(lambda value=value: Parameters.set(parameter, cgroup, value))
        if type(error) is not kind:
            problems.append(f"{value!r} is answered with {error!r}, not {kind.__name__}")
        if text_of(cgroup, file) != before:
            problems.append(f"{value!r} made {text_of(cgroup, file)!r} of {before!r}")
    return problems


def test_writable_files_are_written(controller_here: str, make_cgroup: MakeCgroup) -> None:
    """The legal values are in the file afterwards; the illegal ones have their error, and leave it as it was."""
    problems = {}
    like_it = make_cgroup(controller_here)
    for file, row in rows_of(like_it):
        if not is_of(controller_here, like_it, file):
            continue
        cgroup = make_cgroup(controller_here)
        for name, value in row.first:
            Parameters.set(Subsystem.parameter_named(name), cgroup, value)  # type: ignore[arg-type]
        if found := check_row(cgroup, file, row):
            problems[file] = found
    assert not problems


def junk_for(file: str) -> Any:
    """A parameter of the file that writes any text."""
    owner, _, name = file.partition(".")
    return Parameters.mk_set(owner, name, Converter.string)


def check_junk(cgroup: Cgroup) -> dict[str, object]:
    problems: dict[str, object] = {}
    for file in writable_files(cgroup):
        if written.TAKES_ANY_TEXT.fullmatch(file) or "." not in file:
            continue  # a file without a controller in its name cannot be declared as a parameter
        quiet = file in files_of(cgroup, 0o444) and not file.endswith((".procs", ".threads", ".pressure", ".usage"))
        before = text_of(cgroup, file) if quiet else ""
        error = refusal(lambda file=file: Parameters.set(junk_for(file), cgroup, "junk"))
        wanted = written.refused_at_root(cgroup.version, file) if cgroup.is_root else None
        if type(error) is not (wanted or InvalidValue) or str(path_of(cgroup, file)) not in str(error):
            problems[file] = error
        if quiet and text_of(cgroup, file) != before:
            problems[file] = (before, text_of(cgroup, file))
    return problems


def test_write_refused_by_the_kernel_names_the_file(controller_here: str, make_cgroup: MakeCgroup) -> None:
    """A text that no codec has checked: the kernel refuses it, the error names the file, and nothing changes."""
    assert check_junk(make_cgroup(controller_here)) == {}


# ---- the roots, where they are the tests' own ---------------------------------------------------------------


def check_root_row(root: Cgroup, file: str, row: Any) -> list[str]:
    """As in a fresh cgroup, and put back; or refused, each value, where a root does not take any."""
    parameter: Any = Subsystem.parameter_named(row.parameter)
    kind = written.refused_at_root(root.version, file)
    if kind is not None:
        row = row._replace(legal=[], illegal=[(value, kind) for value, _ in row.legal])
        return check_row(root, file, row)
    before, text = Parameters.get(parameter, root), text_of(root, file)
    try:
        return check_row(root, file, row)
    finally:
        Parameters.set(parameter, root, before)
        assert text_of(root, file) == text


def test_root_writable_files_are_written_and_restored(roots_of_ours: list[Cgroup]) -> None:
    problems = {}
    for root in roots_of_ours:
        for file, row in rows_of(root):
            if found := check_root_row(root, file, row):
                problems[str(root), file] = found
    assert not problems


def test_root_write_refused_by_the_kernel_names_the_file(roots_of_ours: list[Cgroup]) -> None:
    assert {str(root): found for root in roots_of_ours if (found := check_junk(root))} == {}


def test_root_files_are_reset(roots_of_ours: list[Cgroup]) -> None:
    problems: dict[str, object] = {}
    for root in roots_of_ours:
        for file in writable_files(root):
            for parameter in users_of(file, root.version, Parameters.Resettable):
                if not all(path_of(root, one).exists() for one in parameter.files(root.version)):
                    continue
                error = refusal(lambda one=parameter: Parameters.reset(one, root))
                if type(error) is not (written.refused_at_root(root.version, file) or type(None)):
                    problems[file] = error
    assert not problems
