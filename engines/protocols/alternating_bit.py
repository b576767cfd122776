"""Alternating bit: items go over channels that lose and double them, and arrive in order, each once.

How it works. Each frame carries an item and a number, 0 or 1. The sender repeats a frame until the receiver
acknowledges its number; only then comes the next item, under the other number. A frame with the number that the
receiver expects is new; any other is one it has, whose acknowledgement was lost or is late: it is acknowledged again
and not delivered again. After K. Bartlett, R. Scantlebury and P. Wilkinson, "A Note on Reliable Full-Duplex
Transmission over Half-Duplex Links" (1969).

Repeats have a bound for each item. At the bound the sender ends, since it cannot know whether the item has arrived: so
every run ends, with all items delivered or with a sender that gave up.

The awkward case: order. A number may be used again only if no frame overtakes another. So on the `ordered` network the
channels are engines, which roll a die for each message: it is lost, passed on, or passed on twice. On a network without
order (`unordered`, `lossy`, `duplicating`) an old frame may come when its number is expected again. There, two numbers
fail with two items already, and there must be more numbers than items (N. Stenning, "A Data Transfer Protocol", 1976).
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from engines.model import (
    Arrived,
    Become,
    CancelTimer,
    Config,
    Effects,
    Elapsed,
    Family,
    Handle,
    Interaction,
    Message,
    Note,
    Ref,
    Roll,
    Send,
    Sent,
    SetTimer,
    Stop,
    Timer,
    Value,
    interactive_rule,
    rule,
)
from engines.model.system import NETWORKS, Envelope, Member, NetworkKind, System
from engines.model.system_view import SystemView
from engines.protocols.params import at_least, one_of, variant

SECOND_NS: Final = 1_000_000_000


class Transfer(Message):
    """From outside, once: send these items, in this order."""

    items: tuple[str, ...]


class Frame(Message):
    """From the sender: an item, and its number."""

    number: int
    item: str


class Acknowledged(Message):
    """From the receiver: the frame of this number has arrived."""

    number: int


class Delivered(Message):
    """From the receiver, to the reader: the next item."""

    item: str


class Sending(Config):
    """Where frames go, how many numbers there are, and when and how often a frame is repeated."""

    channel: Ref[Frame]
    numbers: int = 2
    resends_max: int = 10
    patience_ns: int = SECOND_NS


class Outbox(Value):
    """State of the sender: the items not acknowledged (None before it is asked), the number of the first, and how often
    that was repeated."""

    items: tuple[str, ...] | None = None
    number: int = 0
    resends: int = 0


RESEND = Timer("resend")
Asked = Arrived[Transfer, Sending, Outbox]
Confirmed = Arrived[Acknowledged, Sending, Outbox]
Waited = Elapsed[Sending, Outbox]


def is_first(t: Asked) -> Outbox | None:
    """The state with the items asked for, if none were before."""
    return replace(t.env.state, items=t.message.items) if t.env.state.items is None else None


@rule(when=is_first)
def transfer(outbox: Outbox, t: Asked) -> Effects[Outbox, Frame]:
    """State: the items. Messages: the first, if any. Timers: `resend`, or none. Engines: none."""
    return send_first(outbox, t.config)


def send_first(outbox: Outbox, config: Sending) -> Effects[Outbox, Frame]:
    """The effects that send the first item and wait for its acknowledgement; that wait no more when there is none."""
    if not outbox.items:
        return [Become(outbox), CancelTimer(RESEND)]
    frame = Frame(outbox.number, outbox.items[0])
    return [Become(outbox), Send(config.channel, frame), SetTimer(RESEND, after_ns=config.patience_ns)]


def is_current(t: Confirmed) -> Outbox | None:
    """The state without its first item, if that is acknowledged."""
    outbox = t.env.state
    if not outbox.items or t.message.number != outbox.number:
        return None
    return Outbox(outbox.items[1:], (outbox.number + 1) % t.config.numbers)


@rule(when=is_current)
def advance(outbox: Outbox, t: Confirmed) -> Effects[Outbox, Frame]:
    """State: one item less. Messages: the next, if any. Timers: `resend`, or none. Engines: none."""
    return send_first(outbox, t.config)


@rule(priority=1)
def disregard(
    _late: Transfer | Acknowledged, _t: Arrived[Transfer | Acknowledged, Sending, Outbox]
) -> Effects[Outbox, Frame]:
    """Asked, or acknowledged, already. State, messages, timers, engines: none."""
    return []


def may_resend(t: Waited) -> Outbox | None:
    """The state with one repeat more, below the bound."""
    outbox = t.env.state
    return replace(outbox, resends=outbox.resends + 1) if outbox.resends < t.config.resends_max else None


@rule(timer=RESEND, when=may_resend)
def resend(outbox: Outbox, t: Waited) -> Effects[Outbox, Frame]:
    """State: one repeat more. Messages: the first item again. Timers: `resend`. Engines: none."""
    return send_first(outbox, t.config)


@rule(timer=RESEND, priority=1)
def give_up(_timer: Handle, t: Waited) -> Effects[Outbox, Frame]:
    """At the bound. State, messages, timers: none. Engines: this one ends, and says so in the log."""
    outbox = t.env.state
    return [Note("no acknowledgement", items=outbox.items, resends=outbox.resends), Stop()]


SENDER = Family(
    "alternating-bit-sender",
    config=Sending,
    state=Outbox(),
    accepts=Transfer | Acknowledged,
    emits=Frame,
    timers=[RESEND],
).rules(transfer, advance, disregard, resend, give_up)


class Receiving(Config):
    """Where acknowledgements and items go, and how many numbers there are."""

    channel: Ref[Acknowledged]
    reader: Ref[Delivered]
    numbers: int = 2


class Expecting(Value):
    """State of the receiver: the number of the next new frame."""

    number: int = 0


Framed = Arrived[Frame, Receiving, Expecting]


def is_new(t: Framed) -> Expecting | None:
    """The state that expects the next number, if the frame has the one expected."""
    if t.message.number != t.env.state.number:
        return None
    return Expecting((t.message.number + 1) % t.config.numbers)


@rule(when=is_new)
def deliver(expecting: Expecting, t: Framed) -> Effects[Expecting, Acknowledged | Delivered]:
    """State: the next number. Messages: the item, to the reader; the acknowledgement. Timers, engines: none."""
    item, number = Delivered(t.message.item), Acknowledged(t.message.number)
    return [Become(expecting), Send(t.config.reader, item), Send(t.config.channel, number)]


@rule(priority=1)
def repeat(frame: Frame, t: Framed) -> Effects[Expecting, Acknowledged | Delivered]:
    """It was delivered before. State: none. Messages: the acknowledgement again. Timers, engines: none."""
    return Send(t.config.channel, Acknowledged(frame.number))


RECEIVER = Family(
    "alternating-bit-receiver", config=Receiving, state=Expecting(), accepts=Frame, emits=Acknowledged | Delivered
).rules(deliver, repeat)


@rule
def deliver_all(frame: Frame, t: Framed) -> Effects[Expecting, Acknowledged | Delivered]:
    """The seeded bug: as `deliver`, and the number is not compared with the one expected."""
    after = Expecting((frame.number + 1) % t.config.numbers)
    item, number = Delivered(frame.item), Acknowledged(frame.number)
    return [Become(after), Send(t.config.reader, item), Send(t.config.channel, number)]


CARELESS_RECEIVER = Family(
    "alternating-bit-receiver", config=Receiving, state=Expecting(), accepts=Frame, emits=Acknowledged | Delivered
).rules(deliver_all)


class Wire(Config):
    """Where a channel leads."""

    end: Ref[Frame | Acknowledged]


LOST: Final = 1
DOUBLED: Final = 3
"""Sides of the die; between them, a message is passed on once."""


@interactive_rule
def carry(
    message: Frame | Acknowledged, t: Arrived[Frame | Acknowledged, Wire, None]
) -> Interaction[None, Frame | Acknowledged]:
    """State: none. Messages: as the die falls, this one never, once or twice. Timers, engines: none."""
    side = yield from Roll(DOUBLED)
    copies = {LOST: 0, DOUBLED: 2}.get(side, 1)
    return [Sent(t.config.end, message)] * copies


CHANNEL = Family(
    "faulty-channel", config=Wire, state=None, accepts=Frame | Acknowledged, emits=Frame | Acknowledged
).rules(carry)


class Transferred(Value):
    """History: the items asked for, and those that the reader got, in order."""

    asked: tuple[str, ...] = ()
    delivered: tuple[str, ...] = ()


def recorded(history: Transferred, envelope: Envelope, is_sent: bool) -> Transferred:
    """The history after the request, or a delivery."""
    match envelope.message:
        case Transfer(items) if is_sent:
            return replace(history, asked=items)
        case Delivered(item) if is_sent:
            return replace(history, delivered=(*history.delivered, item))
    return history


def waiting(view: SystemView) -> tuple[str, ...]:
    """The items that the sender still has to send, before and after it is asked."""
    items = view.state("sender").items
    return tuple(view.history.asked if items is None else items)


def in_order_once(view: SystemView) -> bool:
    """The reader got the items in order, none twice, none left out."""
    asked, delivered = view.history.asked, view.history.delivered
    return bool(delivered == asked[: len(delivered)])


def nothing_is_skipped(view: SystemView) -> bool:
    """Each item that the sender is done with was delivered."""
    return len(waiting(view)) + len(view.history.delivered) >= len(view.history.asked)


def complete(view: SystemView) -> bool:
    """The reader got all items, and the sender knows."""
    return bool(view.history.delivered == view.history.asked) and not waiting(view)


def given_up(view: SystemView) -> bool:
    """The sender repeated an item as often as it may, and ended."""
    return view.engine("sender").status == "stopped"


def begun(view: SystemView) -> bool:
    """The sender has been asked."""
    return view.state("sender").items is not None


def settled(view: SystemView) -> bool:
    """All is delivered, or the sender gave up."""
    return complete(view) or given_up(view)


def SYSTEM(
    items: int = 3, numbers: int = 2, resends_max: int = 1, network: NetworkKind = "ordered", bug: str = ""
) -> System:
    """So many items to transfer. With `bug` "careless", the receiver takes each frame for a new one."""
    at_least(1, items=items, numbers=numbers)
    at_least(0, resends_max=resends_max)
    one_of(NETWORKS, network=network)
    receiver = variant(RECEIVER, {"careless": CARELESS_RECEIVER}, bug)
    is_ordered = network == "ordered"
    there, back = ("there", "back") if is_ordered else ("receiver", "sender")
    sending = Sending(Ref(there), numbers, resends_max)
    receiving = Receiving(Ref(back), Ref("reader"), numbers)
    channels = [
        Member("there", CHANNEL, Wire(Ref("receiver"))),
        Member("back", CHANNEL, Wire(Ref("sender"))),
    ]
    return System(
        name="alternating-bit",
        members=[
            Member("sender", SENDER, sending),
            Member("receiver", receiver, receiving),
            *(channels if is_ordered else ()),
        ],
        messages=[Envelope("sender", Transfer(tuple(f"item{number}" for number in range(items))))],
        network=network,
        outsiders=["reader"],
        history=Transferred(),
        record=recorded,
        always=[in_order_once, nothing_is_skipped],
        sometimes=[complete, given_up],
        leads_to=[(begun, settled)],
    )
