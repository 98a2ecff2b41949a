"""The asyncio variant of the package: ``cgroups.aio.Popen``, the counterpart of ``cgroups.Popen``.

:class:`cgroups.Events` and :meth:`cgroups.Sampler.every` are asynchronous
iterators themselves.  For other blocking calls, such as ``group.kill``, use
:func:`asyncio.to_thread`.
"""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from subprocess import DEVNULL, PIPE, STDOUT
from typing import IO, TYPE_CHECKING, Any

from .control.popen import Popen as _Popen
from .core.errors import CgroupError, InvalidValue, shown
from .core.pidfd import open_process
from .core.threads import thread_limit

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from .control.popen import Where
    from .control.start_request import Common, Word
    from .control.verbs import BaseCgroup

__all__ = ["DEVNULL", "PIPE", "STDOUT", "Popen"]

BYTES_ALONE = ("text", "encoding", "errors", "universal_newlines", "bufsize")


class Popen:
    """A program that starts inside its cgroups, and that the event loop waits for.

    Example::

        process = await Popen(["make"], cgroup=group, stdout=PIPE)
        output, _ = await process.communicate()

        async with Popen(["make"], cgroup=group, stdout=PIPE) as process:
            async for line in process.stdout:
                print(line)

    The pipes of the program are streams of bytes, as in asyncio.subprocess.  A thread
    starts the program when the object is awaited, since moving a process on v1 may take milliseconds.
    Leaving the ``async with`` block closes the pipes and waits.  If the block
    or this wait is cancelled, the program is killed.

    Args:
        args: the program and its arguments.
        cgroup: a Cgroup, a Group, or several, one per hierarchy.
        limit: buffer size of a stream, in bytes, as in asyncio.
        keywords: the keywords of :class:`cgroups.Popen`, except the keywords for text streams.

    Attributes:
        stdin: a StreamWriter, ``stdout`` and ``stderr`` StreamReaders; each is None without a pipe.

    Raises: the exceptions of :class:`cgroups.Popen`.
    """

    stdin: asyncio.StreamWriter | None = None
    stdout: asyncio.StreamReader | None = None
    stderr: asyncio.StreamReader | None = None
    _pidfd = -1

    def __init__(
        self, args: Word | Sequence[Word], *, cgroup: Where, limit: int = 1 << 16, **keywords: Unpack[Common]
    ) -> None:
        for name in BYTES_ALONE:
            value = keywords.get(name)
            if value not in (None, False):
                message = f"{name} must be None or False, got {shown(value)}: asyncio streams carry bytes"
                raise InvalidValue(message)
        self.args = args
        self._cgroup = cgroup
        self._keywords = keywords
        self._limit = limit
        self._ended = asyncio.Event()
        self._starting: Future[_Popen[bytes]] | None = None
        self._reading: list[asyncio.BaseTransport] = []

    # ---- start

    def __await__(self) -> Generator[Any, None, Self]:
        return self._start().__await__()

    async def _start(self) -> Self:
        if self._starting is not None:
            return self  # already started: `async with await Popen(…)` starts only one
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
        except BaseException as error:  # noqa: BLE001 - raised by the awaiting task
            starting.set_exception(error)

    @property
    def _process(self) -> _Popen[bytes]:
        if self._starting is None or not self._starting.done():
            message = f"cannot use {self!r}: it was not started"
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
        """Close the pipes, except those that the loop has taken: their transports close them."""
        if self.stdin is not None:
            self.stdin.close()
        for transport in self._reading:
            transport.close()
        process = self._process
        for pipe, taken in ((process.stdin, self.stdin), (process.stdout, self.stdout), (process.stderr, self.stderr)):
            if pipe is not None and taken is None:
                pipe.close()

    # ---- exit

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the loop watch for the exit of the process."""
        try:
            self._pidfd = open_process(self.pid)
        except OSError:
            self._pidfd = -1  # no descriptor is left
        if self._pidfd < 0:
            try:
                with thread_limit(f"cannot wait for {shown(self.args)}"):
                    waiting = loop.run_in_executor(None, self._process.wait)
            except CgroupError:
                _kill(self._process)
                raise
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
        self._forget()  # the loop may be closed before the process exits

    async def wait(self) -> int:
        """Wait for the program to exit; return the exit status, or the negative number of a signal."""
        process = self._process
        await self._ended.wait()
        return process.wait()

    async def communicate(self, input: bytes | None = None) -> tuple[bytes | None, bytes | None]:  # noqa: A002
        """Write the input, read all output, and wait for the program to exit.

        Args:
            input: data for stdin, which must then be a pipe.

        Returns:
            The data of stdout and of stderr; each is None without a pipe.
        """
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
        # Closed first, as in subprocess: a program that still writes gets SIGPIPE.
        self._disconnect()
        try:
            await self.wait()
        except asyncio.CancelledError:
            self.kill()
            await self.wait()
            raise

    # ---- attributes

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit status like :meth:`wait`; None while the program runs."""
        return self._process.returncode

    @property
    def cgroups(self) -> tuple[BaseCgroup, ...]:
        """The cgroups that the program was started in."""
        return self._process.cgroups

    @property
    def began_ns(self) -> int:
        """The deprecated name of ``started_ns``, until 1.0."""
        warnings.warn("began_ns is now started_ns", DeprecationWarning, stacklevel=2)
        return self.started_ns

    @property
    def started_ns(self) -> int:
        """CLOCK_MONOTONIC time, in nanoseconds, at which the program was in all of its cgroups."""
        return self._process.started_ns

    def send_signal(self, signum: int) -> None:
        """Send a signal; do nothing if the program has exited."""
        self._process.send_signal(signum)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._process.terminate()

    def kill(self) -> None:
        """Send SIGKILL."""
        self._process.kill()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.args!r}>"


async def _read(stream: asyncio.StreamReader | None) -> bytes | None:
    return None if stream is None else await stream.read()


def _end(starting: Future[_Popen[bytes]]) -> None:
    """Kill the process of a start that was cancelled."""
    if starting.exception() is None:
        _kill(starting.result())


def _kill(process: _Popen[bytes]) -> None:
    """Kill and reap a process, and close its pipes."""
    with process:
        process.kill()
