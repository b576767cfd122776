from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.node.reload_plan import Checked, Happening, NewFailed, ReloadState, Step, advance

SIGNS: dict[str, Happening] = {
    "checked": Checked(),
    "incompatible": Checked(("mailbox 0 no longer accepts Ping",)),
    "changes": Checked(rehearses=True),
    "recalled": "recalled",
    "unrecalled": "unrecalled",
    "rehearsed": "rehearsed",
    "commutes": "commutes",
    "level": "level",
    "primed": "primed",
    "unprimed": "unprimed",
    "took": "took",
    "not passed": "not_passed",
    "withdrawn": "withdrawn",
    "taken": "taken",
    "all": "all_staged",
    "decided": "decided",
    "halted": "halted",
    "stopped": "snapshot_taken",
    "loaded": "loaded",
    "left": "left",
    "went": "went",
    "new fails": NewFailed("import"),
    "new ends": NewFailed("ended", ended=True),
    "old ends": "old_ended",
    "late": "late",
}


def run(script: str, *, is_trial: bool = False, is_joint: bool = False) -> str:
    """What a script of happenings does, as text: commands in order, then the verdict."""
    plan = ReloadState(is_trial=is_trial, is_joint=is_joint)
    trace: list[str] = []
    for word in filter(None, script.split(", ")):
        step = advance(plan, SIGNS[word])
        trace += step.commands
        plan = step.plan
        if step.verdict:
            trace.append(step.verdict.upper())
    return " ".join(trace)


SCRIPTS = {
    "checked, halted, stopped, loaded, old ends, went": "freeze adopt retire go SWITCHED",
    "incompatible": "kill_new REFUSED",
    "new fails": "kill_new REFUSED",
    "new ends": "kill_new REFUSED",
    "late": "kill_new REFUSED",
    "old ends": "kill_new restart CRASHED",
    "changes, recalled, rehearsed, halted, stopped, loaded, old ends, went": (
        "recall rehearse freeze adopt retire go SWITCHED"
    ),
    "changes, unrecalled, halted": "recall freeze",
    "changes, halted, stopped, rehearsed": "recall",
    "changes, late": "recall kill_new REFUSED",
    "changes, new ends": "recall kill_new REFUSED",
    "changes, old ends": "recall kill_new restart CRASHED",
    "changes, recalled, late": "recall rehearse kill_new REFUSED",
    "changes, recalled, new fails": "recall rehearse kill_new REFUSED",
    "changes, recalled, old ends": "recall rehearse kill_new restart CRASHED",
    "changes, recalled, commutes, level, primed, took, went": "recall rehearse follow prime pass own SWITCHED",
    "changes, recalled, commutes, level, unprimed, halted, stopped, loaded, old ends, went": (
        "recall rehearse follow prime freeze adopt retire go SWITCHED"
    ),
    "changes, recalled, commutes, rehearsed, halted": "recall rehearse follow freeze",
    "changes, recalled, commutes, new fails": "recall rehearse follow kill_new REFUSED",
    "changes, recalled, commutes, late": "recall rehearse follow kill_new REFUSED",
    "changes, recalled, commutes, old ends": "recall rehearse follow kill_new restart CRASHED",
    "changes, recalled, commutes, level, late": "recall rehearse follow prime kill_new REFUSED",
    "changes, recalled, commutes, level, new ends": "recall rehearse follow prime kill_new REFUSED",
    "changes, recalled, commutes, level, old ends": "recall rehearse follow prime kill_new restart CRASHED",
    "changes, recalled, level, halted": "recall rehearse",
    "checked, late": "freeze kill_new thaw REFUSED",
    "checked, new ends": "freeze kill_new thaw REFUSED",
    "checked, halted, late": "freeze kill_new thaw REFUSED",
    "checked, halted, new ends": "freeze kill_new thaw REFUSED",
    "checked, halted, old ends": "freeze kill_new restart CRASHED",
    "checked, stopped, old ends": "freeze kill_new restart CRASHED",
    "checked, old ends": "freeze kill_new restart CRASHED",
    "checked, halted, stopped, new fails": "freeze adopt kill_new thaw REFUSED",
    "checked, halted, stopped, new ends": "freeze adopt kill_new thaw REFUSED",
    "checked, halted, stopped, late": "freeze adopt kill_new thaw REFUSED",
    "checked, halted, stopped, old ends, loaded, went": "freeze adopt go SWITCHED",
    "checked, halted, stopped, old ends, new fails": "freeze adopt kill_new restart CRASHED",
    "checked, halted, stopped, loaded, left, went, old ends": "freeze adopt retire go SWITCHED",
    "checked, halted, stopped, loaded, new ends, left, old ends": (
        "freeze adopt retire kill_new restart_with_new CRASHED"
    ),
    "checked, halted, stopped, left, loaded": "freeze adopt retire",
    "checked, halted, stopped, loaded, late, old ends, went": "freeze adopt retire kill_old go SWITCHED",
    "checked, halted, stopped, loaded, new ends, old ends": "freeze adopt retire kill_new restart_with_new CRASHED",
    "checked, halted, stopped, loaded, old ends, new ends": "freeze adopt retire go restart_with_new CRASHED",
    "checked, halted, stopped, loaded, old ends, late, new ends": (
        "freeze adopt retire go kill_new restart_with_new CRASHED"
    ),
}


PASSING = "changes, recalled, commutes, level, primed"
PASSED = {
    "old ends, took, went": "own SWITCHED",
    "late, withdrawn": "withdraw kill_new thaw REFUSED",
    "late, taken, went": "withdraw own SWITCHED",
    "late, taken, new ends": "withdraw own restart_with_new CRASHED",
    "new fails, withdrawn": "withdraw kill_new thaw REFUSED",
    "new ends, withdrawn": "withdraw kill_new thaw REFUSED",
    "new ends, taken, old ends": "withdraw kill_old restart_with_new CRASHED",
    "new ends, taken, late, old ends": "withdraw kill_old kill_old restart_with_new CRASHED",
    "old ends, not passed": "kill_new restart CRASHED",
    "not passed, old ends": "kill_new restart CRASHED",
    "not passed, new ends, old ends": "kill_new restart CRASHED",
    "not passed, late, withdrawn": "withdraw kill_new thaw REFUSED",
    "old ends, new fails, withdrawn": "withdraw kill_new restart CRASHED",
    "old ends, new ends, taken": "withdraw restart_with_new CRASHED",
    "took, new ends": "own restart_with_new CRASHED",
    "took, late, new ends": "own kill_new restart_with_new CRASHED",
    "halted, stopped, loaded, left, went": "",
}


@pytest.mark.parametrize(("script", "expected"), PASSED.items())
def test_the_token_decides_whose_the_slot_is(script: str, expected: str) -> None:
    """False if a slot that was passed on were taken back, or one that was not were restarted with the new version."""
    assert run(f"{PASSING}, {script}").removeprefix("recall rehearse follow prime pass").strip() == expected


@pytest.mark.parametrize(("script", "expected"), SCRIPTS.items())
def test_scripts(script: str, expected: str) -> None:
    """A reload does something else than its table says."""
    assert run(script) == expected


TRIALS = {
    "checked, halted, stopped, loaded": "freeze adopt kill_new thaw TRIED",
    "changes, recalled, rehearsed, halted, stopped, loaded": "recall rehearse freeze adopt kill_new thaw TRIED",
    "checked, halted, stopped, new fails": "freeze adopt kill_new thaw REFUSED",
    "checked, halted, stopped, late": "freeze adopt kill_new thaw REFUSED",
    "checked, halted, stopped, old ends": "freeze adopt kill_new restart CRASHED",
    "incompatible": "kill_new REFUSED",
}


@pytest.mark.parametrize(("script", "expected"), TRIALS.items())
def test_a_trial_ends_before_the_cut(script: str, expected: str) -> None:
    """False if a dry run replaced anything, or left the old process frozen."""
    assert run(script, is_trial=True) == expected


JOINT = {
    "checked, halted": "",
    "all, checked, halted, stopped": "",
    "checked, all, halted, stopped, loaded, late": "freeze adopt kill_new thaw REFUSED",
    "checked, all, halted, stopped, loaded, decided, left, went": "freeze adopt retire go SWITCHED",
    "checked, late": "kill_new REFUSED",
    "checked, new ends": "kill_new REFUSED",
    "checked, all, halted, stopped, old ends, loaded": "freeze adopt kill_new restart CRASHED",
    "checked, all, halted, stopped, loaded, old ends": "freeze adopt kill_new restart CRASHED",
    "checked, all, halted, stopped, loaded, new fails": "freeze adopt kill_new thaw REFUSED",
    "checked, all, halted, stopped, loaded, decided, new ends, old ends": (
        "freeze adopt retire kill_new restart_with_new CRASHED"
    ),
    "changes, recalled, commutes, level, all, halted": "recall rehearse follow freeze",
}


@pytest.mark.parametrize(("script", "expected"), JOINT.items())
def test_a_member_waits_for_the_others(script: str, expected: str) -> None:
    """False if a member of a joint reload stood still before all could, or switched before it was decided."""
    assert run(script, is_joint=True) == expected


@given(st.lists(st.sampled_from(sorted(SIGNS)), max_size=30), st.booleans(), st.booleans())
def test_whatever_happens_exactly_one_process_is_left_with_the_slot(
    script: list[str], is_trial: bool, is_joint: bool
) -> None:
    """Some order of ends, failures and delays leaves a slot with two processes, with none, or with a wrong verdict."""
    plan = ReloadState(is_trial=is_trial, is_joint=is_joint)
    old_is_alive, new_is_alive, owner, verdicts = True, True, "old", []
    for word in script:
        if (word == "old ends" and not old_is_alive) or (word.startswith("new ends") and not new_is_alive):
            continue
        old_is_alive &= word != "old ends"
        new_is_alive &= word != "new ends"
        step: Step = advance(plan, SIGNS[word])
        plan = step.plan
        for command in step.commands:
            if command == "go":
                assert not old_is_alive, "two processes on one lane"
                owner = "new"
            if command == "own":
                old_is_alive, owner = False, "new"
            if command == "restart":
                assert not old_is_alive
                owner = "fresh"
            if command == "restart_with_new":
                assert not old_is_alive
                owner = "fresh"
            if command == "kill_old":
                assert plan.stage == "retiring", "an old process is killed that might be needed"
        verdicts += [step.verdict] if step.verdict else []
    assert len(verdicts) <= 1
    if verdicts == ["refused"]:
        assert owner == "old"
    if verdicts == ["tried"]:
        assert owner == "old"
        assert old_is_alive
    if is_trial:
        assert "switched" not in verdicts
    if verdicts == ["switched"]:
        assert owner == "new"
    if verdicts == ["crashed"]:
        assert owner == "fresh"
