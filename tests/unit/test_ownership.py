"""No order of destructors, exit, cycle or fork frees what C still uses: each order in an interpreter of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("cgroups._native")
pytestmark = pytest.mark.slow  # starts processes

HEAD = """
import builtins, gc, os, sys, threading, time, warnings, weakref
from cgroups import Host, Memory, Sampler

warnings.simplefilter("ignore")  # forking a process that has threads is what is tested
job = Host(sys.argv[1]).find_exn(":/job/a")
ROUNDS = 30

def sampler():
    return Sampler([job], [Memory.current, Memory.stat])

def start():
    return sampler().record(0.00002, capacity=100_000)

def wait(recorder, frames=3):
    end, wanted = time.monotonic() + 60, recorder.ticks + frames
    while recorder.ticks < wanted:
        assert time.monotonic() < end, "no frame in a minute"

def in_child(function):
    child = os.fork()
    if child == 0:
        try:
            function()
            sys.stderr.flush()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""

SCENARIOS = {
    "sampler_first": """
        for _ in range(ROUNDS):
            kept = sampler()
            recorder = kept.record(0.00002)
            del kept
            wait(recorder)
            del recorder
    """,
    "recorder_first": """
        for _ in range(ROUNDS):
            kept = sampler()
            recorder = kept.record(0.00002)
            wait(recorder)
            del recorder
            kept.sample()
            del kept
    """,
    "only_the_recorder_is_named": """
        for _ in range(ROUNDS):
            recorder = start()
            wait(recorder)
            del recorder
    """,
    "cycle_collected": """
        class Node:
            pass
        for _ in range(ROUNDS):
            node = Node()
            node.itself, node.sampler = node, sampler()
            node.recorder = node.sampler.record(0.00002)
            wait(node.recorder)
            del node
            gc.collect()
    """,
    "cycle_left_at_exit": """
        class Node:
            pass
        node = Node()
        node.itself, node.recorder, node.sampler = node, start(), sampler()
        wait(node.recorder)
        gc.disable()
        del node
    """,
    "end_with_a_recorder_running": "recorder = start(); wait(recorder)",
    "exit_with_a_recorder_running": "recorder = start(); wait(recorder); sys.exit(0)",
    "_exit_with_a_recorder_running": "recorder = start(); wait(recorder); os._exit(0)",
    "kept_by_a_module": "builtins.kept = start(); sys.kept = builtins.kept; wait(sys.kept)",
    "kept_by_a_closure_of_a_thread": """
        def sample(kept=sampler()):
            while True:
                kept.sample()
        threading.Thread(target=sample, daemon=True).start()
        recorder = start()
        wait(recorder)
    """,
    "used_by_a_destructor_at_exit": """
        class Last:
            def __init__(self):
                self.recorder, self.sampler = start(), sampler()
            def __del__(self):
                self.recorder.read()
                self.sampler.sample()
                self.recorder.stop()
        last = Last()
        wait(last.recorder)
    """,
    "used_by_a_weak_reference": """
        recorder = start()
        wait(recorder)
        weakref.finalize(recorder, print, end="")
        dead = weakref.ref(recorder)
        del recorder
        assert dead() is None
        recorder = start()
        weakref.finalize(recorder._raw, sampler().sample)
    """,
    "frozen": """
        recorder = start()
        wait(recorder)
        gc.freeze()
        del recorder
        kept = start()
        gc.freeze()
        gc.collect()
        wait(kept)
    """,
    "frames_outlive_their_sampler": """
        frames, blocks = [], []
        for _ in range(ROUNDS):
            recorder = start()
            wait(recorder)
            blocks.append(recorder.read())
            frames.append(sampler().sample())
        del recorder
        gc.collect()
        (number,) = {frame[job, Memory.current] for frame in frames}
        assert {block.values[0, 0, 0] for block in blocks} == {number}
    """,
    "fork_and_use_in_the_child": """
        kept = sampler()
        recorder = kept.record(0.00002, capacity=1000)
        wait(recorder)
        def sampler_first():
            global kept, recorder
            assert not recorder.running
            recorder.read()
            kept.sample()
            del kept
            gc.collect()
            recorder.stop()
            del recorder
            gc.collect()
            again = start()
            wait(again)
            assert again.running
        def recorder_first():
            global kept, recorder
            del recorder
            gc.collect()
            kept.sample()
            del kept
        for _ in range(5):
            in_child(sampler_first)
            in_child(recorder_first)
            in_child(lambda: in_child(sampler_first))
        recorder.read()
        wait(recorder)
        assert recorder.running
    """,
    "fork_and_exit_in_the_child": """
        recorder = start()
        wait(recorder)
        child = os.fork()
        if child == 0:
            sys.exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        wait(recorder)
    """,
    "two_threads_read_and_a_third_drops_it": """
        for _ in range(ROUNDS):
            recorder = start()
            def read(recorder=recorder):
                for _ in range(20):
                    block = recorder.read()
                    assert list(block.times) == sorted(block.times)
                    assert len(block.values) == len(block)
            threads = [threading.Thread(target=read) for _ in range(2)]
            for thread in threads:
                thread.start()
            del recorder, read
            for thread in threads:
                thread.join()
            del thread, threads
    """,
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_ownership_any_order_of_ends_crashes_nothing(name: str, v2_root: Path) -> None:
    body = textwrap.dedent(SCENARIOS[name])
    # glibc then fills memory that is freed, so that whoever uses it crashes.
    environment = {**os.environ, "CGROUPS_BACKEND": "native", "MALLOC_PERTURB_": "165"}
    for _ in range(3):
        command = [sys.executable, "-X", "faulthandler", "-c", HEAD + body, str(v2_root)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), name
