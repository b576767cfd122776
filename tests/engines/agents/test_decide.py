"""Decisions: what is allowed, why not, and what else, for records and wishes made by hand."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from engines.agents.protocol.decide import (
    HELD,
    decide,
    due_move,
    forced,
    in_system,
    survey,
    timed_out,
    with_context,
)
from engines.agents.protocol.decide_record import Record, first_record, in_session
from engines.agents.protocol.decide_values import Blocked, Intent, Move, Refusal, Wish
from engines.agents.protocol.model import (
    Assignment,
    Capability,
    Datum,
    Effect,
    Field,
    FieldType,
    Guard,
    Invariant,
    Limit,
    MessageType,
    Protocol,
    Role,
    Sending,
    State,
    Timeout,
    Transition,
)

SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
TEXT = FieldType("string", high=200)


def edge(index: int, source: str, target: str, **more: Any) -> Transition:
    """A transition from these sources."""
    return Transition(index, tuple(source.split()), target, **more)


def protocol(*edges: Transition, states: tuple[State, ...] = (), **more: Any) -> Protocol:
    """A protocol of states a to f, but where others are given."""
    given = {one.id: one for one in states}
    return Protocol(
        "p", "1.0.0", states=tuple(given.get(one, State(one)) for one in "abcdef"), transitions=edges, **more
    )


def begin(of: Protocol, state: str = "a", **context: Datum) -> Record:
    """An agent that has just entered a state."""
    record = replace(first_record(of, "d", "ann", "worker", 0), state=state)
    return replace(record, context=record.context.updated(context))


def move(
    of: Protocol, record: Record, target: str, now_ns: int = 0, facts: dict[str, Datum] | None = None, **f: Any
) -> Any:
    """The decision about an agent's wish."""
    return decide(of, record, Wish("agent", target, fields=f), facts or {}, now_ns)


def blocked(decision: object) -> Blocked:
    """The only problem of a refusal."""
    assert isinstance(decision, Refusal), decision
    [one] = decision.blocked
    return one


def test_v1_each_pair_of_states_is_allowed_iff_it_is_declared() -> None:
    """False if an undeclared move is made, or a declared one is refused."""
    declared = {("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "e"), ("e", "e"), ("e", "f"), ("b", "a")}
    of = protocol(*(edge(n, source, target) for n, (source, target) in enumerate(sorted(declared))))
    for source in "abcdef":
        for target in "abcdef":
            decision = move(of, begin(of, source), target)
            assert isinstance(decision, Move) == ((source, target) in declared), (source, target)
            if isinstance(decision, Move):
                assert (decision.record.state, decision.record.visit, decision.record.number) == (target, 2, 1)
            else:
                assert decision.allowed == tuple(sorted(b for a, b in declared if a == source))


def test_v2_a_refusal_has_every_reason_and_what_is_allowed_succeeds() -> None:
    """False if a problem is left out, or what the refusal offers is refused."""
    of = protocol(
        edge(
            0,
            "a",
            "b",
            guard=Guard("inbox.unread == 0"),
            requires=(Field("task", TEXT), Field("size", FieldType("int", 1, 3))),
            sends=(Sending("note", "boss"),),
            cooldown_ns=5 * SECOND_NS,
            limits=(Limit(1, "session"),),
            text="When a task is found",
        ),
        edge(1, "a", "c"),
        states=(State("a", min_duration_ns=MINUTE_NS, deny=(Capability("send", ("note",)),)),),
    )
    record = begin(of)
    refusal = move(of, record, "b", facts={"inbox.unread": 3}, size=7)
    one = blocked(refusal)
    assert one.missing == ("task",)
    assert one.invalid == ("size: 7 is above 3",)
    assert one.awaiting == ("'a' lasts 60 s at least; 60 s are left",)
    assert one.forbidden == (
        "state 'a' may not send 'note'",
        "guard `inbox.unread == 0` is false: inbox.unread = 3",
    )
    assert one.condition == "When a task is found"
    assert refusal.allowed == ()
    later = move(of, record, "b", MINUTE_NS)
    assert later.allowed == ("c",)
    assert isinstance(move(of, record, later.allowed[0], MINUTE_NS), Move)


def test_v3_missing_invalid_awaiting_and_forbidden_are_told_apart() -> None:
    """False if a problem is of another kind."""
    of = protocol(
        edge(0, "a", "b", requires=(Field("task", TEXT),)),
        edge(1, "a", "c", guard=Guard("measure.context_percent >= 70%")),
        edge(2, "a", "d", actors=("engine",)),
        edge(3, "a", "e", event="bell"),
    )
    record = begin(of)
    assert blocked(move(of, record, "b")) == Blocked("b", missing=("task",))
    assert blocked(move(of, record, "b", task=3)) == Blocked("b", invalid=("task: expected a text, found 3",))
    unknown = "guard `measure.context_percent >= 70%`: measure.context_percent unknown"
    assert blocked(move(of, record, "c")) == Blocked("c", awaiting=(unknown,))
    low = "guard `measure.context_percent >= 70%` is false: measure.context_percent = 69.5"
    assert blocked(move(of, record, "c", facts={"measure.context_percent": 69.5})) == Blocked("c", forbidden=(low,))
    assert isinstance(move(of, record, "c", facts={"measure.context_percent": 70}), Move)
    assert blocked(move(of, record, "d")) == Blocked("d", forbidden=("only engine may do this",))
    assert "but on bell" in blocked(move(of, record, "e")).forbidden[0]
    assert isinstance(decide(of, record, Wish("agent", event="bell"), {}, 0), Move)
    assert move(of, record, "nowhere").code == "unknown_state"
    assert [one.target for one in survey(of, record, {}, 0).blocked] == ["b", "c"]
    assert survey(of, record, {}, 0, {"task": "t"}).allowed == ("b",)


def test_the_most_specific_source_then_priority_then_order_decides() -> None:
    """False if another transition is taken than the first in that order without a problem."""
    of = protocol(
        edge(0, "any", "b", priority=9),
        edge(1, "a c", "b", priority=5),
        edge(2, "a", "b", guard=Guard("inbox.unread == 0")),
        edge(3, "a", "b", priority=1, guard=Guard("inbox.unread == 1")),
        edge(4, "a", "b", guard=Guard("inbox.unread < 2")),
        Transition(5, ("any",), "d", excepted=("a",)),
    )
    taken = [move(of, begin(of), "b", facts={"inbox.unread": n}).transition.index for n in (0, 1, 2)]
    assert taken == [2, 3, 1]
    assert move(of, begin(of, "d"), "b").transition.index == 0
    assert isinstance(move(of, begin(of, "d"), "d"), Move)
    assert move(of, begin(of), "d").code == "no_transition"


def test_requires_sets_and_context() -> None:
    """False if fields are read by another type, or the context is not what was set."""
    of = protocol(
        edge(
            0,
            "a",
            "b",
            requires=(Field("task", TEXT), Field("wait", FieldType("duration"), is_optional=True)),
            sets=(Assignment("context.task", "request.task"), Assignment("context.wait", "request.wait")),
        ),
        context=(
            Field("task", TEXT, default=""),
            Field("wait", FieldType("duration"), is_optional=True),
            Field("mood", FieldType("enum", choices=("good", "bad")), default="good", keep="session"),
            Field("spent", FieldType("int"), default=0, writable_by="engine"),
        ),
    )
    record = begin(of)
    made = move(of, record, "b", task="dig", wait="5m", mood="bad", bootstrap="complete")
    assert dict(made.record.context.items()) == {"task": "dig", "wait": 5 * MINUTE_NS, "mood": "bad", "spent": 0}
    assert made.ignored == ("bootstrap",)
    assert isinstance(move(of, record, "b", task="dig"), Move)
    assert "only the engine writes it" in blocked(move(of, record, "b", task="dig", spent=3)).invalid[0]
    assert "expected one of good, bad" in blocked(move(of, record, "b", task="dig", mood="so")).invalid[0]
    assert in_session(of, made.record, 1).context["mood"] == "good"
    assert in_session(of, made.record, 1).context["task"] == "dig"
    set_one = with_context(of, record, {"task": "x"}, "agent", {}, 0)
    assert isinstance(set_one, Move)
    assert (set_one.record.context["task"], set_one.record.visit, set_one.record.number) == ("x", 1, 1)
    assert isinstance(with_context(of, record, {"no": 1}, "agent", {}, 0), Refusal)


def test_v8_cool_down_limits_and_the_shortest_stay() -> None:
    """False if one of them is not kept, or is kept for longer than it lasts."""
    of = protocol(
        edge(0, "a", "a", cooldown_ns=10 * SECOND_NS),
        edge(1, "a", "self", event="tick", limits=(Limit(2, "visit"),)),
        edge(2, "a", "b", limits=(Limit(1, "session"),)),
        edge(3, "b", "a", limits=(Limit(2, "hour"),)),
        states=(State("b", min_duration_ns=SECOND_NS),),
    )
    record = move(of, begin(of), "a").record
    waits = blocked(decide(of, record, Wish("agent", "a"), {}, 10 * SECOND_NS - 1))
    assert "cool-down of 10 s" in waits.awaiting[0]
    tick = Wish("agent", event="tick")
    for _ in range(2):
        decision = decide(of, record, tick, {}, 0)
        assert isinstance(decision, Move)
        record = decision.record
    assert "limit of 2 per visit" in blocked(decide(of, record, tick, {}, 0)).forbidden[0]
    assert record.visit == 2
    record = move(of, record, "a", 10 * SECOND_NS).record
    assert isinstance(decide(of, record, tick, {}, 0), Move)
    record = move(of, record, "b", 10 * SECOND_NS).record
    assert "lasts 1 s at least" in blocked(move(of, record, "a", 10 * SECOND_NS)).awaiting[0]
    record = move(of, record, "a", 11 * SECOND_NS).record
    assert "limit of 1 per session" in blocked(move(of, record, "b", 11 * SECOND_NS)).forbidden[0]
    record = in_session(of, record, 1)
    record = move(of, record, "b", 12 * SECOND_NS).record
    record = move(of, record, "a", 13 * SECOND_NS).record
    record = move(of, replace(record, session=2), "b", 14 * SECOND_NS).record
    assert "limit of 2 per hour" in blocked(move(of, record, "a", 15 * SECOND_NS)).forbidden[0]
    assert isinstance(move(of, record, "a", 3600 * SECOND_NS + 11 * SECOND_NS), Move)


@pytest.mark.parametrize("on_fail", ["reject", "alarm", "quarantine"])
def test_v9_an_invariant_rejects_alarms_or_quarantines(on_fail: Any) -> None:
    """False if a broken invariant does anything but what it says."""
    of = protocol(
        edge(0, "a", "b"),
        invariants=(Invariant("has_task", Guard('context.task != ""'), ("b",), on_fail),),
        context=(Field("task", TEXT, default=""),),
    )
    decision = move(of, begin(of), "b")
    said = 'invariant has_task: `context.task != ""`: context.task = ""'
    if on_fail == "alarm":
        assert decision.alarms == (said,)
    else:
        assert blocked(decision).invalid == (said,)
        assert decision.quarantine == ("has_task" if on_fail == "quarantine" else "")
    assert isinstance(move(of, begin(of), "b", task="dig"), Move)
    assert isinstance(with_context(of, begin(of, "b", task="x"), {"task": ""}, "agent", {}, 0), Move) == (
        on_fail == "alarm"
    )


def test_an_unknown_invariant_rejects() -> None:
    """False if an invariant on a fact that nobody knows is taken as true."""
    of = protocol(edge(0, "a", "b"), invariants=(Invariant("cheap", Guard("measure.cost < 5")),))
    assert blocked(move(of, begin(of), "b")).awaiting == ("invariant cheap: `measure.cost < 5`: measure.cost unknown",)


def test_effects_come_in_order() -> None:
    """False if an effect is left out, or comes at another place, or where the agent stays."""
    of = protocol(
        edge(0, "a", "b", effects=(Effect("notify", "boss"),), sends=(Sending("done", "boss"),)),
        edge(1, "a", "self", effects=(Effect("commit"),)),
        states=(
            State("a", leave=(Effect("measure", "left"),)),
            State("b", flags=("fresh",), enter=(Effect("send", "note to boss"),)),
        ),
        messages=(MessageType("done", "worker", "boss", fields=(Field("task", TEXT),)),),
        context=(Field("task", TEXT, default="dig"),),
    )
    assert move(of, begin(of), "b").intents == (
        Intent("measure", "left"),
        Intent("send", "done", "boss", (("task", "dig"),)),
        Intent("notify", "boss"),
        Intent("send", "note", "boss"),
        Intent("rotate"),
    )
    assert move(of, begin(of), "self").intents == (Intent("commit"),)


def test_the_engine_moves_on_events_and_guards() -> None:
    """False if the engine moves without its event or guard, or in a system state."""
    of = protocol(
        edge(0, "a", "b", event="message", actors=("engine",)),
        edge(1, "a", "c", guard=Guard("measure.context_percent >= 95%"), actors=("engine",)),
    )
    record = begin(of)
    assert due_move(of, record, {}, 0) is None
    woken = due_move(of, record, {}, 0, ("message",))
    assert woken is not None
    assert woken.record.state == "b"
    pressed = due_move(of, record, {"measure.context_percent": 95}, 0)
    assert pressed is not None
    assert pressed.record.state == "c"
    assert due_move(of, in_system(record, "direct", "", 0), {"measure.context_percent": 95}, 0) is None


def test_timeouts_and_system_states() -> None:
    """False if a timeout goes elsewhere, or a person's state is not over the agent's own."""
    of = protocol(edge(0, "a", "b"), states=(State("a", timeout=Timeout(MINUTE_NS, "c")),))
    record = begin(of)
    late = timed_out(of, record, {}, MINUTE_NS)
    assert isinstance(late, Move)
    assert (late.record.state, late.record.last, late.record.past[-1].cause) == ("c", "a", "timeout")
    for state in ("offline", "starting", "crashed", "direct", "quarantined"):
        over = in_system(record, state, "why", 5)
        assert (over.shown, over.state, over.visit, over.number) == (state, "a", 1, 1)
        assert isinstance(move(of, over, "b"), Refusal) == (state in HELD)
        back = in_system(over, "", "", 9)
        assert (back.shown, back.since_ns, back.number) == ("a", 0, 2)
    assert forced(of, record, "f", "since I say so", 7).record.past[-1].reason == "since I say so"


def test_roles_and_events_of_system_states() -> None:
    """False if an agent enters a state that its role or the engine keeps from it."""
    of = protocol(edge(0, "a", "b"), edge(1, "a", "offline"), roles=(Role("worker", states=("a",)),))
    assert "role 'worker' may not be in 'b'" in blocked(move(of, begin(of), "b")).forbidden[0]
    assert "entered by the engine only" in blocked(move(of, begin(of), "offline")).forbidden[0]


GUARDS = ("inbox.unread == 0", "inbox.unread > 1", "measure.cost < 3", "state.visits <= 2", 'context.task != ""')


def drawn(random: Random) -> Protocol:
    """A protocol by chance."""
    edges = []
    for index in range(random.randint(3, 14)):
        sources = ("any",) if random.random() < 0.15 else tuple(random.sample("abcdef", random.randint(1, 2)))
        edges.append(
            Transition(
                index,
                sources,
                random.choice(("a", "b", "c", "d", "e", "f", "self")),
                actors=random.choice(((), (), ("agent",), ("engine",))),
                guard=Guard(random.choice(GUARDS)) if random.random() < 0.4 else None,
                requires=(Field("task", TEXT, is_optional=random.random() < 0.5),) if random.random() < 0.3 else (),
                priority=random.randint(0, 2),
                cooldown_ns=random.choice((0, 0, SECOND_NS)),
                limits=(Limit(2, "visit"),) if random.random() < 0.2 else (),
                event="bell" if random.random() < 0.1 else "",
            )
        )
    invariant = Invariant("i", Guard(random.choice(GUARDS)), (random.choice("abcdef"),))
    return protocol(*edges, context=(Field("task", TEXT, default=""),), invariants=(invariant,))


def test_v2_what_is_allowed_is_what_succeeds_for_any_protocol() -> None:
    """False if on a walk through a protocol drawn by chance an offer fails, or a refusal has no reason."""
    random = Random(22)
    for _ in range(25):
        of, now_ns = drawn(random), 0
        record = begin(of)
        for _ in range(12):
            now_ns += random.choice((0, SECOND_NS))
            facts: dict[str, Datum] = {"inbox.unread": random.randint(0, 2)} if random.random() < 0.7 else {}
            allowed = survey(of, record, facts, now_ns).allowed
            decisions = {target: move(of, record, target, now_ns, facts) for target in (*"abcdef", "self")}
            succeeding = {target for target, one in decisions.items() if isinstance(one, Move)}
            assert set(allowed) - {"self"} <= succeeding
            assert succeeding <= {*allowed, *((record.state,) if "self" in allowed else ())}
            for one in decisions.values():
                if isinstance(one, Refusal):
                    assert one.allowed == allowed
                    assert one.blocked
                    assert not any(problem.is_empty for problem in one.blocked)
            if succeeding:
                record = decisions[random.choice(sorted(succeeding))].record
