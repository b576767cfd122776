"""Starts and ends the keeper of a root, and puts single orders to it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from hashlib import sha256
from typing import Any, Final

from host.program import command

from .files import read_json

START_S: Final = 60.0
"""It takes 50 ms, and many times that on a busy machine; one that ends is not waited for."""

ORDER_S: Final = 10.0


class NoKeeper(Exception):
    """No keeper answers."""


def ensure_keeper(root: str, folder: str = "") -> str:
    """Have a keeper run for this root, in a session of its own, and return the path of its socket.

    `folder` is where its socket and its lock are; by default a folder of the user's runtime folder.
    """
    root = os.path.realpath(root)
    if (path := keeper_socket(root)) is not None:
        return path
    folder = folder or runtime_folder(root)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    os.makedirs(os.path.join(root, "engine"), exist_ok=True)
    with open(os.path.join(root, "engine", "keeper.log"), "ab") as log:
        keeper = subprocess.Popen(
            command("host.aism.keeper.keeper", root, folder),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )
    until = time.monotonic() + START_S
    while (path := keeper_socket(root)) is None:
        if time.monotonic() > until or keeper.poll() not in (None, 0):
            raise NoKeeper(f"the keeper does not start; see {root}/engine/keeper.log")
        time.sleep(0.01)
    return path


def runtime_folder(root: str) -> str:
    """The folder for the keeper's socket: short, whatever the length of the root's path."""
    run = os.environ.get("XDG_RUNTIME_DIR", "")
    top = run if os.path.isabs(run) else os.path.join(os.environ.get("TMPDIR") or "/tmp", f"enginehost-{os.getuid()}")
    return os.path.join(top, "aism-" + sha256(os.path.realpath(root).encode()).hexdigest()[:12])


def keeper_socket(root: str) -> str | None:
    """The socket of the keeper that runs for this root; None if none answers."""
    known = read_json(os.path.join(os.path.realpath(root), "engine", "keeper.json"))
    if known is None:
        return None
    try:
        _ask(str(known["socket"]), "ping")  # a keeper that is being killed still has connections taken
    except (OSError, ValueError):
        return None
    return str(known["socket"])


def ask_keeper(root: str, order: str, **fields: Any) -> dict[str, Any]:
    """The answer to one order. Raises NoKeeper."""
    path = keeper_socket(root)
    if path is None:
        raise NoKeeper(f"no keeper runs for {root}")
    try:
        return _ask(path, order, **fields)
    except (OSError, ValueError) as error:
        raise NoKeeper(f"the keeper does not answer: {error}") from None


def _ask(path: str, order: str, **fields: Any) -> dict[str, Any]:
    """The answer of the keeper that listens at this path. Raises OSError or ValueError."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(ORDER_S)
        sock.connect(path)
        sock.sendall(json.dumps({"order": order, **fields}).encode() + b"\n")
        with sock.makefile("rb") as lines:
            return dict(json.loads(lines.readline()))


def end_keeper(root: str, stop_agents: bool, grace_s: float = 10.0) -> int:
    """Have the keeper end, if no agent runs or all are to stop. Returns how many agents run on."""
    until = time.monotonic() + grace_s + 10.0
    while True:
        try:
            running = int(ask_keeper(root, "down", stop_agents=stop_agents, grace_s=grace_s)["running"])
        except NoKeeper:
            return 0
        if not running or not stop_agents or time.monotonic() > until:
            if not running:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(os.path.realpath(root), "engine", "keeper.json"))
            return running
        time.sleep(0.02)
