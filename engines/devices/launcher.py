"""Launchers: processes of agents, by way of the keeper of this root (`host/aism/keeper`), which outlives the node.

The driver holds a connection to the keeper's socket, which `<root>/engine/keeper.json` names, and translates: orders
to lines, lines to messages for the orchestrator. It keeps nothing. Crash points: an order that was taken from the
mailbox and not yet written is lost, as is a line that was read and not yet sent. For both there is `LaunchersKnown`
after each start and each new connection, upon which the orchestrator repeats what is open; the keeper repeats exits.
While no keeper answers, orders are dropped, so that the mailbox does not stop the orchestrator.

The twin starts nothing: each order succeeds at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from engines.agents.orchestration.launching import (
    AgentExited,
    AgentPlan,
    EndSession,
    ForgetSession,
    GivePrompt,
    InterruptSession,
    KeeperLost,
    LaunchersKnown,
    LaunchersReport,
    LaunchSession,
    Order,
    PrepareSession,
    PromptGiven,
    ReadWorkspace,
    Report,
    Running,
    SessionLaunched,
    SessionPrepared,
    SessionRefused,
    SessionUse,
    WorkspaceRead,
    WriteState,
)
from engines.model import Arrived, Config, Device, DeviceHost, Effects, Family, Message, Ref, Send, rule

from .root_claim import check_root

LINE_MAX: Final = 4 << 20
RETRY_S: Final = 0.1
RETRY_S_MAX: Final = 2.0
GRACE_S: Final = 10.0
SECOND_NS: Final = 1_000_000_000


class LaunchPlace(Config):
    """Where agents live: the root folder, relative to that in which the node was started. Reports go to `orchestrator`.

    Agents get user ids from `uid_first` on, at levels with users of their own. `visible` are paths that a confined
    agent can read besides the system and this installation.
    """

    orchestrator: Ref[Report]
    root: str = "."
    uid_first: int = 61_000
    visible: tuple[str, ...] = ()


class Launchers:
    """The driver."""

    async def run(self, host: DeviceHost) -> None:
        """Run until cancelled. Raises RootTaken."""
        self.writer: asyncio.StreamWriter | None = None
        self.root = os.path.realpath(host.config.root)
        await asyncio.to_thread(check_root, Path(self.root))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._take_orders(host))
            tasks.create_task(self._stay_connected(host))

    async def _take_orders(self, host: DeviceHost) -> None:
        while True:
            order = (await host.receive()).message
            if self.writer is None:
                continue
            with contextlib.suppress(OSError):
                self.writer.write(json.dumps(line_of(order, self.root, host.config)).encode() + b"\n")
                await self.writer.drain()

    async def _stay_connected(self, host: DeviceHost) -> None:
        pause, is_known = RETRY_S, True
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self._socket(), limit=LINE_MAX)
                pause, is_known = RETRY_S, False
                await self._serve(host, reader, writer)
            except (OSError, ValueError, KeyError) as error:
                if not is_known:
                    await host.send_when_writable(host.config.orchestrator, KeeperLost(loss_of(error)))
                    is_known = True
            finally:
                self.writer = None
            await asyncio.sleep(pause)
            pause = min(2 * pause, RETRY_S_MAX)

    def _socket(self) -> str:
        with open(os.path.join(self.root, "engine", "keeper.json"), "rb") as file:
            return str(json.loads(file.read())["socket"])

    async def _serve(self, host: DeviceHost, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send what the keeper reports on, until it hangs up."""
        try:
            writer.write(b'{"order": "hello"}\n')
            while line := await reader.readline():
                event = json.loads(line)
                if event["event"] == "hello":
                    self.writer = writer
                for message in messages_of(event):
                    await host.send_when_writable(host.config.orchestrator, message)
        finally:
            writer.close()
        raise OSError("the keeper hung up")


def loss_of(error: OSError | ValueError | KeyError) -> str:
    """Why there is no keeper, for people. A keeper lives on while the node gets new code, so it may be an older one."""
    if isinstance(error, KeyError):
        return (
            f"the keeper is of an older version, and does not tell {error}; "
            "`aism down --stop-agents` ends it with its agents, `aism up` starts a new one"
        )
    return str(error)


def line_of(order: Any, root: str, place: LaunchPlace) -> dict[str, Any]:
    """An order as the keeper reads it."""
    if isinstance(order, WriteState):
        uid = place.uid_first + order.user if order.isolation != "none" and os.geteuid() == 0 else None
        return {"order": "write", "agent": order.agent, "name": order.name, "text": order.text, "uid": uid}
    whom = {"agent": order.agent, "session": order.session}
    match order:
        case PrepareSession():
            return {"order": "prepare", "plan": plan_of(order, root, place, "")}
        case LaunchSession():
            return {"order": "launch", **whom, "plan": plan_of(order, root, place, order.bus)}
        case GivePrompt():
            return {"order": "give", **whom, "prompt": order.prompt, "text": order.text}
        case EndSession():
            return {"order": "end", **whom, "grace_s": order.grace_ns / SECOND_NS}
        case InterruptSession():
            return {"order": "interrupt", **whom}
        case ForgetSession():
            return {"order": "forget", **whom}
        case ReadWorkspace():
            return {"order": "read", **whom, "path": order.path, "bytes_max": order.bytes_max, "for": order.request_id}
    raise AssertionError(order)


def plan_of(order: PrepareSession | LaunchSession, root: str, place: LaunchPlace, bus: str) -> dict[str, Any]:
    """All that the keeper has to know to start a session."""
    plan = order.plan
    workspace = os.path.join(root, "agents", order.agent)
    protocols = os.path.join(root, "protocols")
    replaced = {"{workspace}": workspace, "{protocols}": protocols, "{session}": str(order.session)}
    return {
        "agent": order.agent,
        "session": order.session,
        "argv": [_replaced(word, replaced) for word in plan.command],
        "level": plan.isolation,
        "uid": _uid(plan, place),
        "workspace": workspace,
        "protocols": protocols,
        "bus": _folder_of(bus),
        "environment": {
            "PATH": f"{os.path.join(sys.prefix, 'bin')}:/usr/local/bin:/usr/bin:/bin",
            "HOME": workspace,
            "LANG": "C.UTF-8",
            **dict(plan.environment.items()),
            "AGENT_ID": order.agent,
            "AISM_SESSION": str(order.session),
            "AISM_BUS": bus,
        },
        "limits": dict(plan.limits.items()),
        "visible": [*_installation(), *place.visible],
        "network": plan.network,
        "grace_s": GRACE_S,
    }


def _uid(plan: AgentPlan, place: LaunchPlace) -> int | None:
    return place.uid_first + plan.user if plan.isolation != "none" and os.geteuid() == 0 else None


def _replaced(word: str, by: dict[str, str]) -> str:
    for name, text in by.items():
        word = word.replace(name, text)
    return word


def _installation() -> list[str]:
    """The folders of this project's packages, which the command `aism` imports."""
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    names = ("engines", "host", "transport", "bench", "_enginehost.py")
    return [path for name in names if os.path.exists(path := os.path.join(top, name))]


def _folder_of(bus: str) -> str:
    parts = urlsplit(bus)
    return os.path.dirname(unquote(parts.path)) if parts.scheme == "unix" else ""


def messages_of(event: dict[str, Any]) -> list[Message]:
    """What an event of the keeper is to the orchestrator."""
    match event["event"]:
        case "hello":
            running = tuple(
                Running(each["agent"], each["session"], each["pid"], each["given"]) for each in event["running"]
            )
            return [LaunchersKnown(running), *map(_exited, event["exited"])]
        case "report":
            return [LaunchersReport(tuple(_use(each) for each in event["sessions"]))]
        case "exited":
            return [_exited(event)]
        case "prepared":
            return [SessionPrepared(event["agent"], event["session"], event["digest"])]
        case "launched":
            how = tuple(sorted(event["mechanisms"].items()))
            return [SessionLaunched(event["agent"], event["session"], event["pid"], event["level"], how)]
        case "given":
            return [PromptGiven(event["agent"], event["session"], event["prompt"])]
        case "content":
            return [_read(event, event["text"], "")]
        case "refused":
            return _refused(event)
    return []


def _refused(event: dict[str, Any]) -> list[Message]:
    if event["order"] in ("prepare", "launch"):
        return [SessionRefused(event["agent"], event["session"], event["reason"])]
    if event["order"] == "read":
        return [_read(event, "", event["reason"])]
    return []


def _read(event: dict[str, Any], text: str, problem: str) -> WorkspaceRead:
    return WorkspaceRead(event["agent"], event["session"], event["path"], text, problem, event.get("for", ""))


def _exited(event: dict[str, Any]) -> AgentExited:
    return AgentExited(
        event["agent"],
        event["session"],
        event["status"],
        event["signal"],
        event["reason"],
        event["is_clear"],
        int(event.get("lived_s", 0) * SECOND_NS),
    )


def _use(each: dict[str, Any]) -> SessionUse:
    return SessionUse(
        each["agent"],
        each["session"],
        each["processes"],
        each["memory_bytes"],
        each["cpu_ns"],
        sum(each["output"]),
        each["given"],
    )


@rule
def obey(order: Order, t: Arrived[Order, LaunchPlace, None]) -> Effects[None, Report]:
    """Twin. State: none. Messages: that the order succeeded, to the orchestrator. Timers, engines: none."""
    report: Any = reported(order)
    target: Ref[Any] = t.config.orchestrator
    return [] if report is None else [Send(target, report)]


def reported(order: Order) -> Report | None:
    """What the twin reports on an order."""
    match order:
        case PrepareSession():
            digest = sha256(f"{order.agent}.{order.session}".encode()).hexdigest()
            return SessionPrepared(order.agent, order.session, digest)
        case LaunchSession():
            return SessionLaunched(order.agent, order.session, order.session, order.plan.isolation)
        case GivePrompt():
            return PromptGiven(order.agent, order.session, order.prompt)
        case EndSession():
            return AgentExited(order.agent, order.session, None, 15, "stopped")
        case ReadWorkspace():
            return WorkspaceRead(order.agent, order.session, order.path, "", "no such file", order.request_id)
    return None


TWIN = Family("launcher-twin", config=LaunchPlace, accepts=Order, emits=Report).rules(obey)
LAUNCHER = Device("launcher", config=LaunchPlace, accepts=Order, emits=Report, driver=Launchers, twin=TWIN)
