"""What ends by itself: leases, messages, the time for a reply, requests that wait; and inboxes of retired agents."""

from __future__ import annotations

from msgspec.structs import replace

from .inbox import Inbox
from .mail_turn import MailTurn
from .reading import drop, give_up, handed, serve_parked, unpark
from .sending import notify, settle
from .state import ENGINE
from .wheel import Deadline


def expire(turn: MailTurn, due: Deadline) -> None:
    """Does what a deadline is for."""
    match due.kind:
        case "parked":
            request = unpark(turn, due.owner, due.number)
            turn.answer(request, handed(turn, request, due.owner, []), is_remembered=False)
        case "reply":
            _end_reply(turn, due)
        case "lease":
            _end_lease(turn, due)
        case "expiry":
            _end_letter(turn, due)


def _end_lease(turn: MailTurn, due: Deadline) -> None:
    letter = turn.inbox(due.owner).letters.get(due.number)
    if letter is not None and due.number in turn.inbox(due.owner).leased:
        turn.return_lease(due.owner, letter)
        turn.announce(due.owner, letter.message_type)
        serve_parked(turn, due.owner)


def _end_letter(turn: MailTurn, due: Deadline) -> None:
    """The message goes back to its sender, whether or not it was handed out."""
    letter = turn.inbox(due.owner).letters.get(due.number)
    if letter is None:
        return
    drop(turn, due.owner, letter)
    give_up(turn, letter)
    turn.happen("message.expired", due.owner, ("id", letter.id), ("from", letter.sender))
    if letter.sender != ENGINE:
        text = (
            f"Your message {letter.id} of type '{letter.message_type}' to '{due.owner}' was not acknowledged in time."
        )
        notify(turn, letter.sender, "expired", text, letter.id, to=due.owner, attempt=letter.attempt)
        serve_parked(turn, letter.sender)


def _end_reply(turn: MailTurn, due: Deadline) -> None:
    head = turn.state.open.get(due.number)
    if head is None:
        return
    settle(turn, due.number, replace(head, awaited=None))
    text = f"'{head.receiver}' did not reply in time to your message of type '{head.message_type}'."
    notify(turn, due.owner, "expired", text, head.id, to=head.receiver, rule="reply")
    serve_parked(turn, due.owner)


def retire(turn: MailTurn, agent: str) -> None:
    """An agent is gone for ever: its messages go back to their senders, one notice each; requests that wait end."""
    inbox: Inbox = turn.inbox(agent)
    for number in inbox.parked:
        request = unpark(turn, agent, number)
        turn.answer(request, handed(turn, request, agent, []), is_remembered=False)
    by_sender: dict[str, list[str]] = {}
    for letter in inbox.letters.values():
        turn.unwake(letter.lease, letter.expiry)
        give_up(turn, letter)
        if letter.sender not in (ENGINE, agent):
            by_sender.setdefault(letter.sender, []).append(letter.id)
    turn.forget(agent)
    for sender, ids in by_sender.items():
        text = f"'{agent}' is gone; {len(ids)} of your messages to it were not acknowledged."
        notify(turn, sender, "bounced", text, ids[0], rule="retired", to=agent, messages=ids[:20])
        serve_parked(turn, sender)
