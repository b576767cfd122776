"""Sessions that fill up: a fake of a language model with a session log, measured, and rotated by the orchestrator."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from crew import Crew, new_crew, program
from live_nodes import World, until

TALKER = program("talker.py")
TALK = """---
version: 1.0.0
---
# Protocol: work

## States
- deep_work (initial, safe): Working
- distill (safe): Writing down what matters

## Transitions
- deep_work → distill: When the context is full
  - guard: `measure.context_percent >= 70%`
- distill → deep_work: When that is done
"""


def context(crew: Crew, agent: str) -> float:
    return float(crew.done("session.status", agent=agent)["context_percent"] or 0)


def can_distill(crew: Crew) -> bool:
    """Whether the move that waits for a full context is open now."""
    return "distill" in crew.done("state.can", agent="ann", target="distill")["allowed_transitions"]


def think(crew: Crew, tokens: int, percent: float) -> None:
    """Have the agent think, until the engine knows it."""
    crew.done("prompt.send", agent="ann", text=f"think {tokens} tokens")
    until(lambda: context(crew, "ann") == percent, f"a context of {percent} %, not {context(crew, 'ann')}")


def begun(crew: Crew, *manner: str) -> dict[str, Any]:
    crew.add("ann", *TALKER, *manner, mode="stream-json")
    found = crew.until_phase("ann", "ready", "busy")
    until(lambda: context(crew, "ann") == 10.0, "the first measurement")
    return found


def test_s1_a_full_context_opens_a_move_and_leads_to_a_rotation(world: World) -> None:
    """False if the move opens at another value than the protocol says, a rotation is not asked for at 85 %, a hand-over
    without the ids of unanswered messages is taken, or the new session begins full, unprimed or with another inbox."""
    with new_crew(world, is_measured=True, protocol=TALK) as crew:
        first = begun(crew, "obedient")
        sent = crew.done("message.send", to="ann", text="please answer")["sent"][0]["id"]
        until(lambda: f"{sent}" in crew.output("ann"), "the reading of the message")
        think(crew, 599, 69.9)
        assert not can_distill(crew)
        think(crew, 1, 70.0)
        until(lambda: can_distill(crew), "the move")
        crew.done("prompt.send", agent="ann", text="think 150 tokens")
        found = until(lambda: (one := crew.show("ann"))["session"] == first["session"] + 1 and one, "another session")
        crew.until_phase("ann", "ready", "busy")
        until(lambda: context(crew, "ann") == 10.0, "a small context")
        assert f"does not mention messages not yet answered: {sent}" in crew.output("ann")
        until(lambda: "Hand-over of your last session: handover.md" in crew.output("ann"), "the prompt that is read")
        assert found["conversation"] == first["conversation"] + 1
        status = crew.done("session.status", agent="ann")
        assert status["handover"]["path"] == "handover.md"
        assert not status["handover"]["is_mechanical"]
        assert crew.show("ann")["restarts"] == 0
        assert crew.ask("message.ack", agent="ann", ids=[sent])["success"]


@pytest.mark.storm
def test_s4_a_crash_below_sixty_percent_resumes_and_above_begins_anew(world: World) -> None:
    """False if an agent that is killed below 60 % has lost its conversation, if one above gets it back, if a context
    that was resumed seems empty, or if one whose log is gone is not started anew."""
    with new_crew(world, is_measured=True, protocol=TALK) as crew:
        first = begun(crew, "obedient")
        crew.done("prompt.send", agent="ann", text="remember fact0")
        until(lambda: "knows fact0\n" in crew.output("ann"), "the fact")
        think(crew, 499, 59.9)
        assert killed(crew) == ["began with 100", "resumed with 599 fact0"]
        assert crew.show("ann")["conversation"] == first["conversation"]
        assert context(crew, "ann") == 59.9
        think(crew, 1, 60.0)
        assert killed(crew)[2:] == ["began with 100"]
        assert crew.show("ann")["conversation"] == first["conversation"] + 1
        until(lambda: context(crew, "ann") == 10.0, "a small context")
        (crew.root / "agents" / "ann" / "logs" / f"ann-{first['conversation'] + 1}" / "session.jsonl").unlink()
        assert killed(crew)[3:] == ["began with 100"], "who cannot resume begins anew"
        found = crew.show("ann")
        assert (found["conversation"], found["restarts"]) == (first["conversation"] + 2, 4)


def killed(crew: Crew) -> list[str]:
    """How the conversations of an agent began, once one more has begun after a kill."""

    def begins() -> list[str]:
        return [one for one in crew.output("ann").splitlines() if one.startswith(("began with ", "resumed with "))]

    before = len(begins())
    until(lambda: crew.show("ann")["prompts_waiting"] == 0, "an effect of each prompt")
    os.kill(crew.show("ann")["pid"], signal.SIGKILL)
    until(lambda: len(begins()) > before, "another session")
    crew.until_phase("ann", "ready", "busy")
    return begins()


def test_b4_facts_outlive_five_rotations(world: World) -> None:
    """False if what an agent learnt in a session is unknown to its next ones: each has a memory of its own only."""
    with new_crew(world, is_measured=True, protocol=TALK) as crew:
        first, learnt = begun(crew, "obedient"), []
        for number in range(6):
            learnt.append(f"fact{number}")
            crew.done("prompt.send", agent="ann", text=f"remember {learnt[-1]}")
            until(lambda: f"knows {' '.join(learnt)}\n" in crew.output("ann"), f"{learnt}")
            if number < 5:
                crew.done("prompt.send", agent="ann", text="think 800 tokens")
                until(lambda: crew.show("ann")["session"] > first["session"] + number, "a session")  # noqa: B023
                crew.until_phase("ann", "ready", "busy")
                until(lambda: context(crew, "ann") == 10.0, "a small context")
        found = crew.show("ann")
        assert (found["session"], found["restarts"]) == (first["session"] + 5, 0)


@pytest.mark.storm
def test_s2_an_agent_that_does_not_hand_over_is_rotated_all_the_same(world: World) -> None:
    """False if an agent at 95 % keeps its session, or its successor is not told what the engine knows."""
    with new_crew(world, is_measured=True, protocol=TALK, interrupt_ns="500ms") as crew:
        first = begun(crew, "stubborn")
        crew.done("prompt.send", agent="ann", text="think 860 tokens")
        until(lambda: crew.show("ann")["session"] == first["session"] + 1, "another session")
        crew.until_phase("ann", "ready", "busy")
        text = (crew.root / "agents" / "ann" / ".aism" / "handover.md").read_text()
        assert "written by the engine" in text
        assert "- state: deep_work" in text
        assert crew.done("session.status", agent="ann")["handover"]["is_mechanical"]
