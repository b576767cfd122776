"""Names of running engines, for the shell's completion."""

from __future__ import annotations

import contextlib

import click

COMPLETION_NS = 500_000_000
"""Completion is interactive; a slower node gives no suggestions."""


def complete_engine(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Engines of the command's node that begin with `incomplete`; none without a node."""
    from host.cli.problem import CliError
    from host.cli.session import ask
    from host.live.control.protocol import ControlError

    with contextlib.suppress(CliError, ControlError, OSError), ctx.scope(cleanup=False):
        items = ask("ps", timeout_ns=COMPLETION_NS).items
        return [i["engine"] for i in items if i["engine"].startswith(incomplete)]
    return []
