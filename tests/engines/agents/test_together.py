"""Messages that come together do what they do one by one, and leave together."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from post_office import PostOffice
from test_replaying import Recorder
from validator_desk import INBOX

from engines.agents.messages import (
    AgentAnswer,
    AgentMoved,
    AgentRequest,
    Happened,
    MessageWaiting,
    PromptWanted,
    Together,
)
from engines.agents.together import CHARS_MAX, MESSAGES_MAX, together
from engines.model import Ref, Send


def answers(size: int, count: int) -> list[Any]:
    return [Send(Ref("bridge"), AgentAnswer("ann", str(number), "x" * size)) for number in range(count)]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.integers(0, CHARS_MAX)), max_size=30))
def test_each_receiver_gets_the_same_in_the_same_order(what: list[tuple[str, bool, int]]) -> None:
    """False if a message is lost, comes twice, or overtakes another one on its way to the same receiver."""
    sends: list[Any] = [
        Send(Ref(target), AgentAnswer("ann", str(number), "x" * size) if is_answer else Happened(number, 0, "a"))
        for number, (target, is_answer, size) in enumerate(what)
    ]
    found: dict[str, list[Any]] = {}
    for one in together(sends, Ref("c")):
        assert one.target != Ref("c") or not isinstance(one.message, Together)
        found.setdefault(str(one.target), []).extend(getattr(one.message, "messages", (one.message,)))
    for target in "abc":
        assert found.get(target, []) == [one.message for one in sends if one.target == Ref(target)]


@pytest.mark.parametrize(
    ("size", "count", "messages"), [(10, 1, 1), (10, 9, 1), (10, MESSAGES_MAX + 1, 2), (CHARS_MAX, 3, 3)]
)
def test_what_goes_together_is_bounded(size: int, count: int, messages: int) -> None:
    """False if a message is larger than the bounds say, or one alone is wrapped."""
    made = together(answers(size, count))
    assert len(made) == messages
    assert all(isinstance(one.message, Together) == (size == 10 and count > 1) for one in made[:1])


def asked(agent: str, op: str, number: int, **body: Any) -> AgentRequest:
    return AgentRequest(agent, 1, f"{agent}{number}", op, json.dumps(body), "agent", Ref("bridge"))


def test_requests_that_come_together_are_each_answered_as_one_by_one() -> None:
    """False if a request gets another answer because others came with it, or one is answered twice or not at all."""
    one_by_one, at_once = (PostOffice(ann="worker", ben="worker") for _ in range(2))
    moved = AgentMoved("ben", "worker", "work", "1.0.0", "work", "deep", "inbox", 2, 9, True, ())
    every: list[Any] = [
        asked("ann", "message.send", 1, to="ben", text="one"),
        asked("ann", "message.send", 2, to="nobody", text="two"),
        asked("ben", "message.read", 3),
        asked("ann", "message.send", 1, to="ben", text="one"),
        asked("ann", "message.send", 4, to="ben", text="three"),
        asked("ann", "message.send", 4, to="ben", text="another"),
        moved,
        asked("ben", "message.read", 5, nonsense=1),
    ]
    begun_ns = at_once.now_ns
    singly = []
    for one in every:
        one_by_one.now_ns = begun_ns
        singly += one_by_one.take(one)
    made = at_once.take(Together(tuple(every)))
    spoken = [one for message in made for one in getattr(message, "messages", (message,))]
    for kind in (AgentAnswer, MessageWaiting, PromptWanted):
        assert [one for one in spoken if isinstance(one, kind)] == [one for one in singly if isinstance(one, kind)]
    assert len([one for one in spoken if isinstance(one, AgentAnswer)]) == len(every) - 1
    assert at_once.state.inboxes == one_by_one.state.inboxes
    assert at_once.state.answers == one_by_one.state.answers


def test_an_inbox_read_empty_and_filled_again_at_once_prompts_again() -> None:
    """False if an agent that has read everything is not woken by what comes in the same transition."""
    office = PostOffice(ann="worker", ben="worker")
    office.send("ann", "ben")
    made = office.take(
        Together((asked("ben", "message.read", 1), asked("ann", "message.send", 1, to="ben", text="more")))
    )
    assert [one for one in made if isinstance(one, PromptWanted)]


def test_decisions_that_were_made_together_are_replayed_one_by_one() -> None:
    """False if a replay does not see, or sees otherwise, what was decided in one transition for several agents."""
    world = Recorder()
    world.enrol("ben")
    target = {"target": "deep_work", "context": {"task": "write"}}
    world.take(Together((asked("ann", "state.transition", 1, **target), asked("ben", "state.transition", 1, **target))))
    assert [world.record(one).state for one in ("ann", "ben")] == ["deep_work", "deep_work"]
    assert world.against(INBOX) == []
    stricter = INBOX.replace("1.0.0", "1.1.0").replace("estimate?: duration", "estimate: duration")
    assert [one.agent for one in world.against(stricter)] == ["ann", "ben"]
