"""The quarantine of a live node: workers set triggers aside, users replay or discard them.

A replay sends the message once more, as a session: the original sender no longer expects an answer, so a rule that
answers the sender of its trigger answers the session. A parked engine then continues, with that message before those
that waited behind it.
"""

from __future__ import annotations

from typing import Any

from host.live.control.protocol import ControlError
from host.live.packets import read_memory_file
from host.live.supervisor import links
from host.live.supervisor.node import SLOT_SUPERVISOR, Node
from host.live.supervisor.quarantine import Held, shown
from host.live.wire import Unpark
from host.node.news import Letter, SetAside, Trigger
from host.node.poison import Policy
from host.node.routing import Missing, Resident


def take(node: Node, found: SetAside, descriptors: list[int]) -> None:
    """A worker set a trigger aside."""
    from host.node.report import render  # brings the model with it: not on the way to the first engine

    payload = read_memory_file(descriptors[0]) if descriptors else None
    at, now_ns, detail = found.trigger, found.now_ns, found.detail
    policy = _policy(node, at.engine)
    try:
        held = node.quarantine.hold(found, policy, payload)
    except OSError as error:
        node.event("quarantine_failed", at.engine, error=str(error))
        held = None
    reason = "quarantined" if held is not None else "quarantine_full"
    message = None if payload is None else render(payload, True)
    letter = Letter(reason, at.sender, at.engine, at.mailbox, now_ns, message, detail)
    if held is None:
        node.letters.add({reason: 1}, [letter])
    else:
        last = detail.strip().splitlines()[-1:] or [""]
        node.event("quarantined", at.engine, id=held.id, sender=at.sender, policy=policy, reason=last[0])
    node.sessions.take_letters([letter])


def release(node: Node, number: int) -> dict[str, Any]:
    """Discard an entry; a parked engine continues once it has none. Raises `ControlError`."""
    held = _find(node, number)
    _release(node, held, "discarded")
    return shown(held, whole=False)


async def replay(node: Node, number: int) -> dict[str, Any]:
    """Send the message of an entry once more. Raises `ControlError`; the entry then stays."""
    held = _find(node, number)
    trigger = held.trigger
    found = node.directory.find(trigger.engine)
    if held.payload is None:
        raise ControlError("refused", f"entry {number} is of elapsed timers, which cannot be sent again")
    if isinstance(found, Missing) or trigger.engine not in node.running:
        raise ControlError("not_ready", f"{trigger.engine} is not running; entry {number} stays")
    sender = await _send(node, found, trigger, held.payload)
    _release(node, held, "replayed", sender)
    return shown(held, whole=False)


def show(node: Node, number: int) -> dict[str, Any]:
    """All of an entry. Raises `ControlError`."""
    return shown(_find(node, number), whole=True)


async def _send(node: Node, resident: Resident, trigger: Trigger, payload: bytes) -> str:
    """Send it; the name of the sending session."""
    session = node.sessions.open()
    links.link(node, resident.slot, SLOT_SUPERVISOR)
    try:
        await node.sessions.send(session, resident.slot, resident.name, trigger.mailbox, payload)
    finally:
        node.sessions.end(session)
    return session.name


def _release(node: Node, held: Held, how: Any, sender: str = "") -> None:
    node.quarantine.release(held.id, how)
    engine = held.trigger.engine
    node.event(how, engine, id=held.id)
    found = node.directory.find(engine)
    if engine not in node.quarantine.parked() and not isinstance(found, Missing):
        node.tell(found.slot, Unpark(engine, sender))


def _find(node: Node, number: int) -> Held:
    held = node.quarantine.find(number)
    if held is None:
        raise ControlError("not_found", f"no entry {number} in quarantine (enginehost quarantine ls)")
    return held


def _policy(node: Node, engine: str) -> Policy:
    found = node.directory.find(engine)
    return "skip" if isinstance(found, Missing) else found.spec.child.poison
