"""A family that does what a message says: laws draw its messages and compare with a model that is obviously right."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from engines.model import (
    Arrived,
    Become,
    Box,
    CancelTimer,
    Configuration,
    Consume,
    Delivery,
    Due,
    Effects,
    Elapsed,
    Environment,
    Family,
    Forget,
    Handle,
    Message,
    Note,
    Numbered,
    Outcome,
    Put,
    Ref,
    Send,
    SetTimer,
    Spawn,
    Stop,
    Store,
    StoredMessage,
    Timer,
    Value,
    birth,
    rule,
    step,
)


class Op(Value, tag=True):
    """One effect, as data."""


class SetState(Op):
    number: int


class PutBox(Op):
    number: int


class Tell(Op):
    target: str
    number: int


class Keep(Op):
    pass


class Take(Op):
    place: int


class Wake(Op):
    name: str
    after_ns: int


class Cancel(Op):
    name: str


class Child(Op):
    word: str
    numbered: bool


class Drop(Op):
    name: str


class Say(Op):
    text: str


class End(Op):
    pass


class Raise(Op):
    pass


AnyOp = SetState | PutBox | Tell | Keep | Take | Wake | Cancel | Child | Drop | Say | End | Raise


class Told(Message):
    number: int


class Do(Message):
    ops: tuple[AnyOp, ...]


class Later(Message):
    """Nobody takes it: its rule never holds."""

    number: int
    reply: Ref[Told]


class Count(Value):
    number: int = 0


INBOX = Box(0, accepts=Do | Later, start=Count(), stored_max=3)
TIMERS = (Timer("a"), Timer("b"), Timer("c"))

Done = Arrived[Do, None, Count]
Rang = Elapsed[None, Count]


class Planned(Exception):
    """Raised by an action on demand."""


def effect(op: AnyOp, t: Done) -> Any:
    """The effect of an op."""
    match op:
        case SetState(number):
            return Become(Count(number))
        case PutBox(number):
            return Put(INBOX, Count(number))
        case Tell(target, number):
            return Send(Ref(target), Told(number))
        case Keep():
            return Store()
        case Take(place):
            stored = t.env[INBOX].stored
            return Consume(stored[place] if place < len(stored) else StoredMessage(99, "nobody", 0, Told(0), 0))
        case Wake(name, after_ns):
            return SetTimer(Timer(name), after_ns=after_ns)
        case Cancel(name):
            return CancelTimer(Timer(name))
        case Child(word, numbered):
            return Spawn(FAMILY, Numbered(word) if numbered else word)
        case Drop(name):
            return Forget(name)
        case Say(text):
            return Note(text, length=len(text))
        case End():
            return Stop()
        case Raise():
            raise Planned
    raise AssertionError(op)


@rule
def do(message: Do, t: Done) -> Effects[Count, Told]:
    """Everything the message says."""
    return [effect(op, t) for op in message.ops]


def never(t: Arrived[Later, None, Count]) -> Later | None:
    return t.message if t.message.number < 0 else None


@rule(when=never)
def later(message: Later, t: Arrived[Later, None, Count]) -> Effects[Count, Told]:
    """Never taken."""
    return []


@rule(timer=TIMERS[0])
def ring_a(handle: Handle, t: Rang) -> Count:
    return Count(t.env.state.number * 10 + 1)


@rule(timer=TIMERS[1])
def ring_b(handle: Handle, t: Rang) -> Count:
    return Count(t.env.state.number * 10 + 2)


def odd(t: Rang) -> int | None:
    return t.env.state.number if t.env.state.number % 2 else None


@rule(timer=TIMERS[2], when=odd)
def ring_c(number: int, t: Rang) -> Count:
    return Count(number * 10 + 3)


RULES = (do, later, ring_a, ring_b, ring_c)
FAMILY = Family("scripted", accepts=Do | Later, emits=Told, state=Count(), boxes=[INBOX], timers=TIMERS).rules(*RULES)
STRICT = Family(
    "strict", accepts=Do | Later, emits=Told, state=Count(), boxes=[INBOX], timers=TIMERS, strict=True, spawns=[FAMILY]
).rules(*RULES)
ME = Configuration("node", "me")


def newborn(family: Family[Any, Any, Any, Any] = FAMILY, *acquaintances: str) -> Environment[Any]:
    """An engine's first environment."""
    return birth(family, ME, now_ns=0, acquaintances=acquaintances)


def tell(
    env: Environment[Any], message: Message, now_ns: int = 0, family: Any = FAMILY, sender: str = "x"
) -> Outcome[Any]:
    """One message."""
    return step(family, ME, env, Delivery(sender, 0, message), now_ns)


def run(env: Environment[Any], *ops: AnyOp, now_ns: int = 0, family: Any = FAMILY) -> Outcome[Any]:
    """One message of these ops."""
    return tell(env, Do(ops), now_ns, family)


def ring(env: Environment[Any], handles: tuple[Handle, ...], now_ns: int, family: Any = FAMILY) -> Outcome[Any]:
    """Elapsed timers."""
    return step(family, ME, env, Due(handles), now_ns)


numbers = st.integers(0, 9)
words = st.sampled_from(["a", "b", "c"])
ops: st.SearchStrategy[Any] = st.one_of(
    st.builds(SetState, numbers),
    st.builds(PutBox, numbers),
    st.builds(Tell, words, numbers),
    st.builds(Keep),
    st.builds(Take, st.integers(0, 3)),
    st.builds(Wake, words, st.integers(-2, 9)),
    st.builds(Cancel, words),
    st.builds(Child, words, st.booleans()),
    st.builds(Drop, words),
    st.builds(Say, words),
    st.sampled_from([End(), Raise(), SetState(1), Wake("a", 1)]),
)
messages = st.one_of(
    st.builds(Do, st.lists(ops, max_size=5).map(tuple)), st.builds(Later, numbers, st.sampled_from(["p", "q#1"]))
)
