"""`aism agent`, `prompt`, `limits`, `token`: what people do with agents."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any, Final

from engines.agents.bus import IDENTIFIER
from host.aism import shown
from host.aism.asking import answer_to, ask, count_argument, text_argument, word_argument
from host.aism.call import Call
from host.aism.client import AgentClient
from host.aism.keeper.start import NoKeeper, ensure_keeper
from host.aism.main import seconds
from host.aism.node import root_of
from host.aism.output import Failure, Outcome, done
from host.aism.usage import Misuse

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
    _keep(call)
    words = call.arguments.all("word")
    fields = {
        "agent": call.arguments["agent"],
        "role": word_argument(call, "--role"),
        "protocol": word_argument(call, "--protocol"),
        "command": words or None,
        "isolation": word_argument(call, "--isolation"),
        "mode": word_argument(call, "--mode"),
        "limits": limits_of(call.arguments.all("--limit")) or None,
        "environment": _pairs(call.arguments.all("--env")) or None,
        "network": True if "--network" in call.arguments else None,
        "start": False if "--no-start" in call.arguments else None,
    }
    return ask(call, "agent.add", fields)


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


def _keep(call: Call) -> None:
    """Have a keeper run, which may have been killed since `up`. In another folder there is nothing to do."""
    try:
        ensure_keeper(str(root_of(os.getcwd())))
    except Failure:
        return
    except NoKeeper as error:
        raise Failure("unavailable", "keeper", str(error)) from None


def _about(call: Call, op: str, **fields: Any) -> Outcome:
    return ask(call, op, {"agent": call.arguments["agent"], **fields})


def _reason(call: Call) -> str | None:
    return text_argument(call.arguments["--reason"], "--reason") if "--reason" in call.arguments else None


def start(call: Call) -> Outcome:
    """Start an agent."""
    _keep(call)
    return _about(call, "agent.start")


def stop(call: Call) -> Outcome:
    """Stop an agent, and wait until its process has ended."""
    agent = call.arguments["agent"]
    deadline = time.monotonic() + call.options.timeout_s
    fields = {"agent": agent, "now": True if "--now" in call.arguments else None, "reason": _reason(call)}
    asked = answer_to(call, "agent.stop", fields)
    if not asked["success"]:
        return Outcome(asked)
    with AgentClient() as client:
        while (answer := client.ask("agent.show", agent=agent))["success"]:
            data = answer["data"]
            if data["phase"] != "stopping":
                asked["data"] |= {name: data[name] for name in ("phase", "last_exit")}
                return Outcome(asked, _stopped(agent, data))
            if time.monotonic() >= deadline:
                hint = f"it goes on stopping: aism agent show {agent}"
                message = f"{agent} is still stopping after {call.options.timeout_s:g} s"
                raise Failure("timeout", "still_stopping", message, suggestions=[hint])
            time.sleep(LOOK_S)
    return Outcome(answer)


def _stopped(agent: str, data: dict[str, Any]) -> str:
    if data["phase"] != "stopped":
        return f"{agent} is {data['phase']}"
    return f"{agent} has stopped" + (f"; its process: {data['last_exit']}" if data["last_exit"] else "")


def restart(call: Call) -> Outcome:
    """Stop an agent and start it again."""
    _keep(call)
    return _about(call, "agent.restart", reason=_reason(call))


def pause(call: Call) -> Outcome:
    """Send an agent no prompts, or send them again."""
    return _about(call, "agent.pause", resume=True if "--resume" in call.arguments else None, reason=_reason(call))


def takeover(call: Call) -> Outcome:
    """A person takes over."""
    return _override(call, "override.takeover", _reason(call))


def release(call: Call) -> Outcome:
    """A person gives the agent back."""
    return _override(call, "override.release", _reason(call) or "released")


def _override(call: Call, op: str, reason: str | None) -> Outcome:
    agent = call.arguments["agent"]
    return ask(call, op, {"agent": agent, "reason": reason}, shown=lambda answer, _: shown.state(answer, agent))


def remove(call: Call) -> Outcome:
    """Remove an agent; its workspace stays."""
    return _about(call, "agent.remove")


def show(call: Call) -> Outcome:
    """An agent."""
    return _about(call, "agent.show")


def listed(call: Call) -> Outcome:
    """All agents."""
    answer = answer_to(call, "agent.list", {"after": word_argument(call, "--after")})
    if not answer["success"]:
        return Outcome(answer)
    agents = answer["data"]["agents"]
    rows = [f"{one['agent']:<16} {one['phase']:<12} {one['state']:<16} {one['pid'] or '-'}" for one in agents]
    head = f"{'AGENT':<16} {'PHASE':<12} {'STATE':<16} PID"
    return Outcome(answer, "\n".join([head, *rows]) if rows else "no agents")


def logs(call: Call) -> Outcome:
    """The last lines that an agent's process has written."""
    agent = call.arguments["agent"]
    if not IDENTIFIER.fullmatch(agent):
        raise Misuse(f"{agent[:80]!r} is no name of an agent")
    folder = root_of(os.getcwd()) / "engine" / "sessions" / agent
    sessions = sorted(int(path.name) for path in folder.glob("*") if path.name.isdecimal())
    session = count_argument(call, "--session")
    if session is None and sessions:
        session = sessions[-1]
    if session not in sessions:
        raise Failure("unknown", "no_session", f"{agent} has no session {session or ''}".rstrip())
    count = count_argument(call, "-n")
    name = "stderr.log" if "--stderr" in call.arguments else "stdout.log"
    lines = _tail(folder / str(session) / name, LINES if count is None else count)
    data = {"agent": agent, "session": session, "sessions": sessions, "stream": name.partition(".")[0], "lines": lines}
    return done(data, "\n".join(lines) or f"nothing on {data['stream']} yet")


def _tail(path: Path, count: int) -> list[str]:
    if not path.exists() or count == 0:
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        return file.read().decode(errors="replace").splitlines()[-count:]


def prompt(call: Call) -> Outcome:
    """Prompt an agent, as a person."""
    return _about(call, "prompt.send", text=text_argument(call.arguments["text"], "text"))


def show_limits(call: Call) -> Outcome:
    """The limits of an agent, and how each is kept."""
    return _about(call, "limits.show")


def set_limits(call: Call) -> Outcome:
    """Set limits of an agent."""
    return _about(call, "limits.set", limits=limits_of(call.arguments.all("limit")))


def rotate_token(call: Call) -> Outcome:
    """Give an agent a new token: its process is started again."""
    return _about(call, "agent.rotate_token")
