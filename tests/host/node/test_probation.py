"""What each order of faults, starts and verdicts does to a probation, as text; and what holds in every order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.config.spec import ReloadSpec
from host.node.probation import ProbationFault, ProbationHappening, ProbationState, advance

WORDS: dict[str, ProbationHappening] = {
    "passes": "passed",
    "fails": ProbationFault("a trigger failed"),
    "ends": ProbationFault("its process ended", ended=True),
    "ready": "ready",
    "returned": "returned",
    "refused": "refused",
    "recalled": "recalled",
    "dropped": "dropped",
}


def run(script: str, plan: ProbationState) -> str:
    trace: list[str] = []
    for word in script.split(", "):
        step = advance(plan, WORDS[word])
        trace += step.commands
        plan = step.plan
    return " ".join([*trace, "->", plan.stage])


VOLATILE, JOURNALED, FORWARD = (
    ProbationState(),
    ProbationState(is_journaled=True),
    ProbationState(forward_only="no way"),
)

SCRIPTS = [
    (VOLATILE, "passes, fails", "pass -> over"),
    (VOLATILE, "dropped, ends", "-> over"),
    (VOLATILE, "fails, returned", "go_back report -> over"),
    (VOLATILE, "fails, fails, refused, refused, refused", "go_back go_back go_back release alarm -> over"),
    (VOLATILE, "fails, refused, returned", "go_back go_back report -> over"),
    (VOLATILE, "ends, ready", "begin_before report -> over"),
    (VOLATILE, "fails, ends, refused", "go_back begin_before report -> over"),
    (JOURNALED, "ends, ready, returned", "hold go_back report -> over"),
    (JOURNALED, "ends, passes, fails, ready, returned", "hold go_back report -> over"),
    (JOURNALED, "ends, ends, ready, returned", "hold hold go_back report -> over"),
    (JOURNALED, "fails, ends, refused, ready, returned", "go_back hold go_back report -> over"),
    (JOURNALED, "ends, ready, refused, ends, ready, returned", "hold go_back go_back hold go_back report -> over"),
    (JOURNALED, "ends, ready, refused, refused, refused", "hold go_back go_back go_back release alarm -> over"),
    (VOLATILE, "recalled, ready, passes", "pass -> over"),
    (VOLATILE, "fails, recalled, ready", "go_back begin_before report -> over"),
    (JOURNALED, "recalled, ready, passes", "pass -> over"),
    (JOURNALED, "fails, recalled, ready, returned", "go_back hold go_back report -> over"),
    (JOURNALED, "ends, recalled, ready, returned", "hold hold go_back report -> over"),
    (FORWARD, "fails, ends", "alarm -> over"),
    (FORWARD, "ends, ready", "alarm -> over"),
]


@pytest.mark.parametrize(("plan", "script", "expected"), SCRIPTS)
def test_scripts(plan: ProbationState, script: str, expected: str) -> None:
    """False if a probation did something else than its table says."""
    assert run(script, plan) == expected


@pytest.mark.parametrize(
    ("terms", "spent_s", "handled", "words"),
    [
        (ReloadSpec(probation_triggers=1000), 5, 0, "1000 messages"),
        (ReloadSpec(probation_triggers=1000), 5, 997, "3 messages"),
        (ReloadSpec(probation_triggers=1000), 5, 1001, "1 messages"),
        (ReloadSpec(probation_ns=30 * 10**9), 0.2, 7, "30 s"),
        (ReloadSpec(probation_ns=30 * 10**9), 29.7, 7, "1 s"),
        (ReloadSpec(probation_ns=30 * 10**9), 31, 7, "1 s"),
        (ReloadSpec(probation_ns=10**9, probation_triggers=5), 0, 2, "1 s or 3 messages"),
    ],
)
def test_what_is_left_is_less_each_time(terms: ReloadSpec, spent_s: float, handled: int, words: str) -> None:
    """False if a refusal named the whole length again, or nothing although it still refuses."""
    assert terms.left(int(spent_s * 10**9), handled).length == words


@given(
    st.lists(st.sampled_from(sorted(WORDS)), max_size=20),
    st.sampled_from([VOLATILE, JOURNALED, FORWARD]),
)
def test_whatever_happens_there_is_one_verdict_and_no_process_stays_held(
    script: list[str], plan: ProbationState
) -> None:
    """False if a probation had two verdicts, went back without a way, or left a process held that nobody releases."""
    start, verdicts, held = plan, 0, False
    for word in script:
        step = advance(plan, WORDS[word])
        plan = step.plan
        verdicts += sum(command in ("pass", "alarm", "report") for command in step.commands)
        held = (held or "hold" in step.commands) and not {"release", "report"} & set(step.commands)
    assert verdicts <= 1
    if start.forward_only:
        assert not held
        assert "go_back" not in run(", ".join(script) or "dropped", start)
    if plan.stage == "over" and "dropped" not in script:
        assert verdicts == 1
        assert not held
