"""README and guide: languages and marks of blocks, lines of shell, links, and the files that internals names."""

from __future__ import annotations

import re
import shlex
from itertools import takewhile
from pathlib import Path

import guide_pages
import pytest
from guide_pages import AS_ROOT, AS_USER, CHECKOUT, PAGES, README

from cgroups.cli.app import NAMES, subcommand

LINES = [line for block in guide_pages.blocks("sh") for line in block.text.splitlines() if line.startswith("cgroups ")]
LINKS = [
    (name, link)
    for name, page in PAGES.items()
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
]


def test_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 200


@pytest.mark.parametrize("name", PAGES)
def test_page_begins_with_title_and_one_sentence(name: str) -> None:
    title, empty, summary, *_ = PAGES[name].read_text(encoding="utf-8").splitlines()
    assert title.startswith("# ")
    assert empty == ""
    assert summary.endswith(".")


def test_blocks_are_python_shell_or_output() -> None:
    """Python and commands of the ordinary user run in the tiers kernel and systemd; lines of shell are parsed below."""
    assert {(block.language, block.mark) for block in guide_pages.blocks()} <= {
        *(("python", ""), ("python", AS_ROOT)),
        *(("sh", ""), ("sh", AS_USER)),
        ("", ""),
    }
    assert len(
        [*re.finditer(r"^```", "\n".join(page.read_text() for page in PAGES.values()), re.MULTILINE)]
    ) == 2 * len(guide_pages.blocks())


def test_other_lines_of_shell_are_known() -> None:
    lines = {line for block in guide_pages.blocks("sh") for line in block.text.splitlines()} - {*LINES}
    install = "python3 -m venv .venv && .venv/bin/pip install '.[cli]' && . .venv/bin/activate"
    assert lines == {install, "bash tests/run.sh"}


@pytest.mark.parametrize("line", sorted({*LINES}))
def test_line_of_shell_is_a_command(line: str) -> None:
    """Its command, options, parameters and values exist: it is parsed, and not run."""
    _, name, *words = shlex.split(line, comments=True)
    command = subcommand(name)
    command.make_context(name, ["1" if word == "PID" else word for word in words])


def test_page_of_the_command_has_a_line_for_each() -> None:
    lines = [line for block in guide_pages.blocks("sh") if block.page == "command" for line in block.text.splitlines()]
    assert {line.split()[1] for line in lines} == {*NAMES}


@pytest.mark.parametrize("line", [line for line in LINES if "#" in line])
def test_comment_of_a_line_names_options_of_its_command(line: str) -> None:
    _, name, *_ = shlex.split(line, comments=True)
    command = subcommand(name)
    known = {option for parameter in command.params for option in parameter.opts}
    assert {*re.findall(r"(?<![\w-])--?[a-z][\w-]*", line.partition("#")[2])} <= known


@pytest.mark.parametrize(("name", "link"), LINKS)
def test_link_leads_to_a_file(name: str, link: str) -> None:
    folder = CHECKOUT if name == "README" else CHECKOUT / "cgroups" / "guide"
    assert (folder / link).exists()


def test_internals_names_files_that_exist() -> None:
    """Each first column of a table, in the folder that its heading names."""
    folder = None
    named: dict[str, set[str]] = {}
    for line in PAGES["internals"].read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"\| file of `(\w[\w/]*)/` \|", line):
            folder = heading[1]
        elif not line.startswith("|"):
            folder = None
        elif folder:
            named.setdefault(folder, set()).update(re.findall(r"`([\w/]+(?:\.\w+|/))`", line.split("|")[1]))
    folders = {path.parent for path in CHECKOUT.glob("cgroups/*/__init__.py")}
    assert {Path(folder).name for folder in named} - {"cgroups", "common", "screen", "csrc"} == {
        path.name for path in folders if path.name != "cli"
    }
    missing = [f"{folder}/{name}" for folder, names in named.items() for name in names if not _exists(folder, name)]
    assert missing == []
    # And each module of these folders is named, besides those that have the name of a command or of a C file.
    modules = {
        f"{folder}/{path.name}"
        for folder in named
        for path in (CHECKOUT / folder).glob("*.py")
        if path.name not in ("__init__.py", "__main__.py")
    }
    assert modules - {f"{folder}/{name}" for folder, names in named.items() for name in names} == set()


def _exists(folder: str, name: str) -> bool:
    return (CHECKOUT / folder / name).exists()


def test_glossary_has_twenty_terms() -> None:
    lines = PAGES["concepts"].read_text(encoding="utf-8").partition("| term | meaning |\n")[2].splitlines()
    rows = [*takewhile(lambda line: line.startswith("|"), lines)][1:]
    assert len({row.split("|")[1] for row in rows}) == len(rows) == 20
