"""`enginehost down`: stop a node, or all; data folders stay."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import click

from host.cli.astray import await_reachable
from host.cli.output import Items, diagnose, emit
from host.cli.problem import CliError
from host.cli.session import instances_below, select_instance
from host.cli.settings import common, settings
from host.cli.units import duration, show_duration
from host.live.control.client import REQUEST_NS, Client
from host.live.control.instances import Instance
from host.live.control.protocol import ControlError

DRAIN_NS = 5_000_000_000
"""Default time for engines to handle their waiting messages."""

EXIT_NS = 5_000_000_000
"""Time for the supervisor to kill the remaining processes and exit after the drain; longer means it is stuck."""


@click.command("down")
@click.option(
    "--drain",
    type=duration,
    default=DRAIN_NS,
    metavar="DURATION",
    help="Time limit for handling waiting messages (5s).",
)
@click.option("--kill", is_flag=True, help="Kill the supervisor, which ends every process of the node at once.")
@click.option("--all", "every", is_flag=True, help="Stop every node at or below this folder.")
@common
def command(drain: int, kill: bool, every: bool) -> None:
    """Stop the node: engines handle waiting messages for at most --drain, then every process of the node ends.

    The data folder stays: events, notes, and the logs of engines with a journal.
    """
    if not every:
        emit("down", [_end(select_instance(), drain, kill)], render_down)
        return
    if settings().file:
        raise click.UsageError("--all means every node at or below this folder: omit -f")
    _end_all(drain, kill)


def _end_all(drain: int, kill: bool) -> None:
    """One after the other. An error of one node is raised after the others have ended."""
    ended, problem = [], None
    for instance in instances_below(os.getcwd()):
        try:
            ended.append(_end(await_reachable(instance), drain, kill))
        except (CliError, ControlError) as error:
            problem = error
            diagnose(f"node {instance.node} ({instance.config}, pid {instance.pid}): {error}")
    emit("down", ended, render_down)
    if problem is not None:
        raise problem


def _end(instance: Instance, drain: int, kill: bool) -> dict[str, Any]:
    """Stop a node; its item. Raises `CliError`, `ControlError`."""
    start = time.monotonic_ns()
    with Client(instance.control) as client:
        if kill:
            os.kill(client.pid, signal.SIGKILL)
        else:
            client.request("down", {"drain_ns": drain}, timeout_ns=REQUEST_NS)
        if not client.wait_ended(drain + EXIT_NS):
            raise CliError("timeout", f"process {client.pid} does not end (enginehost down --kill ends it)")
    return {"node": instance.node, "config": instance.config, "took_ns": time.monotonic_ns() - start}


def render_down(items: Items) -> str:
    """One line per node."""
    return "\n".join(f"node {i['node']} is down after {show_duration(i['took_ns'])}" for i in items)
