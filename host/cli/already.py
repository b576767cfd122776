"""`up` of a node that already runs, or that another `up` is starting: waits for it, or refuses if the nodes differ."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from host.cli.astray import await_reachable, find_astray
from host.cli.output import emit
from host.cli.problem import CliError
from host.live.control.instances import Instance, running_instance
from host.live.control.protocol import ControlError

if TYPE_CHECKING:
    from host.config.spec import NodeSpec

LOOK_S: Final = 0.02
"""Time between two looks at a node that another command starts."""

SHOWN_NS: Final = 2_000_000_000
"""A supervisor that holds the node's folder is found within milliseconds."""


def show_running(running: Instance, spec: NodeSpec, timeout_ns: int) -> None:
    """Wait until the node is ready, and print it. Raises `CliError` if it differs, ends, or is not ready in time."""
    if running.config != spec.path:
        who = f"node {running.node} (pid {running.pid}) runs, started as {running.config}"
        raise CliError("conflict", f"{who}: end it first (enginehost -f {running.config} down), then up")
    if running.digest != spec.digest:
        where = f"pid {running.pid}"
        advice = "enginehost down, then up; or reload ENGINE if only code changed"
        raise CliError("conflict", f"node {running.node} runs with another configuration ({where}): {advice}")
    _await_ready(running, time.monotonic_ns() + timeout_ns)
    item = {"node": running.node, "config": running.config, "pid": running.pid, "already": True}
    emit("node", [item], lambda _: f"node {running.node} already runs, unchanged (pid {running.pid})")


def await_instance(path: str) -> Instance | None:
    """The node of this file, which another command is starting; None if none appears in time."""
    until_ns = time.monotonic_ns() + SHOWN_NS
    while (found := running_instance(path)) is None and time.monotonic_ns() < until_ns:
        time.sleep(LOOK_S)
    if found is None and (astray := find_astray(path)) is not None and astray.config == os.path.realpath(path):
        return await_reachable(astray)
    return found


def _await_ready(running: Instance, until_ns: int) -> None:
    while (phase := _phase(running)) == "starting":
        if time.monotonic_ns() > until_ns:
            raise CliError("timeout", f"node {running.node} (pid {running.pid}) is starting, but was not ready in time")
        time.sleep(LOOK_S)
    if phase != "running":
        raise CliError("not_ready", f"node {running.node} (pid {running.pid}) ended before it was ready")


def _phase(running: Instance) -> str:
    """Phase of a node; "ended" if it no longer answers."""
    from host.live.control.client import Client

    try:
        with Client(running.control) as client:
            return str(client.request("status").items[0]["phase"])
    except ControlError:
        return "ended"
