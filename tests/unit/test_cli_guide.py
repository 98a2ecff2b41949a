"""The command guide: its topics, its pages in a pipe and on a terminal, and words that are no topic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import guide_pages
import pytest

from cgroups.cli.guide import TOPICS, page_of

WITHOUT_PAGER = {"PAGER": "cat", "MANPAGER": "cat"}


def test_topics_are_the_pages_of_the_folder() -> None:
    assert set(TOPICS) == {page.stem for page in guide_pages.GUIDE.iterdir()}
    assert len(TOPICS) == len(set(TOPICS))


def test_guide_without_topic_lists_each_with_its_sentence(command: Any) -> None:
    ran = command.run("guide")
    assert (ran.code, ran.err) == (0, "")
    head, *lines = ran.out.splitlines()
    assert head.split() == ["TOPIC", "CONTENT"]
    assert [line.split()[0] for line in lines] == [*TOPICS]
    for line, topic in zip(lines, TOPICS, strict=True):
        assert line.split(maxsplit=1)[1] in page_of(topic).splitlines()


@pytest.mark.parametrize("topic", TOPICS)
def test_guide_in_a_pipe_is_the_markdown_of_the_page(command: Any, topic: str) -> None:
    page = (guide_pages.GUIDE / f"{topic}.md").read_text(encoding="utf-8")
    assert command.run("guide", topic) == command.Ran(0, page, "")


def test_guide_of_a_misspelled_topic_suggests_the_nearest(command: Any) -> None:
    assert "did you mean concepts?" in command.misused(command.run("guide", "concept"))
    assert "did you mean how-to?" in command.misused(command.run("guide", "howto"))


@pytest.mark.parametrize("word", ["xyzzy", "", "../guide/concepts", "concepts.md\n"])
def test_guide_of_an_unknown_topic_is_a_usage_error(command: Any, word: str) -> None:
    assert "unknown topic" in command.misused(command.run("guide", word))


def test_guide_of_a_word_near_no_topic_names_all(command: Any) -> None:
    message = " ".join(command.misused(command.run("guide", "xyzzy")).replace("│", " ").split())
    assert "did you mean" not in message
    assert ", ".join(TOPICS) in message


@pytest.mark.slow
@pytest.mark.parametrize("topic", TOPICS)
def test_guide_on_a_terminal_draws_the_page(command: Any, v2_root: Path, topic: str) -> None:
    drawn = command.on_terminal("guide", topic, root=v2_root, **WITHOUT_PAGER)
    title, _, summary, *_ = page_of(topic).splitlines()
    assert title.removeprefix("# ") in drawn
    assert summary in " ".join(drawn.split())
    for source in ("```", "<!--", ".md)", "| ---"):
        assert source not in drawn


def test_guide_on_a_terminal_uses_the_pager(command: Any, v2_root: Path, tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text('#!/bin/sh\necho "LESS=$LESS"\nexec grep -c .\n')
    pager.chmod(0o755)
    variables = {"PAGER": str(pager), "MANPAGER": str(pager)}
    assert command.on_terminal("guide", "tutorial", root=v2_root, LESS="M", **variables).startswith("LESS=M\n")
    first, lines = command.on_terminal("guide", "tutorial", root=v2_root, LESS="", **variables).splitlines()
    assert first == "LESS="
    assert int(lines) > 50


def test_guide_on_a_narrow_terminal_wraps_and_cuts_nothing(command: Any, v2_root: Path) -> None:
    drawn = command.on_terminal("guide", "reference", root=v2_root, columns=60, **WITHOUT_PAGER)
    assert max(map(len, drawn.splitlines())) <= 60
    assert drawn.count("…") == page_of("reference").count("…")


def test_completion_knows_the_topics(command: Any) -> None:
    variables = {"_CGROUPS_COMPLETE": "complete_bash", "COMP_WORDS": "cgroups guide con", "COMP_CWORD": "2"}
    ran = command.code(f"import os\nos.environ.update({variables!r})\nfrom cgroups.cli import main\nmain()")
    assert ran.out.split() == ["concepts", "contributing"]
