"""Small families that show one thing each."""

from __future__ import annotations

from engines.model import (
    Arrived,
    Become,
    Box,
    Choose,
    Effects,
    Elapsed,
    Family,
    Handle,
    Interaction,
    Message,
    Note,
    Numbered,
    Ref,
    Roll,
    Send,
    SetTimer,
    Spawn,
    Stop,
    Timer,
    Value,
    interactive_rule,
    rule,
)


class Add(Message):
    number: int


class Fail(Message):
    text: str


class End(Message):
    pass


class Keep(Message):
    """No rule takes it."""

    number: int


class Seen(Value):
    numbers: tuple[int, ...] = ()


@rule
def add(m: Add, t: Arrived[Add, None, Seen]) -> Effects[Seen, Add]:
    return Seen((*t.env.state.numbers, m.number))


@rule
def fail(m: Fail, t: Arrived[Fail, None, Seen]) -> Effects[Seen, Add]:
    raise ValueError(m.text)


@rule
def end(m: End, t: Arrived[End, None, Seen]) -> Effects[Seen, Add]:
    return [Stop()]


def _never(t: Arrived[Keep, None, Seen]) -> Keep | None:
    return t.message if t.message.number < 0 else None


@rule(when=_never)
def keep(m: Keep, t: Arrived[Keep, None, Seen]) -> Effects[Seen, Add]:
    return []


RECORDER = Family("recorder", accepts=Add | Fail | End | Keep, emits=Add, state=Seen()).rules(add, fail, end, keep)
"""Remembers numbers in order; fails, ends, and stores on demand."""

LOSSY = Family(
    "lossy",
    accepts=Add | Fail | End | Keep,
    emits=Add,
    state=Seen(),
    boxes=[Box(0, accepts=Add | Fail | End | Keep, lossy=True)],
).rules(add, fail, end, keep)

KEEPER = Family(
    "keeper",
    accepts=Add | Fail | End | Keep,
    emits=Add,
    state=Seen(),
    boxes=[Box(0, accepts=Add | Fail | End | Keep, stored_max=3)],
).rules(add, fail, end, keep)


class Total(Value):
    count: int = 0


@rule
def count(m: Add, t: Arrived[Add, None, Total]) -> Total:
    return Total(t.env.state.count + 1)


COUNTER = Family("counter", accepts=Add, state=Total()).rules(count)


class Pass(Message):
    target: Ref[Add]
    number: int
    copies: int = 1


@rule
def forward(m: Pass, t: Arrived[Pass, None, Total]) -> Effects[Total, Add]:
    return [Become(Total(t.env.state.count + 1)), *(Send(m.target, Add(m.number + i)) for i in range(m.copies))]


FORWARDER = Family("forwarder", accepts=Pass, emits=Add, state=Total()).rules(forward)
"""Sends numbers on, and counts its own triggers."""


class Wake(Message):
    after_ns: int


ALARM = Timer("alarm")


@rule
def set_alarm(m: Wake, t: Arrived[Wake, None, Seen]) -> Effects[Seen, Add]:
    return [SetTimer(ALARM, after_ns=m.after_ns)]


@rule(timer=ALARM)
def rang(h: Handle, t: Elapsed[None, Seen]) -> Effects[Seen, Add]:
    return [Become(Seen((*t.env.state.numbers, t.now_ns)))]


@rule
def work(m: Add, t: Arrived[Add, None, Seen]) -> Effects[Seen, Add]:
    return [Become(Seen((*t.env.state.numbers, -1)))]


SLEEPER = Family("sleeper", accepts=Wake | Add, emits=Add, state=Seen(), timers=[ALARM]).rules(set_alarm, rang, work)
"""Notes -1 for each message and the time for each alarm."""


class Ask(Message):
    timeout_ns: int


class Throw(Message):
    sides: int


class Said(Value):
    words: tuple[str, ...] = ()


@interactive_rule
def ask(m: Ask, t: Arrived[Ask, None, Said]) -> Interaction[Said, Add]:
    said = yield Choose(("yes", "no"), timeout_ns=m.timeout_ns)
    return Said((*t.env.state.words, said or "time"))


@interactive_rule
def throw(m: Throw, t: Arrived[Throw, None, Said]) -> Interaction[Said, Add]:
    side = yield Roll(m.sides)
    return Said((*t.env.state.words, str(side)))


@rule
def hear(m: Add, t: Arrived[Add, None, Said]) -> Effects[Said, Add]:
    return Said((*t.env.state.words, f"#{m.number}"))


ASKER = Family("asker", accepts=Ask | Throw | Add, emits=Add, state=Said()).rules(ask, throw, hear)


class Breed(Message):
    number: int


class BreedThen(Message):
    """Write to the child first, spawn it after."""

    number: int


@rule
def breed(m: Breed, t: Arrived[Breed, None, Total]) -> Effects[Total, Add]:
    return [
        Spawn(RECORDER, Numbered("kid")),
        Send(t.child(Numbered("kid")), Add(m.number)),
        Note("bred", number=m.number),
    ]


@rule
def write_then_breed(m: BreedThen, t: Arrived[BreedThen, None, Total]) -> Effects[Total, Add]:
    return [Send(t.child("late"), Add(m.number)), Spawn(RECORDER, "late")]


PARENT = Family("parent", accepts=Breed | BreedThen, emits=Add, state=Total(), spawns=[RECORDER]).rules(
    breed, write_then_breed
)


class Split(Message):
    """Passed on twice until nothing is left."""

    target: Ref[Split]
    left: int


@rule
def split(m: Split, t: Arrived[Split, None, Total]) -> Effects[Total, Split]:
    copies = 2 if m.left else 0
    me: Ref[Split] = Ref(t.me.name)
    return [Become(Total(t.env.state.count + 1)), *[Send(m.target, Split(me, m.left - 1))] * copies]


SPLITTER = Family("splitter", accepts=Split, emits=Split, state=Total()).rules(split)
"""Two of them, or one with itself, double their mail at each turn."""


class Pump(Message):
    """Send `each` messages a tick, and tick again at once, as often as `ticks` says."""

    target: Ref[Add]
    ticks: int
    each: int = 0


class Pumping(Value):
    target: Ref[Add] | None = None
    ticks: int = 0
    each: int = 0
    sent: int = 0
    heard: int = 0


TICK = Timer("tick")


@rule
def start_pump(m: Pump, t: Arrived[Pump, None, Pumping]) -> Effects[Pumping, Add]:
    """State. Timers: at once."""
    return [Become(Pumping(m.target, m.ticks, m.each)), SetTimer(TICK, after_ns=0)]


@rule(timer=TICK)
def pump(h: Handle, t: Elapsed[None, Pumping]) -> Effects[Pumping, Add]:
    """State. Messages: as many as were asked for. Timers: at once again."""
    state = t.env.state
    assert state.target is not None
    sent = [Send(state.target, Add(state.sent + index)) for index in range(state.each)]
    again = [SetTimer(TICK, after_ns=0)] if state.ticks > 1 else []
    after = Pumping(state.target, state.ticks - 1, state.each, state.sent + state.each, state.heard)
    return [Become(after), *sent, *again]


@rule
def hear_while_pumping(m: Add, t: Arrived[Add, None, Pumping]) -> Effects[Pumping, Add]:
    """State: one more."""
    state = t.env.state
    return Pumping(state.target, state.ticks, state.each, state.sent, state.heard + 1)


PUMP = Family("pump", accepts=Pump | Add, emits=Add, state=Pumping(), timers=[TICK]).rules(
    start_pump, pump, hear_while_pumping
)


class Picky(Message):
    """Its own check raises when it is read: `text` says what."""

    text: str

    def __post_init__(self) -> None:
        if self.text == "lookup":
            raise LookupError(self.text)
        if self.text == "exit":
            raise SystemExit(self.text)


@rule
def picky(m: Picky, t: Arrived[Picky, None, Total]) -> Effects[Total, Add]:
    return Total(t.env.state.count + 1)


PICKY = Family("picky", accepts=Picky, emits=Add, state=Total()).rules(picky)
