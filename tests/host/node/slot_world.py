"""A group of slots with simulated processes: performs what the plans decide, as `host.live.supervisor.perform` does."""

from __future__ import annotations

from collections.abc import Callable

from host.node.endings import Kind
from host.node.group_plan import child_of, give_up_work, next_task, resumed
from host.node.reload_plan import Checked, NewFailed
from host.node.slot_plan import advance
from host.node.slot_state import (
    Bury,
    Conclude,
    Down,
    Later,
    ProcessEnded,
    SlotCommand,
    SlotHappening,
    SlotState,
    StayDown,
)
from host.node.strategies import GroupChild, GroupWork, Strategy, plan_restart
from host.node.supervision import Budget, Ending, GiveUp, History, Restart

KILLED = Ending(signal=9)
MISSED = ProcessEnded(0, Ending())

HAPPENINGS: dict[str, SlotHappening] = {
    "due": "start_due",
    "unborn": "birth_failed",
    "ready": "engines_ready",
    "fails": "engines_failed",
    "starts late": "start_timeout",
    "hangs": "hung",
    "pause over": "pause_over",
    "recall": "recall_asked",
    "expired": "leave_expired",
    "reload": "reload_begun",
    "trial": "trial_begun",
    "emptied": "emptied",
    "node stops": "node_stops",
    "ends": ProcessEnded(7, KILLED),
    "ends well": ProcessEnded(7, Ending(code=0)),
    "ends in the start": ProcessEnded(7, KILLED, node_starts=True),
    "is lost": ProcessEnded(0, Ending(), is_lost=True),
    "is missed": MISSED,
    "new ends": ProcessEnded(8, Ending(code=3), owned=False),
    "again": Restart(0, History(), Budget()),
    "again later": Restart(5, History(), Budget()),
    "enough": GiveUp("enough", History()),
    "stay down": StayDown("normal"),
    "degrade": Down("degrade", "its group"),
    "finish": Down("finish", "its group"),
    "checked": Checked(),
    "unfit": Checked(("mailbox 0 no longer accepts Ping",)),
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
    "halted": "halted",
    "stopped": "snapshot_taken",
    "loaded": "loaded",
    "went": "went",
    "new fails": NewFailed("import"),
    "late": "late",
}
VERDICTS = ("again", "again later", "enough", "stay down")


def text_of(command: SlotCommand) -> str:
    match command:
        case Bury(how, departure):
            return f"{how}({departure.ended.reason})"
        case Later(deed, pause_ns):
            return f"{deed}({pause_ns})"
        case Down(deed):
            return deed
        case Conclude(verdict):
            return verdict.upper()
        case _:
            return command


class SlotWorld:
    """Mutable. `choose` decides what is by chance: how many of so many. What is alive or due stands in its fields."""

    def __init__(
        self, strategy: Strategy | None, count: int, choose: Callable[[int], int], kinds: dict[int, Kind] | None = None
    ) -> None:
        self.slots = {number: SlotState(strategy=strategy) for number in range(1, count + 1)}
        self.kinds: dict[int, Kind] = kinds or dict.fromkeys(self.slots, "permanent")
        self.owners: set[int] = set()
        self.candidates: set[int] = set()
        self.doomed: set[int] = set()
        self.doomed_candidates: set[int] = set()
        self.timers: dict[int, str] = {}
        self.reloads: dict[int, int] = dict.fromkeys(self.slots, 0)
        self.work = GroupWork()
        self.pauses = False
        self.trace: list[str] = []
        self._strategy = strategy
        self.choose = choose

    def start(self) -> None:
        """As the node does: alone at once, a group in its order."""
        if self._strategy is None:
            for number in self.slots:
                self.feed(number, "due")
        else:
            self._begin(GroupWork(start=tuple(self.slots)))

    def feed(self, number: int, word: str) -> None:
        self._feed(number, HAPPENINGS[word])

    def end(self, number: int, word: str) -> None:
        """The process that owns the slot ends."""
        self.owners.discard(number)
        self.doomed.discard(number)
        self.feed(number, word)

    def end_candidate(self, number: int) -> None:
        self.candidates.discard(number)
        self.doomed_candidates.discard(number)
        if self.slots[number].crossing is not None:
            self.feed(number, "new ends")

    def reload(self, number: int, word: str = "reload") -> None:
        self.candidates.add(number)
        self.reloads[number] += 1
        self.feed(number, word)

    def restart(self, number: int) -> None:
        """By hand."""
        if self._strategy in (None, "one_for_one"):
            self.feed(number, "due")
        else:
            self._begin(plan_restart(self._strategy, self._children(), number, 0))

    def fire(self, number: int) -> None:
        """The timer of a slot."""
        self.feed(number, self.timers.pop(number))

    def unpause(self) -> None:
        """The timer of the group."""
        self.pauses = False
        self._begin(resumed(self.work))

    def _feed(self, number: int, happening: SlotHappening) -> None:
        step = advance(self.slots[number], happening)
        if step.slot.state != self.slots[number].state:
            self.timers.pop(number, None)
        self.slots[number] = step.slot
        for command in step.commands:
            self.trace.append(f"{number}:{text_of(command)}")
            self._perform(number, command)
        self._carry_on()

    def _perform(self, number: int, command: SlotCommand) -> None:
        match command:
            case "launch" | "repeat_launch" | "relaunch":
                self._launch(number)
            case "await_birth":
                self.timers[number] = "is missed"
            case "dismiss":
                assert number in self.owners, "nobody to dismiss"
                self.timers[number] = "expired"
            case "kill" | "take_leave":
                assert number in self.owners, "nobody to kill"
                self.doomed.add(number)
            case "remove":
                assert number not in self.owners, "memory is given back under a process"
                self.work = GroupWork() if number in self.work.start + self.work.stop else self.work
            case "go":
                assert number not in self.owners, "two processes on the lanes of one slot"
                self.candidates.discard(number)
                self.owners.add(number)
            case "own":
                self.candidates.discard(number)
                self.owners.add(number)
                self.doomed.discard(number)  # the old process is killed, and nobody's any more
            case "withdraw":
                self.feed(number, ("withdrawn", "taken")[self.choose(2)])
            case "kill_new":
                self._kill_new(number)
            case Bury("crashed"):
                if self.slots[number].state == "restarting":
                    self.feed(number, VERDICTS[self.choose(len(VERDICTS))])
            case Later("pause"):
                self.timers[number] = "pause over"
            case Later(_, pause_ns):
                assert self._strategy is not None
                self._begin(plan_restart(self._strategy, self._children(), number, pause_ns))
            case Down("give_up", reason):
                self._begin(give_up_work(self._children(), reason))
            case Conclude():
                self.reloads[number] -= 1

    def _launch(self, number: int) -> None:
        assert number not in self.owners, "two processes on the lanes of one slot"
        self.timers.pop(number, None)
        if self.choose(5) == 4:
            self.feed(number, "unborn")
        else:
            self.owners.add(number)

    def _kill_new(self, number: int) -> None:
        """The candidate, which may have become the owner."""
        crossing = self.slots[number].crossing
        if crossing is not None and crossing.plan.stage == "going":
            self.doomed.add(number)
        elif crossing is None:
            self.candidates.discard(number)
        else:
            self.doomed_candidates.add(number)

    def _children(self) -> tuple[GroupChild, ...]:
        return tuple(child_of(number, self.kinds[number], now) for number, now in self.slots.items())

    def _begin(self, work: GroupWork) -> None:
        self.pauses = False
        self.work = work
        self._carry_on()

    def _carry_on(self) -> None:
        while True:
            self.work, task = next_task(self.work, self.slots)
            match task:
                case None:
                    return
                case Later():
                    self.pauses = True
                case (number, happening):
                    self._feed(number, happening)
