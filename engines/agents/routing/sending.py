"""Sending: one message to an agent, copies to those of a role or to all, and replies.

A reply names the message that it replies to. Types that declare `reply:` take one reply of these types, from the
receiver, until the time `within` is over; then the sender gets `expired`. Declared types without it take none, and
copies to many take none but declared ones, so that nobody acknowledges a broadcast. Notes take notes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from engines.model import Map

from ..envelope import Json, Problem
from ..protocol.model import MessageType
from .conduct import NOTE
from .inbox import SYSTEM_MAX, Letter, remove
from .mail_turn import MailTurn
from .passage import Barred, Draft, Passed, Side, barred, passed
from .provenance import cleaned, cleaned_json
from .state import ENGINE, HEADS_MAX, Line, Origin, Thread, number_of

REPLY_NS_MAX: Final = 86_400 * 10**9
"""How long a reply is awaited where its type does not say."""

OPEN_MAX: Final = 100_000
"""Messages that await a reply, of the whole router."""

RECEIVERS_MAX: Final = 1_000
RETRY_MS: Final = 5_000
THREADS_MAX: Final = 10_000
LINES_MAX: Final = 50
LINE_CHARS_MAX: Final = 500
_json = msgspec.json.Encoder()


class Outcome(msgspec.Struct, frozen=True):
    """What became of a message: the id of each copy by receiver, and the refusals by receiver."""

    ids: dict[str, str]
    refused: dict[str, Barred]


def receivers(turn: MailTurn, sender: str, to: str) -> list[str]:
    """The agents that `to` stands for, without the sender where it stands for many. Raises Barred."""
    state = turn.state
    if to == "@all" or to.startswith("role:"):
        role = to.removeprefix("role:")
        names = list(state.peers if to == "@all" else state.roles.get(role) or ())
        found = [name for name in names if name != sender]
        if not found:
            raise barred("unknown_receiver", f"nobody else is there for '{to}'", kind="unknown")
        if len(found) > RECEIVERS_MAX:
            raise barred("too_many", f"'{to}' stands for {len(found):,} agents; {RECEIVERS_MAX:,} are allowed")
        return found
    if to not in state.peers:
        raise barred("unknown_receiver", f"there is no agent '{to}'", "see `aism measure peers`", kind="unknown")
    return [to]


def send(turn: MailTurn, sender: Side, to: str, draft: Draft) -> Outcome:
    """Puts a message into the inboxes of those that it is for, as far as the rules let it. Raises Barred if nobody
    gets it.
    """
    names = receivers(turn, sender.peer.agent, to)
    is_broadcast = to == "@all" or to.startswith("role:")
    replied = _replied(turn, sender, names, is_broadcast, draft)
    _count_sent(turn, sender, len(names))
    ids: dict[str, str] = {}
    refused: dict[str, Barred] = {}
    for name in names:
        try:
            ids[name] = _send_one(turn, sender, name, draft, replied, is_broadcast)
        except Barred as error:
            refused[name] = error
    if not ids:
        raise next(iter(refused.values()))
    if replied is not None:
        _close(turn, number_of(draft.in_reply_to), replied)
    return Outcome(ids, refused)


def _send_one(turn: MailTurn, sender: Side, to: str, draft: Draft, replied: Origin | None, is_broadcast: bool) -> str:
    """The id of the message. Raises Barred."""
    receiver = turn.side(to)
    assert receiver is not None, to
    if draft.message_type == NOTE and not turn.ways.notes and NOTE not in sender.conduct.types:
        raise barred("unknown_type", "notes are not allowed here", "use a type of the protocol")
    going = passed(draft, sender, receiver)
    _look_for_room(turn, to)
    number, name = turn.next_id()
    letter = _letter(turn, sender, draft, going, replied, number, name)
    head = _head(turn, sender, to, letter, going.declared, is_broadcast)
    _remember(turn, number, head)
    if going.declared is not None and going.declared.order == "latest":
        _replace_earlier(turn, to, letter)
    if letter.expires_ns:
        letter = replace(letter, expiry=turn.wake_at(letter.expires_ns, "expiry", to, number))
    turn.deliver(to, letter)
    if letter.conversation:
        _add_line(turn, to, letter)
    size = float(len(letter.text.encode()))
    turn.happen("message.sent", sender.peer.agent, ("id", name), ("type", letter.message_type), ("to", to), value=size)
    return name


def _letter(
    turn: MailTurn, sender: Side, draft: Draft, going: Passed, replied: Origin | None, number: int, name: str
) -> Letter:
    declared = going.declared
    lifetimes = [ns for ns in (draft.expires_ns, declared.expires_ns if declared else 0) if ns]
    conversation = draft.conversation or (replied.conversation if replied else "")
    if not conversation and declared is not None and declared.replies:
        conversation = name
    return Letter(
        number,
        name,
        0,
        0,
        sender.peer.agent,
        sender.peer.role,
        sender.peer.state,
        going.message_type,
        cleaned(draft.text).text,
        _json.encode(cleaned_json(draft.fields)).decode() if draft.fields else "",
        turn.now_ns,
        conversation,
        draft.in_reply_to,
        _reply_until_ns(turn, declared),
        turn.now_ns + min(lifetimes) if lifetimes else 0,
        original_type=going.original_type,
    )


def _reply_until_ns(turn: MailTurn, declared: MessageType | None) -> int:
    if declared is None or not declared.replies:
        return 0
    return turn.now_ns + (declared.within_ns or REPLY_NS_MAX)


def _head(
    turn: MailTurn, sender: Side, to: str, letter: Letter, declared: MessageType | None, is_broadcast: bool
) -> Origin:
    slot = None
    if letter.reply_until_ns:
        slot = turn.wake_at(letter.reply_until_ns, "reply", sender.peer.agent, letter.number)
    return Origin(
        letter.id,
        sender.peer.agent,
        to,
        letter.message_type,
        letter.conversation,
        is_broadcast,
        None if declared is None else declared.replies,
        letter.reply_until_ns,
        slot,
    )


def _remember(turn: MailTurn, number: int, head: Origin) -> None:
    """Keeps what replies need: of the newest messages, and of those that await a reply. Raises Barred for one more of
    these than are kept.
    """
    if head.awaited is None:
        settle(turn, number, head)
        return
    if len(turn.state.open) >= OPEN_MAX:
        raise Barred(_later(barred("busy", f"{OPEN_MAX:,} messages await a reply", kind="limit"), RETRY_MS))
    turn.change(open=turn.state.open.set(number, head))


def settle(turn: MailTurn, number: int, head: Origin) -> None:
    """Keeps what later messages need of one that awaits no reply."""
    heads = turn.state.heads.set(number, head)
    is_full = len(heads) >= HEADS_MAX // 2
    turn.change(open=turn.state.open.without(number), heads=Map() if is_full else heads)
    if is_full:
        turn.change(heads_before=heads)


def _replied(turn: MailTurn, sender: Side, names: list[str], is_broadcast: bool, draft: Draft) -> Origin | None:
    """The message that this one replies to. Raises Barred where it is no reply to it."""
    if not draft.in_reply_to:
        return None
    me, number = sender.peer.agent, number_of(draft.in_reply_to)
    head = turn.state.head(number)
    if head is None or head.receiver != me:
        raise barred("reply", f"'{me}' has got no message '{draft.in_reply_to}' that can be replied to", kind="unknown")
    if is_broadcast or names != [head.sender]:
        raise barred("reply", f"a reply goes to its sender, '{head.sender}'", f"send it to {head.sender}")
    if head.replies is not None or head.is_broadcast:
        _look_at_declared(turn, head, draft)
    elif draft.message_type != NOTE:
        raise barred("reply", f"'{head.message_type}' declares no replies, so only a note replies to it")
    return head


def _look_at_declared(turn: MailTurn, head: Origin, draft: Draft) -> None:
    if not head.replies:
        rule = "broadcast_no_reply" if head.is_broadcast else "reply"
        raise barred(rule, f"'{head.message_type}' takes no replies", "do not reply; acknowledge it")
    if draft.message_type not in head.replies:
        raise barred("reply", f"'{head.message_type}' is replied to with {', '.join(head.replies)}")
    if head.awaited is None:
        raise barred("reply", "it was replied to already, or its time is over")
    if turn.now_ns > head.reply_until_ns:
        raise barred("reply", "the time for a reply is over")


def _close(turn: MailTurn, number: int, head: Origin) -> None:
    """The reply has come."""
    if head.awaited is not None:
        turn.unwake(head.awaited)
        settle(turn, number, replace(head, awaited=None))


def _count_sent(turn: MailTurn, sender: Side, count: int) -> None:
    """Counts messages in the period of the protocol's limit. Raises Barred beyond it."""
    most, period_ns = sender.conduct.messages_max, sender.conduct.period_ns or 60 * 10**9
    if not most:
        return
    inbox = turn.inbox(sender.peer.agent)
    is_over = turn.now_ns - inbox.window_ns >= period_ns
    begin_ns, sent = (turn.now_ns, 0) if is_over else (inbox.window_ns, inbox.window_count)
    if sent + count > most and sent:
        error = barred("message_limit", f"the protocol allows {most} messages in {period_ns // 10**9} s", kind="limit")
        raise Barred(_later(error, (begin_ns + period_ns - turn.now_ns) // 1_000_000 + 1))
    turn.set_inbox(sender.peer.agent, replace(inbox, window_ns=begin_ns, window_count=sent + count))


def _look_for_room(turn: MailTurn, to: str) -> None:
    if len(turn.inbox(to).letters) < turn.ways.inbox_max:
        return
    error = barred("busy", f"the inbox of '{to}' has {turn.ways.inbox_max:,} messages", "try again later", kind="limit")
    raise Barred(_later(error, RETRY_MS))


def _later(error: Barred, retry_ms: int) -> Problem:
    return replace(error.problem, retry_after_ms=retry_ms)


def _replace_earlier(turn: MailTurn, to: str, letter: Letter) -> None:
    """Of types with `order: latest`, an inbox has one message a sender that was not handed out."""
    inbox, key = turn.inbox(to), (letter.sender, letter.message_type)
    earlier = inbox.letters.get(inbox.latest.get(key, 0))
    if earlier is not None and earlier.number not in inbox.leased:
        turn.unwake(earlier.expiry)
        inbox = remove(inbox, [earlier])
    turn.set_inbox(to, replace(inbox, latest=inbox.latest.set(key, letter.number)))


def _add_line(turn: MailTurn, to: str, letter: Letter) -> None:
    state, name = turn.state, letter.conversation
    thread = state.threads.get(name) or state.threads_before.get(name) or Thread()
    line = Line(letter.id, letter.sender, to, letter.message_type, letter.at_ns, letter.text[:LINE_CHARS_MAX])
    threads = state.threads.set(name, Thread((*thread.lines, line)[-LINES_MAX:]))
    if len(threads) >= THREADS_MAX // 2:
        turn.change(threads_before=threads, threads=Map())
    else:
        turn.change(threads=threads)


def notify(turn: MailTurn, agent: str, message_type: str, text: str, about: str = "", **fields: Json) -> None:
    """Puts a message by the engine into an inbox; a full one loses it, which is counted."""
    if agent not in turn.state.peers or len(turn.inbox(agent).letters) >= turn.ways.inbox_max + SYSTEM_MAX:
        turn.count_refused("notice_lost")
        return
    number, name = turn.next_id()
    shown = _json.encode(fields).decode() if fields else ""
    letter = Letter(number, name, 0, 0, ENGINE, ENGINE, "", message_type, text, shown, turn.now_ns, in_reply_to=about)
    turn.deliver(agent, letter)


def drafted(body: Mapping[str, Json], in_reply_to: str) -> Draft:
    """The message that a request describes; its fields were looked at."""
    return Draft(
        body.get("type") or NOTE,
        body.get("text") or "",
        body.get("fields") or {},
        in_reply_to,
        body.get("conversation") or "",
        body.get("expires") or 0,
    )
