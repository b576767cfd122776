"""`aism doctor`: what this machine has for agents, and what is reduced without it; in a root, also whether the journal
of its engine is in order. Needs no engine that runs.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from typing import Any, Final

from engines.devices.store_server import NoServer, find_server
from host.aism.call import Call
from host.aism.keeper import isolation, limits
from host.aism.node import FILE, enginehost, root_of
from host.aism.output import Failure, Outcome, done

IDENTITY: Final = {
    "none": "advisory only: any agent of the same user can read the token of another",
    "uid": "each agent has a user of its own; it sees other processes, and the network",
    "bwrap": "own user, own processes, own files, no network unless allowed",
    "runc": "a container: own user, own processes, own files, no network unless allowed",
    "docker": "not available",
}
"""What a level of isolation is worth."""


def doctor(_call: Call) -> Outcome:
    """All of it."""
    data = {
        "isolation": {level: _level(level, reason) for level, reason in isolation.available().items()},
        "limits": limits.available(),
        "store": _store(),
        "git": _git(),
        "mcp": "available" if find_spec("mcp") else "reduced: no MCP server; install the extra `mcp`",
    }
    journal = _journal()
    return done(data | ({"journal": journal} if journal else {}), "\n".join([*_lines(data), *_of_journal(journal)]))


def _journal() -> dict[str, str]:
    """What is found in each log of the root that we are in, if we are in one."""
    try:
        found = enginehost(root_of(os.getcwd()), "journal", "verify", "-f", FILE, "--json")
        items = json.loads(found.stdout.partition("\n")[0])["items"]
    except (Failure, ValueError):
        return {}
    return {
        one["log"]: f"{one['segment']} {one['finding']}; {one['choices']}".lstrip() if one["finding"] else "in order"
        for one in items
        if "log" in one
    }


def _of_journal(journal: dict[str, str]) -> list[str]:
    return [f"journal {log}: {finding}" for log, finding in journal.items()]


def _level(level: str, reason: str) -> dict[str, Any]:
    if reason:
        return {"available": False, "reason": reason}
    found: dict[str, Any] = {"available": True, "identity": IDENTITY[level], **isolation.gain(level)._asdict()}
    private = isolation.private_folder(sys.executable)
    if level == "uid" and private:
        found["note"] = f"other users cannot enter {private}, where this Python is, so `aism` does not run for them"
    if level == "bwrap" and os.geteuid() != 0:
        found["identity"] = "own processes, own files, no network unless allowed; the same user"
    return found


def _store() -> str:
    if os.environ.get("AISM_REDIS_URL"):
        return "available: AISM_REDIS_URL names one"
    try:
        found = find_server(os.environ)
    except NoServer as error:
        return f"missing: {error}"
    return f"available: {found.path} {found.version}"


def _git() -> str:
    return "available: pygit2" if find_spec("pygit2") else "reduced: no audit repository; install the extra `agents`"


def _lines(data: dict[str, Any]) -> list[str]:
    lines = []
    for level, found in data["isolation"].items():
        text = found["identity"] if found["available"] else found["reason"].removeprefix(f"{level}: ")
        lines.append(f"isolation {level}: {'available' if found['available'] else 'missing'}: {text}")
        lines += [f"  {found['note']}"] if "note" in found else []
    lines += [f"limit {name}: {how}" for name, how in data["limits"].items()]
    return [*lines, *(f"{name}: {data[name]}" for name in ("store", "git", "mcp"))]
