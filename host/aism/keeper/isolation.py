"""Levels of isolation of an agent: what command line each makes, and what this machine has of them.

| level | other user | own processes only | own files only | no network |
|---|---|---|---|---|
| `none` | no | no | no | no |
| `uid` | yes | no | by permissions | no |
| `bwrap` | as root | yes | yes | unless allowed |
| `runc` | yes | yes | yes | unless allowed |

A level that this machine has not is refused; nothing weaker takes its place.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from typing import Any, Final, NamedTuple

LEVELS: Final = ("none", "uid", "bwrap", "runc", "docker")
DOCKER_SOCKET: Final = "/var/run/docker.sock"

SYSTEM: Final = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/etc/alternatives",
    "/etc/group",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/resolv.conf",
    "/etc/ssl",
)
"""What every agent may read of the system."""


class LaunchPlan(NamedTuple):
    """How to start a session. `uid` is None for our own user. `visible` are paths that the agent may read besides those
    of the system. `bus` is the folder of the store's socket, since
    the socket is another one when the store has been started again; "" without one."""

    agent: str
    session: int
    argv: tuple[str, ...]
    level: str
    uid: int | None
    workspace: str
    protocols: str
    bus: str
    environment: dict[str, str]
    limits: dict[str, int]
    visible: tuple[str, ...]
    network: bool
    grace_s: float

    @staticmethod
    def of(fields: dict[str, Any]) -> LaunchPlan:
        """The plan that is written as these fields. Raises KeyError, TypeError or ValueError."""
        return LaunchPlan(
            **{**fields, "argv": tuple(fields["argv"]), "visible": tuple(fields["visible"])},
        )


def missing(level: str) -> str:
    """Why this machine has not the level; "" if it has."""
    if level not in LEVELS:
        return f"there is no level `{level}`; there are {', '.join(LEVELS)}"
    if level == "uid" and os.geteuid() != 0:
        return "uid: only root can start processes of another user"
    if level == "docker":
        return _docker_missing()
    if level in ("bwrap", "runc"):
        return _tried(level)
    return ""


def available() -> dict[str, str]:
    """Each level, and why this machine has not got it, or ""."""
    return {level: missing(level) for level in LEVELS}


class Gain(NamedTuple):
    """What an agent at a level has for itself. Files: it sees no others but those that all may read."""

    own_user: bool
    own_processes: bool
    own_files: bool
    no_network: bool


def gain(level: str) -> Gain:
    """What a level gives when this process starts the agent, and no network is allowed."""
    is_root = os.geteuid() == 0
    is_confined = level in ("bwrap", "runc")
    return Gain(is_root and level != "none", is_confined, is_confined, is_confined)


def private_folder(path: str) -> str:
    """The highest folder above the real path that other users cannot enter; "" if they can reach it."""
    found = ""
    path = os.path.realpath(path)
    while (path := os.path.dirname(path)) != "/":
        if not os.stat(path).st_mode & 0o001:
            found = path
    return found


def _docker_missing() -> str:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(DOCKER_SOCKET)
        except OSError:
            return f"docker: no daemon listens at {DOCKER_SOCKET}"
    return "docker: a daemon runs, but this version starts containers only by runc"


_answers: dict[str, str] = {}


def _tried(level: str) -> str:
    """Try the level once, with `true`."""
    if level not in _answers:
        _answers[level] = _try(level)
    return _answers[level]


def _try(level: str) -> str:
    program = _found(level)
    if program is None:
        return f"{level}: not installed"
    if level == "runc" and os.geteuid() != 0:
        return "runc: needs root here"
    line = [program, "--version"] if level == "runc" else [program, "--unshare-pid", "--ro-bind", "/", "/", "true"]
    try:
        done = subprocess.run(line, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{level}: {error}"
    return "" if done.returncode == 0 else f"{level}: {done.stderr.decode(errors='replace').strip()[:200]}"


def _found(program: str) -> str | None:
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin")


def command_line(plan: LaunchPlan, folder: str, group: str) -> tuple[list[str], int | None]:
    """The command line that starts the agent, and the user to become first."""
    if plan.level == "bwrap":
        return _bwrap(plan), None
    if plan.level == "runc":
        _write_bundle(plan, folder, group)
        return [str(_found("runc")), "run", "--no-new-keyring", "--bundle", folder, group], None
    return list(plan.argv), plan.uid if plan.level == "uid" else None


def delete_container(group: str) -> None:
    """End a container of runc and remove what runc keeps of it; nothing happens if there is none."""
    line = [str(_found("runc")), "delete", "-f", group]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)


def readable(plan: LaunchPlan) -> list[str]:
    """Paths that a confined agent sees, and cannot write. One below another is left out."""
    own = [sys.prefix, sys.base_prefix, *plan.visible, plan.protocols]
    found: list[str] = []
    for path in sorted({os.path.abspath(path) for path in (*SYSTEM, *own) if os.path.exists(path)}):
        if not any(path == other or path.startswith(other + "/") for other in found):
            found.append(path)
    return found


def _bwrap(plan: LaunchPlan) -> list[str]:
    line = [str(_found("bwrap")), "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--die-with-parent"]
    line += [] if plan.network else ["--unshare-net"]
    line += ["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/tmp"]
    for path in _parents([*readable(plan), plan.workspace, *([plan.bus] if plan.bus else [])]):
        line += ["--perms", "0755", "--dir", path]  # as root, bwrap would make them private
    for path in readable(plan):
        line += ["--ro-bind", path, path]
    line += ["--ro-bind", plan.protocols, "/protocols", "--bind", plan.workspace, plan.workspace]
    line += ["--ro-bind", f"{plan.workspace}/.aism", f"{plan.workspace}/.aism"]
    line += ["--ro-bind", plan.bus, plan.bus] if plan.bus and os.path.exists(plan.bus) else []
    line += ["--chdir", plan.workspace]
    if plan.uid is not None:
        line += ["--", str(_found("setpriv")), f"--reuid={plan.uid}", f"--regid={plan.uid}", "--clear-groups"]
        line += ["--no-new-privs", "--"]
    return [*line, *plan.argv]


def _parents(paths: list[str]) -> list[str]:
    """All folders above these paths, but for the root and what is mounted, the highest first."""
    found: set[str] = set()
    for path in paths:
        while (path := os.path.dirname(path)) not in ("/", ""):
            found.add(path)
    return sorted(found - {"/tmp", "/proc", "/dev"})


def _write_bundle(plan: LaunchPlan, folder: str, group: str) -> None:
    """Write `config.json` and the empty root that runc fills with mounts."""
    os.makedirs(os.path.join(folder, "rootfs"), exist_ok=True)
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(_bundle(plan, group), file)


def _bundle(plan: LaunchPlan, group: str) -> dict[str, Any]:
    uid = plan.uid if plan.uid is not None else os.getuid()
    spaces = ["pid", "ipc", "uts", "mount", *([] if plan.network else ["network"])]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": uid, "gid": uid},
            "args": list(plan.argv),
            "env": [f"{name}={value}" for name, value in plan.environment.items()],
            "cwd": plan.workspace,
            "noNewPrivileges": True,
            "capabilities": {},
            "rlimits": _rlimits(plan.limits),
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": plan.agent,
        "mounts": _mounts(plan),
        "linux": {
            "namespaces": [{"type": each} for each in spaces],
            "cgroupsPath": f"/{group}",
            "resources": _resources(plan.limits),
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list"],
            "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"],
        },
    }


def _mounts(plan: LaunchPlan) -> list[dict[str, Any]]:
    def bind(path: str, at: str, *options: str) -> dict[str, Any]:
        return {"destination": at, "type": "bind", "source": path, "options": ["rbind", *options]}

    inner = f"{plan.workspace}/.aism"
    own: list[dict[str, Any]] = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]},
        *(bind(path, path, "ro") for path in readable(plan)),
        bind(plan.protocols, "/protocols", "ro"),
        bind(plan.workspace, plan.workspace, "rw"),
        bind(inner, inner, "ro"),
    ]
    return own + ([bind(plan.bus, plan.bus, "ro")] if plan.bus and os.path.exists(plan.bus) else [])


def _rlimits(limits: dict[str, int]) -> list[dict[str, Any]]:
    names = {"files": "RLIMIT_NOFILE", "file_bytes": "RLIMIT_FSIZE", "cpu_seconds": "RLIMIT_CPU"}
    return [{"type": names[name], "soft": value, "hard": value} for name, value in limits.items() if name in names]


def _resources(limits: dict[str, int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "memory_bytes" in limits:
        found["memory"] = {"limit": limits["memory_bytes"]}
    if "cpu_percent" in limits:
        found["cpu"] = {"quota": limits["cpu_percent"] * 1000, "period": 100_000}
    if "pids" in limits:
        found["pids"] = {"limit": limits["pids"]}
    return found
