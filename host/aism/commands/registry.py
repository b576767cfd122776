"""`aism protocol show`, `list`, `load`, and the roll-out of versions: the protocols that the engine has."""

from __future__ import annotations

import os
from typing import Any

from host.aism.asking import ask, text_argument, word_argument
from host.aism.call import Call
from host.aism.output import Outcome


def show(call: Call) -> Outcome:
    """A protocol, or a section of it."""
    fields = {
        "name": word_argument(call, "name"),
        "version": word_argument(call, "--version-of"),
        "section": word_argument(call, "--section"),
        "diff": word_argument(call, "--diff"),
        "effective": True if "--effective" in call.arguments else None,
    }
    return ask(call, "protocol.show", fields)


def list_(call: Call) -> Outcome:
    """All protocols."""
    return ask(call, "protocol.list", {"after": word_argument(call, "--after")})


def load(call: Call) -> Outcome:
    """Register a version, and make it the current one."""
    path = call.arguments["file"]
    fields = {
        "source": text_argument(path if path == "-" else f"@{path}", "file"),
        "file": os.path.basename(path),
        "current": "--draft" not in call.arguments,
        "dry_run": True if "--dry-run" in call.arguments else None,
    }
    return ask(call, "protocol.load", fields)


def approve(call: Call) -> Outcome:
    """Make a version that was loaded with --draft the current one."""
    return ask(call, "protocol.approve", _version(call))


def drain(call: Call) -> Outcome:
    """Give a version to no new agent."""
    return ask(call, "protocol.drain", _version(call))


def retire(call: Call) -> Outcome:
    """Forget a version that nobody follows."""
    return ask(call, "protocol.retire", _version(call))


def migrate(call: Call) -> Outcome:
    """Move agents to a version."""
    fields = {
        "agents": call.arguments.all("agent") or None,
        "dry_run": True if "--dry-run" in call.arguments else None,
        "policy": word_argument(call, "--policy"),
    }
    return ask(call, "protocol.migrate", _version(call) | fields)


def rollback(call: Call) -> Outcome:
    """Move agents back."""
    return ask(call, "protocol.rollback", _version(call) | {"agents": call.arguments.all("agent") or None})


def _version(call: Call) -> dict[str, Any]:
    return {"name": word_argument(call, "name"), "version": word_argument(call, "version")}
