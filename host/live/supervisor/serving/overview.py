"""What `ps` and `status` show: the supervisor's state, and the answers of workers that come in time.

A worker that does not answer within `STATS_NS` is still shown: `stopped` if the system reports that (SIGSTOP, a
debugger), otherwise `busy`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from host.live.supervisor.node import Node
from host.live.supervisor.serving.rates import Sample
from host.live.supervisor.slots import Slot
from host.node.routing import Resident

STATS_NS: Final = 40_000_000
"""For all workers together: `ps` stays below 100 ms whatever they do."""


def node_item(node: Node) -> dict[str, Any]:
    """The item of `status`."""
    spec = node.spec
    return {
        "node": spec.node,
        "config": spec.path,
        "digest": spec.digest,
        "pid": os.getpid(),
        "data": node.data,
        "native": node.transport.native,
        "transport": "lane" if node.transport.native else "zmq",
        "wait": spec.transport.wait,
        "started_ns": node.started_ns,
        "phase": node.phase,
        "engines": len(node.directory),
        "slots": len(node.slots),
        "lines_lost": node.events.lost + node.logs.lost,
    }


async def list_engines(node: Node) -> list[dict[str, Any]]:
    """The items of `ps`, in the order in which the engines were entered."""
    slots = [slot for slot in node.slots.values() if slot.process is not None]
    replies = await node.queries.ask_all((s.process for s in slots if s.process), "stats", STATS_NS)
    silent = {s.number: _silence(s) for s, reply in zip(slots, replies, strict=True) if reply is None}
    stats = {item["engine"]: item for reply in replies if reply is not None and reply.payload for item in reply.payload}
    residents = list(node.directory)
    node.rates.keep({resident.name for resident in residents})
    memory = {number: _memory_bytes(slot) for number, slot in node.slots.items()}
    parked = node.quarantine.parked()
    states = (_state(node, one, stats.get(one.name, {}), silent, parked) for one in residents)
    return [
        _engine_item(node, resident, state, stats.get(resident.name, {}), memory)
        for resident, state in zip(residents, states, strict=True)
    ]


def _engine_item(
    node: Node, resident: Resident, state: str, stats: dict[str, Any], memory: dict[int, int]
) -> dict[str, Any]:
    slot, running, waits = node.slots[resident.slot], node.running.get(resident.name), node.waits.get(resident.name)
    sample = Sample()  # of an engine that did not answer the counters are unknown, not zero
    if stats:
        sample = node.rates.at(resident.name, node.now_ns(), stats["received"], stats["sent"])
    return {
        "engine": resident.name,
        "family": resident.spec.family,
        "state": state,
        "pid": slot.process.pid if slot.process else None,
        "placement": str(resident.spec.placement),
        "slot": slot.number,
        "mailbox_depth": stats.get("mailbox_depth", 0),
        "in_rate": round(sample.in_rate, 1),
        "out_rate": round(sample.out_rate, 1),
        "handled": stats.get("handled", 0),
        "restarts": slot.restarts,
        "version": running.version if running else "",
        "waits_for": list(waits.options) if waits else [],
        "wait": node.spec.transport.wait,
        "native": node.transport.native,
        "fault": node.faults.get(resident.name, "") or node.diverged.get(resident.name, ""),
        "memory_bytes": memory[slot.number],
    }


def _state(
    node: Node, resident: Resident, stats: dict[str, Any], silent: Mapping[int, str], parked: frozenset[str]
) -> str:
    """The state in a word. `silent` are the slots whose process did not answer in time, with its state."""
    slot = node.slots[resident.slot]
    if slot.state in ("degraded", "finished"):
        return slot.state
    if resident.name in node.faults:
        return "failed"
    if slot.state in ("starting", "restarting", "recalled", "stopping") or resident.name not in node.running:
        return slot.state if slot.state != "running" else "starting"
    if resident.name in parked:
        return "parked"
    if resident.name in node.waits:
        return "suspended"
    if slot.number in silent:
        return silent[slot.number]
    return "device" if slot.device else str(stats.get("state", "running"))


def _silence(slot: Slot) -> str:
    """The state of a process that did not answer: looked up once, however many engines it has."""
    return "stopped" if slot.process and _is_stopped(slot.process.pid) else "busy"


def _is_stopped(pid: int) -> bool:
    import psutil

    try:
        return bool(psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP))
    except psutil.Error:
        return False


def _memory_bytes(slot: Slot) -> int:
    import psutil

    try:
        return int(psutil.Process(slot.process.pid).memory_info().rss) if slot.process and slot.process.pid else 0
    except psutil.Error:
        return 0
