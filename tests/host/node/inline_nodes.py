"""A whole node in one process, driven step by step, and what it buried.

The scheduler is the one every worker runs; only its surroundings differ. There is one slot, time moves when the test
moves it, and the world outside is a set of names that listen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from engines.model import Configuration, Declaration, Environment, Family, Message, birth, encode
from host.config.spec import EngineSpec, MailboxSpec
from host.node.births import Births
from host.node.cell import Cell
from host.node.cycle import cycle
from host.node.news import Letter
from host.node.outbox import Outbox
from host.node.progress import Unseen
from host.node.report import Report
from host.node.scheduler import Scheduler

CYCLES_MAX: Final = 1_000_000
"""Cycles of one `run_until_idle`, and deadlines of one `advance`; engines with work left after that may never rest."""


class InlineNode:
    """Deterministic: the same calls give the same node. `now_ns` is the engine clock; `clock`, given, replaces it."""

    def __init__(
        self,
        load: Callable[[str], Declaration[Any, Any, Any]],
        *,
        node: str = "inline",
        now_ns: int = 0,
        clock: Callable[[], int] | None = None,
        chance: Callable[[int], int] = lambda sides: 0,
    ) -> None:
        self.now_ns = now_ns
        self.report = Report()
        self.progress = Unseen()
        self.received: dict[str, list[Any]] = {}
        self.ended: list[str] = []
        self._births = Births(node, load, are_here=True)
        self._numbers: dict[tuple[str, str, int], int] = {}
        read = clock or (lambda: self.now_ns)
        self.outbox = Outbox(1, 1)
        self.scheduler = Scheduler(read, chance, self.progress, self.report, self.outbox)

    def bear(self, specs: Iterable[EngineSpec]) -> None:
        """Give birth to the engines of a node file. Raises `BirthError`, and what loading raises."""
        for spec in specs:
            self._births.bear(self.scheduler, spec, None, 1)

    def add(
        self,
        name: str,
        family: Family[Any, Any, Any, Any],
        params: Any = None,
        *,
        state: Any = None,
        acquaintances: Iterable[str] = (),
        mailboxes: Mapping[int, MailboxSpec] | None = None,
    ) -> Cell:
        """Give birth to one engine of a family at hand."""
        configuration = Configuration(self._births.node, name, None, params)
        now_ns = self.scheduler.clock()
        env = birth(family, configuration, now_ns=now_ns, state=state, acquaintances=acquaintances)
        cell = self.scheduler.give_birth(family, configuration, env, mailboxes or {})
        assert cell is not None, f"{name} is or was in use"
        return cell

    def listen(self, name: str) -> list[Any]:
        """Keep messages to `name`, which is no engine, from now on; returns the list they are added to."""
        return self.received.setdefault(name, [])

    def send(self, target: str, *messages: Any, mailbox: int = 0, sender: str = "outside") -> None:
        """Send messages from outside, encoded as a link would bring them."""
        key = (sender, target, mailbox)
        first_n = self._numbers.get(key, 1)
        self._numbers[key] = first_n + len(messages)
        self.scheduler.deliver(0, sender, target, mailbox, 1, first_n, [encode(message) for message in messages])

    def cycle(self) -> None:
        """Run one cycle. There is no log, no lane, and no other process to inform before the outputs leave."""
        for duty in cycle(self.scheduler, self._births, ()):
            if duty == "show":
                self._show()

    def _show(self) -> None:
        """Answer the look-ups of the cycle."""
        asked, self.report.resolve = self.report.resolve, []
        for name in asked:
            self._resolve(name)
        self.ended += self.report.stopped
        self.report.stopped.clear()

    def run_until_idle(self) -> None:
        """Run until nothing is left to do at this time."""
        for _ in range(CYCLES_MAX):
            if self.scheduler.is_idle:
                return
            self.cycle()
        raise AssertionError(f"still busy after {CYCLES_MAX} cycles")

    def advance(self, ns: int) -> None:
        """Let time pass, from one deadline to the next, and run what each brings."""
        until_ns = self.now_ns + ns
        self.run_until_idle()
        for _ in range(CYCLES_MAX):
            wakes_ns = self.scheduler.wakes_ns
            if wakes_ns is None or wakes_ns > until_ns:
                self.now_ns = until_ns
                return
            self.now_ns = max(self.now_ns, wakes_ns)
            self.cycle()
            self.run_until_idle()
        raise AssertionError(f"still setting timers after {CYCLES_MAX} deadlines")

    def answer(self, engine: str, choice: str) -> str:
        """Answer an engine that waits for a choice; "" when the answer was taken, else why not."""
        error = self.scheduler.answer(engine, choice)
        self.run_until_idle()
        return error

    def env(self, engine: str) -> Environment[Any]:
        """The environment of an engine now."""
        env: Environment[Any] = self.scheduler.cells[engine].env
        return env

    def state(self, engine: str) -> Any:
        """The state of an engine now."""
        return self.env(engine).state

    def _receive(self, name: str) -> None:
        """Take what is held for a name outside, in order by sender."""
        self.outbox._asked.discard(name)
        for cell in self.outbox.waiting.pop(("route", name), {}).values():
            taken = cell.held.pop(name)
            self.received[name] += [message for _, message in taken]
            self.outbox.held -= len(taken)
            self.scheduler.wake(cell)

    def _resolve(self, name: str) -> None:
        if name in self.received:
            self._receive(name)
        elif name in self.scheduler.cells:
            self.outbox.route(name, self.outbox.slot)
        else:
            self.outbox.route(name, None, "ended" if name in self.scheduler.ended else "unknown")


class Unheard(Message):
    """A message no family here accepts."""

    text: str


def node() -> InlineNode:
    def load(ref: str) -> Any:
        raise AssertionError(f"nothing is loaded here, not {ref}")

    return InlineNode(load)


def letters(inline: InlineNode) -> list[Letter]:
    counts, found = inline.report.take_letters()
    assert sum(counts.values()) == len(found)
    return found
