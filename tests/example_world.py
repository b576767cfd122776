"""A few engines, run by `step` alone: no host, no process, one virtual clock.

Mail is a list in the order it was sent. It is delivered in that order, in another one by `choose`, or after a `delay`;
a due timer comes before mail. What happens is kept as lines of text, for golden traces. Mail to a name that was
announced as `outside` is kept there; mail to an unknown or ended engine is a dead letter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from engines.model import (
    Answer,
    Committed,
    Configuration,
    Delivery,
    Due,
    Environment,
    Family,
    Noted,
    Outcome,
    Outgoing,
    Spawned,
    Stopped,
    Stored,
    Suspended,
    birth,
    due_timers,
    next_deadline,
    step,
    view,
)

NINE_NS = 9 * 3600 * 1_000_000_000
"""Nine in the morning, of the first day."""

STEPS_MAX = 100_000


class Mail:
    """A message in transit."""

    def __init__(self, sender: str, outgoing: Outgoing, arrives_ns: int) -> None:
        self.sender = sender
        self.outgoing = outgoing
        self.arrives_ns = arrives_ns

    def __str__(self) -> str:
        return f"{self.sender} -> {self.outgoing.target}: {show(self.outgoing.message)}"


def show(message: Any) -> str:
    """A message as one line, long bytes shortened."""
    fields = {name: view(getattr(message, name)) for name in message.__struct_fields__}
    short = (f"{value[:10]}…" if isinstance(value, str) and len(value) > 40 else value for value in fields.values())
    return f"{type(message).__name__}({', '.join(map(str, short))})"


class World:
    """Engines, their clock, and the mail in transit."""

    def __init__(self, outside: Iterable[str] = (), delay: Callable[[Outgoing], int] = lambda _: 0) -> None:
        self.now_ns = NINE_NS
        self.families: dict[str, Family[Any, Any, Any, Any]] = {}
        self.configurations: dict[str, Configuration[Any]] = {}
        self.environments: dict[str, Environment[Any]] = {}
        self.asked: dict[str, tuple[Delivery[Any] | Due, tuple[Answer, ...], int, Suspended]] = {}
        self.outside: dict[str, list[Any]] = {name: [] for name in outside}
        self.transit: list[Mail] = []
        self.dead: list[Mail] = []
        self.notes: list[str] = []
        self.trace: list[str] = []
        self.delay = delay

    def add(
        self,
        name: str,
        family: Family[Any, Any, Any, Any],
        params: Any = None,
        *,
        state: Any = None,
        acquaintances: Iterable[str] = (),
        parent: str | None = None,
    ) -> None:
        """An engine, born now."""
        self.families[name] = family
        self.configurations[name] = Configuration("test", name, parent, params)
        self.environments[name] = birth(
            family, self.configurations[name], now_ns=self.now_ns, state=state, acquaintances=acquaintances
        )

    def state(self, name: str) -> Any:
        """The state of an engine."""
        return self.environments[name].state

    def send(self, target: str, message: Any, sender: str = "outside") -> None:
        """Mail from outside."""
        outgoing = Outgoing(target, 0, message)
        self.transit.append(Mail(sender, outgoing, self.now_ns + self.delay(outgoing)))

    def run(self, choose: Callable[[int], int] = lambda _: 0) -> list[str]:
        """Until nothing is due and no mail is left; the trace. `choose` picks one of so many that have arrived."""
        for _ in range(STEPS_MAX):
            if not (self._fire() or self._deliver(choose) or self._wait()):
                return self.trace
        raise AssertionError(f"the world is still busy after {STEPS_MAX} steps")

    def pass_time(self, for_ns: int) -> None:
        """Let time pass; what is due then happens, and nothing that is due later."""
        self.now_ns += for_ns
        while self._fire() or self._deliver(lambda _: 0):
            pass

    def answer(self, name: str, answer: Answer) -> None:
        """Answer the question at which an engine stands."""
        cause, answers, now_ns, _ = self.asked.pop(name)
        self._step(name, cause, now_ns, (*answers, answer))

    def _fire(self) -> bool:
        for name, env in self.environments.items():
            if name not in self.asked and (handles := due_timers(env, self.now_ns)):
                self.trace.append(f"{name} wakes: {', '.join(handle.name for handle in handles)}")
                self._step(name, Due(handles), self.now_ns)
                return True
        return False

    def _deliver(self, choose: Callable[[int], int]) -> bool:
        ready = [m for m in self.transit if m.arrives_ns <= self.now_ns and m.outgoing.target not in self.asked]
        if not ready:
            return False
        mail = ready[choose(len(ready))]
        self.transit.remove(mail)
        self.trace.append(str(mail))
        target = mail.outgoing.target
        if target in self.outside:
            self.outside[target].append(mail.outgoing.message)
        elif target in self.environments:
            self._step(target, Delivery(mail.sender, mail.outgoing.mailbox, mail.outgoing.message), self.now_ns)
        else:
            self.dead.append(mail)
        return True

    def _wait(self) -> bool:
        """Go on to the next instant at which anything happens; False when there is none."""
        deadlines = (next_deadline(env) for env in self.environments.values())
        instants = [at for at in (*deadlines, *(mail.arrives_ns for mail in self.transit)) if at is not None]
        later = [at for at in instants if at > self.now_ns]
        if not later:
            return False
        self.now_ns = min(later)
        return True

    def _step(self, name: str, cause: Delivery[Any] | Due, now_ns: int, answers: tuple[Answer, ...] = ()) -> None:
        outcome: Outcome[Any] = step(
            self.families[name], self.configurations[name], self.environments[name], cause, now_ns, answers
        )
        match outcome:
            case Suspended():
                self.asked[name] = (cause, answers, now_ns, outcome)
            case Stored(env):
                self.environments[name] = env
            case Committed(env, outputs):
                self.environments[name] = env
                for output in outputs:
                    self._perform(name, output)
            case _:
                raise AssertionError(f"{name}: {outcome}")

    def _perform(self, name: str, output: Outgoing | Spawned | Noted | Stopped) -> None:
        match output:
            case Outgoing():
                self.transit.append(Mail(name, output, self.now_ns + self.delay(output)))
            case Spawned(child, _, params, state, Family() as family):
                self.add(child, family, params, state=state, parent=name)
            case Noted(text):
                self.notes.append(text)
            case Stopped():
                del self.environments[name]
