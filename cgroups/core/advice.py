"""Advice for error messages, in two forms: Python's for the API, the command's for the output of ``cgroups``.

Each line of the table has a lead text, the function to call, and the command to run.
"""

from __future__ import annotations

from .errors import Advice

__all__ = ["FORMS", "advise", "install"]

FORMS: dict[str, tuple[str, str, str]] = {
    "thaw": ("thaw {cgroup} first", "Cgroup.thaw", "cgroups thaw {cgroup}"),
    "empty": ("kill its processes first", "Cgroup.kill", "cgroups kill {cgroup}"),
    "remove all": ("or remove all", "Cgroup.remove(recursive=True, kill=True)", "cgroups remove -rk {cgroup}"),
    "move down": ("move them down first", "Cgroup.move_all", "cgroups attach {cgroup}/CHILD PID"),
    "use a child": ("use a child cgroup", "Cgroup.make_sub", "cgroups create {cgroup}/CHILD"),
    "move out": ("move it out first", "Cgroup.add_process", "cgroups attach SPEC PID"),
    "create": ("create it", "Hierarchy.find_or_create", "cgroups create {cgroup}"),
    "enable": ("enable it", "Hierarchy.find_or_create", "cgroups create {cgroup}"),
    "bound": ("{how} {what}, now {number}", "Cgroup.update sets both", "cgroups set {cgroup} {what} N"),
    "set cpuset": ("set both first", "Cgroup.update", "cgroups set {cgroup} cpuset.cpus LIST"),
    "key": ("name one of its keys", "parameter['KEY']", "{what}[KEY]"),
    "mounted": ("see what is mounted", "Hierarchy.scan", "cgroups info"),
    "tree": ("see all cgroups", "Cgroup.walk", "cgroups tree"),
    "scope": ("get a scope", "Scope.obtain", "systemd-run {user}--scope -p Delegate=yes COMMAND"),
    "delegate": (
        "root",
        "Hierarchy.find_or_create",
        "cgroups create SPEC --owner ME",
    ),
    "parameters": ("", "Subsystem.parameters() lists all", "'cgroups parameters' lists all"),
}


def advise(key: str, **words: object) -> Advice:
    """Return one line of the table with its placeholders filled in."""
    lead, *forms = FORMS[key]
    # The child of a root would read memory://CHILD.
    return Advice(*(f"{lead}: {form}".removeprefix(": ").format(**words).replace("//", "/") for form in forms))


def install(extra: str) -> str:
    """Return the command that installs an extra: the optional packages of one feature."""
    return f"pip install 'cgroups-cffi[{extra}]'"
