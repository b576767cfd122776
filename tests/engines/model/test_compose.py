"""Composition: through one part, a run of the whole is a run of that part alone."""

from collections.abc import Sequence
from typing import Any, Literal, Never

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.model import (
    Arrived,
    Become,
    Box,
    CancelTimer,
    Choose,
    Committed,
    Config,
    Configuration,
    Consume,
    DefinitionError,
    Delivery,
    Due,
    Effects,
    Elapsed,
    Environment,
    Failed,
    Family,
    Handle,
    Interaction,
    Message,
    Note,
    Noted,
    Numbered,
    Outgoing,
    Put,
    Ref,
    Refused,
    Send,
    SetTimer,
    Spawn,
    Spawned,
    Stop,
    Stopped,
    Stored,
    Suspended,
    Timer,
    Value,
    birth,
    due_timers,
    interactive_rule,
    rule,
    step,
)
from engines.model.compose import compose


class Add(Message):
    number: int


class Report(Message):
    to: Ref["Total"]


class Total(Message):
    number: int


class Overflowing(Message):
    """Hidden: the counter tells the alarm."""

    number: int


class Reset(Message):
    """Hidden: the alarm tells the counter."""


class Half(Message):
    number: int


class Halt(Message):
    pass


class Boom(Message):
    pass


class Rang(Message):
    times: int


class Ask(Message):
    pass


class Limit(Config):
    number: int


class Count(Value):
    number: int = 0


class Seen(Value):
    halves: int = 0


class Rings(Value):
    times: int = 0
    last_ns: int = 0


COUNTER_BOX = Box(0, accepts=Add | Report | Reset | Half | Halt, start=Seen())
FADE = Timer("fade")
BELL_BOX = Box(0, accepts=Overflowing | Boom, start=Rings())
ASK_BOX = Box(2, accepts=Ask)
BELL = Timer("bell")
FADE_TOO = Timer("fade")


@rule
def add(message: Add, t: Arrived[Add, Limit, Count]) -> Effects[Count, Overflowing]:
    number = t.env.state.number + message.number
    effects: list[Any] = [Become(Count(number)), SetTimer(FADE, after_ns=50)]
    if number > t.config.number:
        effects += [Send(Ref[Overflowing]("nobody"), Overflowing(number)), Spawn(COUNTER, Numbered("spare"), t.config)]
        effects.append(Send(t.child(Numbered("spare")), Total(len(t.env.children))))
    return effects


@rule
def report(message: Report, t: Arrived[Report, Limit, Count]) -> Effects[Count, Total]:
    return Send(message.to, Total(t.env.state.number))


@rule
def reset(message: Reset, t: Arrived[Reset, Limit, Count]) -> Effects[Count, Never]:
    return Count(0)


def both_halves(t: Arrived[Half, Limit, Count]) -> Any | None:
    return next((stored for stored in t.env[COUNTER_BOX].stored if isinstance(stored.message, Half)), None)


@rule(when=both_halves)
def join(first: Any, t: Arrived[Half, Limit, Count]) -> Effects[Count, Never]:
    seen: Seen = t.env[COUNTER_BOX].state
    return [Consume(first), Put(COUNTER_BOX, Seen(seen.halves + 1)), CancelTimer(FADE)]


@rule
def halt(message: Halt, t: Arrived[Halt, Limit, Count]) -> Effects[Count, Never]:
    return [Become(Count(-1)), Stop()]


@rule(timer=FADE)
def fade(handle: Handle, t: Elapsed[Limit, Count]) -> Effects[Count, Total]:
    number = t.env.state.number // 2
    return [Become(Count(number)), Note("faded", number=number, timers=len(t.env.timers), again=t.env.is_pending(FADE))]


@rule
def ring(message: Overflowing, t: Arrived[Overflowing, None, Rings]) -> Effects[Rings, Reset]:
    rings = t.env[BELL_BOX].state
    return [
        Put(BELL_BOX, Rings(rings.times + 1 + len(t.env[BELL_BOX].stored), t.now_ns)),
        SetTimer(BELL, after_ns=70),
        SetTimer(FADE_TOO, after_ns=50),
        Send(Ref[Reset]("nobody#3"), Reset()),
    ]


@rule(timer=BELL)
def rang(handle: Handle, t: Elapsed[None, Rings]) -> Effects[Rings, Rang]:
    times = t.env.state.times + 1
    return [Become(Rings(times, t.now_ns)), Send(Ref[Rang]("street"), Rang(times))]


@rule(timer=FADE_TOO)
def hum(handle: Handle, t: Elapsed[None, Rings]) -> Effects[Rings, Never]:
    return Rings(t.env.state.times + len(t.handles) + len(t.env.timers) + 10 * t.env.is_pending(BELL), t.now_ns)


@rule
def boom(message: Boom, t: Arrived[Boom, None, Rings]) -> Effects[Rings, Never]:
    raise RuntimeError("boom")


@interactive_rule
def ask(message: Ask, t: Arrived[Ask, None, Rings]) -> Interaction[Rings, Rang]:
    answer = yield from Choose(["loud", "quiet"])
    if answer == "loud":
        return [Send(Ref[Rang](t.sender), Rang(99)), Spawn(BELL_TOWER, "tower")]
    return Rings(-1)


COUNTER = Family(
    "counter",
    accepts=Add | Report | Reset | Half | Halt,
    emits=Total | Overflowing,
    config=Limit,
    state=Count(),
    boxes=[COUNTER_BOX],
    timers=[FADE],
).rules(add, report, reset, join, halt, fade)

BELL_TOWER = Family(
    "bell",
    accepts=Overflowing | Boom | Ask,
    emits=Rang | Reset,
    state=Rings(),
    boxes=[BELL_BOX, ASK_BOX],
    timers=[BELL, FADE_TOO],
).rules(ring, rang, hum, boom, ask)

WHOLE = compose("counting-bell", COUNTER, BELL_TOWER, hidden=[Overflowing, Reset])
HIDDEN = (Overflowing, Reset)
AnyFamily = Family[Any, Any, Any, Any]


def whole_configuration() -> Configuration[Any]:
    assert WHOLE.config is not None
    return Configuration("node", "e", params=WHOLE.config(left=Limit(10)))


ALONE: dict[str, tuple[AnyFamily, Configuration[Any]]] = {
    "counter": (COUNTER, Configuration("node", "e", params=Limit(10))),
    "bell": (BELL_TOWER, Configuration("node", "e")),
}
SIDES: dict[str, Literal["left", "right"]] = {"counter": "left", "bell": "right"}


def seen_through(part: str, env: Environment[Any]) -> Any:
    """What a part may see of the whole's environment, without the numbers that have gaps."""
    family, side = ALONE[part][0], SIDES[part]
    boxes = {number: mailbox for number, mailbox in enumerate(env.mailboxes) if number in family.boxes and mailbox}
    return (
        getattr(env.state, side),
        {number: getattr(box.state, side) if number == 0 else box.state for number, box in boxes.items()},
        [
            (s.sender, s.message)
            for box in boxes.values()
            for s in box.stored
            if type(s.message) in family.accepts_types
        ],
        {
            name.removeprefix(f"{part}."): at.deadline_ns
            for name, at in env.timers.items()
            if name.startswith(f"{part}.")
        },
        {word.removeprefix(f"{part}-"): n for word, n in env.children.items() if word.startswith(f"{part}-")},
    )


def seen_alone(env: Environment[Any]) -> Any:
    boxes = {number: mailbox for number, mailbox in enumerate(env.mailboxes) if mailbox is not None}
    return (
        env.state,
        {number: box.state for number, box in boxes.items()},
        [(stored.sender, stored.message) for box in boxes.values() for stored in box.stored],
        {name: pending.deadline_ns for name, pending in env.timers.items()},
        dict(env.children.items()),
    )


def sent_through(part: str, outputs: Sequence[Any]) -> list[Any]:
    """The outputs of one part, its prefix taken off; hidden messages without their address."""
    emitted = ALONE[part][0].emits_types
    found: list[Any] = []
    for output in outputs:
        match output:
            case Outgoing() if type(output.message) in emitted:
                target = output.target.replace(f"/{part}-", "/")
                hidden = isinstance(output.message, HIDDEN)
                found.append(output.message if hidden else (target, output.mailbox, output.message))
            case Spawned() if output.family.endswith({"counter": "COUNTER", "bell": "BELL_TOWER"}[part]):
                found.append((output.name.replace(f"/{part}-", "/"), output.params))
            case Noted() if part == "counter":
                found.append(output)
    return found


class SideBySide:
    """The whole and its parts alone, fed with the same triggers."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.whole = birth(WHOLE, whole_configuration(), now_ns=0)
        self.parts = {name: birth(family, me, now_ns=0) for name, (family, me) in ALONE.items()}
        self.hidden: list[Outgoing] = []
        self.is_over = False

    def feed(self, cause: Delivery[Any] | Due, answers: tuple[str, ...] = ()) -> None:
        outcome = step(WHOLE, whole_configuration(), self.whole, cause, self.now_ns, answers)
        for name, (family, me) in ALONE.items():
            part_cause = self.part_cause(name, cause)
            if part_cause is not None:
                alone = step(family, me, self.parts[name], part_cause, self.now_ns, answers)
                self.compare(name, outcome, alone)
                if isinstance(alone, Committed | Stored):
                    self.parts[name] = alone.env
        if isinstance(outcome, Committed):
            self.is_over = outcome.outputs[-1:] == (Stopped(),)
            self.hidden += [o for o in outcome.outputs if isinstance(o, Outgoing) and isinstance(o.message, HIDDEN)]
        if isinstance(outcome, Committed | Stored):
            self.whole = outcome.env
        if not self.is_over:
            for name, env in self.parts.items():
                assert seen_through(name, self.whole) == seen_alone(env)
        if isinstance(outcome, Suspended):
            assert not answers
            self.feed(cause, ("loud" if self.now_ns % 2 else "quiet",))

    def part_cause(self, name: str, cause: Delivery[Any] | Due) -> Delivery[Any] | Due | None:
        """The trigger as the part alone meets it; None when it is not for the part."""
        if isinstance(cause, Delivery):
            return cause if type(cause.message) in ALONE[name][0].accepts_types else None
        due = due_timers(self.parts[name], self.now_ns)
        whole = [handle.name for handle in cause.handles if handle.name.startswith(f"{name}.")]
        assert whole == [f"{name}.{handle.name}" for handle in due]
        return Due(due) if due else None

    def compare(self, name: str, whole: Any, alone: Any) -> None:
        assert type(whole) is type(alone)
        if isinstance(whole, Failed):
            assert whole.error.replace(f"{name}-", "") == alone.error
        if isinstance(whole, Suspended):
            assert whole.question == alone.question
        if isinstance(whole, Committed):
            assert [label for label in whole.labels if label.startswith(f"{name}.")] == [
                f"{name}.{label}" for label in alone.labels
            ]
            assert sent_through(name, whole.outputs) == sent_through(name, alone.outputs)
            children = [o.target for o in whole.outputs if isinstance(o, Outgoing) and o.target.startswith("e/")]
            assert all(target.startswith(("e/counter-", "e/bell-")) for target in children)
            assert (Stopped() in whole.outputs) == (Stopped() in alone.outputs)

    def run_timers(self) -> None:
        handles = due_timers(self.whole, self.now_ns)
        if handles and not self.is_over:
            self.feed(Due(handles))

    def run_hidden(self) -> None:
        """Hidden messages reach the engine itself, in its mailbox for them."""
        while self.hidden and not self.is_over:
            output = self.hidden.pop(0)
            assert (output.target, output.mailbox) == ("e", 0)
            self.feed(Delivery("e", 0, output.message))


inputs = st.one_of(
    st.builds(Add, st.integers(0, 9)),
    st.just(Report(Ref("bob"))),
    st.builds(Half, st.integers(0, 1)),
    st.sampled_from([Boom(), Ask()]),
    st.integers(1, 80),
    st.integers(1, 80),
)


@settings(deadline=None)
@given(st.lists(inputs, max_size=40), st.booleans())
def test_a_run_of_the_whole_is_a_run_of_each_part(script: list[Any], halted: bool) -> None:
    """A composed engine would behave as neither part: labels, state, mailboxes, timers, children or outputs differ."""
    run = SideBySide()
    for item in [*script, Halt()] if halted else script:
        if isinstance(item, int):
            run.now_ns += item
            run.run_timers()
        else:
            run.feed(Delivery("outside", 2 if isinstance(item, Ask) else 0, item))
        run.run_hidden()
    assert run.is_over == halted


def test_the_end_of_a_part_ends_the_whole() -> None:
    """Half an engine would live on."""
    env = birth(WHOLE, whole_configuration(), now_ns=0)
    busy = step(WHOLE, whole_configuration(), env, Delivery("x", 0, Add(1)), 0)
    assert isinstance(busy, Committed)
    assert busy.env.timers.keys() == ("counter.fade",)
    ended = step(WHOLE, whole_configuration(), busy.env, Delivery("x", 0, Halt()), 1)
    assert isinstance(ended, Committed)
    assert ended.labels == ("counter.halt",)
    assert ended.outputs == (Stopped(),)
    assert len(ended.env.timers) == 0


def test_a_hidden_message_from_elsewhere_is_refused() -> None:
    """Anybody could play one part against the other."""
    env = birth(WHOLE, whole_configuration(), now_ns=0)
    refused = step(WHOLE, whole_configuration(), env, Delivery("eve", 0, Overflowing(1)), 0)
    assert isinstance(refused, Refused)
    assert "hidden" in refused.reason
    assert isinstance(step(WHOLE, whole_configuration(), env, Delivery("e", 0, Overflowing(1)), 0), Committed)


def test_the_environment_survives_its_dump() -> None:
    """A composed engine could not be reloaded."""
    env = birth(WHOLE, whole_configuration(), now_ns=0)
    outcome = step(WHOLE, whole_configuration(), env, Delivery("x", 0, Add(11)), 5)
    assert isinstance(outcome, Committed)
    half = step(WHOLE, whole_configuration(), outcome.env, Delivery("x", 0, Half(1)), 6)
    assert isinstance(half, Stored)
    assert WHOLE.load(WHOLE.dump(half.env)) == half.env


def test_the_interface_names_what_the_parts_have() -> None:
    """Who sends to it, or configures it, would not know how."""
    interface = WHOLE.interface()
    assert set(interface["boxes"][0]["accepts"]) == {"Add", "Report", "Reset", "Half", "Halt", "Overflowing", "Boom"}
    assert set(interface["boxes"][1]["accepts"]) == {"Ask"}
    assert interface["timers"] == ["counter.fade", "bell.bell", "bell.fade"]
    assert WHOLE.ref.endswith(":WHOLE")


def test_a_composition_composes() -> None:
    """The result would not be an engine like any other."""

    @rule
    def total(message: Total, t: Arrived[Total, None, Count]) -> Effects[Count, Never]:
        return Count(message.number)

    listener = Family("listener", accepts=Total, state=Count()).rules(total)
    three = compose("three", WHOLE, listener, hidden=[Total])
    assert three.config is not None
    me = Configuration("node", "e", params=three.config(left=whole_configuration().params))
    env = birth(three, me, now_ns=0)
    first = step(three, me, env, Delivery("x", 0, Add(11)), 0)
    assert isinstance(first, Committed)
    assert first.labels == ("counting-bell.counter.add",)
    assert first.outputs[0] == Outgoing("e", 0, Overflowing(11))
    assert isinstance(first.outputs[1], Spawned)
    assert first.outputs[1].name == "e/counting-bell-counter-spare.1"
    second = step(three, me, first.env, Delivery("x", 0, Report(Ref("bob"))), 1)
    assert isinstance(second, Committed)
    assert second.outputs == (Outgoing("e", 0, Total(11)),)
    third = step(three, me, second.env, Delivery("e", 0, Total(11)), 1)
    assert isinstance(third, Committed)
    assert third.env.state.right == Count(11)
    assert isinstance(step(three, me, env, Delivery("eve", 0, Overflowing(1)), 0), Refused)


class Other(Message):
    pass


def family_of(name: str, accepts: Any, **options: Any) -> AnyFamily:
    made: AnyFamily = Family(name, accepts=accepts, **options)

    def take(message: Any, t: Any) -> list[Never]:
        return []

    trigger: Any = Arrived
    take.__annotations__ = {"message": accepts, "t": trigger[accepts, None, None], "return": list[Never]}
    return made.rules(rule(take))


def test_everything_that_keeps_two_from_composing_is_reported_at_once() -> None:
    """An author would mend one mistake to meet the next."""
    left = family_of("one", Other)
    right = family_of("one-more", Other | Reset, strategy="all", strict=True)
    with pytest.raises(DefinitionError) as caught:
        compose("both", left, right, hidden=[Add])
    texts = " / ".join(problem.text for problem in caught.value.problems)
    for part in ("both accept Other", "Add is hidden", "same prefix", "strategy", "strict"):
        assert part in texts
    assert all(problem.file == __file__ for problem in caught.value.problems)
