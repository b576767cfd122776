"""`aism protocol show`, `list`, `propose`, `load`: the protocols that the engine has."""

from __future__ import annotations

import os

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


def propose(call: Call) -> Outcome:
    """Propose a protocol."""
    path = call.arguments["file"]
    source = text_argument(path if path == "-" else f"@{path}", "file")
    return ask(call, "protocol.propose", {"source": source, "file": os.path.basename(path)})


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
