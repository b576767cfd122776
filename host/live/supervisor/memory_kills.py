"""Whether the kernel has recently killed for lack of memory: read from its counters, which do not name the victim.

A process with a control group of its own has its own counter (`control_groups`), which takes precedence. The counter of
the node's cgroup is good evidence that the victim was a process of ours. The machine's counter shows only that some
process was killed; with a SIGKILL of unknown origin in the same second, the report names that counter. The counters are
read at every SIGKILL and periodically: a kill of an hour ago explains nothing now.
"""

from __future__ import annotations

import contextlib
import re
from typing import Final

MACHINE: Final = "/proc/vmstat"
CGROUPS: Final = "/sys/fs/cgroup"

_OOM_KILL: Final = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


class MemoryKills:
    """Mutable. `sources` are the files with a counter, by what they count, best evidence first."""

    def __init__(self, sources: dict[str, str] | None = None) -> None:
        self._sources = _sources() if sources is None else sources
        self._counts = {what: kills_counted(path) or 0 for what, path in self._sources.items()}

    def found(self) -> list[str]:
        """The counters that are there."""
        return [what for what, path in self._sources.items() if kills_counted(path) is not None]

    def look(self) -> None:
        """Take the present counts as the new baseline."""
        self.risen()

    def risen(self) -> str:
        """Which counter rose since the last look; "" when none did."""
        found = ""
        for what, path in self._sources.items():
            count = kills_counted(path) or 0
            if count > self._counts[what] and not found:
                found = f"oom_kill of the {what} rose by {count - self._counts[what]}"
            self._counts[what] = count
        return found


def _sources() -> dict[str, str]:
    """The files for this process: version 2 of control groups, version 1, the machine."""
    sources: dict[str, str] = {}
    with contextlib.suppress(OSError), open("/proc/self/cgroup", encoding="ascii", errors="replace") as file:
        for line in file.read().splitlines():
            number, controllers, path = line.split(":", 2)
            if number == "0":
                sources["cgroup"] = f"{CGROUPS}{path}/memory.events"
            elif "memory" in controllers.split(","):
                sources["memory cgroup"] = f"{CGROUPS}/memory{path}/memory.oom_control"
    sources["machine"] = MACHINE
    return sources


def kills_counted(path: str) -> int | None:
    """What the counter in a file says; None: there is no such counter."""
    with contextlib.suppress(OSError), open(path, encoding="ascii") as file:
        match = _OOM_KILL.search(file.read())
        return int(match[1]) if match else None
    return None
