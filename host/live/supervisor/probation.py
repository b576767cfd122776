"""One probation under way: performs what `host.node.probation` decides; stages and crash points are described there.

A `Probation` belongs to a slot, from the cut to its end. It reads the slot's control page periodically for its triggers
and for a transition beyond its bound; `perform` and `desk` report ends, failed triggers and the start of a process.
"""

from __future__ import annotations

import time
from typing import Final

from host.config.spec import ReloadSpec
from host.live.supervisor import population
from host.live.supervisor.node import Node
from host.live.supervisor.reload import Before, Reload, ReloadOrder, version_label
from host.live.supervisor.slots import Alarm, Slot
from host.live.wire import Thaw
from host.node.probation import ProbationCommand, ProbationFault, ProbationHappening, ProbationState, advance
from host.node.progress import CYCLES, HANDLED, N
from transport.port import Closed

LOOK_NS: Final = 20_000_000
"""Between two looks at the control page, and how much later than its bound a slow transition may be noticed."""

RETURN_NS: Final = 30_000_000_000
"""For the reload back: an import, and the state handed over."""


class Probation:
    """Of `engine` in `slot`, whose version before is `before`."""

    def __init__(self, node: Node, slot: Slot, engine: str, before: Before, terms: ReloadSpec) -> None:
        journaled = any(one.spec.durability != "volatile" for one in node.directory.in_slot(slot.number))
        self.plan = ProbationState(forward_only=before.forward_only, is_journaled=journaled)
        self._node = node
        self._slot = slot
        self._engine = engine
        self._before = before
        self._terms = terms
        self._began_ns = node.now_ns()
        self._handled_first = slot.memory.moves()[HANDLED]
        self._seen: tuple[int, ...] = ()
        self._seen_ns = 0
        self._alarm = Alarm()
        node.probations[slot.number] = self
        node.event("probation", engine, before=version_label(before.running), forward_only=before.forward_only)
        self._look()

    def failed(self, engine: str, detail: str) -> None:
        """A trigger failed in the slot's process."""
        last = detail.strip().splitlines()[-1:] or [""]
        self._feed(ProbationFault(f"a trigger of {engine} failed: {last[0]}"))

    def ended(self, how: str) -> None:
        """The slot's process ended, and another one may follow."""
        self._feed(ProbationFault(f"its process ended: {how}", ended=True))

    def ready(self) -> None:
        """The slot's process has its engines."""
        self._feed("ready")

    def recalled(self) -> None:
        """The slot's group took its process away."""
        self._feed("recalled")

    def drop(self) -> None:
        """Nothing follows any more."""
        self._feed("dropped")

    @property
    def account(self) -> str:
        """Where it stands."""
        if self.plan.stage != "watching":
            return "goes back to the version before"
        spent_ns = self._node.now_ns() - self._began_ns
        handled = self._slot.memory.moves()[HANDLED] - self._handled_first
        return f"is on probation for {self._terms.left(spent_ns, handled).length} more"

    def _look(self) -> None:
        """Look at time, triggers and the transition under way."""
        words, now_ns = self._slot.memory.moves(), time.monotonic_ns()
        moves = words[:CYCLES] + words[CYCLES + 1 :]
        if moves != self._seen or not words[N]:
            self._seen, self._seen_ns = moves, now_ns
        bound_ns = self._terms.transition_max_ns
        time_ns, count = self._terms.probation_ns, self._terms.probation_triggers
        if bound_ns and now_ns - self._seen_ns > bound_ns:
            self._feed(ProbationFault(f"a transition takes longer than {bound_ns / 1e6:.0f} ms"))
        elif (time_ns and self._node.now_ns() - self._began_ns >= time_ns) or (
            count and words[HANDLED] - self._handled_first >= count
        ):
            self._feed("passed")
        if self.plan.stage == "watching":
            self._alarm.set(min(LOOK_NS, bound_ns // 2 or LOOK_NS), self._look)

    def _feed(self, happening: ProbationHappening) -> None:
        step = advance(self.plan, happening)
        self.plan = step.plan
        if self.plan.stage == "over":
            self._alarm.cancel()
            self._node.probations.pop(self._slot.number, None)
        for command in step.commands:
            self._perform(command)
        if self.plan.stage == "over" and not self.plan.is_journaled:
            population.drop_code(self._node, self._slot)

    def _perform(self, command: ProbationCommand) -> None:
        node, slot, before = self._node, self._slot, self._before
        match command:
            case "pass":
                node.event("probation_passed", self._engine)
            case "alarm":
                node.event(
                    "probation_failed", self._engine, reason=self.plan.fault, stays=before.forward_only or "refused"
                )
            case "begin_before":
                node.directory.change_family(self._engine, before.family)
                slot.code = before.code
            case "hold":
                slot.holds = True
            case "go_back":
                node.run_aside(self._go_back())
            case "release":
                slot.holds = False
                if slot.process is not None:
                    slot.process.send(Thaw())
            case "report":
                slot.holds = False
                node.event("went_back", self._engine, to=version_label(before.running), reason=self.plan.fault)

    async def _go_back(self) -> None:
        node, slot, before = self._node, self._slot, self._before
        if slot.state != "running":
            return  # its process ends or ended, which is fed
        if slot.number in node.reloads:
            self._feed("refused")
            return
        try:
            reload = Reload(node, slot, self._engine, before.family, ReloadOrder(RETURN_NS, code=before.code))
        except (OSError, Closed):
            self._feed("refused")
            return
        outcome = await reload.done
        match outcome.verdict:
            case "switched":
                self._feed("returned")
            case "refused" if slot.state == "running":
                node.event("reload_refused", self._engine, reason=outcome.reason)
                self._feed("refused")
            case _:
                pass  # a process ended, or its group takes it away, which is fed
