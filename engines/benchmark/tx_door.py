"""A user who keeps some signed submissions under way: what `bench tx` measures through the door of a node.

All submissions are made and signed when the load is ordered, before the clock starts, because a user's own work is not
what is measured. Each is done once: its receipt has the outcomes of all its transactions.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from msgspec.structs import replace

from engines.crypto.keys import SecretKey, secret_from, sign
from engines.interaction.messages import Instruction, Receipt, Refusal, Submission, signed_text
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

from .tx import Loaded, increments

USER: Final[SecretKey] = secret_from(bytes([7]) * 64, can_sign=True, can_decrypt=False)
"""A key for measurements: everybody knows it."""


class SignedLoad(Message):
    """Have the door run `count` increments, in submissions of `group`, with at most `window` of them without receipt.

    `every_ns` paces the submissions; 0: as fast as the window allows. `series` tells loads apart.
    """

    door: Ref[Instruction]
    count: int
    group: int
    keys: int
    window: int
    series: int
    listener: Ref[Loaded]
    every_ns: int = 0


class Submitting(Value):
    """State: the load, its instructions, how many were sent, and when those without receipt were, by number."""

    load: SignedLoad | None = None
    instructions: tuple[Instruction, ...] = ()
    sent: int = 0
    began_ns: int = 0
    under_way: Map[int, int] = Map()
    succeeded: int = 0
    taken_ns: tuple[int, ...] = ()


NEXT = Timer("next")
Out: TypeAlias = Instruction | Loaded


@rule
def begin(load: SignedLoad, t: Arrived[SignedLoad, None, Submitting]) -> Effects[Submitting, Out]:
    """State: the instructions. Timers: to send the first ones. Messages, engines: none."""
    made: list[Instruction] = []
    for first in range(0, load.count, load.group):
        numbers = range(first, min(first + load.group, load.count))
        txs = increments(numbers, load.series, load.keys)
        body = encode(Submission(load.series * load.count + len(made), txs))
        made.append(Instruction(body, sign(USER, signed_text(body)), Ref(t.me.name)))
    return [Become(Submitting(load, tuple(made))), SetTimer(NEXT, after_ns=1)]


@rule(timer=NEXT)
def submit(_next: Handle, t: Elapsed[None, Submitting]) -> Effects[Submitting, Out]:
    """State, messages, timers: as `sending`. Engines: none."""
    state = t.env.state
    return sending(state if state.began_ns else replace(state, began_ns=t.now_ns), t.now_ns)


def sending(state: Submitting, now_ns: int) -> Effects[Submitting, Out]:
    """State: submissions are under way. Messages: as many as the window allows, or one. Timers: to the next one, if the
    load is paced. Engines: none."""
    load = state.load
    if load is None:
        return state
    room = 1 if load.every_ns else load.window - len(state.under_way)
    chosen = range(state.sent, min(state.sent + room, len(state.instructions)))
    first = load.series * load.count
    under_way = state.under_way.updated({first + place: now_ns for place in chosen})
    after = replace(state, sent=state.sent + len(chosen), under_way=under_way)
    is_paced = load.every_ns and after.sent < len(after.instructions)
    return [
        Become(after),
        *(Send(load.door, state.instructions[place]) for place in chosen),
        *([SetTimer(NEXT, at_ns=state.began_ns + after.sent * load.every_ns)] if is_paced else ()),
    ]


@rule
def count(receipt: Receipt, t: Arrived[Receipt, None, Submitting]) -> Effects[Submitting, Out]:
    """State: a submission is done. Messages: as `sending`; after the last one, to the listener. Timers: as `sending`.
    Engines: none."""
    state, load = t.env.state, t.env.state.load
    began_ns = state.under_way.get(receipt.number)
    if load is None or began_ns is None:
        return []
    after = replace(
        state,
        under_way=state.under_way.without(receipt.number),
        succeeded=state.succeeded + sum(summary.success for summary in receipt.outcomes),
        taken_ns=(*state.taken_ns, t.now_ns - began_ns),
    )
    if len(after.taken_ns) == len(state.instructions):
        loaded = Loaded(after.succeeded, t.now_ns - state.began_ns, after.taken_ns)
        return [Become(Submitting()), Send(load.listener, loaded)]
    return after if load.every_ns else sending(after, t.now_ns)


@rule
def note(refused: Refusal, _t: Arrived[Refusal, None, Submitting]) -> Effects[Submitting, Out]:
    """A line in the log: the load will not end. State, messages, timers, engines: none."""
    return Note("refused", code=refused.code, reason=refused.reason)


SIGNER = Family(
    "signing-submitter",
    state=Submitting(),
    accepts=SignedLoad | Receipt | Refusal,
    emits=Out,
    timers=[NEXT],
).rules(begin, submit, count, note)
