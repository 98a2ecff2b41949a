"""The line that each guest adds to the summary."""

from __future__ import annotations

import pytest

LINES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LINES] = []


@pytest.fixture(scope="session")
def say(pytestconfig: pytest.Config) -> list[str]:
    """Return a list whose lines are printed in the summary."""
    return pytestconfig.stash[LINES]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.stash[LINES]:
        terminalreporter.section("virtual machines")
        for line in config.stash[LINES]:
            terminalreporter.line(line)
