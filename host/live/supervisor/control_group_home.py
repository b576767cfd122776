"""Where a node may make control groups, or why it may not: in the group of this process, if that was handed over.

A group belongs to its creator: a service manager, a container engine, a session. Dividing a group that was not handed
over would change what its owner counts and kills. Write permission is therefore not enough for root, who can write
everywhere. Handed over is

    a user other than root    a group that this user may divide: its owner gave it away
    root                      one that its manager marked (systemd's `Delegate=`, the attribute `*.delegate`)
    ENGINEHOST_CGROUP=own     one that root may divide: the variable declares it ours
    ENGINEHOST_CGROUP=off     none

Memory is counted by version 2 of control groups or, where that hierarchy is still mounted, by version 1; a machine has
the controller in one of them. In version 1, groups that do not count towards their parents (`memory.use_hierarchy`)
would escape the limits of our own group, and are not used.

Source: systemd's CGROUP_DELEGATION; Linux, admin-guide/cgroup-v2 ("Delegation") and cgroup-v1/memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

VARIABLE: Final = "ENGINEHOST_CGROUP"

MODES: Final = ("auto", "own", "off")

LEAF: Final = "enginehost"
"""In version 2, the group below a home in which the node itself lives (`control_group_leaf`)."""

MARKS: Final = ("trusted.delegate", "user.delegate")
"""Attributes by which systemd marks a group that it delegated."""


class Home(NamedTuple):
    """A group that may be divided."""

    version: Literal[1, 2]
    folder: str


def find_home(proc: str = "/proc/self") -> Home | str:
    """The home for this process's groups, or why there is none. Changes nothing. `proc`: the process's /proc folder."""
    mode = os.environ.get(VARIABLE, "") or "auto"
    if mode not in MODES:
        return f"{VARIABLE} is one of {', '.join(MODES)}, not {mode!r}"
    if mode == "off":
        return f"{VARIABLE}=off"
    try:
        home = _find(proc)
        return home if isinstance(home, str) else _refusal(home, mode) or home
    except (OSError, ValueError) as error:
        return f"control groups cannot be read: {error}"


def _find(proc: str) -> Home | str:
    """The group that counts the memory of this process, whatever its owner. Raises OSError, ValueError."""
    with open(f"{proc}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        lines = [line.rstrip("\n").split(":", 2) for line in file]
    for _, controllers, path in lines:
        if "memory" in controllers.split(","):
            mounted = _mounted(proc, "cgroup", path, "memory")
            return Home(1, mounted) if mounted else "control groups of version 1 are not mounted"
    for number, _, path in lines:
        if number == "0":
            mounted = _mounted(proc, "cgroup2", path)
            return _home_of_version_2(mounted) if mounted else "control groups of version 2 are not mounted"
    return "no control groups"


def _home_of_version_2(folder: str) -> Home | str:
    if os.path.basename(folder) == LEAF:
        folder = os.path.dirname(folder)
    if "memory" not in words(f"{folder}/cgroup.controllers"):
        return "its control group (version 2) has no memory controller"
    return Home(2, folder)


def _refusal(home: Home, mode: str) -> str:
    """Why a group is not ours to divide; "" when it is."""
    used = {1: ("", "/cgroup.procs"), 2: ("", "/cgroup.procs", "/cgroup.subtree_control")}[home.version]
    if not all(os.access(home.folder + name, os.W_OK) for name in used):
        return f"{home.folder} is not ours to divide"
    hierarchy = f"{home.folder}/memory.use_hierarchy"
    if home.version == 1 and os.path.exists(hierarchy) and words(hierarchy) != ["1"]:
        return f"groups in {home.folder} would not count towards it"
    if mode == "auto" and os.geteuid() == 0 and not _is_marked(home.folder):
        return f"{home.folder} was not handed over ({VARIABLE}=own declares it ours)"
    return ""


def _is_marked(folder: str) -> bool:
    for mark in MARKS:
        try:
            if os.getxattr(folder, mark) == b"1":
                return True
        except OSError:
            continue
    return False


def _mounted(proc: str, kind: str, path: str, option: str = "") -> str:
    """The folder of a group in the first hierarchy of a kind that shows it; "" when none does."""
    for root, point in _mounts(proc, kind, option):
        below = root.rstrip("/")
        if path == root or path.startswith(below + "/"):
            return (point + path[len(below) :]).rstrip("/")
    return ""


def _mounts(proc: str, kind: str, option: str) -> Iterator[tuple[str, str]]:
    """The root and mount point of each mounted hierarchy (proc(5), mountinfo)."""
    with open(f"{proc}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            found, _, options = after.split(None, 2)
            if found == kind and (not option or option in options.strip().split(",")):
                yield tuple(before.split()[3:5])  # type: ignore[misc]


def words(path: str) -> list[str]:
    """The words in a file of the kernel. Raises OSError."""
    with open(path, encoding="ascii") as file:
        return file.read().split()
