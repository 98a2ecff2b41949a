"""Subjects in another process, which time themselves there: another language, or the other backend.

The process gets its task as a line of JSON, and answers with a line.  For each
further line it makes a pass, and answers with the nanoseconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from cgroups import Hierarchy
from cgroups.subsystem import parameter_named

from . import CHECKOUT
from .measure import Remote, Subject
from .subjects import Part, Parts, get, sampler

SUBJECTS = {"get": get, "sampler": sampler}


class Process(Remote):
    """A process that makes a pass on request."""

    def __init__(self, command: Sequence[str], task: Any, **environment: str) -> None:
        self._process = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._ask(json.dumps(task))

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            message = f"{self._process.args!r} has ended: {self._process.wait()}"
            raise RuntimeError(message)
        return answer

    def __call__(self) -> int:
        return int(self._ask("pass"))

    def __del__(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def python_backend(subject: str, parts: Parts) -> Process:
    """Return one of SUBJECTS with the Python backend."""
    task = [
        subject,
        [[list(map(str, part.cgroups)), [str(parameter) for parameter in part.parameters]] for part in parts],
    ]
    return Process([sys.executable, "-m", __name__], task, CGROUPS_BACKEND="python")


def _serve(subject: Subject) -> None:
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter_ns()
        subject()
        print(time.perf_counter_ns() - start, flush=True)


def main() -> None:
    subject, parts = json.loads(sys.stdin.readline())
    _serve(
        SUBJECTS[subject](
            [
                Part([Hierarchy.find_exn(spec) for spec in specs], tuple(map(parameter_named, names)))
                for specs, names in parts
            ]
        )
    )


if __name__ == "__main__":
    main()
