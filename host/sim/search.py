"""Runs a world under many seeds, and makes a failure small.

A *trial* is everything about a run but its seed. A run that fails is run again with fewer of its faults and of the
script's lines, as long as the same property fails (delta debugging: Zeller and Hildebrandt, 2002): first halves are
left out, then quarters, down to single ones; and faults are tried at earlier occasions, so that less has to happen
before them. Faults that are left out leave the others as they were (`host.sim`), so a smaller run mostly fails in the
same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

import msgspec

from host.config.spec import NodeSpec
from host.sim.families import Families
from host.sim.faults import FaultPlan
from host.sim.properties import Property, PropertyFailed, check_property
from host.sim.script import ScriptLine, perform
from host.sim.world import Restless, World

T = TypeVar("T")

SHRINK_RUNS_MAX: Final = 400
"""Runs to make one failure small; what was reached by then is reported."""

RESTS: Final = "the node comes to rest"
"""The property that a run until idle has without being told."""


class Named(msgspec.Struct, frozen=True):
    """A property, and the name it was given by."""

    name: str
    holds: Property


class Trial(msgspec.Struct, frozen=True):
    """A run but for its seed. `until_ns` None: until nothing is left to happen. `finally_` must hold at the end.

    `families` are loaded once for all runs.
    """

    spec: NodeSpec
    faults: FaultPlan
    lines: tuple[ScriptLine, ...] = ()
    until_ns: int | None = None
    always: tuple[Named, ...] = ()
    finally_: tuple[Named, ...] = ()
    families: Families | None = None


class RunResult(msgspec.Struct, frozen=True):
    """How a run ended; `failed` is the property that did not hold, "" if all did.

    `faults` are the ids of those that happened, `kept` the numbers of the script's lines, in order.
    """

    seed: int
    failed: str
    detail: str
    at_ns: int
    faults: tuple[str, ...]
    kept: tuple[int, ...]
    triggers: int
    trace: str = ""


def run_trial(
    trial: Trial,
    seed: int,
    only: Sequence[str] | None = None,
    keep: Sequence[int] | None = None,
    *,
    trace: bool = False,
) -> RunResult:
    """One run. `only` these faults happen, and the script has the lines of these numbers. Raises `ScriptError`, and as
    `World` does."""
    world = World(trial.spec, seed=seed, faults=trial.faults, only=only, trace=trace, families=trial.families)
    lines = [line for line in trial.lines if line.words and (keep is None or line.number in keep)]
    failed = detail = ""
    began_ns = world.now_ns
    try:
        for one in trial.always:
            world.always(one.holds, one.name)
        for line in lines:
            perform(world, line)
        world.run(trial.until_ns)
        for one in trial.finally_:
            check_property(one.holds, one.name, world.view())
    except PropertyFailed as error:
        failed, detail = error.name, error.detail
        world.record.say(f"* {error}")
    except Restless as error:
        failed, detail = RESTS, str(error)
    kept = tuple(line.number for line in lines)
    at_ns = world.now_ns - began_ns
    return RunResult(seed, failed, detail, at_ns, tuple(world.faults.happened), kept, world.triggers, world.trace)


def shrink(trial: Trial, found: RunResult) -> RunResult:
    """The same failure with as few faults and lines of the script as a bounded number of runs leads to.

    A run that does not come to rest is left as it is: it takes a minute, and each smaller one might, too.
    """
    if found.failed == RESTS:
        return found
    left = SHRINK_RUNS_MAX

    def fails(only: Sequence[str], keep: Sequence[int]) -> RunResult | None:
        nonlocal left
        left -= 1
        result = run_trial(trial, found.seed, only, keep) if left >= 0 else None
        return result if result is not None and result.failed == found.failed else None

    smallest, size = found, _size(found) + 1
    while _size(smallest) < size:
        size = _size(smallest)
        smallest = _fewer(smallest, smallest.faults, partial(_swapped, fails, smallest.kept))
        smallest = _earlier(smallest, partial(_swapped, fails, smallest.kept))
        smallest = _fewer(smallest, smallest.kept, partial(fails, smallest.faults))
    return smallest


def _earlier(best: RunResult, fails: Callable[[tuple[str, ...]], RunResult | None]) -> RunResult:
    """Let each fault strike at an earlier occasion of its place, if it still fails: less needs to happen before."""
    for at in range(len(best.faults)):
        if at >= len(best.faults):
            break
        place, _, number = best.faults[at].rpartition(":")
        for earlier in sorted({1, int(number) // 4, int(number) // 2, int(number) - 1} - {0, int(number)}):
            result = fails((*best.faults[:at], f"{place}:{earlier}", *best.faults[at + 1 :]))
            if result is not None and _size(result) <= _size(best):
                best = result
                break
    return best


def _size(result: RunResult) -> int:
    return len(result.faults) + len(result.kept)


def _swapped(
    fails: Callable[[Sequence[str], Sequence[int]], RunResult | None], keep: Sequence[int], only: Sequence[str]
) -> RunResult | None:
    return fails(only, keep)


def _fewer(best: RunResult, parts: tuple[T, ...], fails: Callable[[tuple[T, ...]], RunResult | None]) -> RunResult:
    """Leave out parts while it still fails: halves, quarters, …, single ones."""
    size = (len(parts) + 1) // 2
    while size:
        at = 0
        while at < len(parts):
            left = parts[:at] + parts[at + size :]
            result = fails(left)
            if result is None:
                at += size
            else:
                best, parts = result, left
        size = 0 if size == 1 else (size + 1) // 2
    return best
