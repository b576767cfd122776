"""What each order of starts, ends, reloads and recalls does to a slot, as text; and what holds in every order."""

from __future__ import annotations

import random
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slot_world import HAPPENINGS, VERDICTS, SlotWorld, text_of

from host.node.endings import Kind
from host.node.slot_plan import BIRTHS_LOST_MAX, advance
from host.node.slot_state import SlotState, State
from host.node.strategies import Strategy

STRATEGIES = [None, *get_args(Strategy)]


def run(script: str, strategy: Strategy | None = None) -> str:
    """The deeds of a script in their order, and where the slot then stands."""
    slot, trace = SlotState(strategy=strategy), []
    for word in filter(None, script.split(", ")):
        step = advance(slot, HAPPENINGS[word])
        trace += [text_of(command) for command in step.commands]
        slot = step.slot
    return " ".join([*trace, "->", slot.state, slot.process])


UP = "due, ready"
SCRIPTS = {
    "": "-> starting none",
    "due": "launch -> starting there",
    "due, due": "launch -> starting there",
    "due, reload": "launch -> starting there",
    UP: "launch -> running there",
    # a process that cannot be had
    "due, unborn": "launch await_birth -> starting wanted",
    "due, unborn, is missed": "launch await_birth crashed(never_ran) -> restarting none",
    "due, unborn, due": "launch await_birth -> starting wanted",
    "due, unborn, recall, is missed": "launch await_birth -> starting none",
    "due, unborn, emptied": "launch await_birth remove -> stopping wanted",
    "due, is lost": "launch repeat_launch -> starting there",
    "due, is lost, is lost, is lost, is lost": "launch repeat_launch repeat_launch repeat_launch crashed(never_ran)"
    " -> restarting none",
    # a start that fails
    "due, ends in the start": "launch failed_start(signal) -> degraded none",
    "due, fails, ends": "launch kill crashed(killed) -> restarting none",
    "due, starts late, ends": "launch kill crashed(start_timeout) -> restarting none",
    # a death
    f"{UP}, ends": "launch crashed(signal) -> restarting none",
    f"{UP}, fails, ends": "launch kill crashed(exception) -> restarting none",
    f"{UP}, hangs, ends": "launch kill crashed(hung) -> restarting none",
    f"{UP}, hangs, fails, ends": "launch kill kill crashed(hung) -> restarting none",
    f"{UP}, ends, again": "launch crashed(signal) relaunch -> starting there",
    f"{UP}, ends, again later, pause over, ready": "launch crashed(signal) pause(5) relaunch -> running there",
    f"{UP}, ends, again later, pause over, pause over": "launch crashed(signal) pause(5) relaunch -> starting there",
    f"{UP}, ends, enough, pause over": "launch crashed(signal) degrade -> degraded none",
    f"{UP}, ends, enough, due": "launch crashed(signal) degrade relaunch tell_back -> starting there",
    f"{UP}, ends well, stay down": "launch crashed(normal) finish -> finished none",
    f"{UP}, ends well, stay down, due": "launch crashed(normal) finish relaunch -> starting there",
    # a recall
    f"{UP}, recall, ends well": "launch dismiss recalled(normal) -> restarting none",
    f"{UP}, recall, recall, expired, ends": "launch dismiss kill recalled(killed) -> restarting none",
    f"{UP}, recall, ends well, due": "launch dismiss recalled(normal) relaunch -> starting there",
    f"{UP}, recall, ends well, finish": "launch dismiss recalled(normal) finish -> finished none",
    f"{UP}, recall, ends well, degrade, due": "launch dismiss recalled(normal) degrade relaunch tell_back"
    " -> starting there",
    f"{UP}, recall, ends well, again": "launch dismiss recalled(normal) relaunch -> starting there",
    "due, recall, ready, ends": "launch dismiss recalled(signal) -> restarting none",
    # an end for good
    f"{UP}, emptied, ends well": "launch take_leave remove -> stopping none",
    f"{UP}, ends, emptied, again": "launch crashed(signal) remove -> stopping none",
    f"{UP}, emptied, node stops, ends": "launch take_leave -> stopping none",
    f"{UP}, node stops, ends, again, due": "launch -> stopping none",
    # a reload
    f"{UP}, reload, checked, halted, stopped, loaded, ends well, went": "launch set_deadline set_deadline freeze"
    " set_deadline set_deadline adopt set_deadline retire set_deadline go SWITCHED -> running there",
    f"{UP}, reload, unfit": "launch set_deadline kill_new REFUSED -> running there",
    f"{UP}, reload, new ends": "launch set_deadline kill_new REFUSED -> running there",
    f"{UP}, reload, ends": "launch set_deadline kill_new CRASHED crashed(signal) -> restarting none",
    f"{UP}, reload, recall, ends well": "launch set_deadline kill_new REFUSED dismiss recalled(normal)"
    " -> restarting none",
    f"{UP}, reload, emptied": "launch set_deadline kill_new REFUSED take_leave -> stopping there",
    f"{UP}, reload, node stops, new ends, checked": "launch set_deadline kill_new REFUSED -> stopping there",
}
FROZEN = f"{UP}, reload, checked"
DUMPING = f"{FROZEN}, halted"
ADOPTING = f"{DUMPING}, stopped"
RETIRING = f"{ADOPTING}, loaded"
GOING = f"{RETIRING}, ends well"
PASSING = f"{UP}, reload, changes, recalled, commutes, level, primed"
CROSSINGS = {
    f"{FROZEN}, late": "kill_new thaw REFUSED -> running there",
    f"{FROZEN}, ends": "kill_new CRASHED crashed(signal) -> restarting none",
    f"{FROZEN}, recall": "kill_new REFUSED dismiss -> recalled there",
    f"{DUMPING}, late": "kill_new thaw REFUSED -> running there",
    f"{DUMPING}, ends": "kill_new CRASHED crashed(signal) -> restarting none",
    f"{DUMPING}, recall": "kill_new REFUSED dismiss -> recalled there",
    f"{ADOPTING}, new ends": "kill_new thaw REFUSED -> running there",
    f"{ADOPTING}, ends, loaded, went": "set_deadline go SWITCHED -> running there",
    f"{ADOPTING}, ends, new ends": "kill_new CRASHED crashed(signal) -> restarting none",
    f"{ADOPTING}, ends, recall": "kill_new CRASHED crashed(signal) -> restarting none",
    f"{ADOPTING}, ends, due": "-> freezing none",
    f"{ADOPTING}, ends, emptied": "kill_new REFUSED remove -> stopping none",
    f"{ADOPTING}, hangs, ends, new ends": "kill kill_new CRASHED crashed(hung) -> restarting none",
    f"{RETIRING}, late, ends, went": "kill set_deadline go SWITCHED -> running there",
    f"{RETIRING}, new ends, ends well": "kill_new enforce CRASHED crashed(exit) -> restarting none",
    f"{RETIRING}, new fails, ends well": "kill_new enforce CRASHED crashed(killed) -> restarting none",
    f"{RETIRING}, recall, ends well": "kill_new REFUSED dismiss recalled(normal) -> restarting none",
    f"{GOING}, ends": "set_deadline go enforce CRASHED crashed(signal) -> restarting none",
    f"{GOING}, late, ends": "set_deadline go kill_new enforce CRASHED crashed(signal) -> restarting none",
    f"{GOING}, recall, ends well": "set_deadline go REFUSED dismiss recalled(normal) -> restarting none",
    f"{GOING}, node stops": "set_deadline go REFUSED -> stopping there",
    f"{PASSING}, took, went": "set_deadline own SWITCHED -> running there",
    f"{PASSING}, took, ends": "set_deadline own enforce CRASHED crashed(signal) -> restarting none",
    f"{PASSING}, ends, took, went": "set_deadline own SWITCHED -> running there",
    f"{PASSING}, not passed, ends": "kill_new CRASHED crashed(signal) -> restarting none",
    f"{PASSING}, ends, new fails, withdrawn": "withdraw kill_new CRASHED crashed(signal) -> restarting none",
    f"{PASSING}, new ends, withdrawn": "withdraw kill_new thaw REFUSED -> running there",
    f"{PASSING}, new ends, taken, ends": "withdraw set_deadline kill enforce CRASHED crashed(exit) -> restarting none",
    f"{PASSING}, ends, new ends, taken": "withdraw enforce CRASHED crashed(exit) -> restarting none",
    f"{PASSING}, recall": "kill_new REFUSED dismiss -> recalled there",
    f"{PASSING}, ends, recall, withdrawn": "withdraw kill_new CRASHED crashed(signal) -> restarting none",
    f"{PASSING}, ends, recall, taken, recall": "withdraw set_deadline own REFUSED dismiss -> recalled there",
    f"{PASSING}, node stops": "kill_new REFUSED -> stopping there",
}
IN_GROUPS = {
    f"{UP}, ends, again": "crashed(signal) restart_group(0) -> restarting none",
    f"{UP}, ends, again later, pause over": "crashed(signal) restart_group(5) relaunch -> starting there",
    f"{UP}, ends, enough": "crashed(signal) give_up -> restarting none",
    f"{UP}, ends, enough, degrade": "crashed(signal) give_up degrade -> degraded none",
    f"{UP}, ends well, stay down, degrade": "crashed(normal) finish degrade -> degraded none",
}


@pytest.mark.parametrize(("script", "expected"), SCRIPTS.items())
def test_scripts(script: str, expected: str) -> None:
    """False if a slot does something else than its table says."""
    assert run(script) == expected


@pytest.mark.parametrize(("script", "expected"), CROSSINGS.items())
def test_scripts_of_reloads_that_are_crossed(script: str, expected: str) -> None:
    """False if an end, a recall or a stop in the middle of a reload leaves its slot to nobody, or to two."""
    begun = next(stage for stage in (GOING, RETIRING, ADOPTING, DUMPING, FROZEN, PASSING) if script.startswith(stage))
    before = run(begun if begun != GOING else RETIRING).partition("->")[0]
    assert run(script).removeprefix(before) == expected


@pytest.mark.parametrize(("script", "expected"), IN_GROUPS.items())
def test_scripts_in_groups(script: str, expected: str) -> None:
    """False if a slot of a group decides what is the group's to decide."""
    assert run(script, "one_for_all") == f"launch {expected}"


def test_births_are_repeated_a_few_times() -> None:
    """False if a zygote that always dies is asked for ever, or the scripts above do not go beyond the bound."""
    assert run("due" + ", is lost" * BIRTHS_LOST_MAX) == "launch" + " repeat_launch" * BIRTHS_LOST_MAX + (
        " -> starting there"
    )


STALE = (
    *("pause over", "expired", "ready", "loaded", "went", "late", "halted", "stopped", "level", "primed", "took"),
    "not passed",
)
"""Words of the past, and timers that had fired already."""

REPLIES = {
    "importing": ["changes"],
    "recalling": ["recalled"],
    "rehearsing": ["commutes", "rehearsed"],
    "following": ["level"],
    "priming": ["primed", "unprimed"],
    "passing": ["took", "not passed"],
    "freezing": ["halted"],
    "dumping": ["stopped"],
    "adopting": ["loaded"],
    "going": ["went"],
}


def possible(world: SlotWorld, number: int) -> list[str]:
    """What can happen to a slot now, beside words of the past; what brings it on comes first."""
    slot, owned = world.slots[number], number in world.owners
    can = ["timer"] if number in world.timers else []
    if slot.crossing is not None:
        replies = REPLIES.get(slot.crossing.plan.stage, ["late"])
        can += [replies[world.choose(len(replies))], "late"]
    elif slot.state == "running":
        can += ["reload", "trial"]
    if number in world.candidates:
        can += ["new ends", "new fails", "unfit"]
    if owned:
        can += ["ready", "ends", "ends well", "hangs", "fails", *(["is lost"] if slot.state == "starting" else [])]
    if slot.state in ("degraded", "finished", "restarting"):
        can += ["restart"]
    return [*can, *([] if slot.strategy else ["emptied"])]


def happen(world: SlotWorld, chance: random.Random) -> None:
    """One of all that is possible; half of the time, what brings a slot on."""
    number = chance.choice(sorted(world.slots))
    can = [*possible(world, number), *(["unpause"] if world.pauses else []), chance.choice(STALE)]
    word = can[0] if chance.random() < 0.5 else chance.choice(can)
    match word:
        case "unpause":
            world.unpause()
        case "timer":
            world.fire(number)
        case "reload" | "trial":
            world.reload(number, word)
        case "restart":
            world.restart(number)
        case "new ends":
            world.end_candidate(number)
        case "ends" | "ends well" | "is lost":
            world.end(number, word)
        case _:
            world.feed(number, word)


def settle(world: SlotWorld) -> None:
    """Nothing goes wrong any more: who is told to end ends, who starts is ready, timers fire, candidates give up."""
    for _ in range(40 * len(world.slots)):
        if world.pauses:
            world.unpause()
        for number in tuple(world.slots):
            if number in world.doomed:
                world.end(number, "ends")
            elif number in world.owners and world.slots[number].state == "recalled":
                world.end(number, "ends well")
            elif number in world.candidates:
                world.end_candidate(number)
            elif world.slots[number].crossing is not None:
                world.feed(number, "late")
            elif number in world.timers:
                world.fire(number)
            elif number in world.owners:
                world.feed(number, "ready")


def check(world: SlotWorld) -> None:
    planned = {*world.work.start, *world.work.over, *world.work.degrade}
    for number, slot in world.slots.items():
        assert (slot.process == "there") == (number in world.owners), "the slot is wrong about its process"
        assert world.reloads[number] == (slot.crossing is not None), "a reload without an answer, or with two"
        match slot.state, slot.process:
            case ("starting" | "running" | "freezing" | "stopping", "there"):
                pass
            case ("recalled", "there"):
                assert number in world.timers or number in world.doomed, "nobody sees to it that it leaves"
            case ("starting", "wanted"):
                assert world.timers[number] == "is missed", "a process is waited for that does not come"
            case ("starting" | "restarting", "none"):
                assert number in planned or number in world.timers, "nobody will start it"
            case ("freezing", "none"):
                assert slot.crossing is not None, "nobody will get it"
            case ("degraded" | "finished" | "stopping", _):
                assert slot.crossing is None
            case other:
                raise AssertionError(f"{other} is not in the table")


@pytest.mark.storm
@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(STRATEGIES),
    st.lists(st.sampled_from(["permanent", "temporary"]), min_size=1, max_size=4),
    st.integers(0, 120),
    st.integers(0, 2**32),
)
def test_whatever_happens(strategy: Strategy | None, kinds: list[Kind], steps: int, seed: int) -> None:
    """False if, in some order, a slot has two processes, a reload no answer, or nobody leads a slot out of its state.

    (Ends, births that fail, verdicts, reloads, timers and words of the past, over slots alone or in a group.) Once
    nothing goes wrong any more, each slot has to come to rest where it runs, is over, or waits for a user.
    """
    chance = random.Random(seed)
    world = SlotWorld(strategy, len(kinds), chance.randrange, dict(enumerate(kinds, start=1)))
    world.start()
    for _ in range(steps):
        happen(world, chance)
        check(world)
    world.choose = lambda count: 0  # births succeed, and who died starts again
    settle(world)
    check(world)
    states = [slot.state for slot in world.slots.values()]
    assert set(states) <= {"running", "degraded", "finished", "stopping"}, world.trace
    assert not any(world.reloads.values())
    assert not world.pauses


@given(st.lists(st.sampled_from(sorted(HAPPENINGS)), max_size=30))
def test_a_stop_is_final(script: list[str]) -> None:
    """False if a slot that stops gets a process back, in whatever order words of the past still come."""
    slot = advance(SlotState("running", "there"), "node_stops").slot
    for word in script:
        step = advance(slot, HAPPENINGS[word])
        slot = step.slot
        assert slot.state == "stopping"
        assert not {"launch", "repeat_launch", "relaunch", "go", "own"} & set(map(text_of, step.commands))


def test_every_state_is_reached() -> None:
    """False if the table has a state that no script enters."""
    scripts = (*SCRIPTS, *CROSSINGS, *IN_GROUPS)
    seen = {run(script).rpartition("-> ")[2].split()[0] for script in scripts}
    assert seen == set(get_args(State))
    assert set(VERDICTS) <= {word for script in scripts for word in script.split(", ")}
