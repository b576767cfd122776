"""Mistakes the planted ones do not show: several at once, devices, reachability as a law."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.model import (
    Arrived,
    Box,
    Committed,
    Config,
    Configuration,
    DefinitionError,
    Delivery,
    Device,
    DeviceHost,
    Effects,
    Family,
    Message,
    Problem,
    Rule,
    Timer,
    Value,
    birth,
    rule,
    step,
    unchecked,
)
from engines.model.check.reach import unreachable


class Ask(Message):
    pass


class Tell(Message):
    pass


class Rate(Config):
    hertz: int


class Trail(Value):
    names: tuple[str, ...] = ()


def texts(*args: Any, rules: Any = (), **options: Any) -> list[str]:
    """What is wrong with a family."""
    made: Any = Family
    with pytest.raises(DefinitionError) as caught:
        made(*args, **options).rules(*rules)
    assert all(problem.file == __file__ and problem.line > 0 for problem in caught.value.problems)
    assert str(Problem(*caught.value.problems[0])) in str(caught.value)
    return [problem.text for problem in caught.value.problems]


@rule
def ask(message: Ask, t: Arrived[Ask, None, None]) -> Effects[None, Tell]:
    return []


@rule(timer=Timer("other"))
def ring(message: Any, t: Any) -> Any:
    return []


def test_all_mistakes_come_at_once() -> None:
    """If false, a family is repaired one error a run."""
    found = texts(
        "many",
        accepts=Ask | Tell | int,
        timers=[Timer("t"), Timer("t")],
        strategy="best",
        boxes=[Box(300, accepts=Ask), Box(0, accepts=Rate)],
        rules=[ask, ask],
    )
    assert sorted(set(found)) == [
        "Rate is missing from accepts= of many",
        "Tell is accepted by no mailbox",
        "another rule is named 'ask'",
        "ask sends Tell, which is missing from emits=",
        "int is accepted by no mailbox",
        "int is no message; derive it from Message",
        "mailbox 300: numbers go from 0 to 255",
        "no rule takes Tell",
        "no rule takes int",
        "no rule takes timer 't'",
        "strategy 'best': it is one of first, last, all, one, unique",
        "timer 't' is declared more than once",
    ]


def test_a_start_state_of_another_type_is_found() -> None:
    """If false, the first transition of an engine fails."""
    assert "the start state 3 is none of states=" in texts(
        "odd", accepts=Ask, state=3, states=Trail, rules=[Rule(ask.action, messages=(Ask,), name="r")]
    )


def test_unchecked_families_are_taken_as_they_are() -> None:
    """If false, a worker pays for a check its inspector made."""
    with unchecked():
        assert Family("lax", accepts=Ask | Tell).rules(ask).name == "lax"  # type: ignore[arg-type]


class Silent:
    """A driver that does nothing."""

    async def run(self, host: DeviceHost) -> None:
        """Wait for mail for ever."""
        while True:
            await host.receive()


TWIN = Family("twin", accepts=Ask, emits=Tell).rules(ask)


def test_a_device_is_declared_like_a_family() -> None:
    """If false, a device has not the same identity, mailboxes and message types."""
    device = Device("clock", accepts=Ask, emits=Tell, driver=Silent, twin=TWIN)
    assert device.interface()["device"] is True
    assert device.interface()["boxes"] == TWIN.interface()["boxes"]
    assert device.ref == ""
    assert isinstance(device.driver(), Silent)


def test_a_twin_that_differs_is_refused() -> None:
    """If false, a simulation runs another device than the node."""
    with pytest.raises(DefinitionError, match="differs in what it accepts"):
        Device("clock", accepts=Ask | Tell, emits=Tell, driver=Silent, twin=TWIN)
    with pytest.raises(DefinitionError, match="differs in what it emits"):
        Device("clock", accepts=Ask, driver=Silent, twin=TWIN)  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="differs in what it is configured with"):
        Device("clock", accepts=Ask, emits=Tell, config=Rate, driver=Silent, twin=TWIN)  # type: ignore[arg-type]


def a_rule(name: str, always: bool, priority: int) -> Rule[Any, Any, Any, Any]:
    def guard(t: Any) -> str | None:
        return name if name in t.config.holds else None

    def action(match: Any, t: Any) -> Trail:
        return Trail((*t.env.state.names, name))

    return Rule(action, None if always else guard, priority, name=name, messages=(Ask,))


class Holds(Config):
    holds: str


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 2)), min_size=1, max_size=4),
    st.sampled_from(["first", "last", "all", "one", "unique"]),
)
def test_a_rule_is_called_unreachable_exactly_when_nothing_runs_it(shapes: Any, strategy: Any) -> None:
    """If false, a living rule is refused, or a dead one accepted."""
    rules = [a_rule("abcd"[place], always, priority) for place, (always, priority) in enumerate(shapes)]
    called = {rule.name for rule, _ in unreachable([(rule, (Ask,)) for rule in rules], (Ask,), strategy)}
    ran: set[str] = set()
    with unchecked():
        made = Family("reach", accepts=Ask, config=Holds, state=Trail(), strategy=strategy).rules(*rules)
    for chosen in product([True, False], repeat=len(rules)):
        me = Configuration("node", "me", None, Holds("".join("abcd"[place] for place, on in enumerate(chosen) if on)))
        for answers in [(), *(((side,)) for side in range(1, 5))]:
            try:
                outcome = step(made, me, birth(made, me, now_ns=0), Delivery("x", 0, Ask()), 0, answers)
            except ValueError:
                continue
            ran |= set(outcome.labels) if isinstance(outcome, Committed) else set()
    assert called == {rule.name for rule in rules} - ran


def test_a_forgotten_parameter_of_effects_is_said_in_plain_words() -> None:
    """False if the author were shown eight lines of the union behind the name."""

    def act(message: Ask, t: Arrived[Ask, None, Trail]) -> Any:
        return Trail()

    act.__annotations__["return"] = "Effects[Trail]"
    (text,) = [text for text in texts("f", accepts=Ask, state=Trail(), rules=[rule(act)]) if "cannot be read" in text]
    assert text.endswith("Effects takes two: the state, and what is emitted (Never for nothing)")
