"""`aism agent`, `prompt`, `limits`, `token`: what people do with agents."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any, Final

from engines.agents.bus import IDENTIFIER
from host.aism.asking import answer_to, count_argument
from host.aism.call import Call
from host.aism.client import AgentClient
from host.aism.keeper.start import NoKeeper, ensure_keeper
from host.aism.node import root_of
from host.aism.output import Failure, Outcome, done
from host.aism.request import fields_of, request
from host.aism.usage import Misuse, seconds

LINES: Final = 50
LOOK_S: Final = 0.05
TAIL_BYTES: Final = 1 << 20
UNITS: Final = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

LIMITS: Final = {
    "memory": ("memory_bytes", "size"),
    "cpu": ("cpu_percent", "percent"),
    "pids": ("pids", "count"),
    "files": ("files", "count"),
    "file_size": ("file_bytes", "size"),
    "cpu_time": ("cpu_seconds", "duration"),
    "wall": ("wall_s", "duration"),
    "output": ("output_bytes_s", "size"),
}
"""Limits as people write them: the engine's name of each, and its kind."""


def add(call: Call) -> Outcome:
    """Add an agent, and start it."""
    _keep()
    return request(
        call,
        "agent.add",
        command=call.arguments.all("word") or None,
        limits=limits_of(call.arguments.all("--limit")) or None,
        environment=_pairs(call.arguments.all("--env")) or None,
        start=False if "--no-start" in call.arguments else None,
    )


def limits_of(words: list[str]) -> dict[str, int]:
    """From `memory=512MiB` and the like to the engine's limits. Raises Misuse."""
    found = {}
    for name, text in _pairs(words).items():
        if name not in LIMITS:
            raise Misuse(f"there is no limit {name!r}", f"limits: {', '.join(LIMITS)}")
        engine_name, kind = LIMITS[name]
        found[engine_name] = _bound(name, kind, text)
    return found


def _bound(name: str, kind: str, text: str) -> int:
    if kind == "duration":
        return max(1, round(seconds(text)))
    match = re.fullmatch(r"(\d{1,12})(%|[kMG]?B|[KMG]iB)?", text, re.ASCII)
    unit = match[2] if match else None
    if match is None or (kind == "count" and unit) or (kind == "percent") != (unit == "%"):
        wanted = {"size": "a size such as 512MiB", "percent": "a percentage such as 50%", "count": "a count"}[kind]
        raise Misuse(f"the limit {name} has to be {wanted}, not {text[:40]!r}")
    return int(match[1]) * (UNITS.get(unit or "B", 1))


def _pairs(words: list[str]) -> dict[str, str]:
    found = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise Misuse(f"{word[:80]!r} is not NAME=VALUE")
        found[name] = text
    return found


def _keep() -> None:
    """Have a keeper run, which may have been killed since `up`. In another folder there is nothing to do."""
    try:
        ensure_keeper(str(root_of(os.getcwd())))
    except Failure:
        return
    except NoKeeper as error:
        raise Failure("unavailable", "keeper", str(error)) from None


def start(call: Call) -> Outcome:
    """Start an agent."""
    _keep()
    return request(call, "agent.start")


def stop(call: Call) -> Outcome:
    """Stop an agent, and wait until its process has ended."""
    asked, shown = _ended(call, "agent.stop")
    if not shown["success"]:
        return Outcome(shown)
    asked["data"] |= {name: shown["data"][name] for name in ("phase", "last_exit")}
    return Outcome(asked, _stopped(call.arguments["agent"], shown["data"]))


def remove(call: Call) -> Outcome:
    """Remove an agent, and wait until its process has ended and its name is free."""
    agent = call.arguments["agent"]
    asked, shown = _ended(call, "agent.remove")
    if not asked["success"]:
        return Outcome(asked)
    if shown["success"]:
        message = f"{agent} is {shown['data']['phase']}: another request came between and kept it"
        raise Failure("conflict", "not_removed", message, suggestions=[f"aism agent rm {agent}"])
    asked["data"]["removed"] = True
    return Outcome(asked, f"{agent} is removed; its workspace is still there")


def _ended(call: Call, op: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The answer to a request that ends an agent, and how the agent is once it is not stopping; a refusal twice."""
    agent = call.arguments["agent"]
    deadline = time.monotonic() + call.options.timeout_s
    asked = answer_to(call, op, fields_of(call, op))
    if not asked["success"]:
        return asked, asked
    with AgentClient() as client:
        while (shown := client.ask("agent.show", agent=agent))["success"] and shown["data"]["phase"] == "stopping":
            if time.monotonic() >= deadline:
                hint = f"it goes on stopping: aism agent show {agent}"
                message = f"{agent} is still stopping after {call.options.timeout_s:g} s"
                raise Failure("timeout", "still_stopping", message, suggestions=[hint])
            time.sleep(LOOK_S)
    return asked, shown


def _stopped(agent: str, data: dict[str, Any]) -> str:
    if data["phase"] != "stopped":
        return f"{agent} is {data['phase']}"
    return f"{agent} has stopped" + (f"; its process: {data['last_exit']}" if data["last_exit"] else "")


def restart(call: Call) -> Outcome:
    """Stop an agent and start it again."""
    _keep()
    return request(call, "agent.restart")


def release(call: Call) -> Outcome:
    """A person gives the agent back."""
    return request(call, "override.release", **({} if call.arguments.get("--reason") else {"reason": "released"}))


def logs(call: Call) -> Outcome:
    """The last lines that an agent's process has written."""
    agent = call.arguments["agent"]
    if not IDENTIFIER.fullmatch(agent):
        raise Misuse(f"{agent[:80]!r} is no name of an agent")
    folder = root_of(os.getcwd()) / "engine" / "sessions" / agent
    sessions = sorted(int(path.name) for path in folder.glob("*") if path.name.isdecimal())
    session = sessions[-1] if sessions else None
    if "--session" in call.arguments:
        session = count_argument(call.arguments["--session"], "--session")
    if session not in sessions:
        raise Failure("unknown", "no_session", f"{agent} has no session {session or ''}".rstrip())
    count = count_argument(call.arguments.get("-n", str(LINES)), "-n")
    name = "stderr.log" if "--stderr" in call.arguments else "stdout.log"
    lines = _tail(folder / str(session) / name, count)
    data = {"agent": agent, "session": session, "sessions": sessions, "stream": name.partition(".")[0], "lines": lines}
    return done(data, "\n".join(lines) or f"nothing on {data['stream']} yet")


def _tail(path: Path, count: int) -> list[str]:
    if not path.exists() or count == 0:
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        return file.read().decode(errors="replace").splitlines()[-count:]


def set_limits(call: Call) -> Outcome:
    """Set limits of an agent."""
    return request(call, "limits.set", limits=limits_of(call.arguments.all("limit")))
