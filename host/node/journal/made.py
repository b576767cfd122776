"""What a turn made, in the words of a chart: read off the stream that has just run it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from engines.model import Failed, Noted, Outgoing, Overflow, Refused, Suspended, view
from host.chart.labels import delay_label, message_label, text_label, value_label
from host.chart.model import MarkKind
from host.chart.moments import MessageId, Sending
from host.node.journal.history import plain
from host.node.journal.stream import Stream


def taken_label(stream: Stream | None, mailbox: int, payload: Any) -> str:
    """A message: in the types of the engine that takes it, or in wire form."""
    box = None if stream is None else stream.family.boxes.get(mailbox)
    if box is not None:
        try:
            return message_label(view(box.decode(payload)))
        except msgspec.DecodeError:
            pass
    return message_label(plain(payload))


def sendings(name: str, stream: Stream) -> Iterator[Sending]:
    """What the last turn sent."""
    for id, one in numbered(name, stream):
        yield Sending(id, message_label(view(one.message)))


def numbered(name: str, stream: Stream) -> Iterator[tuple[MessageId, Outgoing]]:
    """The messages of the last turn. Their numbers are the last of each way."""
    sent = [output for output in stream.made if isinstance(output, Outgoing)]
    kept = stream.kept
    next_n = {(one.target, one.mailbox): kept.numbers.next_n.get((one.target, one.mailbox), 0) for one in sent}
    for one in sent:
        next_n[one.target, one.mailbox] -= 1
    for one in sent:
        n = next_n[one.target, one.mailbox]
        next_n[one.target, one.mailbox] += 1
        yield MessageId(name, one.target, one.mailbox, kept.epoch, n), one


def timer_marks(before: Any, after: Any, now_ns: int, elapsed: frozenset[str]) -> Iterator[tuple[MarkKind, str]]:
    """The timers that a turn set or cancelled."""
    if before is None or before.timers is after.timers:
        return
    for name, timer in after.timers.items():
        earlier = before.timers.get(name)
        if earlier is None or earlier.number != timer.number:
            yield "set", f"timer {value_label(name)} set: {delay_label(timer.deadline_ns - now_ns)}"
    for name in before.timers:
        if name not in after.timers and name not in elapsed:
            yield "cancelled", f"timer {value_label(name)} cancelled"


def reason(stream: Stream | None) -> str:
    """Why a turn did not commit, as far as a replay knows."""
    match None if stream is None else stream.outcome:
        case Failed(error, _):
            return text_label(error)
        case Refused(reason):
            return text_label(reason)
        case Overflow(mailbox, stored_max):
            return f"mailbox {mailbox} stores {stored_max}"
        case _:
            return ""


def question_label(stream: Stream | None) -> str:
    """The question that the last turn ended at."""
    outcome = None if stream is None else stream.outcome
    if not isinstance(outcome, Suspended):
        return "asks"
    options = getattr(outcome.question, "options", ())
    return text_label(f"asks: {' | '.join(map(str, options))}")


def answer_label(answer: str | int | None) -> str:
    """An answer: of a person, of a die, or of a time-out."""
    if answer is None:
        return "no answer in time"
    return f"rolled {answer}" if isinstance(answer, int) else f"answer: {value_label(answer)}"


def note_label(note: Noted) -> str:
    """A note, with its fields."""
    fields = "".join(f" {name}={value_label(view(value))}" for name, value in note.fields.items())
    return text_label(f"note: {note.text}{fields}")
