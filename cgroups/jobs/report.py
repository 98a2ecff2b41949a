"""Report: the resources that a command and its descendants used, read from their cgroups before removal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ..observe.feeds import Event
    from ..observe.frames import Frame

__all__ = ["Report", "Stall", "Usage"]


class Stall(NamedTuple):
    """Time, in nanoseconds, that some of the processes, or all of them at once, stalled on a resource.

    ``full_ns`` is None if the kernel does not report this time (for CPU before Linux 5.13).
    """

    some_ns: int | None
    full_ns: int | None


class Usage(NamedTuple):
    """The counters of the cgroups; None for each figure that is not counted here.  :class:`Report` explains them."""

    cpu_ns: int | None = None
    user_ns: int | None = None
    system_ns: int | None = None
    memory_peak: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    reads: int | None = None
    writes: int | None = None
    cpu_stall: Stall | None = None
    memory_stall: Stall | None = None
    io_stall: Stall | None = None
    oom_kills: int | None = None
    swap_peak: int | None = None
    page_faults: int | None = None
    major_faults: int | None = None
    voluntary_switches: int | None = None
    involuntary_switches: int | None = None
    throttled_ns: int | None = None
    forks_refused: int | None = None


class Report(NamedTuple):
    """The result of :func:`cgroups.run`: the resources used by a command and all its descendants.

    A figure that cannot be measured here is None, never 0.  ``missing`` gives the reason.

    Attributes:
        args: the command.
        returncode: exit status of the command, or the negative number of the signal that ended the command.
        timed_out: whether the timeout killed the command.
        killed: number of processes killed because they outlived the command or the timeout.
        wall_ns: time from the start of the command to its end, in nanoseconds.
        cpu_ns: CPU time, in nanoseconds; ``user_ns`` and ``system_ns`` are its parts, in whole clock ticks if no
            cgroup of v2 counts them.  If both v1 and v2 count CPU time, ``cpu_ns`` is the greater number.
        memory_peak: peak memory usage, in bytes, including page cache and kernel memory.
        memory_sampled: whether the peak is the maximum of samples, because the kernel has no peak file.
        read_bytes: bytes read from block devices; ``written_bytes``, written.  Page cache hits do not count.  A device
            on top of another, such as LVM, is counted in addition to the lower device.
        reads: number of read requests; ``writes``, of write requests.
        cpu_stall: time stalled on a CPU; ``memory_stall`` on memory, ``io_stall`` on block devices (v2).  For a
            command of a few milliseconds the kernel estimates this time, which may then exceed ``wall_ns``.
        oom_kills: number of processes that the OOM killer killed.
        anon_peak: the greatest observed sum of anonymous memory and shmem, in bytes: the part of ``memory_peak``
            without page cache.  None for a command shorter than 10 ms.
        swap_peak: peak swap usage, in bytes (Linux 6.5).
        page_faults: number of all page faults; ``major_faults``, of those that read from a device.
        voluntary_switches: context switches of waiting threads; ``involuntary_switches``, of preempted threads.  Both
            cover the command and the descendants that were waited for.
        throttled_ns: time, in nanoseconds, that a CPU limit such as ``cpus=`` throttled threads.
        forks_refused: number of forks that a limit of processes such as ``pids=`` refused.
        ended_by: the cause of the command's end: ``oom`` (the kernel, for lack of memory), ``systemd-oomd``,
            ``timeout``, ``guard`` or ``signal``; None if the command exited.
        place: the place of the job's cgroups; ``place_kind`` is ``parent``, ``own``, ``systemd`` or ``none``.
        refused: by place, the reason why an earlier place could not be used.
        estimated: names of the figures that no cgroup counted; these figures come from rusage and samples of /proc.
        notes: sentences that explain why the report may be incomplete.
        stdout: the command's output, if stdout was a pipe; ``stderr``, the same for stderr.
        samples: frames of the run, if samples were requested.
        fired: for each guard that acted, the event that triggered it.
        missing: by controller, or ``pressure``, the reason why a figure was not measured.
        abandoned: specs of sibling cgroups left over from runs that were killed.
    """

    args: tuple[str, ...]
    returncode: int
    timed_out: bool
    killed: int
    wall_ns: int
    cpu_ns: int | None
    user_ns: int | None
    system_ns: int | None
    memory_peak: int | None
    memory_sampled: bool
    read_bytes: int | None
    written_bytes: int | None
    reads: int | None
    writes: int | None
    cpu_stall: Stall | None
    memory_stall: Stall | None
    io_stall: Stall | None
    oom_kills: int | None
    stdout: str | bytes | None
    stderr: str | bytes | None
    samples: tuple[Frame, ...]
    fired: tuple[Event, ...]
    missing: Mapping[str, str]
    abandoned: tuple[str, ...] = ()
    anon_peak: int | None = None
    swap_peak: int | None = None
    page_faults: int | None = None
    major_faults: int | None = None
    voluntary_switches: int | None = None
    involuntary_switches: int | None = None
    throttled_ns: int | None = None
    forks_refused: int | None = None
    ended_by: str | None = None
    place: str = ""
    place_kind: str = ""
    refused: Mapping[str, str] = {}
    estimated: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def signal(self) -> int | None:
        """The number of the signal that ended the command; None if the command exited."""
        return -self.returncode if self.returncode < 0 else None

    @property
    def exit_code(self) -> int:
        """The exit code that a shell would report: for a signal, 128 plus its number."""
        return 128 - self.returncode if self.returncode < 0 else self.returncode
