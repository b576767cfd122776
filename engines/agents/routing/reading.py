"""Reading: messages are handed out on a lease, and acknowledged or refused.

A request that waits is *parked* until a message comes that it asks for. A repeat of a read gets the same messages, as
far as they are still in the inbox, so its answer need not be kept.

A read may acknowledge what earlier ones got (`ack`), which saves a request. It does so before it looks for messages,
and is answered whatever comes of it: `unknown` names the ids that are not, or no longer, handed out to the agent. A
read with such ids does not wait, as a later answer could not name them. A repeat that waits, or gets messages again,
does not acknowledge again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Final

import msgspec
from msgspec.structs import replace

from engines.model import Map

from ..envelope import Json, Problem, failed, read_body, succeeded
from ..messages import AgentAnswer, AgentRequest
from .inbox import Letter, candidates, lease, remove
from .mail_turn import MailTurn
from .provenance import shown_engine, shown_peer
from .sending import notify, settle
from .state import ENGINE, Parked, Thread, number_of

READ_MAX: Final = 100
READ_COUNT: Final = 10
READ_BYTES_MAX: Final = 512 << 10
WAIT_NS_MAX: Final = 3_600 * 10**9
PARKED_MAX: Final = 4
"""Requests of an agent that wait for messages."""

IDS_MAX: Final = 1_000


def read(turn: MailTurn, request: AgentRequest, agent: str, body: Mapping[str, Json]) -> None:
    """Hands out messages, or parks the request until one comes."""
    _begin_session(turn, request, agent)
    if (known := _handed_out(turn, request, agent)) is not None:
        turn.answer(request, handed(turn, request, agent, known), is_remembered=False)
        return
    parked = turn.inbox(agent).parked
    for number in parked:
        waiting = turn.state.parked[number]
        if waiting.request.request_id == request.request_id:
            turn.change(parked=turn.state.parked.set(number, replace(waiting, request=request)))
            serve_parked(turn, agent)
            return
    acked, unknown = _acknowledged(turn, agent, body.get("ack") or ())
    letters = _take(turn, request, agent, body)
    wait_ns = min(body.get("wait") or 0, WAIT_NS_MAX)
    has_room = len(parked) < PARKED_MAX
    if letters or unknown or not wait_ns or (acked and not has_room):
        turn.answer(request, handed(turn, request, agent, letters, unknown), is_remembered=False)
        return
    if not has_room:
        problem = Problem("limit", "busy", f"{PARKED_MAX} requests of '{agent}' wait already", retry_after_ms=1_000)
        turn.answer(request, failed(request, problem, turn.frame(agent)), is_remembered=False)
        return
    number = turn.state.park + 1
    slot = turn.wake_at(turn.now_ns + wait_ns, "parked", agent, number)
    turn.change(park=number, parked=turn.state.parked.set(number, Parked(request, slot)))
    turn.set_inbox(agent, replace(turn.inbox(agent), parked=(*parked, number)))


def serve_parked(turn: MailTurn, agent: str) -> None:
    """Answers requests that wait, as far as there are messages for them."""
    for number in turn.inbox(agent).parked:
        waiting = turn.state.parked[number]
        if letters := _take(turn, waiting.request, agent, read_body(waiting.request.body)):
            unpark(turn, agent, number)
            turn.answer(waiting.request, handed(turn, waiting.request, agent, letters), is_remembered=False)


def unpark(turn: MailTurn, agent: str, number: int) -> AgentRequest:
    """Takes out a request that waits."""
    waiting = turn.state.parked[number]
    turn.unwake(waiting.slot)
    turn.change(parked=turn.state.parked.without(number))
    inbox = turn.inbox(agent)
    turn.set_inbox(agent, replace(inbox, parked=tuple(one for one in inbox.parked if one != number)))
    return waiting.request


def _begin_session(turn: MailTurn, request: AgentRequest, agent: str) -> None:
    """At the first request of a later session, what the earlier one had not acknowledged is handed out again."""
    inbox = turn.inbox(agent)
    if request.agent != agent or request.session <= inbox.session:
        return
    for number, session in inbox.leased.items():
        if session < request.session:
            turn.return_lease(agent, inbox.letters[number])
    after = replace(turn.inbox(agent), session=request.session, reads=Map(), reads_before=Map())
    turn.set_inbox(agent, after)


def _handed_out(turn: MailTurn, request: AgentRequest, agent: str) -> list[Letter] | None:
    """The messages that this very request got before; None for a new one."""
    inbox = turn.inbox(agent)
    numbers = inbox.reads.get(request.request_id)
    if numbers is None:
        numbers = inbox.reads_before.get(request.request_id)
    return None if numbers is None else [inbox.letters[one] for one in numbers if one in inbox.leased]


def _take(turn: MailTurn, request: AgentRequest, agent: str, body: Mapping[str, Json]) -> list[Letter]:
    """The messages that a request gets; they are leased unless it only looks."""
    count = max(1, min(body.get("max") or READ_COUNT, READ_MAX))
    inbox, found = candidates(turn.inbox(agent), count, _wanted(body), turn.is_taken(agent))
    found = _within(found)
    if body.get("peek"):
        return found
    if not found:
        turn.set_inbox(agent, inbox)
        return []
    slots = turn.wake_all_at(turn.now_ns + turn.ways.lease_ns, "lease", agent, [one.number for one in found])
    inbox, leased = lease(inbox, found, slots)
    turn.set_inbox(agent, inbox.with_read(request.request_id, tuple(one.number for one in leased)))
    for attempt, alike in groupby(leased, lambda one: one.attempt):
        ids = [one.id for one in alike]
        turn.happen("message.delivered", agent, ("ids", " ".join(ids)), ("attempt", str(attempt)), times=len(ids))
    return leased


def _within(letters: list[Letter]) -> list[Letter]:
    """As many as fit an answer, and one at least."""
    size = 0
    for index, letter in enumerate(letters):
        size += len(letter.text.encode()) + len(letter.fields)
        if index and size > READ_BYTES_MAX:
            return letters[:index]
    return letters


def _wanted(body: Mapping[str, Json]) -> Callable[[Letter], bool]:
    kind, sender = body.get("type"), body.get("from")
    return lambda one: (not kind or one.message_type == kind) and (not sender or one.sender == sender)


def handed(
    turn: MailTurn, request: AgentRequest, agent: str, letters: list[Letter], unknown: Sequence[str] = ()
) -> AgentAnswer:
    """The answer with these messages, and the ids that could not be acknowledged."""
    data: dict[str, Json] = {"messages": [shown(one) for one in letters], "unread": turn.inbox(agent).unread}
    if unknown:
        data["unknown"] = unknown
    return succeeded(request, data, turn.frame(agent))


def shown(letter: Letter) -> dict[str, Json]:
    """A message as its receiver sees it: the text between markers that say where it comes from."""
    is_engine = letter.sender == ENGINE
    text = letter.text
    body = (
        shown_engine(letter.id, text) if is_engine else shown_peer(letter.sender, letter.sender_role, letter.id, text)
    )
    every = {
        "id": letter.id,
        "from": letter.sender,
        "role": letter.sender_role,
        "sender_state": letter.sender_state,
        "seq": letter.seq,
        "type": letter.message_type,
        "text": body,
        "fields": msgspec.json.decode(letter.fields) if letter.fields else {},
        "at_ns": letter.at_ns,
        "attempt": letter.attempt,
    }
    some = {
        "conversation": letter.conversation,
        "in_reply_to": letter.in_reply_to,
        "reply_until_ns": letter.reply_until_ns,
        "expires_ns": letter.expires_ns,
        "original_type": letter.original_type,
    }
    return every | {name: value for name, value in some.items() if value}


# --- ack, refuse, thread ----------------------------------------------------------------------------------------------


def acknowledge(turn: MailTurn, request: AgentRequest, agent: str, body: Mapping[str, Json]) -> AgentAnswer:
    """Messages are dealt with, and leave the inbox. The others were acknowledged before, or never handed out."""
    _begin_session(turn, request, agent)
    acked, unknown = _acknowledged(turn, agent, body["ids"])
    data = {"acked": acked, "unknown": unknown, "unread": turn.inbox(agent).unread}
    if acked or not unknown:
        return succeeded(request, data, turn.frame(agent))
    problem = Problem("unknown", "unknown_message", "no such message is handed out to you", data)
    return failed(request, problem, turn.frame(agent))


def _acknowledged(turn: MailTurn, agent: str, ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """Acknowledges messages: the ids of these, and the other ones."""
    acked: dict[str, Letter] = {}
    unknown = []
    for name in ids[:IDS_MAX]:
        letter = None if name in acked else _leased(turn, agent, name)
        if letter is None:
            unknown.append(name)
        else:
            acked[name] = letter
    if acked:
        drop_all(turn, agent, list(acked.values()))
    by_sender: dict[str, list[str]] = {}
    for name, letter in acked.items():
        by_sender.setdefault(letter.sender, []).append(name)
    for sender, names in by_sender.items():
        turn.happen("message.acked", agent, ("ids", " ".join(names)), ("from", sender), times=len(names))
    return list(acked), unknown


def refuse(turn: MailTurn, request: AgentRequest, agent: str, body: Mapping[str, Json]) -> AgentAnswer:
    """A message goes back to its sender, with the reason."""
    name, reason = body["id"], body["reason"]
    _begin_session(turn, request, agent)
    letter = _leased(turn, agent, name)
    if letter is None:
        problem = Problem("unknown", "unknown_message", f"message '{name}' is not handed out to you")
        return failed(request, problem, turn.frame(agent))
    drop(turn, agent, letter)
    turn.happen("message.refused", agent, ("id", name), ("from", letter.sender))
    give_up(turn, letter)
    if letter.sender != ENGINE:
        text = f"'{agent}' refused your message {name} of type '{letter.message_type}'."
        notify(turn, letter.sender, "bounced", text, name, rule="refused", by=agent, reason=reason[:1_000])
        serve_parked(turn, letter.sender)
    return succeeded(request, {"refused": name, "unread": turn.inbox(agent).unread}, turn.frame(agent))


def thread(turn: MailTurn, request: AgentRequest, body: Mapping[str, Json]) -> AgentAnswer:
    """The newest messages of a conversation that the agent had part in; operators see all."""
    name, after = body["conversation"], body.get("after") or ""
    state = turn.state
    lines = (state.threads.get(name) or state.threads_before.get(name) or Thread()).lines
    has_part = request.actor == "admin" or any(request.agent in (one.sender, one.receiver) for one in lines)
    if not lines or not has_part:
        problem = Problem("unknown", "unknown_conversation", f"you have part in no conversation '{name}'")
        return failed(request, problem, turn.frame(request.agent))
    shown_lines = [
        {
            "id": one.id,
            "from": one.sender,
            "to": one.receiver,
            "type": one.message_type,
            "at_ns": one.at_ns,
            "text": shown_peer(one.sender, "", one.id, one.text),
        }
        for one in lines
        if one.id > after
    ]
    return succeeded(request, {"conversation": name, "messages": shown_lines}, turn.frame(request.agent))


def _leased(turn: MailTurn, agent: str, name: str) -> Letter | None:
    inbox, number = turn.inbox(agent), number_of(name)
    letter = inbox.letters.get(number)
    return letter if letter is not None and letter.id == name and letter.attempt else None


def drop(turn: MailTurn, agent: str, letter: Letter) -> None:
    """Takes a message out of an inbox."""
    drop_all(turn, agent, [letter])


def drop_all(turn: MailTurn, agent: str, letters: Sequence[Letter]) -> None:
    """Takes messages out of an inbox."""
    turn.unwake(*[slot for one in letters for slot in (one.lease, one.expiry)])
    turn.set_inbox(agent, remove(turn.inbox(agent), letters))


def give_up(turn: MailTurn, letter: Letter) -> None:
    """No reply to this message is awaited any more."""
    head = turn.state.open.get(letter.number)
    if head is not None:
        turn.unwake(head.awaited)
        settle(turn, letter.number, replace(head, awaited=None))
