"""The command ``run``: a program of its own, its report, its exit codes, and Ctrl-C on a terminal."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from common import CTRL_C, MIB, Need, Terminal

from cgroups import Cgroup

WORDS = [sys.executable, "-m", "cgroups", "run"]


@pytest.fixture
def words(parents: list[Cgroup]) -> Iterator[list[str]]:
    """The command line as far as the options of a test; no cgroup of it may be left."""
    yield [*WORDS, *(word for parent in parents for word in ("--parent", str(parent)))]
    assert [str(child) for parent in parents for child in parent.children()] == []


@pytest.fixture
def run(words: list[str]) -> Callable[..., Any]:
    def start(*more: str, **keywords: Any) -> Any:
        return subprocess.run(
            [*words, *more], capture_output=True, text=True, cwd="/", timeout=60, check=False, **keywords
        )

    return start


# ---- the report --------------------------------------------------------------------------


def test_run_output_dash_prints_the_report_to_stdout(run: Any) -> None:
    ran = run("--json", "-o", "-", "true")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout)["exit_code"] == 0


def test_run_report_goes_to_stderr(run: Any) -> None:
    ran = run("--", "sh", "-c", "echo hi; echo oh >&2; exit 3")
    assert (ran.returncode, ran.stdout) == (3, "hi\n")
    first, *lines = ran.stderr.splitlines()
    assert first == "oh"
    found = dict(re.split(r"\s{1,}(?!stall|kills)", line, maxsplit=1) for line in lines)
    assert found["command"] == "sh -c echo hi; echo oh >&2; exit 3"
    assert found["ended"] == "exit status 3"
    assert re.fullmatch(r"\d+\.\d{3} ms", found["time"])
    assert re.fullmatch(r"\d+\.\d{3} ms \(\d\.\d\d CPUs, user \d+\.\d{3} ms, system \d+\.\d{3} ms\)", found["cpu"])


@pytest.mark.parametrize("more", [(), ("--timeout", "60")])
def test_run_sigchld_ignored_exits_as_the_command(more: tuple[str, ...], run: Any) -> None:
    """Whoever starts it may ignore SIGCHLD, which programs inherit."""
    script = "grep -q '^SigIgn:.*[13579bdf]....$' /proc/self/status && exit 4; exit 3"
    ran = run(*more, "--", "sh", "-c", script, preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    assert ran.returncode == 3, ran.stderr


def test_json(run: Any, need: Need) -> None:
    need("memory")
    ran = run("--json", "--sample", "0.02", "--", sys.executable, "-S", "-c",
              f"import time; x = bytearray({32 * MIB}); time.sleep(0.2)")  # fmt: skip
    assert (ran.returncode, ran.stdout) == (0, "")
    told = json.loads(ran.stderr)
    assert told["args"][0] == sys.executable
    assert (told["returncode"], told["exit_code"], told["signal"], told["timed_out"]) == (0, 0, None, False)
    assert 32 * MIB <= told["memory_peak"] <= 64 * MIB
    assert told["memory_sampled"] is False
    assert told["wall_ns"] >= 200_000_000
    times = [one["time_ns"] for one in told["samples"]]
    assert times[0] == 0
    assert times == sorted(times)
    assert max(one["memory.usage_in_bytes"] for one in told["samples"]) >= 32 * MIB
    assert told["samples"][-1]["cpuacct.usage"] <= told["cpu_ns"]
    # What was not measured is null, and said to be.
    assert ("memory" in told["missing"]) == (told["memory_peak"] is None)
    assert "stdout" not in told


def test_run_output_file_has_the_report(run: Any, tmp_path: Path) -> None:
    ran = run("--json", "-o", str(tmp_path / "report"), "echo", "--json")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "--json\n", "")
    assert json.loads((tmp_path / "report").read_text())["args"] == ["echo", "--json"]
    ran = run("-o", str(tmp_path / "no/report"), "touch", str(tmp_path / "mark"))
    assert ran.returncode == 125
    assert "No such file" in ran.stderr
    assert not (tmp_path / "mark").exists()


FULL = "/dev/full"


def test_report_on_a_full_disk_exits_as_the_command_and_says_so(run: Any, tmp_path: Path) -> None:
    for more in ([], ["--json"]):
        ran = run("-o", FULL, *more, "sh", "-c", "exit 7")
        assert ran.returncode == 7
        assert ran.stderr == "cgroups: cannot write the report to /dev/full: No space left on device\n"
    with open(FULL, "w") as full:
        ran = subprocess.run([*WORDS, "--parent", "", "true"], stderr=full, cwd="/", check=False)
        assert ran.returncode == 125


def test_report_when_stderr_cannot_be_written_exits_as_the_command(words: list[str]) -> None:
    with open(FULL, "w") as full:
        for code in (0, 3):
            ran = subprocess.run([*words, "sh", "-c", f"exit {code}"], stderr=full, cwd="/", timeout=60, check=False)
            assert ran.returncode == code


@pytest.mark.parametrize("closed", ["2>&-", "0<&- 2>&-", "0<&- 1>&- 2>&-"])
def test_report_when_stderr_is_closed_goes_nowhere_else(words: list[str], tmp_path: Path, closed: str) -> None:
    seen, report = tmp_path / "seen", tmp_path / "report.json"
    # The command has closed what the runner has closed.
    command = ["sh", "-c", f"readlink /proc/$$/fd/2 > {seen} || echo closed > {seen}; echo oh >&2; echo hi; exit 3"]
    for more in ([], ["-o", str(report)], ["--json", "-o", str(report)]):
        ran = subprocess.run(
            ["sh", "-c", f'"$@" {closed}', "sh", *words, *more, *command],
            stdout=subprocess.PIPE, cwd="/", timeout=60, check=False,
        )  # fmt: skip
        assert ran.returncode == 3
        assert ran.stdout == (b"" if "1>&-" in closed else b"hi\n")
        assert seen.read_text() == "closed\n"
    assert json.loads(report.read_text())["returncode"] == 3


# ---- exit codes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "command", "code", "said"),
    [
        ([], ["sh", "-c", "exit 0"], 0, "exit status 0"),
        ([], ["sh", "-c", "exit 99"], 99, "exit status 99"),
        ([], ["sh", "-c", "kill -TERM $$"], 143, "ended by SIGTERM"),
        ([], ["sh", "-c", "kill -KILL $$"], 137, "ended by SIGKILL"),
        ([], ["sh", "-c", "sleep 100 & exit 1"], 1, "exit status 1; processes killed: 1"),
        (["--timeout", "0.2"], ["sleep", "100"], 124, "ended by SIGKILL, timed out; processes killed: 1"),
        ([], ["no-such-program"], 127, "cgroups: cannot run no-such-program: No such file or directory"),
        ([], ["/"], 126, "cgroups: cannot run /: Permission denied"),
    ],
)
def test_run_exit_code_is_that_of_the_command(
    run: Any, options: list[str], command: list[str], code: int, said: str
) -> None:
    ran = run(*options, "--", *command)
    assert ran.returncode == code
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


def test_limits(run: Any, need: Need) -> None:
    need("memory")
    hold = [sys.executable, "-S", "-c", f"x = bytearray({256 * MIB})"]
    ran = run("--limit", "memory.max=48M", "--json", "--", *hold)
    told = json.loads(ran.stderr)
    assert (ran.returncode, told["signal"], told["oom_kills"]) == (137, signal.SIGKILL, 1)
    assert told["memory_peak"] <= 48 * MIB


@pytest.mark.parametrize(
    ("limit", "code", "said"),
    [
        ("memory.max=much", 125, "memory.max: value must be bytes"),
        ("memory.max", 2, "limit must be PARAMETER=VALUE, such as memory.max=512M"),
        ("memory.colour=1", 2, "unknown parameter 'memory.colour'"),
        ("memory.stat=1", 2, "read-only"),
        ("memory.max[x]=1", 2, "a key can only be read"),
    ],
)
def test_run_invalid_limit_is_refused(run: Any, need: Need, tmp_path: Path, limit: str, code: int, said: str) -> None:
    need("memory")
    ran = run("--limit", limit, "touch", str(tmp_path / "mark"))
    assert (ran.returncode, ran.stdout) == (code, "")
    assert said in re.sub(r"[\s│]+", " ", ran.stderr)
    assert not (tmp_path / "mark").exists()


def test_run_limit_is_for_the_version_of_its_hierarchy(run: Any, need: Need) -> None:
    need("cpu")
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    ran = run(
        "--limit", "cpu.max=50000/100000", "--limit", "cpu.shares=512", "--json", sys.executable, "-S", "-c", burn
    )
    told = json.loads(ran.stderr)
    assert ran.returncode == 0
    # Half a CPU.
    assert 500_000_000 <= told["cpu_ns"] < told["wall_ns"] * 0.65


def test_another_root_and_no_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cgroups"]
    ran = subprocess.run([*command, "--root", str(tmp_path), "run", "true"], capture_output=True, text=True, cwd="/")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "--root" in ran.stderr
    ran = subprocess.run([*command, "run"], capture_output=True, text=True, cwd="/")
    assert (ran.returncode, ran.stdout) == (2, "")


# ---- signals -----------------------------------------------------------------------------


@pytest.mark.anywhere
def test_ctrl_c_is_the_command_s(words: list[str]) -> None:
    terminal = Terminal(*words, "sh", "-c", "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.05; done")
    terminal.read("ready\n")
    time.sleep(0.5)  # so that the command is waited for, and not just started
    terminal.type(CTRL_C)
    assert terminal.wait() == 9
    assert "caught\n" in terminal.text
    assert "exit status 9" in terminal.text
    assert "Traceback" not in terminal.text


@pytest.mark.anywhere
def test_ctrl_c_ends_what_does_not_mind_it(words: list[str]) -> None:
    terminal = Terminal(*words, "sh", "-c", "echo ready; exec sleep 100")
    terminal.read("ready\n")
    time.sleep(0.2)
    terminal.type(CTRL_C)
    assert terminal.wait() == 130
    assert "ended by SIGINT" in terminal.text


@pytest.mark.anywhere
def test_ctrl_backslash_ends_all(words: list[str]) -> None:
    terminal = Terminal(*words, "sh", "-c", "trap '' QUIT; echo ready; sleep 100 & wait; sleep 100")
    terminal.read("ready\n")
    time.sleep(0.2)
    terminal.type("\x1c")
    assert terminal.wait() == 128 + signal.SIGQUIT
    assert "Traceback" not in terminal.text


@pytest.mark.anywhere
def test_run_second_interrupt_kills(words: list[str]) -> None:
    terminal = Terminal(*words, "sh", "-c", "trap '' INT; sleep 100 & echo ready; wait; sleep 100")
    terminal.read("ready\n")
    time.sleep(0.2)
    terminal.type(CTRL_C)
    time.sleep(1)
    assert os.waitpid(terminal.pid, os.WNOHANG) == (0, 0)
    terminal.type(CTRL_C)
    assert terminal.wait() == 137
    assert "ended by SIGKILL; processes killed: 2" in terminal.text


@pytest.mark.anywhere
@pytest.mark.parametrize(
    "number",
    [
        *(signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM),
        *(signal.SIGXCPU, signal.SIGPOLL, signal.SIGRTMIN, signal.SIGRTMAX),
    ],
)
def test_run_signal_that_ends_it_ends_all(words: list[str], spawn: Any, number: int) -> None:
    child = spawn(*words, "sh", "-c", "echo $$; exec sleep 100", stdout=subprocess.PIPE, cwd="/")
    pid = int(child.stdout.readline())
    child.send_signal(number)
    assert child.wait(20) == 128 + number
    # Where the signal came while it was started, it is init that waits for it.
    deadline = time.monotonic() + 20
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            time.sleep(0.01)


@pytest.mark.anywhere
def test_run_terminal_belongs_to_the_command(words: list[str]) -> None:
    terminal = Terminal(*words, "sh", "-c", "tty; read line; echo got $line")
    terminal.read("/dev/")
    terminal.type("this\n")
    assert terminal.wait() == 0
    assert "got this\n" in terminal.text
    assert "exit status 0" in terminal.text


# ---- the chart ---------------------------------------------------------------------------


def test_run_plot_draws_the_command_s_own_vitals(run: Any, need: Need, tmp_path: Path) -> None:
    need("memory")
    pytest.importorskip("matplotlib")
    chart = tmp_path / "out.svg"
    script = (
        f"import os, time; x = bytearray({32 * MIB}); t = time.time() + 0.5\nwhile time.time() < t: pass\nos._exit(3)"
    )
    ran = run("-m", "256M", "--plot", str(chart), "--", sys.executable, "-S", "-c", script)
    assert ran.returncode == 3
    assert ran.stderr.startswith("command ")
    assert "cannot" not in ran.stderr
    text = chart.read_text()
    headings = re.findall(r"<!-- ([^>]*) -->", text)
    assert {"CPU usage (CPUs)", "memory (MiB)", "memory limit"} <= {*headings}
    assert "OOM kill" not in headings


def test_run_plot_of_an_oom_kill_has_a_mark(run: Any, need: Need, tmp_path: Path) -> None:
    need("memory")
    pytest.importorskip("matplotlib")
    chart = tmp_path / "out.svg"
    grow = "x = []\nwhile True: x.append(bytearray(1 << 20))"
    ran = run("-m", "32M", "--plot", str(chart), "--json", "--", sys.executable, "-S", "-c", grow)
    told = json.loads(ran.stderr)
    assert (ran.returncode, told["ended_by"], told["samples"]) == (137, "oom", [])
    assert "OOM kill" in re.findall(r"<!-- ([^>]*) -->", chart.read_text())


def test_run_plot_keeps_the_samples_of_the_report(run: Any, need: Need, tmp_path: Path) -> None:
    need("memory")
    pytest.importorskip("matplotlib")
    chart = tmp_path / "out.svg"
    told = json.loads(run("--json", "--sample", "0.02", "--plot", str(chart), "--", "sleep", "0.2").stderr)
    assert len(told["samples"]) > 2
    assert {"memory.usage_in_bytes", "cpuacct.usage"} <= told["samples"][0].keys()
    assert not any(name.startswith("memory.stat") for name in told["samples"][0])
    assert chart.stat().st_size > 1000


@pytest.mark.parametrize(("name", "why"), [("out.gif", "CHART must end in"), ("none/out.svg", "No such file")])
def test_run_plot_that_cannot_be_written_starts_nothing(name: str, why: str, run: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    started = tmp_path / "started"
    ran = run("--plot", str(tmp_path / name), "--", "touch", str(started))
    assert ran.returncode == 125
    assert why in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert [*tmp_path.iterdir()] == []


def test_run_plot_without_a_cgroup_is_reported_and_leaves_no_file(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    words = [*WORDS, "--place", "none", "--plot", str(tmp_path / "out.svg"), "--", "sh", "-c", "exit 4"]
    ran = subprocess.run(words, capture_output=True, text=True, cwd="/", timeout=60, check=False)
    assert ran.returncode == 4
    assert f"cgroups: cannot draw {tmp_path}/out.svg: the command ran in no cgroup\n" in ran.stderr
    assert [*tmp_path.iterdir()] == []
