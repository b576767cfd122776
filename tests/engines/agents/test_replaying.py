"""Recorded decisions against another version of a protocol: the planted differences, and nothing else."""

from __future__ import annotations

from typing import Any

from validator_desk import INBOX, MINUTE_NS, ValidatorDesk

from engines.agents.protocol.parse import parse
from engines.agents.validation.replaying import Disagreement, Replaying
from engines.model import Committed, Delivery, Due, due_timers


class Recorder(ValidatorDesk):
    """A desk that keeps its turns."""

    def __init__(self) -> None:
        self.turns: list[tuple[Any, Any, Any, int]] = []
        super().__init__()
        self.enrol("ann")

    def _done(self, outcome: Any) -> list[Any]:
        assert isinstance(outcome, Committed)
        self.turns.append((self.env, self.cause, outcome.env, self.now_ns))
        return super()._done(outcome)

    def take(self, message: Any) -> list[Any]:
        self.cause: Any = Delivery("bridge", 0, message)
        return super().take(message)

    def wait(self, time_ns: int) -> list[Any]:
        self.cause = None
        return super().wait(time_ns)

    def against(self, source: str) -> list[Disagreement]:
        """The differences with this version."""
        reading = parse(source)
        assert not [one for one in reading.findings if one.is_error], reading.findings
        other = Replaying(reading.protocol, source)
        found: list[Disagreement] = []
        for number, (before, cause, after, now_ns) in enumerate(self.turns, 1):
            due = Due(due_timers(before, now_ns)) if cause is None else cause
            found += other.differences(self.me, number, due, before, after, now_ns)
        return found


def recorded() -> Recorder:
    """A day of an agent: refused moves, moves by itself, by the engine and by time, and a move by a person."""
    world = Recorder()
    world.move("ann", "deep_work")
    world.move("ann", "deep_work", context={"task": "write the report"})
    world.wait(MINUTE_NS)
    world.learn("ann", measure__context_percent=75)
    world.move("ann", "inbox")
    world.wait(4 * MINUTE_NS)
    world.learn("ann", inbox__unread=0)
    world.wait(2 * MINUTE_NS)
    world.move("ann", "inbox")
    world.ask("ann", "context.set", values={"task": "nothing"})
    world.admin("override.force", agent="ann", target="done", reason="enough")
    assert [one.state for one in world.record("ann").past] == [
        "deep_work", "distill", "inbox", "idle", "inbox", "inbox", "done",
    ]  # fmt: skip
    return world


def test_v11_the_same_decisions_by_the_same_version_and_by_other_words() -> None:
    """False if a replay against the version of the recording, or one with other prose, decides anything otherwise."""
    world = recorded()
    assert world.against(INBOX) == []
    assert world.against(INBOX.replace("1.0.0", "1.0.1").replace("Notes written", "The notes are there")) == []


def test_a_state_with_another_name_is_the_same_state() -> None:
    """False if a rename that a migration knows is a difference, or one that nothing explains is none."""
    world = recorded()
    renamed = INBOX.replace("1.0.0", "2.0.0").replace("deep_work", "focus")
    rule = "\n## Migrations\n- from 1.0 → 2.0.0:\n  - state: deep_work → focus\n"
    asked = [one.asked for one in world.against(renamed + rule)]
    assert asked == ["state.transition deep_work"] * 2, "who asks for the old name is refused"
    without = [one.now for one in world.against(renamed)]
    assert "is not possible: state 'deep_work' has no image" in without


def test_e8_exactly_the_planted_differences() -> None:
    """False if a replay misses a planted difference, lists one that follows from another, or names one badly."""
    changed = INBOX.replace("1.0.0", "1.1.0")
    for old, new in (
        ("task: string(1..200)", "task: string(1..9)"),
        (">= 70%", ">= 90%"),
        ("max_duration: 5m → idle", "max_duration: 3m → idle"),
        ("- idle → inbox: By itself\n", ""),
    ):
        assert changed.count(old) == 1
        changed = changed.replace(old, new)
    found = [(one.agent, one.asked, one.recorded, one.now.partition(":")[0]) for one in recorded().against(changed)]
    assert found == [
        ("ann", "state.transition deep_work", "goes to deep_work", "refused (blocked)"),
        ("ann", "facts", "goes to distill (engine)", "stays in deep_work"),
        ("ann", "", "stays in inbox", "goes to idle (timeout)"),
        ("ann", "state.transition inbox", "goes to inbox", "refused (no_transition)"),
    ]
