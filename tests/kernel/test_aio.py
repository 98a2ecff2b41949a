"""cgroups.aio.Popen: a program of a group's, waited for by the event loop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from common import MakeCgroup

from cgroups import Cgroup, CgroupGone, CgroupOSError, Group, Hierarchy, InvalidValue
from cgroups.aio import PIPE, STDOUT, Popen

WHERE = "import sys; sys.stdout.write(open('/proc/self/cgroup').read())"


@pytest.fixture
def groups(make_cgroup: MakeCgroup, head: str) -> Group:
    return Group.of([make_cgroup(head)])


def is_in(text: bytes, cgroup: Cgroup) -> bool:
    return any(line.endswith(f":{cgroup.location}") for line in text.decode().splitlines())


def test_aio_popen_starts_in_its_cgroup_and_is_waited_for(groups: Group, open_descriptors: Callable[[], int]) -> None:
    async def go() -> None:
        process = await Popen(["cat", "/proc/self/cgroup"], cgroup=groups, stdout=PIPE)
        assert process.returncode is None or process.returncode == 0
        output, errors = await process.communicate()
        assert output is not None
        assert is_in(output, groups.cgroups[0])
        assert errors is None
        assert (await process.wait(), process.returncode) == (0, 0)
        assert process.cgroups == groups.cgroups
        assert process.started_ns > 0

    asyncio.run(go())
    before = open_descriptors()
    asyncio.run(go())
    assert open_descriptors() == before


def test_aio_popen_input_is_read_back(groups: Group) -> None:
    text = os.urandom(1 << 20)

    async def go() -> None:
        async with Popen(["cat"], cgroup=groups, stdin=PIPE, stdout=PIPE) as process:
            output, _ = await process.communicate(text)
            assert output == text
        async with Popen(["true"], cgroup=groups, stdin=PIPE) as process:
            await process.communicate(text)  # which nobody reads
        assert process.returncode == 0

    asyncio.run(go())


def test_lines_as_they_come(groups: Group) -> None:
    async def go() -> list[bytes]:
        script = "echo one; echo two >&2; echo three"
        async with Popen(["sh", "-c", script], cgroup=groups, stdout=PIPE, stderr=STDOUT) as process:
            assert process.stdout is not None
            assert process.stderr is None
            return [line async for line in process.stdout]

    assert asyncio.run(go()) == [b"one\n", b"two\n", b"three\n"]


def test_aio_popen_many_at_once_all_end(groups: Group) -> None:
    async def one(number: int) -> int:
        process = await Popen(["sh", "-c", f"exit {number}"], cgroup=groups)
        return await process.wait()

    async def go() -> list[int]:
        return await asyncio.gather(*map(one, range(30)))

    assert asyncio.run(go()) == list(range(30))


def test_signals_and_several_who_wait(groups: Group) -> None:
    async def go() -> None:
        process = await Popen(["sleep", "100"], cgroup=groups)
        assert process.returncode is None
        waiting = asyncio.gather(process.wait(), process.wait())
        await asyncio.sleep(0)
        process.send_signal(signal.SIGUSR1)
        assert await waiting == [-signal.SIGUSR1] * 2
        process.kill()  # nothing, by now
        process = await Popen(["sleep", "100"], cgroup=groups)
        assert groups.kill() == 1
        assert await process.wait() == -signal.SIGKILL

    asyncio.run(go())


def test_aio_popen_cancelled_block_ends_the_program(groups: Group) -> None:
    async def go() -> None:
        entered = asyncio.Event()
        pids = []

        async def inside() -> None:
            async with Popen(["sleep", "100"], cgroup=groups) as process:
                pids.append(process.pid)
                entered.set()
                await process.wait()

        task = asyncio.create_task(inside())
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 30)
        with pytest.raises(ProcessLookupError):
            os.kill(pids[0], 0)

        async def leaving() -> None:
            async with Popen(["sleep", "1000"], cgroup=groups) as process:
                pids.append(process.pid)

        task = asyncio.create_task(leaving())
        while len(pids) < 2:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 30)
        with pytest.raises(ProcessLookupError):
            os.kill(pids[1], 0)

    asyncio.run(go())


def test_aio_popen_cancelled_start_leaves_nothing(groups: Group) -> None:
    async def go() -> None:
        task = asyncio.ensure_future(Popen(["sleep", "100"], cgroup=groups)._start())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.get_running_loop().shutdown_default_executor()
        await asyncio.sleep(0)
        assert groups.processes() == []

    asyncio.run(go())


def test_aio_popen_program_that_cannot_start_raises(groups: Group, open_descriptors: Callable[[], int]) -> None:
    gone = groups.cgroups[0].child("gone")

    async def go() -> None:
        with pytest.raises(FileNotFoundError) as raised:
            await Popen(["no-such-program"], cgroup=groups, stdin=PIPE, stdout=PIPE)
        assert raised.value.filename == "no-such-program"
        with pytest.raises(CgroupGone):
            await Popen(["true"], cgroup=gone)
        for name, value in {"text": True, "encoding": "utf-8", "universal_newlines": True, "bufsize": 1}.items():
            keywords: Any = {name: value}
            with pytest.raises(InvalidValue, match=name):
                Popen(["true"], cgroup=groups, **keywords)

    asyncio.run(go())
    before = open_descriptors()
    asyncio.run(go())
    assert open_descriptors() == before


def test_aio_popen_without_pidfd_is_waited_for(groups: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", refuse)

    async def go() -> int:
        return await (await Popen(["sh", "-c", "exit 7"], cgroup=groups)).wait()

    assert asyncio.run(go()) == 7


def test_aio_popen_leaves_no_thread(groups: Group) -> None:
    async def go() -> None:
        await (await Popen(["true"], cgroup=groups)).wait()

    asyncio.run(go())
    assert threading.active_count() == 1 or all(
        not thread.name.startswith("asyncio") for thread in threading.enumerate()
    )


def test_aio_popen_is_on_every_hierarchy(make_cgroup: MakeCgroup) -> None:
    v1 = [one.spec_head for one in Hierarchy.scan() if one.version == 1 and "cpuset" not in one.subsystems]
    unified = [""] if Hierarchy.find(":/") is not None else []
    cgroups = [make_cgroup(head) for head in v1 + unified]

    async def go() -> bytes | None:
        process = await Popen([sys.executable, "-S", "-c", WHERE], cgroup=cgroups, stdout=PIPE)
        return (await process.communicate())[0]

    output = asyncio.run(go())
    assert output is not None
    for cgroup in cgroups:
        assert is_in(output, cgroup)


def test_aio_popen_is_started_once(groups: Group) -> None:
    async def go() -> None:
        async with await Popen(["sleep", "1000"], cgroup=groups) as process:
            assert groups.processes() == [process.pid]
            assert await process is process
            process.kill()

    asyncio.run(go())
    assert groups.processes() == []


def test_aio_popen_not_started_raises(groups: Group) -> None:
    async def go() -> None:
        process = Popen(["true"], cgroup=groups)
        with pytest.raises(InvalidValue, match="await it first"):
            await process.wait()
        for name in ("pid", "returncode", "cgroups", "started_ns"):
            with pytest.raises(InvalidValue, match="await it first"):
                getattr(process, name)

    asyncio.run(go())


def test_aio_popen_endless_writer_ends_with_its_block(groups: Group) -> None:
    async def go() -> int | None:
        async with Popen(["yes"], cgroup=groups, stdout=PIPE) as process:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"y\n"
        return process.returncode

    assert asyncio.run(asyncio.wait_for(go(), 30)) == -signal.SIGPIPE


def test_aio_popen_loop_that_ends_first_leaves_nothing(groups: Group, open_descriptors: Callable[[], int]) -> None:
    """No descriptor is left, and started programs continue."""

    async def go() -> Popen:
        return await Popen(["sleep", "1000"], cgroup=groups)

    def come_and_go() -> None:
        process = asyncio.run(go())
        assert groups.processes() == [process.pid]
        process.kill()
        process._process.wait()

    come_and_go()
    gc.collect()
    before = open_descriptors()
    come_and_go()
    gc.collect()
    assert open_descriptors() == before


def test_aio_popen_refused_pipe_leaves_nothing(
    groups: Group, open_descriptors: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left of it, and the loop continues."""

    async def go() -> None:
        loop = asyncio.get_running_loop()
        connect = loop.connect_read_pipe
        connected: list[Any] = []

        async def refuse(protocol: Any, pipe: Any) -> Any:
            if connected:
                raise OSError(24, "Too many open files")
            connected.append(pipe)
            return await connect(protocol, pipe)

        with monkeypatch.context() as patched:
            patched.setattr(loop, "connect_read_pipe", refuse)
            with pytest.raises(OSError, match="Too many"):
                await Popen(["sleep", "1000"], cgroup=groups, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        assert groups.processes() == []
        # With the same numbers of descriptors.
        process = await Popen(["cat"], cgroup=groups, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        assert await process.communicate(b"one") == (b"one", b"")

    asyncio.run(go())
    before = open_descriptors()
    asyncio.run(go())
    assert open_descriptors() == before


def test_start_without_pidfds_and_threads_leaves_no_process(groups: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> None:
        loop = asyncio.get_running_loop()
        run_in_executor = loop.run_in_executor
        calls: list[object] = []

        def run(*words: Any) -> Any:
            calls.append(words)
            if len(calls) > 1:  # after the start itself
                message = "can't start new thread"
                raise RuntimeError(message)
            return run_in_executor(*words)

        monkeypatch.setattr(loop, "run_in_executor", run)
        monkeypatch.setattr("cgroups.aio.open_process", lambda _: -1)
        with pytest.raises(CgroupOSError, match="cannot wait for") as raised:
            await Popen(["sleep", "1000"], cgroup=groups, stdout=PIPE)
        assert "no more threads" in str(raised.value)

    asyncio.run(go())
    groups.wait_empty(5)
