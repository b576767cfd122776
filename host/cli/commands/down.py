"""`enginehost down`: the end of a node; its data folder stays."""

from __future__ import annotations

import os
import signal
import time

import click

from host.cli.output import Items, emit
from host.cli.problem import CliError
from host.cli.session import select_instance
from host.cli.settings import common
from host.cli.units import duration, show_duration
from host.live.control.client import REQUEST_NS, Client

DRAIN_NS = 5_000_000_000
"""How long engines may work on what they have, unless told."""

EXIT_NS = 5_000_000_000
"""After the drain, the supervisor kills what is left and goes; longer than this, and something is stuck."""


@click.command("down")
@click.option(
    "--drain", type=duration, default=DRAIN_NS, metavar="DURATION", help="Bounds the work on what waits (5s)."
)
@click.option("--kill", is_flag=True, help="Kill the supervisor, which ends every process of the node at once.")
@common
def command(drain: int, kill: bool) -> None:
    """Stop the node: engines handle what waits, for at most --drain, then every process of it ends.

    What it kept stays in its data folder: events, notes, and the logs of engines that are journaled.
    """
    instance = select_instance()
    start = time.monotonic_ns()
    with Client(instance.control) as client:
        if kill:
            os.kill(client.pid, signal.SIGKILL)
        else:
            client.request("down", {"drain_ns": drain}, timeout_ns=REQUEST_NS)
        if not client.wait_ended(drain + EXIT_NS):
            raise CliError("timeout", f"process {client.pid} does not end (enginehost down --kill ends it)")
    took = time.monotonic_ns() - start
    emit("down", [{"node": instance.node, "config": instance.config, "took_ns": took}], render_down)


def render_down(items: Items) -> str:
    """One line a node."""
    return "\n".join(f"node {i['node']} is down after {show_duration(i['took_ns'])}" for i in items)
