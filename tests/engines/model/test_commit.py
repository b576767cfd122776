"""Effects: all or none, in order, equal to a model that works with plain dicts and lists."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import (
    FAMILY,
    STRICT,
    Cancel,
    Child,
    Count,
    Do,
    Drop,
    End,
    Keep,
    Later,
    PutBox,
    Raise,
    Say,
    SetState,
    Take,
    Tell,
    Told,
    Wake,
    messages,
    newborn,
    run,
    tell,
)

from engines.model import Committed, Failed, Noted, Outgoing, Overflow, Spawned, Stopped, Stored
from engines.model.commit import EFFECTS_MAX


class Impossible(Exception):
    """The model's failure."""


class Full(Exception):
    """The model's overflow."""


class Slow:
    """An engine as a heap of mutable things: what step must agree with, message by message."""

    def __init__(self) -> None:
        self.state, self.box, self.stored, self.stored_ever = 0, 0, [], 0
        self.timers: dict[str, tuple[int, int]] = {}
        self.timer_count = 0
        self.words: dict[str, int] = {}
        self.outputs: list[Any] = []

    def keep(self, message: Any, now_ns: int) -> None:
        if len(self.stored) == 3:
            raise Full
        self.stored_ever += 1
        self.stored.append((self.stored_ever, message, now_ns))

    def perform(self, op: Any, before: list[Any], message: Any, now_ns: int) -> None:
        match op:
            case SetState(number):
                self.state = number
            case PutBox(number):
                self.box = number
            case Tell(target, number):
                self.outputs.append(Outgoing(target, 0, Told(number)))
            case Keep():
                self.keep(message, now_ns)
            case Take(place):
                if place >= len(before) or before[place] not in self.stored:
                    raise Impossible
                self.stored.remove(before[place])
            case Wake(name, after_ns):
                self.timer_count += 1
                self.timers[name] = (self.timer_count, now_ns + max(after_ns, 1))
            case Cancel(name):
                self.timers.pop(name, None)
            case Child(word, numbered):
                self.spawn(word, numbered)
            case Say(text):
                self.outputs.append((text, len(text)))

    def spawn(self, word: str, numbered: bool) -> None:
        key = word + "." if numbered else word
        self.words[key] = self.words.get(key, 0) + 1
        if not numbered and self.words[key] > 1:
            raise Impossible
        self.outputs.append("me/" + (f"{key}{self.words[key]}" if numbered else word))


def slow_step(slow: Slow, message: Any, now_ns: int) -> tuple[str, Slow]:
    """What happens, and the engine afterwards, which is the one before unless it happens."""
    from copy import deepcopy

    after = deepcopy(slow)
    after.outputs = []
    try:
        if isinstance(message, Later):
            after.keep(message, now_ns)
            return "stored", after
        if any(isinstance(op, Raise) for op in message.ops):  # the action raises before any effect is there
            raise Impossible
        for op in message.ops:
            after.perform(op, slow.stored, message, now_ns)
        if any(isinstance(op, End) for op in message.ops):
            after.timers = {}
            after.outputs.append("stopped")
    except Impossible:
        return "failed", slow
    except Full:
        return "overflow", slow
    return "committed", after


def plain(outputs: tuple[Any, ...]) -> list[Any]:
    """Outputs as the model has them."""
    found: list[Any] = []
    for output in outputs:
        match output:
            case Spawned(name):
                found.append(name)
            case Noted(text, fields):
                found.append((text, fields["length"]))
            case Stopped():
                found.append("stopped")
            case _:
                found.append(output)
    return found


@given(st.lists(messages, max_size=12))
def test_step_agrees_with_an_engine_made_of_mutable_things(script: list[Any]) -> None:
    """If false, some effect does something else than it says, or a failed transition leaves a trace."""
    env, slow = newborn(), Slow()
    for now_ns, message in enumerate(script):
        outcome = tell(env, message, now_ns)
        kind, slow = slow_step(slow, message, now_ns)
        assert type(outcome).__name__.lower() == kind
        if isinstance(outcome, Committed):
            assert plain(outcome.outputs) == slow.outputs
        env = outcome.env if isinstance(outcome, Committed | Stored) else env
        mailbox = env.mailboxes[0]
        assert mailbox is not None
        assert (env.state.number, mailbox.state.number) == (slow.state, slow.box)
        assert [(one.number, one.message, one.now_ns) for one in mailbox.stored] == slow.stored
        assert {name: (timer.number, timer.deadline_ns) for name, timer in env.timers.items()} == slow.timers
        assert dict(env.children.items()) == slow.words


@given(st.lists(messages, max_size=6))
def test_the_short_way_through_step_is_the_long_way(script: list[Any]) -> None:
    """If false, the in-line path of strategy `first` is another definition of a transition."""
    env = newborn()
    for now_ns, message in enumerate(script):
        plan = FAMILY.plan[type(message)]
        short = tell(env, message, now_ns)
        plan.plain = False
        try:
            long = tell(env, message, now_ns)
        finally:
            plan.plain = True
        if isinstance(short, Failed) and isinstance(long, Failed):
            assert short.error == long.error
        else:
            assert short == long
        env = short.env if isinstance(short, Committed | Stored) else env


def test_a_failure_after_many_effects_leaves_nothing() -> None:
    """If false, half a transition can happen."""
    env = newborn()
    outcome = run(env, SetState(5), PutBox(5), Tell("a", 1), Wake("a", 1), Child("w", False), Keep(), Raise())
    assert isinstance(outcome, Failed)
    assert outcome.error.startswith("Planned")
    assert "scripted.py" in outcome.traceback
    assert env == newborn()


def test_a_message_outside_emits_fails_and_says_so() -> None:
    """If false, an engine can send what its type does not say."""
    from engines.model import Arrived, Configuration, Delivery, Effects, Family, Ref, Send, birth, rule, step

    @rule
    def leak(message: Do, t: Arrived[Do, None, None]) -> Effects[None, Any]:
        return Send(Ref("x"), Later(1, Ref("y")))

    family = Family("leaky", accepts=Do, emits=Told).rules(leak)
    me = Configuration("node", "me")
    outcome = step(family, me, birth(family, me, now_ns=0), Delivery("x", 0, Do(())), 0)
    assert isinstance(outcome, Failed)
    assert "leaky emits no Later" in outcome.error


def test_a_full_mailbox_overflows_and_stays_as_it_is() -> None:
    """If false, stored mail has no bound."""
    env = newborn()
    for _ in range(3):
        outcome = tell(env, Later(1, "x"))  # type: ignore[arg-type]
        assert isinstance(outcome, Stored)
        env = outcome.env
    assert tell(env, Later(1, "x")) == Overflow(0, 3)  # type: ignore[arg-type]
    assert run(env, Keep()) == Overflow(0, 3)


@pytest.mark.storm
def test_a_transition_has_so_many_effects_and_no_more() -> None:
    """If false, one action can hold up a whole process."""
    assert isinstance(run(newborn(), *[Say("a")] * EFFECTS_MAX), Committed)
    outcome = run(newborn(), *[Say("a")] * (EFFECTS_MAX + 1))
    assert isinstance(outcome, Failed)
    assert "65537 effects are more than" in outcome.error


def test_state_of_another_type_fails() -> None:
    """If false, an action could leave a state nobody can read."""
    from engines.model import Arrived, Configuration, Delivery, Family, birth, rule, step

    @rule
    def odd(message: Do, t: Arrived[Do, None, Count]) -> Any:
        return 7

    family = Family("odd", accepts=Do, state=Count()).rules(odd)
    me = Configuration("node", "me")
    outcome = step(family, me, birth(family, me, now_ns=0), Delivery("x", 0, Do(())), 0)
    assert isinstance(outcome, Failed)
    assert "odd has no state of type int" in outcome.error


def test_an_end_drops_timers_and_comes_last() -> None:
    """If false, an engine that ended could still be woken, or its last message be lost behind its end."""
    outcome = run(newborn(), Wake("a", 1), End(), Tell("b", 2))
    assert isinstance(outcome, Committed)
    assert outcome.outputs == (Outgoing("b", 0, Told(2)), Stopped())
    assert not outcome.env.timers


class TestStrict:
    """Families that send only to acquaintances."""

    @pytest.fixture
    def env(self) -> Any:
        return newborn(STRICT, "friend")

    def test_a_guessed_name_cannot_be_sent_to(self, env: Any) -> None:
        """If false, strictness is no authority."""
        outcome = run(env, Tell("stranger", 1), family=STRICT)
        assert isinstance(outcome, Failed)
        assert "not acquainted with 'stranger'" in outcome.error

    @pytest.mark.parametrize("name", ["friend", "x", "me"])
    def test_the_given_the_sender_and_itself_are_known(self, env: Any, name: str) -> None:
        """If false, an engine cannot answer who wrote to it."""
        assert isinstance(run(env, Tell(name, 1), family=STRICT), Committed)

    def test_references_in_a_message_are_learnt_even_when_it_is_stored(self, env: Any) -> None:
        """If false, a reference received is no right to use it."""
        outcome = tell(env, Later(1, "p#1"), family=STRICT)  # type: ignore[arg-type]
        assert isinstance(outcome, Stored)
        assert "p" in outcome.env.acquaintances
        assert isinstance(run(outcome.env, Tell("p", 1), family=STRICT), Committed)

    def test_a_child_is_known_at_once(self, env: Any) -> None:
        """If false, a parent cannot write before its child lives."""
        assert isinstance(run(env, Child("w", False), Tell("me/w", 1), family=STRICT), Committed)

    def test_what_is_forgotten_is_forgotten(self, env: Any) -> None:
        """If false, Forget does nothing."""
        assert isinstance(run(env, Drop("friend"), Tell("friend", 1), family=STRICT), Failed)

    def test_a_failure_learns_nothing(self, env: Any) -> None:
        """If false, a transition that did not happen left names behind."""
        assert isinstance(run(env, Raise(), family=STRICT), Failed)
        assert env.acquaintances.keys() == ("friend",)


def test_a_family_that_is_not_strict_does_not_grow() -> None:
    """If false, every engine pays for acquaintances it does not need."""
    outcome = tell(newborn(), Do((Say("hello"),)))
    assert isinstance(outcome, Committed)
    assert not outcome.env.acquaintances
