"""The guide's table of versions 1 and 2 says what the declarations say; and written.py's lines all match something.

``python tests/unit/test_translation_table.py`` writes the table anew.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import written

import cgroups
from cgroups import Hugetlb, ParameterNotSupported, Parameters, Subsystem
from cgroups.parameters.registry import TABLES

CHECKOUT = Path(__file__).parents[2]
PAGE = CHECKOUT / "cgroups" / "guide" / "reference.md"
BEGIN, END = "<!-- every parameter -->\n", "<!-- end of every parameter -->\n"
KERNEL = CHECKOUT / "tests" / "kernel"

HUGE = Hugetlb("2MB")


# ---- the table as it has to be ---------------------------------------------------------------


def declared() -> dict[str, Any]:
    """Every parameter under the name that a program uses."""
    found: dict[str, Any] = {}
    for table in TABLES:
        owner = "Parameters" if table.__name__.startswith("_") else table.__name__
        found |= {f"{owner}.{name}": one for name, one in vars(table).items() if isinstance(one, Parameters.Parameter)}
    huge = {f"Hugetlb(size).{name}": one for name, one in vars(HUGE).items() if isinstance(one, Parameters.Parameter)}
    return found | huge


def access(parameter: Any) -> str:
    kinds = {"R": Parameters.Readable, "W": Parameters.Writable, "X": Parameters.Resettable}
    return "".join(letter for letter, kind in kinds.items() if isinstance(parameter, kind)) or "–"


def cell(parameter: Any, version: int) -> str:
    """Its files, and what cannot be done with them; or what there is instead."""
    try:
        binding = parameter.binding(version)
    except ParameterNotSupported as error:
        return f"– {error.hint}"
    files = " ".join(parameter.files(version)).replace("2MB", "SIZE")
    # What is only ever read has nothing more to say.
    more = binding.hint if access(parameter) not in ("R", "–") else None
    return "; ".join(part for part in (files, more) if part)


def wanted() -> str:
    rows = [
        f"| `{name}` | {access(one)} | {cell(one, 1)} | {cell(one, 2)} |".replace("…", "...")
        for name, one in declared().items()
    ]
    head = ["| parameter | | version 1 | version 2 |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *rows]) + "\n"


def found() -> str:
    _, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    table, end, _ = rest.partition(END)
    assert begin
    assert end
    return table.strip() + "\n"


def test_translation_table_of_the_guide_matches_the_declarations() -> None:
    missing = set(wanted().splitlines()) - set(found().splitlines())
    stale = set(found().splitlines()) - set(wanted().splitlines())
    assert (missing, stale) == (set(), set()), "python tests/unit/test_translation_table.py writes it anew"
    assert found() == wanted()


def test_translation_table_has_every_parameter() -> None:
    """Counted another way: by what Subsystem.parameters() has, and in the table's first column."""
    named = re.findall(r"^\| `([^`]+)` \|", found(), re.MULTILINE)
    assert len(named) == len(set(named))
    objects = {id(one) for one in declared().values()}
    known = [one for one in Subsystem.parameters() if one.controller != "hugetlb"]
    assert {id(one) for one in known} <= objects
    assert len(named) == len(declared()) > len(known)


@pytest.mark.parametrize("name", declared())
def test_translation_table_names_exist(name: str) -> None:
    """Return ``Memory.max``, the name after ``from cgroups import Memory``."""
    owner, _, attribute = name.rpartition(".")
    holder = HUGE if owner == "Hugetlb(size)" else getattr(cgroups, owner)
    assert getattr(holder, attribute) is declared()[name]


def test_translation_table_version_without_a_file_names_the_nearest() -> None:
    cells = {name: (cell(one, 1), cell(one, 2)) for name, one in declared().items()}
    assert [name for name, both in cells.items() if "" in both or "– None" in both] == []
    # What a hint names as a parameter there is.
    for name, both in cells.items():
        for owner, attribute in re.findall(r"\b([A-Z]\w+)\.([a-z]\w*)\b", " ".join(both).replace("SIZE", "")):
            holder = getattr(cgroups, owner)
            assert hasattr(holder, attribute) or f"{owner}.{attribute}" == "Blkio.throttle_", (name, attribute)


def test_guide_names_of_translation_exist() -> None:
    """The rows above the table: the parameters and the control files that they name."""
    section = PAGE.read_text(encoding="utf-8").partition("## Version 1 and version 2")[2].partition(BEGIN)[0]
    names = set(declared())
    files = {file for one in declared().values() for version in (1, 2) for file in one.files(version)}
    for owner, attribute in re.findall(r"`([A-Z]\w+)\.([a-z]\w+)", section):
        assert f"{owner}.{attribute}" in names, attribute
    told = re.findall(r"(?<![`\w.])((?:memory|cpu|cpuacct|io|blkio|freezer|cgroup|pids)\.[a-z_.]+[a-z])", section)
    assert len(told) >= 20
    assert [file for file in told if file not in files] == []


# ---- what the kernel tier writes ------------------------------------------------------------------


def test_written_lines_match_a_seen_file() -> None:
    """In one of the modes of the tests at least; the others are few, and say why they stand there."""
    seen = set(written.seen())
    lines = written.all_lines()
    assert lines - seen - set(written.NOT_SEEN) == set(), "these lines match nothing in any mode"
    assert set(written.NOT_SEEN) & seen == set()
    assert set(written.NOT_SEEN) <= lines
    assert seen - lines == set(), "these files are in no table"


def test_written_lines_name_a_parameter_of_their_file() -> None:
    for version, rows in ((1, written.V1), (2, written.V2)):
        for file, row in rows.items():
            parameter: Any = Subsystem.parameter_named(row.parameter)
            assert file in parameter.files(version)
            assert isinstance(parameter, Parameters.Writable)
            assert row.illegal
            assert row.legal or written.DISK is None


def test_written_files_are_covered_or_excepted() -> None:
    for version, file in written.seen():
        assert (written.row_of(version, file) is None) != (written.excepted(version, file) is None), file
    for version, file in written.all_lines():
        refused = written.refused_at_root(version, file)
        assert refused is None or written.row_of(version, file) or written.excepted(version, file), file


@pytest.mark.parametrize(
    "exception",
    sorted({one for table in written.EXCEPTED.values() for one in table.values()}),
    ids=lambda one: one.test,
)
def test_written_exceptions_have_a_test(exception: Any) -> None:
    module, _, name = exception.test.partition("::")
    tree = ast.parse((KERNEL / module).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert exception.reason


if __name__ == "__main__":
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{begin}\n{wanted()}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
