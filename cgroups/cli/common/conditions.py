"""Conditions as words of a command line: ``memory.usage_in_bytes>500M``, ``cpuacct.usage/s>1.5:TERM:5``."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, NamedTuple

import typer

from ...core import quantities
from ...core.errors import InvalidValue
from ...group import Group
from ...guard import Guard
from ...observe.sources import PressureTrigger
from ...observe.thresholds import Threshold
from .arguments import parameter_of, seconds_of
from .signals import signal_named
from .values import selected

__all__ = ["GuardWords", "guard_named", "threshold_named", "trigger_named"]

FEWEST_RATE = 1000
"""The smallest integer without a unit for a rate of CPU time.  A smaller number probably means CPUs."""

_CONDITION = re.compile(r"(?P<name>[^<>/]+?)(?P<rate>/s)?(?P<side>[<>])(?P<number>[^:]+)(?P<rest>(:[^:]*)*)")
_TRIGGER = re.compile(r"(?P<resource>\w+):(?P<state>\w+):(?P<stall>[^/:]+)/(?P<window>[^/:]+)")


def _parts(word: str) -> tuple[Any, dict[str, float], str]:
    """Return the parameter of a condition, its threshold, and the rest of the word."""
    match = _CONDITION.fullmatch(word)
    if match is None or (match["rate"] and match["side"] == "<"):
        message = f"condition must be PARAMETER>NUMBER, PARAMETER<NUMBER or PARAMETER/s>NUMBER, got {word!r}"
        raise typer.BadParameter(message)
    kind = "rate_above" if match["rate"] else "above" if match["side"] == ">" else "below"
    what = selected(parameter_of(match["name"].strip()))
    return what, {kind: _number(match["number"], what.unit, is_rate=bool(match["rate"]))}, match["rest"]


def _number(word: str, unit: str, *, is_rate: bool) -> float:
    """Return a number in a unit.  CPU time per second can also be in CPUs: ``1.5``, ``150%``, ``500m``."""
    is_time = unit in quantities.TIMES
    cpus = quantities.cpus(word) if is_rate and unit in ("ns", "us") else None
    value = _checked(word, unit) if cpus is None else cpus * int(_checked("1s", unit))
    if is_time and is_rate and word.strip().isdigit() and value < FEWEST_RATE:
        given = f"got {word!r}, which is {word} {unit} per second"
        message = f"rate must have a unit or a decimal point, {given}: write {word}.0 or {word}00% for {word} CPUs"
        raise typer.BadParameter(message)
    if is_time and not is_rate and value.denominator != 1:
        message = f"value must be a whole number of {unit}, got {word!r}: write a time, such as {word}s"
        raise typer.BadParameter(message)
    return value.numerator if value.denominator == 1 else float(value)


def _checked(word: str, unit: str) -> Fraction:
    try:
        return quantities.number(word, unit)
    except InvalidValue as error:
        raise typer.BadParameter(error.message) from None


def threshold_named(word: str, interval: float) -> Threshold:
    """Return the threshold of a word such as ``memory.usage_in_bytes>500M``."""
    what, wanted, rest = _parts(word)
    if rest:
        message = f"threshold must end with its number, got {word!r}"
        raise typer.BadParameter(message)
    return Threshold(what, **wanted, interval=interval)


def trigger_named(word: str) -> PressureTrigger:
    """Return the trigger of ``memory:some:150/2000`` or ``memory:some:150ms/2s``.  The default unit is ms."""
    match = _TRIGGER.fullmatch(word)
    if match is None:
        message = (
            f"pressure must be RESOURCE:some:STALL/WINDOW or RESOURCE:full:STALL/WINDOW, in milliseconds, got {word!r}"
        )
        raise typer.BadParameter(message)
    stall, window = (round(_checked(match[part], "ms") * 1000) for part in ("stall", "window"))
    return PressureTrigger(match["resource"], match["state"], stall, window)


class GuardWords(NamedTuple):
    """A guard specification, bound to its group once the group exists."""

    what: Any
    wanted: dict[str, float]
    action: int
    grace: float | None
    interval: float

    def __call__(self, group: Group) -> Guard:
        how: Any = {**self.wanted, "action": self.action, "grace": self.grace, "interval": self.interval}
        return Guard(group, self.what, **how)


def guard_named(word: str, interval: float) -> GuardWords:
    """Return the guard of ``memory.usage_in_bytes>500M``, with optional ``:SIGNAL`` and ``:SECONDS`` until SIGKILL."""
    what, wanted, rest = _parts(word)
    action, grace, *more = [*rest.split(":")[1:], "", ""][:2] + rest.split(":")[3:]
    if more:
        message = f"guard must be PARAMETER>NUMBER:SIGNAL:SECONDS, got {word!r}"
        raise typer.BadParameter(message)
    number = signal_named(action or "TERM")
    return GuardWords(what, wanted, number, seconds_of(grace) if grace else None, interval)
