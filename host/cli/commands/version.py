"""`enginehost version`: the versions in use."""

from __future__ import annotations

import importlib.metadata
import platform

import click

from host.cli.output import Items, emit
from host.cli.settings import common_without_node
from host.live.control.protocol import PROTOCOL


@click.command("version")
@common_without_node
def command() -> None:
    """Show the versions of enginehost, Python and the control protocol, and whether links are native."""
    from host.live.machine import native_lane

    native, why = native_lane()
    item = {
        "version": importlib.metadata.version("enginehost"),
        "python": platform.python_version(),
        "native": native,
        "native_detail": why,
        "protocol": PROTOCOL,
    }
    emit("version", [item], render_version)


def render_version(items: Items) -> str:
    """One line."""
    (i,) = items
    links = "native lanes" if i["native"] else "ZeroMQ links"
    return f"enginehost {i['version']}, Python {i['python']}, {links}, control protocol {i['protocol']}"
