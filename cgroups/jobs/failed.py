"""CommandFailed: the error of a command that did not exit with 0."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .report import Report

__all__ = ["CommandFailed"]


class CommandFailed(subprocess.CalledProcessError):
    """The error of :func:`cgroups.run` with ``check`` if the command does not exit with 0.

    Attributes:
        report: the report of the command.
    """

    def __init__(self, report: Report) -> None:
        super().__init__(report.returncode, list(report.args), report.stdout, report.stderr)
        self.report = report

    def __str__(self) -> str:
        reason = f", {self.report.ended_by}" if self.report.ended_by else ""
        return f"{super().__str__().removesuffix('.')}{reason}"

    def __reduce__(self) -> tuple[Any, ...]:
        return CommandFailed, (self.report,)
