"""Limits on an agent, by the best mechanism that this machine has, and which one that is.

| limit | first choice | else | else |
|---|---|---|---|
| `memory_bytes` | control group, v2 or v1 | proportional set size of the tree, looked at each second | |
| `cpu_percent` | control group | not enforced | |
| `pids` | control group | RLIMIT_NPROC, if not root | number of the tree, looked at each second |
| `files`, `file_bytes`, `cpu_seconds` | rlimit, for each process | | |
| `wall_s`, `output_bytes_s` | the launcher | | |

RLIMIT_AS is not used: runtimes such as Node's reserve far more addresses than they use.
"""

from __future__ import annotations

import contextlib
import os
import resource
from typing import Any, Final

GROUPS: Final = "/sys/fs/cgroup"
PERIOD_US: Final = 100_000
POLL_S: Final = 1.0

Limits = dict[str, int]


def _write(path: str, text: str) -> bool:
    try:
        with open(path, "w") as file:
            file.write(text)
    except OSError:
        return False
    return True


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


class Groups:
    """The control groups of one session: made when its agent starts, removed once none of its processes is left."""

    def __init__(self, name: str, limits: Limits) -> None:
        self.name = name
        self.limits = limits
        self.folders: list[str] = []
        self.mechanisms: dict[str, str] = {}
        self._v2 = self._unified()
        for limit in ("memory_bytes", "cpu_percent", "pids"):
            if limit in limits:
                self.mechanisms[limit] = self._bound(limit, limits[limit])

    def join(self) -> None:
        """Put this process into the groups."""
        for folder in self.folders:
            _write(os.path.join(folder, "cgroup.procs"), str(os.getpid()))

    def kill(self) -> bool:
        """Kill all processes of the session at once; False where the kernel cannot."""
        return bool(self._v2) and _write(os.path.join(self._v2, "cgroup.kill"), "1")

    def memory_kills(self) -> int:
        """How many processes the kernel killed because the group had used its memory."""
        count = 0
        for folder in self.folders:
            for file in ("memory.oom_control", "memory.events"):
                for line in _read(os.path.join(folder, file)).splitlines():
                    if line.startswith("oom_kill "):
                        count += int(line.split()[1])
        return count

    def remove(self) -> None:
        """Remove the groups; one with a process stays."""
        remove_groups(self.name)

    def _unified(self) -> str:
        for top in (os.path.join(GROUPS, "unified"), GROUPS):
            if os.path.exists(os.path.join(top, "cgroup.controllers")):
                return self._made(top)
        return ""

    def _made(self, top: str) -> str:
        folder = os.path.join(top, self.name)
        try:
            os.mkdir(folder)
        except FileExistsError:
            pass
        except OSError:
            return ""
        if folder not in self.folders:
            self.folders.append(folder)
        return folder

    def _bound(self, limit: str, value: int) -> str:
        """Bind one limit. Returns the mechanism in force."""
        for version, top, file, text in _ways(limit, value):
            folder = self._v2 if version == 2 else self._made(top) if os.path.isdir(top) else ""
            if folder and _write(os.path.join(folder, file), text):
                return f"cgroup v{version}"
        return _otherwise(limit)


def remove_groups(prefix: str) -> None:
    """Remove the groups whose names begin so and that have no process."""
    for top in (GROUPS, *(os.path.join(GROUPS, name) for name in ("unified", "memory", "cpu", "pids"))):
        with contextlib.suppress(OSError):
            for name in os.listdir(top):
                if name.startswith(prefix):
                    with contextlib.suppress(OSError):
                        os.rmdir(os.path.join(top, name))


def _ways(limit: str, value: int) -> list[tuple[int, str, str, str]]:
    """How a control group binds a limit: version, its folder, the file, what it gets."""
    if limit == "memory_bytes":
        v1 = (1, os.path.join(GROUPS, "memory"), "memory.limit_in_bytes", str(value))
        return [(2, "", "memory.max", str(value)), v1]
    if limit == "pids":
        return [(2, "", "pids.max", str(value)), (1, os.path.join(GROUPS, "pids"), "pids.max", str(value))]
    quota = value * PERIOD_US // 100
    return [
        (2, "", "cpu.max", f"{quota} {PERIOD_US}"),
        (1, os.path.join(GROUPS, "cpu"), "cpu.cfs_quota_us", str(quota)),
    ]


def _otherwise(limit: str) -> str:
    if limit == "cpu_percent":
        return "not enforced"
    if limit == "pids" and os.geteuid() != 0:
        return "rlimit"
    return f"polled {POLL_S:g} s"


def set_rlimits(limits: Limits) -> None:
    """Bind the limits of this process that are rlimits."""
    for name, number in (("files", resource.RLIMIT_NOFILE), ("file_bytes", resource.RLIMIT_FSIZE)):
        if name in limits:
            resource.setrlimit(number, (limits[name], limits[name]))
    if "cpu_seconds" in limits:
        resource.setrlimit(resource.RLIMIT_CPU, (limits["cpu_seconds"], limits["cpu_seconds"] + 1))
    if "pids" in limits and os.geteuid() != 0:
        resource.setrlimit(resource.RLIMIT_NPROC, (limits["pids"], limits["pids"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def mechanisms(limits: Limits, groups: dict[str, str]) -> dict[str, str]:
    """The mechanism in force for each limit, given those of the control groups."""
    made = {name: "rlimit" for name in limits if name in ("files", "file_bytes", "cpu_seconds")}
    made |= {name: "launcher" for name in limits if name in ("wall_s", "output_bytes_s")}
    return made | groups


def available() -> dict[str, str]:
    """The mechanism that each limit would have on this machine now."""
    every: Limits = {"memory_bytes": 1 << 30, "cpu_percent": 100, "pids": 1000}
    groups = Groups(f"aism-doctor-{os.getpid()}", every)
    groups.remove()
    rest: Limits = {"files": 1, "file_bytes": 1, "cpu_seconds": 1, "wall_s": 1, "output_bytes_s": 1}
    return mechanisms({**every, **rest}, groups.mechanisms)


def is_polled(mechanism: Any) -> bool:
    """Whether the launcher has to look for itself."""
    return str(mechanism).startswith("polled")
