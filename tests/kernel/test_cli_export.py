"""The command ``export`` with a real Prometheus, which scrapes it, answers queries and raises alerts."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from common import MIB, MakeCgroup, Need, Spawn, path_of, started

from cgroups import Cgroup, Cpuacct, Parameters

pytestmark = [
    pytest.mark.anywhere,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not installed"),
]

WORDS = [sys.executable, "-m", "cgroups", "export"]
BURN = "while True: pass"
HOG = ["sh", "-c", "read -r _ && exec tail -n 1 /dev/zero"]

CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: cgroups
    static_configs: [{{targets: ['{target}']}}]
"""


class Prometheus:
    """A server that scrapes one target."""

    def __init__(self, address: str) -> None:
        self._address = address

    def query(self, text: str) -> list[dict[str, Any]]:
        url = f"http://{self._address}/api/v1/query?{urllib.parse.urlencode({'query': text})}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return result

    def number(self, text: str) -> float | None:
        found = self.query(text)
        return float(found[0]["value"][1]) if found else None

    def until(self, text: str, is_met: Callable[[float], bool], seconds: float = 60) -> float:
        """The first answer that meets a condition."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                number = self.number(text)
            except OSError:
                number = None
            if number is not None and is_met(number):
                return number
            assert time.monotonic() < deadline, (text, number)
            time.sleep(0.3)


def _free() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.fixture
def scraped(tmp_path: Path) -> Iterator[Callable[..., Prometheus]]:
    """``scraped(*words)``: a Prometheus that scrapes ``cgroups export`` with these words, with its alert rules."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(*words: str) -> Prometheus:
            exporter = stack.enter_context(started([*WORDS, "--listen", "127.0.0.1:0", *words]))
            assert exporter.stderr is not None
            target = exporter.stderr.readline().split()[2].removeprefix("http://").removesuffix("/metrics")
            rules = tmp_path / "rules.yml"
            rules.write_text(subprocess.run([*WORDS, "--rules"], capture_output=True, text=True, check=True).stdout)
            (tmp_path / "prometheus.yml").write_text(CONFIG.format(rules=rules, target=target))
            address = f"127.0.0.1:{_free()}"
            config = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            stack.enter_context(started(["prometheus", *config, f"--web.listen-address={address}"], **quiet))
            server = Prometheus(address)
            server.until("up", lambda up: up == 1)
            return server

        yield start


def test_prometheus_rate_of_a_known_load_is_its_cpus(
    make_ready: MakeCgroup, need: Need, spawn: Spawn, scraped: Callable[..., Prometheus]
) -> None:
    need("cpuacct")
    cgroup = make_ready("cpuacct")
    server = scraped(str(cgroup))
    cgroup.add_process(spawn(sys.executable, "-S", "-c", BURN).pid)
    time.sleep(2)
    began, used = time.monotonic(), Parameters.get(Cpuacct.usage, cgroup)
    time.sleep(12)
    rate = server.number(f'rate(cgroup_cpu_usage_seconds_total{{cgroup="{cgroup.location}"}}[10s])')
    known = (Parameters.get(Cpuacct.usage, cgroup) - used) / 1e9 / (time.monotonic() - began)
    assert rate == pytest.approx(known, abs=0.15)
    assert rate is not None
    assert rate > 0.2
    shown = {title: _panel(server, panel, cgroup) for title, panel in _panels().items()}
    assert shown["CPU (CPUs)"] == pytest.approx(known, abs=0.2)
    assert shown["CPU pressure"] is None or 0 <= shown["CPU pressure"] <= 1


def _panels() -> dict[str, str]:
    """The first expression of each panel of the dashboard, by its title."""
    made = json.loads(subprocess.run([*WORDS, "--dashboard"], capture_output=True, check=True).stdout)
    return {panel["title"]: panel["targets"][0]["expr"] for panel in made["panels"]}


def _panel(server: Prometheus, expression: str, cgroup: Cgroup) -> float | None:
    """Return the number of a cgroup in a panel: Prometheus refuses an expression that is wrong."""
    chosen = {"$__rate_interval": "10s", "$instance": ".*", "$cgroup": cgroup.location, "$lines": "20"}
    for variable, value in chosen.items():
        expression = expression.replace(variable, value)
    return server.number(expression)


def _kill(cgroup: Cgroup, spawn: Spawn) -> None:
    """Let the kernel kill a process at a limit of 16 MiB."""
    cgroup.write_text("memory.max" if cgroup.version == 2 else "memory.limit_in_bytes", str(16 * MIB))
    if cgroup.version == 2 and path_of(cgroup, "memory.swap.max").exists():
        cgroup.write_text("memory.swap.max", "0")
    hog = spawn(*HOG, stdin=subprocess.PIPE)
    cgroup.add_process(hog.pid)
    hog.communicate(b"\n", timeout=30)


@pytest.mark.parametrize("is_early", [False, True], ids=["seen before", "not seen before"])
def test_prometheus_oom_kill_is_counted_once_and_raises_the_alert(
    is_early: bool, make_ready: MakeCgroup, need: Need, spawn: Spawn, scraped: Callable[..., Prometheus]
) -> None:
    """Also if the kill precedes the first scrape, so that the counter never rises."""
    need("memory")
    cgroup = make_ready("memory")
    counter = f'cgroup_memory_events_total{{cgroup="{cgroup.location}",event="oom_kill"}}'
    if is_early:
        _kill(cgroup, spawn)
    server = scraped(str(cgroup))
    if not is_early:
        server.until(counter, lambda value: value == 0)
        _kill(cgroup, spawn)
    server.until(counter, lambda value: value == 1)
    if not is_early:
        # The alert uses increase(), which extrapolates by at most one interval at each side.
        assert 0.5 < server.until(f"increase({counter}[10m])", lambda value: value > 0) < 3
    alert = f'ALERTS{{alertname="CgroupOomKill",cgroup="{cgroup.location}",alertstate="firing"}}'
    assert server.until(alert, lambda value: value == 1) == 1


@pytest.mark.parametrize("names", ["default", "cadvisor"])
def test_promtool_finds_nothing_wrong(names: str) -> None:
    families = ["tree", "processes", "cpuset", "hugetlb", "cost"]
    words = [*WORDS, "--once", "--names", names, *(word for one in families for word in ("--with", one))]
    text = subprocess.run(words, capture_output=True, check=True).stdout
    lint = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
    assert (lint.returncode, lint.stdout, lint.stderr) == (0, b"", b"")


@pytest.mark.parametrize("names", ["default", "cadvisor"])
def test_promtool_takes_the_rules(names: str, tmp_path: Path) -> None:
    text = subprocess.run([*WORDS, "--rules", "--names", names], capture_output=True, check=True).stdout
    (tmp_path / "rules.yml").write_bytes(text)
    done = subprocess.run(["promtool", "check", "rules", str(tmp_path / "rules.yml")], capture_output=True, check=False)
    assert done.returncode == 0, done
    assert b"8 rules found" in done.stdout
