"""Examines what this machine offers to a node, by trying: kernel calls are made, folders are checked.

A sandbox can refuse a call that the kernel's version promises, so each call is made, in a way without effect.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import importlib.metadata
import os
import platform
import resource
import shutil
import stat
import sys
import sysconfig
from collections.abc import Callable
from typing import Final, Literal

import msgspec
import zmq

from host.live.control.holders import all_instances
from host.live.control.instances import runtime_roots
from transport.native import native_reason

PYTHON: Final = (3, 11)

LIBZMQ: Final = (4, 3, 5)
"""The oldest version that the links were tested with."""

KERNEL: Final = (5, 11)
"""The version that introduced epoll_pwait2, the youngest call in use."""

DESCRIPTORS: Final = 1024
"""The supervisor holds about a dozen descriptors a slot, and there are at most 64 slots."""

LIBRARIES: Final = ("click", "msgpack", "msgspec", "psutil", "PyNaCl", "PyYAML", "pyzmq", "rich", "rpds-py", "uvloop")

CLOSE_RANGE: Final = 436
EPOLL_PWAIT2: Final = 441
"""System call numbers; the same on every architecture, like those of all recent calls."""


class MachineFinding(msgspec.Struct, frozen=True):
    """The result of one check. `warn`: slower or smaller than it could be; `bad`: a node will not run."""

    check: str
    level: Literal["ok", "warn", "bad"]
    value: str
    advice: str = ""


def examine() -> list[MachineFinding]:
    """All checks, in the order of the report. Leaves nothing open and nothing behind."""
    return [
        _python(),
        _kernel(),
        *(_call(name, attempt) for name, attempt in CALLS.items()),
        _native(),
        _compiler(),
        _libzmq(),
        *map(_library, LIBRARIES),
        _trie(),
        _cores(),
        _descriptors(),
        _memory_limit(),
        _memory_evidence(),
        _folder(runtime_roots()[0]),
        _running(),
    ]


def native_lane() -> tuple[bool, str]:
    """Whether links can be native lanes here; the extension's file, or the reason from `transport.native`."""
    try:
        reason = native_reason()
    except ValueError as e:
        return False, str(e)
    return not reason, reason or str(importlib.import_module("transport._lane").__file__)


def _python() -> MachineFinding:
    found = f"{platform.python_implementation()} {platform.python_version()}"
    if sys.version_info < PYTHON:
        return MachineFinding("python", "bad", found, f"install Python {_dotted(PYTHON)} or newer")
    return MachineFinding("python", "ok", f"{found} at {sys.executable}")


def _kernel() -> MachineFinding:
    found = platform.release()
    if sys.platform != "linux":
        return MachineFinding("kernel", "bad", sys.platform, "a node runs on Linux only")
    numbers = found.split("-")[0].split(".")[:2]
    if tuple(int(n) for n in numbers if n.isdigit()) < KERNEL:
        return MachineFinding("kernel", "bad", found, f"Linux {_dotted(KERNEL)} or newer is needed")
    return MachineFinding("kernel", "ok", f"Linux {found}")


def _call(name: str, attempt: Callable[[], None]) -> MachineFinding:
    try:
        attempt()
    except (OSError, AttributeError) as e:
        return MachineFinding(name, "bad", str(e), "the kernel is too old, or a sandbox (seccomp) refuses the call")
    return MachineFinding(name, "ok", "works")


LAST: Final = ctypes.c_uint(0xFFFFFFFF)
"""The last possible descriptor, which is never open."""

NO_DESCRIPTOR: Final = ctypes.c_int(-1)
"""A kernel that has a call refuses it with EBADF."""

CALLS: Final[dict[str, Callable[[], None]]] = {
    "pidfd": lambda: os.close(os.pidfd_open(os.getpid())),
    "memfd": lambda: os.close(os.memfd_create("doctor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)),
    "close_range": lambda: _expect(0, CLOSE_RANGE, LAST, LAST, ctypes.c_uint(0)),
    "epoll_pwait2": lambda: _expect(
        errno.EBADF, EPOLL_PWAIT2, NO_DESCRIPTOR, None, ctypes.c_int(1), None, None, ctypes.c_size_t(0)
    ),
}


def _expect(error: int, number: int, *arguments: object) -> None:
    """Make a system call. Raises `OSError` if it ends with another error than `error` (0: none)."""
    libc = ctypes.CDLL(None, use_errno=True)
    ctypes.set_errno(0)
    failed = libc.syscall(ctypes.c_long(number), *arguments) < 0
    found = ctypes.get_errno() if failed else 0
    if found not in (error, errno.EINVAL if error else 0):
        raise OSError(found, os.strerror(found))


def _native() -> MachineFinding:
    native, why = native_lane()
    if native:
        return MachineFinding("native lane", "ok", why)
    if os.environ.get("ENGINEHOST_NATIVE") not in ("off", "auto", "", None):
        return MachineFinding(
            "native lane", "bad", why, "ENGINEHOST_NATIVE=auto uses ZeroMQ where there is no native lane"
        )
    return MachineFinding("native lane", "warn", why, "links are ZeroMQ; reinstall with a C compiler for shared memory")


def _compiler() -> MachineFinding:
    name = os.environ.get("CC") or "cc"
    path = shutil.which(name.split()[0])
    header = os.path.join(sysconfig.get_path("include"), "Python.h")
    if path is None:
        return MachineFinding("compiler", "warn", f"no {name}", "install gcc to build the native lane")
    if not os.path.exists(header):
        return MachineFinding(
            "compiler", "warn", f"{path}, but no {header}", "install the Python headers (python3-dev)"
        )
    return MachineFinding("compiler", "ok", path)


def _libzmq() -> MachineFinding:
    found = zmq.zmq_version()
    if zmq.zmq_version_info() < LIBZMQ:
        return MachineFinding("libzmq", "bad", found, f"install a pyzmq with libzmq {_dotted(LIBZMQ)} or newer")
    return MachineFinding("libzmq", "ok", found)


def _library(name: str) -> MachineFinding:
    try:
        return MachineFinding(name, "ok", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return MachineFinding(name, "bad", "not installed", "install enginehost again")


def _trie() -> MachineFinding:
    """The library behind maps in states. Without immutables, which has no wheel for new Pythons, they are slower."""
    try:
        return MachineFinding("immutables", "ok", importlib.metadata.version("immutables"))
    except importlib.metadata.PackageNotFoundError:
        return MachineFinding("immutables", "ok", "not installed; maps in states use rpds-py")


def _cores() -> MachineFinding:
    usable = len(os.sched_getaffinity(0))
    value = f"{usable} usable of {os.cpu_count()}"
    if usable < 2:
        return MachineFinding("cores", "warn", value, "engines in several processes share one core")
    return MachineFinding("cores", "ok", value)


def _descriptors() -> MachineFinding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    value = f"{soft} (hard limit {hard})"
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        return MachineFinding("descriptors", "warn", value, f"large nodes need ulimit -Hn {DESCRIPTORS}")
    return MachineFinding("descriptors", "ok", value)


def _memory_limit() -> MachineFinding:
    """Engines are limited by rlimits, and by control groups if there is one that we may divide."""
    from host.live.supervisor.control_group_home import find_home

    home = find_home()
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bound = "no limit of its own" if hard == resource.RLIM_INFINITY else f"at most {hard} bytes"
    rlimit = f"RLIMIT_DATA for each process, {bound}"
    if isinstance(home, str):
        return MachineFinding("memory limit", "ok", f"{rlimit}; no control groups: {home}")
    return MachineFinding("memory limit", "ok", f"{rlimit}; control groups of version {home.version} in {home.folder}")


def _memory_evidence() -> MachineFinding:
    """The counters that distinguish a kill for lack of memory from any other SIGKILL."""
    from host.live.supervisor.memory_kills import MemoryKills

    found = MemoryKills().found()
    if not found:
        advice = "a kill for lack of memory is shown as a SIGKILL of unknown origin"
        return MachineFinding("memory kills", "warn", "no counter to read", advice)
    return MachineFinding("memory kills", "ok", f"read from the counter of the {' and the '.join(found)}")


def _folder(root: str) -> MachineFinding:
    try:
        found = os.lstat(root)
    except FileNotFoundError:
        return _future_folder(root)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        return MachineFinding("runtime folder", "bad", root, "it is not a folder of this user; remove it")
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        return MachineFinding("runtime folder", "warn", f"{root}, mode {mode:o}", f"chmod 700 {root}")
    return MachineFinding("runtime folder", "ok", f"{root}, mode {mode:o}")


def _future_folder(root: str) -> MachineFinding:
    parent = os.path.dirname(root)
    if not os.access(parent, os.W_OK | os.X_OK):
        return MachineFinding(
            "runtime folder", "bad", f"{parent} takes no files", "set XDG_RUNTIME_DIR to a folder that does"
        )
    return MachineFinding("runtime folder", "ok", f"{root}, made by the first node")


def _running() -> MachineFinding:
    nodes = [f"{i.node} ({i.config}, pid {i.pid})" for i in all_instances()]
    return MachineFinding("running nodes", "ok", ", ".join(nodes) or "none")


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
