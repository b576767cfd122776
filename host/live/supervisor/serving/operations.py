"""The operations of the control protocol: each takes arguments and answers with one `Response`.

Errors are raised as `ControlError` with a name from `EXIT_CODES` and a sentence of advice; `handle` turns these and
unforeseen exceptions into responses. Nothing here waits without a deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from host.live.control.protocol import ControlError, Request, Response
from host.live.supervisor import quarantined
from host.live.supervisor.kept_letters import letter_item
from host.live.supervisor.node import Node
from host.live.supervisor.perform import restart_by_hand
from host.live.supervisor.processes import Process
from host.live.supervisor.quarantine import shown
from host.live.supervisor.records import Item, Record
from host.live.supervisor.reload import ReloadOrder
from host.live.supervisor.reload_request import reload_engine, reload_together
from host.live.supervisor.serving.overview import list_engines, node_item
from host.live.supervisor.serving.sending import Dispatch, bury_ended, id_key, send_message
from host.live.supervisor.serving.server import Send
from host.node.routing import Missing, Resident

QUERY_NS: Final = 2_000_000_000
"""For a worker to answer between two batches; one that does not answer is stuck in a transition, or stopped."""

HEARTBEAT_S: Final = 5.0
"""After so long without news an empty batch checks whether a follower is still there."""

BACKLOG_MAX: Final = 1_000
"""Batches that wait for a follower; beyond it the oldest are dropped."""

Args = dict[str, Any]
_PROBATION: Final = ("probation_ns", "probation_triggers", "transition_max_ns")
Stop = Callable[[int], None]


class Operations:
    """All operations on one node. `stop` begins its shutdown, with a time for draining."""

    def __init__(self, node: Node, stop: Stop) -> None:
        self._node = node
        self._stop = stop
        self._dispatch = Dispatch()
        self._plain: dict[str, Callable[[Args], Awaitable[Response]]] = {
            "status": self._status,
            "ps": self._ps,
            "send": self._send,
            "state": self._state,
            "timers": self._timers,
            "mailbox": self._mailbox,
            "dead_letters": self._dead_letters,
            "reload": self._reload,
            "restart": self._restart,
            "kill": self._kill,
            "quarantine": self._quarantine,
            "answer": self._answer,
            "down": self._down,
        }

    async def handle(self, request: Request, send: Send) -> Response | None:
        """Run one request; the `Handler` of the control server."""
        try:
            if request.op in ("logs", "events"):
                return await self._follow(request, send)
            operation = self._plain.get(request.op)
            if operation is None:
                raise ControlError("usage", f"this node knows no operation {request.op!r}")
            return await operation(request.args)
        except ControlError as error:
            return Response("error", error.items, error=error.error, message=error.message)
        except (KeyError, TypeError, ValueError, msgspec.ValidationError) as error:
            message = f"{request.op}: arguments not understood: {type(error).__name__}: {error}"
            return Response("error", error="usage", message=message)
        except Exception as error:
            detail = [{"detail": traceback.format_exc()}]
            return Response("error", detail, error="failed", message=f"{request.op}: {type(error).__name__}: {error}")

    async def _status(self, _: Args) -> Response:
        return Response("node", [node_item(self._node)])

    async def _ps(self, _: Args) -> Response:
        return Response("engine", await list_engines(self._node))

    async def _send(self, args: Args) -> Response:
        node, key = self._node, id_key(args)
        first = self._dispatch.first(key)
        if first is not None:
            return await first
        found = node.directory.find(args["engine"])
        if isinstance(found, Missing) and found.reason == "ended":
            bury_ended(node, args)
        resident = self._resident(args["engine"])
        return await self._dispatch.once(key, resident, lambda: send_message(node, resident, args))

    async def _state(self, args: Args) -> Response:
        return Response("state", await self._query("state", args["engine"]))

    async def _timers(self, args: Args) -> Response:
        if args.get("engine"):
            return Response("timer", await self._query("timers", args["engine"]))
        slots = [slot for slot in self._node.slots.values() if slot.process is not None]
        replies = await self._node.queries.ask_all((s.process for s in slots if s.process), "timers", QUERY_NS)
        if silent := {slot.number for slot, reply in zip(slots, replies, strict=True) if reply is None}:
            names = ", ".join(resident.name for resident in self._node.directory if resident.slot in silent)
            raise ControlError("timeout", f"no answer from {names}; others can be asked one by one: timers ENGINE")
        return Response("timer", [item for reply in replies if reply is not None for item in _items(reply.payload)])

    async def _mailbox(self, args: Args) -> Response:
        items = await self._query("mailbox", args["engine"])
        number = args.get("mailbox")
        found = [item for item in items if number is None or item["mailbox"] == number]
        if not found:
            declared = ", ".join(str(item["mailbox"]) for item in items) or "none"
            raise ControlError("not_found", f"{args['engine']} has no mailbox {number}; declared: {declared}")
        return Response("mailbox", found)

    async def _dead_letters(self, args: Args) -> Response:
        letters = self._node.letters
        if args.get("counts"):
            return Response("count", [{"reason": r, "count": n} for r, n in sorted(letters.counts.items())])
        items = [letter_item(letter) for letter in letters.newest(args.get("limit", 20), args.get("engine") or "")]
        return Response("dead_letter", items)

    async def _reload(self, args: Args) -> Response:
        rest = {name: args[name] for name in ("rehearse", "is_trial", "pause_ns") if name in args}
        given = {name: value for name, value in args.items() if name in _PROBATION and value is not None}
        asked = _PROBATION[:2]
        if any(name in given for name in asked):  # one bound of its length replaces both of the node file
            given = dict.fromkeys(asked, 0) | given
        probation = msgspec.structs.replace(self._node.spec.reload, **given)
        if given.get("transition_max_ns") and not probation.is_on:
            raise ControlError("usage", "a bound of transitions holds on probation: say for how long (--probation)")
        order = ReloadOrder(args["timeout_ns"], probation=probation, **rest)
        if "together" in args:
            names = dict.fromkeys(args["together"])
            return Response("reload", await reload_together(self._node, [*map(self._resident, names)], order))
        return Response(
            "reload", [await reload_engine(self._node, self._resident(args["engine"]), args.get("to") or "", order)]
        )

    async def _restart(self, args: Args) -> Response:
        resident = self._resident(args["engine"])
        node = self._node
        slot = node.slots[resident.slot]
        if slot.state == "restarting" and slot.number in node.probations:
            raise ControlError("conflict", f"{resident.name} is on probation, which goes back by itself")
        if slot.state not in ("degraded", "finished", "restarting"):
            raise ControlError("conflict", f"{resident.name} is {slot.state}; `enginehost kill` ends its process first")
        restart_by_hand(node, slot)
        return Response("restart", [{"engine": resident.name}])

    async def _kill(self, args: Args) -> Response:
        resident = self._resident(args["engine"])
        process = self._node.slots[resident.slot].process
        if process is None:
            raise ControlError("not_ready", f"{resident.name} has no process")
        pid = process.pid
        process.kill()
        if not await process.wait(QUERY_NS):
            raise ControlError("timeout", f"process {pid} of {resident.name} has not ended yet")
        others = [one.name for one in self._node.directory.in_slot(resident.slot) if one.name != resident.name]
        return Response("killed", [{"engine": resident.name, "pid": pid, "shared_with": others}])

    async def _quarantine(self, args: Args) -> Response:
        node = self._node
        match args["do"]:
            case "ls":
                if args.get("engine"):
                    self._known(args["engine"])
                entries = node.quarantine.entries(args.get("engine") or "")
                return Response("quarantined", [shown(held, whole=False) for held in entries])
            case "show":
                return Response("quarantined", [quarantined.show(node, args["id"])])
            case "replay":
                return Response("quarantined", [await self._in_time(quarantined.replay(node, args["id"]))])
            case "discard":
                return Response("quarantined", [quarantined.release(node, args["id"])])
            case other:
                raise ControlError("usage", f"quarantine takes ls, show, replay or discard, not {other!r}")

    async def _in_time(self, work: Awaitable[Any]) -> Any:
        try:
            return await asyncio.wait_for(work, QUERY_NS / 1e9)
        except TimeoutError:
            raise ControlError("timeout", "the engine takes no messages now; the entry stays") from None

    async def _answer(self, args: Args) -> Response:
        engine, choice = args["engine"], str(args["choice"])
        process = self._process(self._resident(engine))
        if engine not in self._node.waits:
            raise ControlError("conflict", f"{engine} does not wait for a choice")
        reply = await self._node.queries.answer(process, engine, choice, QUERY_NS)
        if reply is None:
            raise ControlError("timeout", f"{engine} did not answer")
        if reply.error:
            raise ControlError("refused", reply.error)
        return Response("answer", [{"engine": engine, "choice": choice}])

    async def _down(self, args: Args) -> Response:
        self._stop(int(args.get("drain_ns", 0)))
        return Response("down", [{"node": self._node.spec.node}])

    async def _follow(self, request: Request, send: Send) -> Response | None:
        node, args = self._node, request.args
        record, kind = (node.logs, "log") if request.op == "logs" else (node.events, "event")
        engine, limit = args.get("engine") or "", int(args.get("limit", 100))
        if engine and not args.get("follow") and not any(i.get("engine") == engine for i in record.newest(limit)):
            self._known(engine)
        newest = record.newest(limit, engine)
        if not args.get("follow"):
            return Response(kind, newest)
        await _stream(record, engine, lambda items: send(Response(kind, items, last=False)), newest)
        return Response(kind)

    async def _query(self, kind: str, engine: str) -> list[Any]:
        """The answer of an engine's worker to a query. Raises `ControlError`."""
        resident = self._resident(engine)
        reply = await self._node.queries.ask(self._process(resident), kind, engine, QUERY_NS)
        if reply is None:
            raise ControlError("timeout", f"{engine} did not answer: it is busy, stuck or stopped (enginehost ps)")
        if reply.error:
            raise ControlError("failed", reply.error)
        return _items(reply.payload)

    def _process(self, resident: Resident) -> Process:
        slot = self._node.slots[resident.slot]
        if slot.process is None or resident.name not in self._node.running:
            why = self._node.faults.get(resident.name, slot.state)
            raise ControlError("not_ready", f"{resident.name} is not running: {why}")
        return slot.process

    def _resident(self, name: str) -> Resident:
        found = self._node.directory.find(name)
        if isinstance(found, Missing):
            raise self._missing(name, found)
        return found

    def _known(self, name: str) -> None:
        """Raises `ControlError` for a name that was never in use."""
        found = self._node.directory.find(name)
        if isinstance(found, Missing) and found.reason == "unknown":
            raise self._missing(name, found)

    def _missing(self, name: str, found: Missing) -> ControlError:
        item = {"reason": found.reason, "target": name}
        if found.reason == "ended":
            return ControlError("not_found", f"{name} ended and takes no more messages", [item])
        near = difflib.get_close_matches(name, [resident.name for resident in self._node.directory], 1)
        guess = f"; did you mean {near[0]}?" if near else ""
        return ControlError("not_found", f"{name}: no such engine{guess}", [item])


async def _stream(record: Record, engine: str, send: Callable[[list[Item]], bool], newest: list[Item]) -> None:
    """Send items as they come, until the follower is gone."""
    queue: asyncio.Queue[list[Item]] = asyncio.Queue(BACKLOG_MAX)

    def follower(items: list[Item]) -> None:
        wanted = [item for item in items if not engine or item.get("engine") == engine]
        if queue.full():
            queue.get_nowait()
        if wanted:
            queue.put_nowait(wanted)

    record.follow(follower)
    try:
        is_there = send(newest)
        while is_there:
            items: list[Item] = []
            with contextlib.suppress(TimeoutError):
                items = await asyncio.wait_for(queue.get(), HEARTBEAT_S)
            is_there = send(items)
    finally:
        record.leave(follower)


def _items(payload: Any) -> list[Any]:
    return payload if isinstance(payload, list) else [payload]
