"""A client that keeps some transactions under way: what `bench tx` measures, from submit to answer.

Each request has `group` increments, over `keys` counters in turn. All requests are made when the load is ordered,
before the clock starts, because a client's own work is not what is measured.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from msgspec.structs import replace

from engines.execution.programs import candidate
from engines.execution.transactions import TransactionCandidate, tx_hash
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
    rule,
)


class LoadOrder(Message):
    """Have `worker` run `count` increments, in requests of `group`, with at most `window` requests without outcome.

    `every_ns` paces the requests; 0: as fast as the window allows. `series` tells the transactions of loads apart.
    """

    worker: Ref[TransactionRequest]
    count: int
    group: int
    keys: int
    window: int
    series: int
    listener: Ref[Loaded]
    every_ns: int = 0


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
    requests: tuple[TransactionRequest, ...] = ()
    request_of: Map[bytes, int] = Map()
    sent: int = 0
    began_ns: int = 0
    under_way: Map[int, UnderWay] = Map()
    succeeded: int = 0
    taken_ns: tuple[int, ...] = ()


NEXT = Timer("next")
Out: TypeAlias = TransactionRequest | Loaded
Answers: TypeAlias = TransactionAck | TransactionRefused | TransactionOutcome


def increments(numbers: Iterable[int], series: int, keys: int) -> tuple[TransactionCandidate, ...]:
    """The transactions with these numbers of a series: each adds one to one of `keys` counters."""
    return tuple(
        candidate("increment", b"counter %d" % (number % keys), nonce=b"%d.%d" % (series, number)) for number in numbers
    )


@rule
def begin(load: LoadOrder, t: Arrived[LoadOrder, None, Submitted]) -> Effects[Submitted, Out]:
    """State: the requests. Timers: to send the first ones. Messages, engines: none."""
    requests: list[TransactionRequest] = []
    request_of: dict[bytes, int] = {}
    for first in range(0, load.count, load.group):
        numbers = range(first, min(first + load.group, load.count))
        txs = increments(numbers, load.series, load.keys)
        request_of.update((tx_hash(tx), len(requests)) for tx in txs)
        requests.append(TransactionRequest(txs, Ref(t.me.name)))
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
    room = 1 if load.every_ns else load.window - len(state.under_way)
    chosen = range(state.sent, min(state.sent + room, len(state.requests)))
    under_way = {number: UnderWay(now_ns, len(state.requests[number].txs)) for number in chosen}
    after = replace(state, sent=state.sent + len(chosen), under_way=state.under_way.updated(under_way))
    is_paced = load.every_ns and after.sent < len(after.requests)
    return [
        Become(after),
        *(Send(load.worker, state.requests[number]) for number in chosen),
        *([SetTimer(NEXT, at_ns=state.began_ns + after.sent * load.every_ns)] if is_paced else ()),
    ]


@rule
def count(message: TransactionOutcome, t: Arrived[TransactionOutcome, None, Submitted]) -> Effects[Submitted, Out]:
    """State: outcomes of requests under way. Messages: as `sending`; after the last outcome, to the listener. Timers:
    as `sending`. Engines: none."""
    state, load = t.env.state, t.env.state.load
    if load is None:
        return []
    under_way, taken_ns = state.under_way, list(state.taken_ns)
    found: dict[int, int] = {}
    for summary in message.outcomes:
        number = state.request_of[summary.tx_hash]
        found[number] = found.get(number, 0) + 1
    for number, outcomes in found.items():
        one = under_way[number]
        under_way = under_way.set(number, UnderWay(one.began_ns, one.missing - outcomes))
        if one.missing == outcomes:
            under_way = under_way.without(number)
            taken_ns.append(t.now_ns - one.began_ns)
    succeeded = state.succeeded + sum(summary.success for summary in message.outcomes)
    after = replace(state, under_way=under_way, succeeded=succeeded, taken_ns=tuple(taken_ns))
    if len(taken_ns) == len(state.requests):
        return [Become(Submitted()), Send(load.listener, Loaded(succeeded, t.now_ns - state.began_ns, after.taken_ns))]
    return after if load.every_ns else sending(after, t.now_ns)


@rule
def leave(_answer: TransactionAck, _t: Arrived[TransactionAck, None, Submitted]) -> Effects[Submitted, Out]:
    """The outcome says more. State, messages, timers, engines: none."""
    return []


@rule
def note(refused: TransactionRefused, _t: Arrived[TransactionRefused, None, Submitted]) -> Effects[Submitted, Out]:
    """A line in the log: the load will not end. State, messages, timers, engines: none."""
    return Note("refused", reason=refused.reason)


SUBMITTER = Family("submitter", state=Submitted(), accepts=LoadOrder | Answers, emits=Out, timers=[NEXT]).rules(
    begin, submit, count, leave, note
)
