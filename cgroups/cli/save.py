"""The command ``save``: write the parameters of a subtree to a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from ..core.errors import CgroupError, CgroupGone
from ..core.interface import Version
from ..core.patterns import below
from ..core.values import MAX
from ..hierarchy import Cgroup, Host
from ..parameters import Freezer, Parameters, parameter_named
from ..parameters.registry import huge_page_sizes_in
from .common import documents
from .common.arguments import Spec, cgroup_of, host_of
from .common.saved_values import FORMAT, HUGE, OF_EACH_V1, SAVED, TOP, UNSUPPORTED, names
from .common.several import Failures, names_no_hierarchy
from .common.values import Data, plain

__all__ = ["save"]

# ---- save ------------------------------------------------------------------------------------


def save(
    context: typer.Context,
    spec: Spec,
    output: Annotated[
        str,
        typer.Option("-o", "--output", metavar="FILE", help="File to write, .json or .toml; - is stdout, in JSON."),
    ],
    frozen: Annotated[bool, typer.Option("--frozen", help="Also save which cgroups are frozen.")] = False,
) -> None:
    """Save the parameters of a cgroup and all cgroups below.

    The file has each parameter that can be read and set, and whose value is
    not that of a new cgroup.  If version 1 and 2 both have a parameter, 'load'
    accepts it on either.  If SPEC names no hierarchy, the parameters of each
    hierarchy that has the cgroup are saved.

    Processes, owners, enabled controllers and device rules are not saved.

    \b
    Examples: cgroups save memory:/jobs -o jobs.json
              cgroups save /jobs -o jobs.toml
    """
    documents.check_suffix(output)
    host = host_of(context)
    top = cgroup_of(context, spec)
    is_bare = names_no_hierarchy(host, spec)
    tops = _everywhere(host, top) if is_bare else [top]
    failures = Failures(is_single=False)
    cgroups: dict[str, dict[str, Data]] = {}
    for one in tops:
        for cgroup in below(one):
            try:
                values = dict(_values_of(cgroup, failures, frozen=frozen, is_alone=not is_bare))
            except CgroupGone:
                if cgroup == one:
                    raise
                continue  # the cgroup was just removed
            path = cgroup.location[len(one.location.rstrip("/")) + 1 :] or TOP
            cgroups.setdefault(path, {}).update(values)
    ordered = dict(sorted(cgroups.items(), key=lambda item: names(item[0])))
    documents.write(output, {"format": FORMAT, "spec": top.location if is_bare else str(top), "cgroups": ordered})
    failures.end()


def _everywhere(host: Host, top: Cgroup) -> list[Cgroup]:
    """Return the cgroups of one location, on each hierarchy that has it."""
    return [one for hierarchy in host.scan() if (one := Cgroup(hierarchy, top.location)).exists]


def _values_of(cgroup: Cgroup, failures: Failures, *, frozen: bool, is_alone: bool) -> Iterator[tuple[str, Data]]:
    """Yield the parameters of a cgroup whose values are not those of a new one.

    Raises:
        CgroupGone: the cgroup was removed.
    """
    there = set(cgroup.file_names())
    sizes = huge_page_sizes_in(cgroup) if any(name.startswith("hugetlb.") for name in there) else []
    wanted = {**SAVED, **{f"hugetlb.{size}.{name}": "max" for size in sizes for name in HUGE}}
    is_idle = False
    for name, default in wanted.items():
        parameter = parameter_named(name)
        if not is_alone and cgroup.version == Version.V1 and name in OF_EACH_V1:
            continue
        files = (cgroup.hierarchy.file_name(file) for file in parameter.files(cgroup.version))
        if there.isdisjoint(files) or not isinstance(parameter, Parameters.Readable):
            continue
        if name == "cpu.shares" and is_idle:
            continue  # the kernel shows the minimum, and accepts no value
        try:
            data = _normal(name, Parameters.get(parameter, cgroup))
            known = default(cgroup) if callable(default) else default
        except CgroupGone:
            raise
        except UNSUPPORTED:
            continue
        except CgroupError as error:
            failures.add(error, str(cgroup))
            continue
        is_idle |= name == "cpu.idle" and data is True
        if data is not None and data != known:
            yield name, data
    if frozen and _is_frozen(cgroup):
        yield "freezer.state", "FROZEN"


def _normal(name: str, value: Any) -> Data:
    """Return a value in the form to save: it can be set, and a table has no rows without a limit."""
    if name == "memory.oom_control":
        flag: Data = value.oom_kill_disable
        return flag
    if name == "cpuset.cpus_partition":
        return str(value).partition(" ")[0]
    if name == "cpu.max" and value.period is None:
        return None  # a CPU scheduler without a quota
    data = plain(value)
    if isinstance(data, dict) and name == "blkio.weight_device":
        data.pop("default", None)  # blkio.weight has the default
    if isinstance(data, dict) and name != "cpu.max":
        none = 0 if name in ("net_prio.ifpriomap", "dmem.min", "dmem.low") else str(MAX)
        return {key: one for key, one in data.items() if not _is_no_limit(one, none)}
    return data


def _is_no_limit(data: Data, none: Data) -> bool:
    return all(one == none for one in data.values()) if isinstance(data, dict) else data == none


def _is_frozen(cgroup: Cgroup) -> bool:
    """Return whether a cgroup was frozen itself, not only with its parent."""
    return bool(Parameters.get(Freezer.self_freezing, cgroup, False))
