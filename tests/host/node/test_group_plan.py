"""What a group does with its slots, as text: who is asked for what, in which order, whatever happens on the way.

In a script `2 ends` is something that happens to slot 2, `2 leaves` the end of a process that was told to, `pause over`
the end of the group's pause; `2 ends: enough` says what supervision makes of it (else it starts again at once).
"""

from __future__ import annotations

import pytest
from slot_world import VERDICTS, SlotWorld

from host.node.endings import Kind
from host.node.strategies import Strategy


def run(script: str, strategy: Strategy, *, temporary: int = 0) -> str:
    """Three slots; the deeds in their order, then where each stands."""
    verdicts: list[str] = []
    kinds: dict[int, Kind] = {n: "temporary" if n == temporary else "permanent" for n in (1, 2, 3)}

    def choose(count: int) -> int:
        return VERDICTS.index(verdicts.pop()) if count == len(VERDICTS) and verdicts else 0

    world = SlotWorld(strategy, 3, choose, kinds)
    world.start()
    for line in filter(None, script.split(", ")):
        what, _, verdict = line.partition(": ")
        verdicts += [verdict] if verdict else []
        number, _, word = what.partition(" ")
        match word:
            case "over":
                world.unpause()
            case "leaves":
                world.end(int(number), "ends well")
            case "ends" | "ends well":
                world.end(int(number), word)
            case "timer":
                world.fire(int(number))
            case "restart":
                world.restart(int(number))
            case "reload":
                world.reload(int(number))
            case _:
                world.feed(int(number), word)
    return " ".join([*world.trace, "->", *(slot.state for slot in world.slots.values())])


STARTED = "1:launch 2:launch 3:launch"
UP = "1 ready, 2 ready, 3 ready"
SCRIPTS: list[tuple[Strategy, str, str]] = [
    ("one_for_all", "", "1:launch -> starting starting starting"),
    ("one_for_all", "1 ready", "1:launch 2:launch -> running starting starting"),
    ("one_for_all", UP, f"{STARTED} -> running running running"),
    ("one_for_one", f"{UP}, 2 ends", f"{STARTED} 2:crashed(signal) 2:relaunch -> running starting running"),
    (
        "one_for_one",
        "1 ready, 1 ends: again later, 2 ready",
        "1:launch 2:launch 1:crashed(signal) 1:pause(5) 3:launch -> restarting running starting",
    ),
    ("one_for_one", "1 ends: again later", "1:launch 1:crashed(signal) 1:pause(5) -> restarting starting starting"),
    (
        "rest_for_one",
        f"{UP}, 2 ends: again later, 3 leaves",
        f"{STARTED} 2:crashed(signal) 2:restart_group(5) 3:dismiss 3:recalled(normal) -> running restarting restarting",
    ),
    (
        "rest_for_one",
        f"{UP}, 2 ends: again later, 3 leaves, pause over, 2 ready",
        f"{STARTED} 2:crashed(signal) 2:restart_group(5) 3:dismiss 3:recalled(normal) 2:relaunch 3:relaunch"
        " -> running running starting",
    ),
    (
        "one_for_all",
        f"{UP}, 2 ends, 3 leaves, 1 timer, 1 ends, 1 ready, 2 ready, 3 ready",
        f"{STARTED} 2:crashed(signal) 2:restart_group(0) 3:dismiss 3:recalled(normal) 1:dismiss 1:kill"
        " 1:recalled(killed) 1:relaunch 2:relaunch 3:relaunch -> running running running",
    ),
    (  # a death while another one leaves
        "one_for_all",
        f"{UP}, 1 ends, 2 ends, 3 leaves, 1 ready",
        f"{STARTED} 1:crashed(signal) 1:restart_group(0) 3:dismiss 2:crashed(signal) 2:restart_group(0)"
        " 3:recalled(normal) 1:relaunch 2:relaunch -> running starting restarting",
    ),
    (  # a death while the candidate of another one adopts, its old process gone
        "one_for_all",
        f"{UP}, 2 reload, 2 checked, 2 halted, 2 stopped, 2 ends, 1 ends, 3 leaves",
        f"{STARTED} 2:set_deadline 2:set_deadline 2:freeze 2:set_deadline 2:set_deadline 2:adopt 1:crashed(signal)"
        " 1:restart_group(0) 3:dismiss 3:recalled(normal) 2:kill_new 2:CRASHED 2:crashed(signal) 2:restart_group(0)"
        " 1:relaunch -> starting restarting restarting",
    ),
    (  # who ended well before it was ready keeps nobody waiting
        "one_for_all",
        "1 ends well: stay down, 2 ready",
        "1:launch 1:crashed(normal) 1:finish 2:launch 3:launch -> finished running starting",
    ),
    (  # nobody is left behind that was not started yet
        "one_for_all",
        "1 ready, 1 ends: enough, 2 leaves",
        "1:launch 2:launch 1:crashed(signal) 1:give_up 2:dismiss 2:recalled(normal) 1:degrade 2:degrade 3:degrade"
        " -> degraded degraded degraded",
    ),
    (
        "one_for_all",
        f"{UP}, 3 ends: enough, 2 leaves, 1 leaves",
        f"{STARTED} 3:crashed(signal) 3:give_up 2:dismiss 2:recalled(normal) 1:dismiss 1:recalled(normal)"
        " 1:degrade 2:degrade 3:degrade -> degraded degraded degraded",
    ),
    (  # somebody starts 3 while the group gives up: 1, which is leaving, comes back too
        "rest_for_one",
        f"{UP}, 3 ends well: stay down, 2 ends: enough, 3 restart, 1 leaves, 1 ready",
        f"{STARTED} 3:crashed(normal) 3:finish 2:crashed(signal) 2:give_up 1:dismiss 1:recalled(normal) 1:relaunch"
        " 2:relaunch -> running starting finished",
    ),
    (  # by hand
        "one_for_one",
        f"{UP}, 3 ends: enough, 2 leaves, 1 leaves, 2 restart, 2 ready",
        f"{STARTED} 3:crashed(signal) 3:give_up 2:dismiss 2:recalled(normal) 1:dismiss 1:recalled(normal)"
        " 1:degrade 2:degrade 3:degrade 2:relaunch 2:tell_back -> degraded running degraded",
    ),
]


@pytest.mark.parametrize(("strategy", "script", "expected"), SCRIPTS)
def test_scripts(strategy: Strategy, script: str, expected: str) -> None:
    """False if a group asks a slot too early, twice or never."""
    assert run(script, strategy) == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (
            f"{UP}, 1 ends, 3 leaves, 2 leaves, 1 ready",
            f"{STARTED} 1:crashed(signal) 1:restart_group(0) 3:dismiss 3:recalled(normal) 2:dismiss 2:recalled(normal)"
            " 2:finish 1:relaunch 3:relaunch -> running finished starting",
        ),
        (
            "1 ready, 1 ends, 2 leaves, 1 ready",
            "1:launch 2:launch 1:crashed(signal) 1:restart_group(0) 2:dismiss 2:recalled(normal) 2:finish 1:relaunch"
            " 3:launch -> running finished starting",
        ),
        ("1 ends, 1 ready, 2 ready", "1:launch 1:crashed(signal) 1:restart_group(0) 1:relaunch 2:launch 3:launch"
            " -> running running starting"),
    ],
)  # fmt: skip
def test_a_temporary_child_is_not_started_again_but_once(script: str, expected: str) -> None:
    """False if it comes back with its group, or never comes because the group died before it was its turn."""
    assert run(script, "one_for_all", temporary=2) == expected
