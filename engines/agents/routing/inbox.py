"""An inbox: the messages for one agent that are not done with, in the order in which they came.

A message is

    *waiting*   never handed out
    *leased*    handed out and neither acknowledged nor refused; once the lease is over it is
    *returned*  to be handed out again, before those that wait
    *held back* looked at when the agent's state did not take it; returned when a state does

and *unread* in each case but leased. `order` has the waiting ones by place, and `first` is the first place that has
one, so handing out costs nothing for those handed out before. Every change costs a few changes of maps, at 10,000
messages as at ten; reading by type or sender looks at the waiting ones in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from engines.model import Map, Value

from .wheel import Slot

SYSTEM_MAX: Final = 1_000
"""Messages of the engine that a full inbox takes beyond its bound."""


READS_MAX: Final = 1_000
"""Requests to read whose repeats get the same messages; the newest, at least."""


class Letter(Value):
    """A message in an inbox. `fields` is a JSON object as text; `seq` counts those of its sender in this inbox.

    `original_type` is its type in the sender's version, if the receiver's has another one.
    """

    number: int
    id: str
    place: int
    seq: int
    sender: str
    sender_role: str
    sender_state: str
    message_type: str
    text: str
    fields: str
    at_ns: int
    conversation: str = ""
    in_reply_to: str = ""
    reply_until_ns: int = 0
    expires_ns: int = 0
    expiry: Slot | None = None
    lease: Slot | None = None
    attempt: int = 0
    original_type: str = ""


class Inbox(Value):
    """The messages by number; `leased` has the session that has a message, `sent` counts messages by sender. `reads`
    has what each of the newest requests to read got.

    `told` is what the validator knows of it: unread ones, and the time of the oldest.
    """

    letters: Map[int, Letter] = Map()
    order: Map[int, int] = Map()
    first: int = 0
    last: int = 0
    returned: Map[int, None] = Map()
    held: Map[int, None] = Map()
    leased: Map[int, int] = Map()
    sent: Map[str, int] = Map()
    by_type: Map[str, int] = Map()
    latest: Map[tuple[str, str], int] = Map()
    parked: tuple[int, ...] = ()
    reads: Map[str, tuple[int, ...]] = Map()
    reads_before: Map[str, tuple[int, ...]] = Map()
    session: int = 0
    window_ns: int = 0
    window_count: int = 0
    told: tuple[int, int] = (0, 0)
    views: int = 0

    @property
    def unread(self) -> int:
        """How many messages are not handed out."""
        return len(self.letters) - len(self.leased)

    def with_read(self, request_id: str, numbers: tuple[int, ...]) -> Inbox:
        """With what a request to read got."""
        reads = self.reads.set(request_id, numbers)
        if len(reads) < READS_MAX:
            return replace(self, reads=reads)
        return replace(self, reads=Map(), reads_before=reads)

    def oldest_ns(self) -> int:
        """When the oldest unread message came; 0 if there is none."""
        firsts = [numbers.keys()[0] for numbers in (self.returned, self.held) if numbers]
        if self.order:
            firsts.append(self.order[self.first])
        return self.letters[min(firsts)].at_ns if firsts else 0


def put(inbox: Inbox, letter: Letter) -> Inbox:
    """With one message more, at the end. `letter.place` and `seq` are set here."""
    seq = inbox.sent.get(letter.sender, 0) + 1
    placed = replace(letter, place=inbox.last, seq=seq)
    return replace(
        inbox,
        letters=inbox.letters.set(letter.number, placed),
        order=inbox.order.set(inbox.last, letter.number),
        last=inbox.last + 1,
        sent=inbox.sent.set(letter.sender, seq),
        by_type=_counted(inbox.by_type, letter.message_type, 1),
    )


def remove(inbox: Inbox, letters: Sequence[Letter]) -> Inbox:
    """Without some messages."""
    numbers = [one.number for one in letters]
    order = inbox.order.without(*[one.place for one in letters])
    by_type = inbox.by_type
    for one in letters:
        if one.number not in inbox.leased:
            by_type = _counted(by_type, one.message_type, -1)
    return replace(
        inbox,
        letters=inbox.letters.without(*numbers),
        order=order,
        first=_first(order, inbox.first, inbox.last),
        returned=inbox.returned.without(*numbers),
        held=inbox.held.without(*numbers),
        leased=inbox.leased.without(*numbers),
        by_type=by_type,
    )


def candidates(
    inbox: Inbox, count: int, is_wanted: Callable[[Letter], bool], is_taken: Callable[[Letter], bool]
) -> tuple[Inbox, list[Letter]]:
    """At most `count` unread messages that are wanted, in the order in which they are to be handed out.

    Those of which `is_taken` says that the agent's state does not take them are held back.
    """
    found: list[Letter] = []
    for number in inbox.returned:
        letter = inbox.letters[number]
        if is_wanted(letter) and is_taken(letter):
            found.append(letter)
        if len(found) == count:
            return inbox, found
    held: list[tuple[int, None]] = []
    order = inbox.order
    for place in range(inbox.first, inbox.last):
        if len(found) == count:
            break
        if (number_there := order.get(place)) is None:
            continue
        letter = inbox.letters[number_there]
        if not is_taken(letter):
            held.append((number_there, None))
            order = order.without(place)
        elif is_wanted(letter):
            found.append(letter)
    first = _first(order, inbox.first, inbox.last)
    return replace(inbox, order=order, held=inbox.held.updated(held), first=first), found


def lease(inbox: Inbox, letters: Sequence[Letter], slots: Sequence[Slot]) -> tuple[Inbox, list[Letter]]:
    """With messages handed out to the session of now; and the messages as they are then."""
    leased = [replace(one, attempt=one.attempt + 1, lease=slot) for one, slot in zip(letters, slots, strict=True)]
    order = inbox.order.without(*[one.place for one in letters])
    by_type = inbox.by_type
    for one in letters:
        by_type = _counted(by_type, one.message_type, -1)
    after = replace(
        inbox,
        letters=inbox.letters.updated([(one.number, one) for one in leased]),
        order=order,
        first=_first(order, inbox.first, inbox.last),
        returned=inbox.returned.without(*[one.number for one in letters]),
        leased=inbox.leased.updated([(one.number, inbox.session) for one in letters]),
        by_type=by_type,
    )
    return after, leased


def give_back(inbox: Inbox, letter: Letter) -> Inbox:
    """With a leased message to be handed out again."""
    number = letter.number
    return replace(
        inbox,
        letters=inbox.letters.set(number, replace(letter, lease=None)),
        leased=inbox.leased.without(number),
        returned=inbox.returned.set(number, None),
        by_type=_counted(inbox.by_type, letter.message_type, 1),
    )


def reopen(inbox: Inbox, is_taken: Callable[[Letter], bool]) -> Inbox:
    """With the messages that were held back, and that the agent's new state takes, to be handed out."""
    freed = [(number, None) for number in inbox.held if is_taken(inbox.letters[number])]
    held = inbox.held
    for number, _ in freed:
        held = held.without(number)
    return replace(inbox, held=held, returned=inbox.returned.updated(freed)) if freed else inbox


def _first(order: Map[int, int], first: int, last: int) -> int:
    """The first place with a message. Each place is passed once in the life of an inbox."""
    while first < last and first not in order:
        first += 1
    return first


def _counted(counts: Map[str, int], name: str, change: int) -> Map[str, int]:
    return counts.set(name, counts.get(name, 0) + change)
