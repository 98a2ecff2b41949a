"""asyncio's side of the package: ``cgroups.aio.Popen``, the twin of ``cgroups.Popen``.

:class:`cgroups.Events` and :meth:`cgroups.Sampler.every` are asynchronous
iterators by themselves; what waits otherwise, as ``group.kill``, is for
:func:`asyncio.to_thread`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from subprocess import DEVNULL, PIPE, STDOUT
from typing import IO, TYPE_CHECKING, Any

from .core.pidfd import open_process
from .core.threads import thread_limit
from .errors import InvalidValue, shown
from .spawning import Popen as _Popen

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from .hierarchy import Cgroup
    from .spawning import Common, Where, Word

__all__ = ["DEVNULL", "PIPE", "STDOUT", "Popen"]

BYTES_ALONE = ("text", "encoding", "errors", "universal_newlines", "bufsize")


class Popen:
    """A program that starts inside its cgroups, and is waited for by the event loop.

    Example::

        process = await Popen(["make"], cgroup=group, stdout=PIPE)
        output, _ = await process.communicate()

        async with Popen(["make"], cgroup=group, stdout=PIPE) as process:
            async for line in process.stdout:
                print(line)

    As of asyncio.subprocess, its pipes are streams of bytes.  It is started
    by a thread, since moving a process on v1 may take milliseconds, when it is awaited.
    Leaving the ``async with`` block closes the pipes and waits; when the block,
    or that, is cancelled, the program is killed.

    Args:
        args: the program and its arguments; and the keywords of :class:`cgroups.Popen` but those of text.
        cgroup: a Cgroup, a Group, or several, one of each hierarchy.
        limit: how many bytes a stream keeps, as of asyncio.

    Attributes:
        stdin: a StreamWriter, ``stdout`` and ``stderr`` StreamReaders; each None where it is no pipe.

    Raises: what :class:`cgroups.Popen` does.
    """

    stdin: asyncio.StreamWriter | None = None
    stdout: asyncio.StreamReader | None = None
    stderr: asyncio.StreamReader | None = None
    _pidfd = -1

    def __init__(
        self, args: Word | Sequence[Word], *, cgroup: Where, limit: int = 1 << 16, **keywords: Unpack[Common]
    ) -> None:
        for name in BYTES_ALONE:
            if keywords.get(name) not in (None, False):
                message = f"{name}: the streams of asyncio are of bytes"
                raise InvalidValue(message)
        self.args = args
        self._cgroup = cgroup
        self._keywords = keywords
        self._limit = limit
        self._ended = asyncio.Event()
        self._starting: Future[_Popen[bytes]] | None = None
        self._reading: list[asyncio.BaseTransport] = []

    # ---- its beginning

    def __await__(self) -> Generator[Any, None, Self]:
        return self._start().__await__()

    async def _start(self) -> Self:
        if self._starting is not None:
            return self  # `async with await Popen(…)` starts one
        loop = asyncio.get_running_loop()
        starting: Future[_Popen[bytes]] = Future()
        with thread_limit(f"cannot start {shown(self.args)}"):
            loop.run_in_executor(None, self._begin, starting)
        self._starting = starting
        try:
            await asyncio.shield(asyncio.wrap_future(starting))
        except asyncio.CancelledError:
            loop.run_in_executor(None, _end, starting)
            raise
        self._watch(loop)
        try:
            await self._connect(loop)
        except BaseException:
            self.kill()
            self._disconnect()
            await self._ended.wait()
            raise
        return self

    def _begin(self, starting: Future[_Popen[bytes]]) -> None:
        keywords: Any = {**self._keywords, "bufsize": 0}
        try:
            starting.set_result(_Popen(self.args, cgroup=self._cgroup, **keywords))
        except BaseException as error:  # noqa: BLE001 - raised where it is awaited
            starting.set_exception(error)

    @property
    def _process(self) -> _Popen[bytes]:
        if self._starting is None or not self._starting.done():
            message = f"{self!r} was not started"
            raise InvalidValue(message, hint="await it first, or use `async with`")
        return self._starting.result()

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> None:
        process = self._process
        if process.stdin is not None:
            protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader(loop=loop), loop=loop)
            transport, _ = await loop.connect_write_pipe(lambda: protocol, process.stdin)
            self.stdin = asyncio.StreamWriter(transport, protocol, None, loop)
        for name in ("stdout", "stderr"):
            pipe: IO[bytes] | None = getattr(process, name)
            if pipe is not None:
                stream = asyncio.StreamReader(limit=self._limit, loop=loop)
                reading = asyncio.StreamReaderProtocol(stream, loop=loop)
                source, _ = await loop.connect_read_pipe(lambda reading=reading: reading, pipe)  # type: ignore[misc]
                self._reading.append(source)
                setattr(self, name, stream)

    def _disconnect(self) -> None:
        """Closes the pipes, those that the loop has by its own means."""
        if self.stdin is not None:
            self.stdin.close()
        for transport in self._reading:
            transport.close()
        process = self._process
        for pipe, taken in ((process.stdin, self.stdin), (process.stdout, self.stdout), (process.stderr, self.stderr)):
            if pipe is not None and taken is None:
                pipe.close()

    # ---- its end

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Has the loop look when the process has ended."""
        try:
            self._pidfd = open_process(self.pid)
        except OSError:
            self._pidfd = -1  # no descriptor is left
        if self._pidfd < 0:
            waiting = loop.run_in_executor(None, self._process.wait)
            waiting.add_done_callback(lambda _: self._ended.set())
            return
        loop.add_reader(self._pidfd, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self._pidfd)
        self._forget()
        self._process.poll()
        self._ended.set()

    def _forget(self) -> None:
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    def __del__(self) -> None:
        self._forget()  # the loop may be over before the process is

    async def wait(self) -> int:
        """Waits for its end: the exit status, or the negative number of a signal."""
        process = self._process
        await self._ended.wait()
        return process.wait()

    async def communicate(self, input: bytes | None = None) -> tuple[bytes | None, bytes | None]:  # noqa: A002
        """Writes the input, reads all of its output, and waits for its end."""
        _, output, errors = await asyncio.gather(self._feed(input), _read(self.stdout), _read(self.stderr))
        await self.wait()
        return output, errors

    async def _feed(self, text: bytes | None) -> None:
        if self.stdin is not None:
            with suppress(BrokenPipeError, ConnectionResetError):
                if text:
                    self.stdin.write(text)
                    await self.stdin.drain()
            self.stdin.close()
            with suppress(BrokenPipeError, ConnectionResetError):
                await self.stdin.wait_closed()

    async def __aenter__(self) -> Self:
        return await self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and issubclass(kind, asyncio.CancelledError):
            self.kill()
        # First, as of subprocess: whoever writes on gets SIGPIPE.
        self._disconnect()
        try:
            await self.wait()
        except asyncio.CancelledError:
            self.kill()
            await self.wait()
            raise

    # ---- what it is

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """As of :meth:`wait`; None while it runs."""
        return self._process.returncode

    @property
    def cgroups(self) -> tuple[Cgroup, ...]:
        """Where it was started."""
        return self._process.cgroups

    @property
    def began_ns(self) -> int:
        """CLOCK_MONOTONIC, in nanoseconds, when it was in all of them."""
        return self._process.began_ns

    def send_signal(self, signum: int) -> None:
        """Nothing where it has ended."""
        self._process.send_signal(signum)

    def terminate(self) -> None:
        """SIGTERM."""
        self._process.terminate()

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.args!r}>"


async def _read(stream: asyncio.StreamReader | None) -> bytes | None:
    return None if stream is None else await stream.read()


def _end(starting: Future[_Popen[bytes]]) -> None:
    """Of a start that nobody waits for any more."""
    if starting.exception() is None:
        with starting.result() as process:
            process.kill()
