"""A client that keeps some transactions under way: what `bench tx` measures, from submit to answer.

Each request has `group` increments, over `keys` counters in turn: a request of a worker, or an instruction of a door
that a user signed. All are made when the load is ordered, before the clock starts, because making and signing them is a
client's own work. Sending them, and counting what comes back, is within the time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from engines.crypto.keys import SecretKey, secret_from, sign
from engines.execution.programs import candidate
from engines.execution.transactions import bytes_hash
from engines.interaction.messages import Instruction, Receipt, Refusal, Submission, signed_text
from engines.mempool.messages import TransactionAck, TransactionOutcome, TransactionRefused, TransactionRequest
from engines.model import (
    Arrived,
    Become,
    Effects,
    Elapsed,
    Family,
    Handle,
    Map,
    Message,
    Note,
    Ref,
    Send,
    SetTimer,
    Timer,
    Value,
    encode,
    rule,
)

USER: Final[SecretKey] = secret_from(bytes([7]) * 64, can_sign=True, can_decrypt=False)
"""A key for measurements: everybody knows it."""

Request: TypeAlias = TransactionRequest | Instruction


class LoadOrder(Message):
    """Have `target` run `count` increments, in requests of `group`, with at most `window` requests without outcome.

    `every_ns` paces the requests; 0: as fast as the window allows. `series` tells the transactions of loads apart.
    `is_signed`: the target is a door, else a worker.
    """

    target: Ref[Request]
    count: int
    group: int
    keys: int
    window: int
    series: int
    listener: Ref[Loaded]
    every_ns: int = 0
    is_signed: bool = False


class Loaded(Message):
    """`count` transactions succeeded within `took_ns`; and how long each request took, up to its last outcome."""

    count: int
    took_ns: int
    taken_ns: tuple[int, ...]


class UnderWay(Value):
    """A request without all its outcomes: when it left, and how many are missing."""

    began_ns: int
    missing: int


class Submitted(Value):
    """State: the requests of the load, how many were sent, and which request each transaction belongs to."""

    load: LoadOrder | None = None
    requests: tuple[Request, ...] = ()
    request_of: Map[bytes, int] = Map()
    sent: int = 0
    began_ns: int = 0
    under_way: Map[int, UnderWay] = Map()
    succeeded: int = 0
    taken_ns: tuple[int, ...] = ()


NEXT = Timer("next")
Out: TypeAlias = Request | Loaded
Answers: TypeAlias = TransactionAck | TransactionRefused | TransactionOutcome | Receipt | Refusal


def increments(numbers: Iterable[int], series: int, keys: int) -> tuple[bytes, ...]:
    """The transactions with these numbers of a series: each adds one to one of `keys` counters."""
    return tuple(
        encode(candidate("increment", b"counter %d" % (number % keys), nonce=b"%d.%d" % (series, number)))
        for number in numbers
    )


def request(load: LoadOrder, number: int, txs: tuple[bytes, ...], client: Ref[Answers]) -> Request:
    """The request with this number of a load."""
    if not load.is_signed:
        return TransactionRequest(txs, client)
    body = encode(Submission(load.series * load.count + number, txs))
    return Instruction(body, sign(USER, signed_text(body)), client)


@rule
def begin(load: LoadOrder, t: Arrived[LoadOrder, None, Submitted]) -> Effects[Submitted, Out]:
    """State: the requests. Timers: to send the first ones. Messages, engines: none."""
    requests: list[Request] = []
    request_of: dict[bytes, int] = {}
    for first in range(0, load.count, load.group):
        txs = increments(range(first, min(first + load.group, load.count)), load.series, load.keys)
        request_of.update((bytes_hash(tx), len(requests)) for tx in txs)
        requests.append(request(load, len(requests), txs, Ref(t.me.name)))
    return [Become(Submitted(load, tuple(requests), Map(request_of))), SetTimer(NEXT, after_ns=1)]


@rule(timer=NEXT)
def submit(_next: Handle, t: Elapsed[None, Submitted]) -> Effects[Submitted, Out]:
    """State, messages, timers: as `sending`. Engines: none."""
    state = t.env.state
    return sending(state if state.began_ns else replace(state, began_ns=t.now_ns), t.now_ns)


def sending(state: Submitted, now_ns: int) -> Effects[Submitted, Out]:
    """State: requests are under way. Messages: as many as the window allows, or one. Timers: to the next one, if the
    load is paced. Engines: none."""
    load = state.load
    if load is None:
        return state
    target: Ref[Any] = load.target
    room = 1 if load.every_ns else load.window - len(state.under_way)
    chosen = range(state.sent, min(state.sent + room, len(state.requests)))
    under_way = {number: UnderWay(now_ns, min(load.group, load.count - number * load.group)) for number in chosen}
    after = replace(state, sent=state.sent + len(chosen), under_way=state.under_way.updated(under_way))
    is_paced = load.every_ns and after.sent < len(after.requests)
    return [
        Become(after),
        *(Send(target, state.requests[number]) for number in chosen),
        *([SetTimer(NEXT, at_ns=state.began_ns + after.sent * load.every_ns)] if is_paced else ()),
    ]


@rule
def count(message: TransactionOutcome, t: Arrived[TransactionOutcome, None, Submitted]) -> Effects[Submitted, Out]:
    """State, messages, timers: as `counted`. Engines: none."""
    found: dict[int, int] = {}
    for summary in message.outcomes:
        number = t.env.state.request_of[summary.tx_hash]
        found[number] = found.get(number, 0) + 1
    return counted(t.env.state, found, sum(summary.success for summary in message.outcomes), t.now_ns)


@rule
def count_receipt(receipt: Receipt, t: Arrived[Receipt, None, Submitted]) -> Effects[Submitted, Out]:
    """State, messages, timers: as `counted`. Engines: none."""
    load = t.env.state.load
    if load is None:
        return []
    found = {receipt.number - load.series * load.count: len(receipt.outcomes)}
    return counted(t.env.state, found, sum(summary.success for summary in receipt.outcomes), t.now_ns)


def counted(state: Submitted, found: dict[int, int], succeeded: int, now_ns: int) -> Effects[Submitted, Out]:
    """State: so many outcomes of each request are here. Messages: as `sending`; after the last one, to the listener.
    Timers: as `sending`. Engines: none."""
    load, under_way, taken_ns = state.load, state.under_way, list(state.taken_ns)
    if load is None:
        return []
    for number, outcomes in found.items():
        one = under_way[number]
        under_way = under_way.set(number, UnderWay(one.began_ns, one.missing - outcomes))
        if one.missing == outcomes:
            under_way = under_way.without(number)
            taken_ns.append(now_ns - one.began_ns)
    succeeded += state.succeeded
    after = replace(state, under_way=under_way, succeeded=succeeded, taken_ns=tuple(taken_ns))
    if len(taken_ns) == len(state.requests):
        return [Become(Submitted()), Send(load.listener, Loaded(succeeded, now_ns - state.began_ns, after.taken_ns))]
    return after if load.every_ns else sending(after, now_ns)


@rule
def leave(_answer: TransactionAck, _t: Arrived[TransactionAck, None, Submitted]) -> Effects[Submitted, Out]:
    """The outcome says more. State, messages, timers, engines: none."""
    return []


Refused: TypeAlias = Arrived[TransactionRefused | Refusal, None, Submitted]


@rule
def note(refused: TransactionRefused | Refusal, _t: Refused) -> Effects[Submitted, Out]:
    """A line in the log: the load will not end. State, messages, timers, engines: none."""
    return Note("refused", reason=refused.reason)


SUBMITTER = Family("submitter", state=Submitted(), accepts=LoadOrder | Answers, emits=Out, timers=[NEXT]).rules(
    begin, submit, count, count_receipt, leave, note
)
