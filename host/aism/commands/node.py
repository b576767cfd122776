"""`aism init`, `up`, `down`, `status`, `events`: an engine for agents in a folder."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from engines.agents.bus import OPERATOR, events_key
from host.aism.audited import PLACE
from host.aism.bus_client import BusClient, find_bus
from host.aism.call import Call
from host.aism.client import AgentClient
from host.aism.keeper.start import NoKeeper, end_keeper, ensure_keeper, keeper_socket
from host.aism.node import FILE, enginehost, in_root, items, node_failure, node_file, root_of, running_file, templates
from host.aism.output import Failure, Outcome, done, noticed, write
from host.aism.shown import event_line
from host.aism.usage import Misuse
from host.live.lifeline import PR_SET_PDEATHSIG, prctl
from host.program import command

READY_S: Final = 120.0
"""For the node, and then for its bus. A start takes a second, and many times that on a busy machine; what hangs in it
has limits of its own, which are shorter."""

LOOK_S: Final = 0.05
EVENTS: Final = 20
SAMPLE: Final = "resource"
"""The kind of event that each agent has every few seconds; a person who watches would see little else."""

EVENTS_AT_ONCE: Final = 1_000
FOLLOW_MS: Final = 1_000
FOLDERS: Final = ("protocols", "programs", "agents")


def init(call: Call) -> Outcome:
    """Make a root folder: the node file, protocols to begin with, and what agents are told."""
    root = Path(call.arguments["folder"]).resolve()
    try:
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            raise Failure("conflict", "not_empty", f"{root} is there and is not empty")
        _make(root)
    except OSError as error:
        where = error.filename2 or error.filename or root
        raise Failure("usage", "unwritten", f"{where}: {error.strerror}") from None
    made = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    following = f"next: cd {shlex.quote(str(root))} && aism up -d"
    return done({"root": str(root), "files": made}, f"{root}: {', '.join(made)}\n{following}")


def _make(root: Path) -> None:
    """Write the files of a root folder, or none of them. Raises OSError."""
    source = templates()
    try:
        for name in FOLDERS:
            (root / name).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / "agents.yaml", root / FILE)
        for folder in ("protocols", "programs"):
            for path in sorted((source / "agents" / folder).glob("*.*")):
                shutil.copy(path, root / folder / path.name)
        (root / "agents" / "AGENTS.md").write_text(instructions())
    except OSError:
        for name in FOLDERS:
            shutil.rmtree(root / name, ignore_errors=True)
        with suppress(OSError):
            (root / FILE).unlink()
        raise


def instructions() -> str:
    """What an agent is told about its commands, between markers."""
    from host.aism.table import COMMANDS

    ours = [one for one in COMMANDS if one.audience != "operator"]
    rows = [f"- `{f'aism {one.words} {one.usage}'.strip()}`: {one.summary}" for one in ours]
    head = "<!-- aism: begin; written by the engine -->\n# Your tools\n\nAnswers are JSON objects on standard output.\n"
    return "\n".join([head, *rows, "<!-- aism: end -->", ""])


def up(call: Call) -> Outcome | int:
    """Start the node, its keeper, and register the protocols; attached without `-d`."""
    root = root_of(call.arguments.get("folder") or os.getcwd())
    in_root(root)
    try:
        ensure_keeper(str(root))
    except NoKeeper as error:
        raise Failure("unavailable", "keeper", str(error)) from None
    was = running_file(root)
    file = was or node_file(root, is_strict="--strict" in call.arguments)
    notice = "" if was else _caught_up(root)
    if "-d" not in call.arguments and was is None:
        if notice:
            print(f"aism: {notice}", file=sys.stderr, flush=True)
        return _attached(root, file)
    started = enginehost(root, *_up(file), "-d", "--json")
    if started.returncode:
        raise node_failure(started)
    protocols = _prepare(root)
    data = {"root": str(root), "already": was is not None, "protocols": protocols}
    return noticed(done(data, f"{'already ' if was else ''}up in {root}: {_listed(protocols)}"), notice)


def _caught_up(root: Path) -> str:
    """The audit gets what it has missed; why it does not, or "". An engine runs without an audit too."""
    if not (root / PLACE).is_dir():
        return ""
    from host.aism.catching_up import catch_up

    try:
        catch_up(root)
    except Failure as failure:
        return f"the audit may lack what happened last: {failure}"
    return ""


def _up(file: Path) -> tuple[str, ...]:
    return ("up", file.name, "--timeout", f"{READY_S:.0f}s")


def _attached(root: Path, file: Path) -> int:
    """The node ends with this process, whatever ends it, as it does with `enginehost up`."""
    with subprocess.Popen(command("host.entry", *_up(file)), cwd=root, preexec_fn=_end_with_parent) as node:
        try:
            print(f"up in {root}: {_listed(_prepare(root, node))}", file=sys.stderr, flush=True)
        except Failure as failure:
            print(f"aism: {failure}", file=sys.stderr, flush=True)
        while True:
            try:
                return node.wait()
            except KeyboardInterrupt:
                continue  # the node has got it too, and drains


def _end_with_parent() -> None:
    """In the child: SIGTERM, upon which the node drains, once the parent is gone. There is one thread in the parent."""
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _prepare(root: Path, node: subprocess.Popen[bytes] | None = None) -> list[dict[str, Any]]:
    """Wait for the bus, then register each protocol; those that need another one after that one."""
    deadline = time.monotonic() + READY_S
    while True:
        try:
            with AgentClient(find_bus({"AISM_ROOT": str(root)}, str(root))) as client:
                client.ask("protocol.list", timeout_s=max(LOOK_S, deadline - time.monotonic()))
                return _load_all(client, sorted((root / "protocols").glob("*.md")))
        except Failure:
            if time.monotonic() > deadline or (node is not None and node.poll() is not None):
                raise
            time.sleep(LOOK_S)


def _load_all(client: AgentClient, paths: list[Path]) -> list[dict[str, Any]]:
    results: dict[Path, dict[str, Any]] = {}
    left = paths
    while left:
        results |= {path: _load(client, path) for path in left}
        refused = [path for path in left if not results[path]["success"]]
        if len(refused) == len(left):
            break
        left = refused
    return [results[path] for path in paths]


def _load(client: AgentClient, path: Path) -> dict[str, Any]:
    answer = client.ask("protocol.load", source=path.read_text(), file=path.name, current=True)
    found = {"file": path.name, "success": answer["success"]}
    return found if answer["success"] else found | {"error": answer["error"]}


def _listed(protocols: list[dict[str, Any]]) -> str:
    return ", ".join(
        one["file"] if one["success"] else f"{one['file']} refused ({one['error']['message']})" for one in protocols
    )


def down(call: Call) -> Outcome:
    """Stop the node. Agents run on in their launchers, unless they are to stop too."""
    root = root_of(call.arguments.get("folder") or os.getcwd())
    file = running_file(root)
    if file is not None:
        ended = enginehost(root, "down", "-f", file.name, "--json")
        if ended.returncode:
            raise node_failure(ended)
    running = end_keeper(str(root), "--stop-agents" in call.arguments)
    notice = _caught_up(root)
    text = f"down; {running} agents run on" if running else "down"
    return noticed(done({"root": str(root), "was_running": file is not None, "agents_running": running}, text), notice)


def status(call: Call) -> Outcome:
    """The node's engines, the bus, the keeper, and the agents."""
    root = root_of(call.arguments.get("folder") or os.getcwd())
    file = running_file(root)
    if file is None:
        raise Failure("unavailable", "down", f"no node runs in {root}", suggestions=["aism up -d"])
    engines = {one["engine"]: one["state"] for one in items(root, "ps", "-f", file.name)}
    agents, bus = _agents(root)
    data = {
        "root": str(root),
        "file": file.name,
        "engines": engines,
        "bus": bus,
        "keeper": "up" if keeper_socket(str(root)) else "down",
        "agents": agents,
    }
    lines = [f"{name}: {state}" for name, state in (engines | {"bus": bus, "keeper": data["keeper"]}).items()]
    return done(data, "\n".join(lines))


def _agents(root: Path) -> tuple[Any, str]:
    try:
        with AgentClient(find_bus({"AISM_ROOT": str(root)}, str(root)), timeout_s=5.0) as client:
            answer = client.ask("agent.list")
    except Failure as failure:
        return [], f"down ({failure})"
    return answer.get("data", {}).get("agents", []), "up"


def events(call: Call) -> int:
    """Print the last events, an object or a line of text each; with `-f` also those to come."""
    text = call.arguments.get("-n") or str(EVENTS)
    if not text.isdecimal():
        raise Misuse(f"-n {text[:40]!r} is no count")
    client = BusClient(find_bus(os.environ, os.getcwd()))
    if client.bus.agent != OPERATOR:
        raise Failure("identity", "operators_only", "events are for operators")
    key = events_key(client.bus.namespace)
    last, found = _last_events(client, key, call, min(int(text), EVENTS_AT_ONCE))
    has_reader = _print(call, found)
    while has_reader and "-f" in call.arguments:
        reply = client.command("XREAD", "COUNT", EVENTS_AT_ONCE, "BLOCK", FOLLOW_MS, "STREAMS", key, last)
        for _, entries in reply or ():
            last = entries[-1][0].decode()
            has_reader = _print(call, [event for event in map(_event, entries) if _is_wanted(call, event)])
    return 0


def _last_events(client: BusClient, key: str, call: Call, count: int) -> tuple[str, list[dict[str, Any]]]:
    """The id of the last event there is, and the last `count` that are asked for, the oldest first."""
    last, end = "", "+"
    found: list[dict[str, Any]] = []
    while len(found) < count:
        entries = client.command("XREVRANGE", key, end, "-", "COUNT", EVENTS_AT_ONCE)
        if not entries:
            break
        last = last or entries[0][0].decode()
        end = f"({entries[-1][0].decode()}"
        found += [event for event in map(_event, entries) if _is_wanted(call, event)]
    return last or "$", found[:count][::-1]


def _event(entry: list[Any]) -> dict[str, Any]:
    return {"id": entry[0].decode(), **json.loads(entry[1][1])}


def _is_wanted(call: Call, event: dict[str, Any]) -> bool:
    names = ("--kind", "--agent")
    if event["kind"] == SAMPLE and not call.options.is_json and "--kind" not in call.arguments:
        return False
    return all(event.get(name[2:]) == call.arguments[name] for name in names if name in call.arguments)


def _print(call: Call, events: list[dict[str, Any]]) -> bool:
    """Whether somebody reads it."""
    return write("".join(f"{json.dumps(event) if call.options.is_json else event_line(event)}\n" for event in events))
