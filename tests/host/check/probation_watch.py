"""A slot on probation under mail, faults and deaths, as a plain transition system over `host.node.probation.advance`.

The process in the slot takes messages one by one. With the new version the last of them fails, kills, or is handled; a
process may also die by itself, `deaths` times in all, and its group may take it away once. Supervision starts another
one at once. A reload back may be refused, may switch, or be ended by a death. A journaled engine has what it handled in
its log; a volatile one loses it with its process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
from msgspec.structs import replace

from engines.model.transition_system import PlainStep, TransitionSystem
from host.node import probation
from host.node.probation import ProbationFault, ProbationHappening, ProbationState, ProbationStep

Advance = Callable[[ProbationState, ProbationHappening], ProbationStep]

MAIL = (1, 2)
BAD = 2
FAILED, ENDED = ProbationFault("a trigger failed"), ProbationFault("it ended", ended=True)


class Watched(msgspec.Struct, frozen=True):
    """`runs` is the version of the slot's process, `next` that of its successor; `aside` went to quarantine."""

    plan: ProbationState
    runs: str = "new"
    next: str = "new"
    is_held: bool = False
    holds: bool = False
    mail: tuple[int, ...] = MAIL
    handled: tuple[int, ...] = ()
    aside: tuple[int, ...] = ()
    mourned: tuple[int, ...] = ()
    reload: str = ""
    deaths: int = 0
    is_second: bool = False
    is_recalled: bool = False
    verdicts: tuple[str, ...] = ()


class Watch:
    """The steps; `deaths` processes die by themselves, `advance` is the machine."""

    def __init__(self, deaths: int, advance: Advance) -> None:
        self._deaths = deaths
        self._advance = advance

    def steps(self, node: Watched) -> Iterator[PlainStep[Watched]]:
        """What the process, supervision, the reload back and the clock may do."""
        if not node.runs:
            is_second = node.plan.stage != "watching"
            started = replace(node, runs=node.next, is_held=node.holds, is_second=is_second)
            yield PlainStep(f"{node.next} starts", self._fed(started, "ready"))
        elif not node.is_held and node.mail:
            yield from self._takes(node, node.mail[0])
        if node.runs and node.deaths < self._deaths:
            yield PlainStep("the process dies", self._died(replace(node, deaths=node.deaths + 1)), is_owed=False)
        if node.runs and not node.is_recalled:
            recalled = replace(node, is_recalled=True)
            yield PlainStep("its group takes the process away", self._gone(recalled, "recalled"), is_owed=False)
        if node.runs and node.reload == "under way":
            switched = replace(node, runs="before", next="before", is_held=False, reload="")
            yield PlainStep("the reload back switches", self._fed(switched, "returned"))
            refused = replace(node, reload="")
            yield PlainStep("the reload back is refused", self._fed(refused, "refused"), is_owed=False)
        if node.plan.stage == "watching":
            yield PlainStep("the probation passes", self._fed(node, "passed"))

    def _takes(self, node: Watched, message: int) -> Iterator[PlainStep[Watched]]:
        taken = replace(node, mail=node.mail[1:])
        yield PlainStep(f"{node.runs} handles {message}", replace(taken, handled=(*node.handled, message)))
        if message == BAD and node.runs == "new":
            yield PlainStep("it fails", self._fed(replace(taken, aside=(*node.aside, message)), FAILED))
            if node.deaths < self._deaths:
                left = node if node.plan.is_journaled else replace(taken, mourned=(*node.mourned, message))
                yield PlainStep("it kills", self._died(replace(left, deaths=node.deaths + 1)))

    def _fed(self, node: Watched, happening: ProbationHappening) -> Watched:
        """The probation hears of it, and its commands are performed."""
        step = self._advance(node.plan, happening)
        node = replace(node, plan=step.plan)
        for command in step.commands:
            match command:
                case "hold":
                    node = replace(node, holds=True)
                case "begin_before":
                    node = replace(node, next="before")
                case "go_back":
                    node = replace(node, reload="under way")
                case "release":
                    node = replace(node, holds=False, is_held=False, verdicts=(*node.verdicts, command))
                case _:
                    node = replace(node, holds=False, verdicts=(*node.verdicts, command))
        return node

    def _died(self, node: Watched) -> Watched:
        """The slot's process dies, and with it a reload under way, which is heard before its successor starts."""
        return self._gone(node, ENDED)

    def _gone(self, node: Watched, happening: ProbationHappening) -> Watched:
        gone = () if node.plan.is_journaled else node.handled
        mourned = tuple(sorted({*node.mourned, *gone}))
        handled = node.handled if node.plan.is_journaled else ()
        return self._fed(replace(node, runs="", reload="", mourned=mourned, handled=handled), happening)


def nothing_is_lost_or_doubled(node: Watched) -> bool:
    """Each message waits, or was handled once, or is in quarantine, or died with a volatile process."""
    places = [*node.mail, *node.handled, *node.aside]
    return len(set(places)) == len(places) and set(MAIL) <= {*places, *node.mourned}


def one_verdict(node: Watched) -> bool:
    """It passed, or there was an alarm, or it went back: one of these at most."""
    return sum(verdict in ("pass", "alarm", "report") for verdict in node.verdicts) <= 1


def back_only_over_a_way(node: Watched) -> bool:
    """Without a way back the version before never runs."""
    return not (node.plan.forward_only and "before" in (node.runs, node.next))


def held_only_until_the_verdict(node: Watched) -> bool:
    """A process that takes no trigger has a probation that will release it."""
    return not (node.is_held and node.plan.stage == "over")


def an_alarm_means_that_the_new_version_stays(node: Watched) -> bool:
    """The version before does not run after an alarm."""
    return not ("alarm" in node.verdicts and "before" in (node.runs, node.next))


def new_runs_only_held_after_a_death(node: Watched) -> bool:
    """Between the end of a process and the verdict, the new version of a journaled engine takes no trigger."""
    return not (node.is_second and node.plan.stage == "returning" and node.runs == "new" and not node.is_held)


def comes_to_rest(node: Watched) -> bool:
    """There is a verdict, and a process that takes messages has taken all."""
    return node.plan.stage == "over" and bool(node.runs) and not node.is_held and not node.mail


def went_back(node: Watched) -> bool:
    """The version before runs again."""
    return "report" in node.verdicts and node.runs == "before"


def SYSTEM(deaths: int, plan: ProbationState, advance: Advance = probation.advance) -> TransitionSystem[Watched]:
    """A probation that has just begun."""
    return TransitionSystem(
        name="probation",
        initial=Watched(plan),
        steps=Watch(deaths, advance).steps,
        always=[
            nothing_is_lost_or_doubled,
            one_verdict,
            back_only_over_a_way,
            held_only_until_the_verdict,
            new_runs_only_held_after_a_death,
            an_alarm_means_that_the_new_version_stays,
        ],
        sometimes=[] if plan.forward_only else [went_back],
        eventually=[comes_to_rest],
    )
