from __future__ import annotations

import pytest

from host.node.endings import CODE_MEMORY, Ended, Ours, classify, strongest
from host.node.poison import ATTEMPTS_MAX, after_death
from host.node.supervision import Ending

KILLED = Ending(signal=9)


@pytest.mark.parametrize(
    ("ending", "ours", "evidence", "found"),
    [
        (Ending(code=0), "", "", Ended("normal")),
        (Ending(code=1), "", "", Ended("exception")),
        (Ending(code=3), "", "", Ended("exit", "code 3")),
        (Ending(code=CODE_MEMORY), "", "", Ended("out_of_memory", "its own limit")),
        (Ending(signal=11), "", "", Ended("signal")),
        (Ending(signal=24), "", "", Ended("cpu_limit", "its own limit")),
        (KILLED, "", "", Ended("signal")),
        (KILLED, "", "oom_kill of the machine", Ended("out_of_memory", "oom_kill of the machine")),
        (KILLED, "hung", "oom_kill of the machine", Ended("hung")),
        (KILLED, "start_timeout", "", Ended("start_timeout")),
        (KILLED, "shutdown", "", Ended("killed", "shutdown")),
        (KILLED, "start_failed", "", Ended("killed", "start_failed")),
        (KILLED, "raised", "", Ended("exception", "its driver")),
        # It left by itself before our signal came.
        (Ending(code=1), "hung", "", Ended("exception")),
        (Ending(signal=11), "hung", "", Ended("signal")),
    ],
)
def test_reasons_are_told_apart(ending: Ending, ours: Ours, evidence: str, found: Ended) -> None:
    """An operator looks for a bug where memory is short, or blames the kernel for what we did."""
    assert classify(ending, ours=ours, memory_evidence=evidence, ran=True) == found


def test_a_process_that_never_spoke_did_not_run() -> None:
    """A failed fork is taken for a crash of the engine."""
    assert classify(Ending(), ours="", memory_evidence="", ran=False).reason == "never_ran"
    assert classify(Ending(), ours="start_timeout", memory_evidence="", ran=False).reason == "start_timeout"


def test_a_process_is_as_permanent_as_its_most_permanent_engine() -> None:
    """An engine that must always be there is not, because of its neighbour."""
    assert strongest(frozenset({"temporary", "transient"})) == "transient"
    assert strongest(frozenset({"temporary", "permanent"})) == "permanent"
    assert strongest(frozenset()) == "permanent"


SEGFAULT = (Ending(signal=11), Ended("signal"))
HUNG = (KILLED, Ended("hung"))
OUTSIDE = (KILLED, Ended("signal"))
MEMORY = (KILLED, Ended("out_of_memory", "cgroup"))


def test_a_volatile_engine_tries_nothing_twice() -> None:
    """A message that kills is tried again by an engine that remembers nothing."""
    assert {after_death("volatile", *how, ()).fate for how in (SEGFAULT, HUNG, OUTSIDE, MEMORY)} == {"crashed"}


@pytest.mark.parametrize("durability", ["crash", "durable"])
def test_a_journaled_engine_tries_once_more_and_then_sets_aside(durability: str) -> None:
    """A message is lost for a fault that was not its own, or kills its engine for ever."""
    for how in (SEGFAULT, HUNG, MEMORY):
        first = after_death(durability, *how, ())  # type: ignore[arg-type]
        assert first.fate == "again"
        assert after_death(durability, *how, (first.failure,)).fate == "quarantine"  # type: ignore[arg-type]


def test_the_same_failure_twice_and_any_failure_thrice() -> None:
    """One crash of each kind is a second chance each, without end."""
    one = after_death("crash", *SEGFAULT, ())
    two = after_death("crash", *HUNG, (one.failure,))
    assert two.fate == "again"
    assert after_death("crash", *MEMORY, (one.failure, two.failure)).fate == "quarantine"
    assert ATTEMPTS_MAX == 3


@pytest.mark.parametrize(
    "how",
    [OUTSIDE, (KILLED, Ended("killed", "shutdown")), (Ending(), Ended("never_ran")), (KILLED, Ended("start_timeout"))],
)
def test_what_is_not_its_fault_is_no_attempt(how: tuple[Ending, Ended]) -> None:
    """Somebody who kills processes at random fills the quarantine with good messages."""
    verdict = after_death("durable", *how, ("signal -11",))
    assert (verdict.fate, verdict.failure) == ("again", "")
