"""One engine of a system under check, and its reactions: what `step` makes of a message, timers, an answer, a fault.

Canonical form. Two local states that no rule can tell apart are one: timers and stored messages are numbered from 1 in
their order, because the model's numbers grow for ever and would make every space infinite. So a rule that keeps the
handle of a timer, or the number of a stored message, from one transition to another is not checked faithfully.

Time. Under `untimed` timers no clock moves, and any pending timer may elapse at any time, one at a time. Under
`bounded` timers each engine has its clock, which goes to its next deadline or by a tick of the system, and all timers
that have come elapse as one trigger, before mail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from engines.model import (
    AdoptError,
    AnswerError,
    Choose,
    Committed,
    Configuration,
    Declaration,
    Delivery,
    Due,
    Environment,
    Failed,
    Family,
    Handle,
    Outgoing,
    Overflow,
    Pending,
    Question,
    Refused,
    Spawned,
    Stopped,
    Stored,
    Suspended,
    birth,
    birth_values,
    due_timers,
    next_deadline,
    step,
)
from engines.model.blame import blame
from engines.model.system import Envelope, TimerKind
from engines.model.system_view import EngineStatus

ANSWERS_MAX: Final = 1_000
"""Sides of a die that are all tried; a larger one cannot be checked."""


AnyFamily: TypeAlias = Family[Any, Any, Any, Any]


class CheckError(Exception):
    """A system that cannot be explored; the text says which part of it, why, and what to do."""


class LocalState(msgspec.Struct, frozen=True, gc=False):
    """An engine as the checker knows it.

    `first` is the state it began with, None for the family's own. `cause`, `at_ns` and `answers` are those of a
    suspended transition.
    """

    configuration: Configuration[Any]
    family: AnyFamily
    env: Environment[Any]
    clock_ns: int = 0
    status: EngineStatus = "running"
    cause: Delivery[Any] | Due | None = None
    at_ns: int = 0
    answers: tuple[Any, ...] = ()
    question: Question | None = None
    first: Any = None

    @property
    def name(self) -> str:
        """The engine's full name."""
        return self.configuration.name


class Reaction(msgspec.Struct, frozen=True, gc=False):
    """One thing an engine can do: what it is then, what it sent and spawned.

    `label` says what was done, for people; `what` is the part of it that does not depend on the rules (timers, an
    answer). `dropped` is why the message became a dead letter; `error` the text of a rule that raised. `owed` names
    what happens by itself (a timer, a die), since fairness is owed to it; else "".
    """

    label: str
    after: LocalState
    sends: tuple[Envelope, ...] = ()
    spawns: tuple[LocalState, ...] = ()
    dropped: str = ""
    error: str = ""
    owed: str = ""
    what: str = ""


class Engines:
    """The reactions of engines: how time passes, and where families named by reference come from."""

    def __init__(
        self,
        timers: TimerKind = "untimed",
        ticks_ns: tuple[int, ...] = (),
        load: Callable[[str], Declaration[Any, Any, Any]] | None = None,
        reloads: Mapping[AnyFamily, AnyFamily] = {},
        until_ns: int | None = None,
    ) -> None:
        self.timers = timers
        self.ticks_ns = ticks_ns
        self.until_ns = until_ns
        self._load = load
        self._reloads = reloads

    def born(
        self,
        family: AnyFamily,
        configuration: Configuration[Any],
        state: Any,
        clock_ns: int,
        acquaintances: tuple[str, ...] = (),
    ) -> LocalState:
        """A newborn engine. Raises BirthError."""
        params, state = birth_values(family, configuration.params, state)
        configuration = msgspec.structs.replace(configuration, params=params)
        env = birth(family, configuration, now_ns=clock_ns, state=state, acquaintances=acquaintances)
        return LocalState(configuration, family, env, clock_ns, first=state)

    def deliver(self, local: LocalState, envelope: Envelope) -> Reaction:
        """What the engine makes of a message."""
        return self._react(local, Delivery(envelope.sender, envelope.mailbox, envelope.message), ())

    def alone(self, local: LocalState) -> tuple[Reaction, ...]:
        """All that the engine can do without a message: time, timers, answers."""
        if local.status == "stopped":
            return ()
        if local.status == "suspended":
            return tuple(self._answered(local, answer) for answer in answers_of(local) if self._in_time(local, answer))
        if self.timers == "untimed":
            env = local.env
            return tuple(self._fired(local, (Handle(name, timer.number),)) for name, timer in env.timers.items())
        due = due_timers(local.env, local.clock_ns)
        return (self._fired(local, due),) if due else self._ticked(local)

    def is_urgent(self, local: LocalState) -> bool:
        """Whether the engine takes no mail now: it waits for an answer, or its timers have elapsed and come first."""
        if local.status == "suspended":
            return True
        return self.timers == "bounded" and bool(due_timers(local.env, local.clock_ns))

    def reloaded(self, local: LocalState) -> Reaction | None:
        """The engine under the later version of its family; None when there is none, or while it waits for an answer.

        A version that does not take the state over is a failure, as the live host would refuse it.
        """
        later = self._reloads.get(local.family)
        if later is None or local.status != "running":
            return None
        try:
            env = later.adopt(local.family.dump(local.env), local.family.interface())
        except AdoptError as error:
            return Reaction("reload refused", local, error=f"{later.name} does not accept {local.name}: {error}")
        return Reaction("reload", msgspec.structs.replace(local, family=later, env=env, first=None))

    def crashed(self, local: LocalState) -> LocalState:
        """The engine begun anew after a node fault that cost it its state; its next birth."""
        configuration = msgspec.structs.replace(local.configuration, birth=local.configuration.birth + 1)
        parent = () if configuration.parent is None else (configuration.parent,)
        return self.born(local.family, configuration, local.first, local.clock_ns, parent)

    def resumed(
        self, local: LocalState, cause: Delivery[Any] | Due, at_ns: int, answers: tuple[Any, ...]
    ) -> LocalState:
        """A suspended engine, with its question, as another process described it."""
        outcome = step(local.family, local.configuration, local.env, cause, at_ns, answers)
        assert isinstance(outcome, Suspended)
        return msgspec.structs.replace(local, cause=cause, at_ns=at_ns, answers=answers, question=outcome.question)

    def _fired(self, local: LocalState, handles: tuple[Handle, ...]) -> Reaction:
        reaction = self._react(local, Due(handles), ())
        timers = ", ".join(handle.name for handle in handles)
        return msgspec.structs.replace(
            reaction, label=f"{timers}: {reaction.label}", owed=f"{local.name} {timers}", what=timers
        )

    def _ticked(self, local: LocalState) -> tuple[Reaction, ...]:
        deadline_ns = next_deadline(local.env)
        rest_ns = None if deadline_ns is None else deadline_ns - local.clock_ns
        steps = {tick for tick in self.ticks_ns if rest_ns is None or tick < rest_ns}
        steps |= set() if rest_ns is None else {rest_ns}
        return tuple(
            Reaction(
                f"clock +{ns} ns",
                msgspec.structs.replace(local, clock_ns=local.clock_ns + ns),
                owed=f"{local.name} clock" if ns == rest_ns else "",
                what=f"clock +{ns} ns",
            )
            for ns in sorted(steps)
            if self.until_ns is None or local.clock_ns + ns <= self.until_ns
        )

    def _in_time(self, local: LocalState, answer: Any) -> bool:
        """Whether a time-out comes before the end of time, if there is one."""
        if answer is not None or self.timers != "bounded" or self.until_ns is None:
            return True
        assert local.question is not None
        return local.clock_ns + (local.question.timeout_ns or 0) <= self.until_ns

    def _answered(self, local: LocalState, answer: Any) -> Reaction:
        assert local.question is not None
        if answer is None and self.timers == "bounded":
            local = msgspec.structs.replace(local, clock_ns=local.clock_ns + (local.question.timeout_ns or 0))
        assert local.cause is not None
        reaction = self._react(local, local.cause, (*local.answers, answer))
        shown = "time-out" if answer is None else repr(answer)
        is_free = isinstance(local.question, Choose) and local.question.timeout_ns is None
        owed = "" if is_free else f"{local.name} answer"  # a die falls, and a question with a time-out gets an answer
        return msgspec.structs.replace(reaction, label=f"{shown}: {reaction.label}", owed=owed, what=shown)

    def _react(self, local: LocalState, cause: Delivery[Any] | Due, answers: tuple[Any, ...]) -> Reaction:
        at_ns = local.at_ns if answers else local.clock_ns
        try:
            outcome = step(local.family, local.configuration, local.env, cause, at_ns, answers)
        except AnswerError as unfit:
            outcome = Failed(*blame(unfit))
        idle = self._idle(local)
        match outcome:
            case Committed(env, outputs, labels):
                is_over = bool(outputs) and type(outputs[-1]) is Stopped
                status: EngineStatus = "stopped" if is_over else "running"
                after = msgspec.structs.replace(idle, env=self._canonical(env), status=status)
                sends = tuple(
                    Envelope(out.target, out.message, local.name, out.mailbox)
                    for out in outputs
                    if type(out) is Outgoing
                )
                spawns = tuple(self._spawned(local, out) for out in outputs if type(out) is Spawned)
                return Reaction(" ".join(labels) or "ignored", after, sends, spawns)
            case Suspended(question, labels):
                after = msgspec.structs.replace(
                    local, status="suspended", cause=cause, at_ns=at_ns, answers=answers, question=question
                )
                return Reaction(f"{' '.join(labels)} asks {question!r}", after)
            case Stored(env):
                return Reaction("stored", msgspec.structs.replace(idle, env=self._canonical(env)))
            case Overflow(mailbox, bound):
                return Reaction("dropped", idle, dropped=f"mailbox {mailbox} stores {bound}")
            case Refused(reason):
                return Reaction("dropped", idle, dropped=reason)
            case Failed(error, traceback):
                after = msgspec.structs.replace(idle, env=_without(idle.env, cause))
                return Reaction(f"failed: {error}", after, dropped=error, error=traceback)
        raise AssertionError(f"{local.name}: {outcome!r}")

    def _idle(self, local: LocalState) -> LocalState:
        if local.status != "suspended":
            return local
        return LocalState(local.configuration, local.family, local.env, local.clock_ns, first=local.first)

    def _spawned(self, parent: LocalState, spawned: Spawned) -> LocalState:
        family = spawned.declared
        if family is None:
            if self._load is None:
                raise CheckError(f"{parent.name} spawns {spawned.family} by its reference, which cannot be loaded here")
            family = self._load(spawned.family)
        if not isinstance(family, Family):
            raise CheckError(f"{parent.name} spawns the device {family.name}, which cannot be explored: spawn a twin")
        configuration = Configuration(parent.configuration.node, spawned.name, parent.name, spawned.params)
        return self.born(family, configuration, spawned.state, parent.clock_ns, (parent.name,))

    def _canonical(self, env: Environment[Any]) -> Environment[Any]:
        """The environment with its timers and stored messages numbered from 1, and without deadlines when untimed."""
        if env.timer_count:
            order = sorted(env.timers.items(), key=lambda item: item[1].number)
            timed = self.timers == "bounded"
            timers = {
                name: Pending(number if timed else 1, timer.deadline_ns if timed else 0)
                for number, (name, timer) in enumerate(order, 1)
            }
            env = env.with_timers(type(env.timers)(timers), len(timers) if timed else 0)
        if any(mailbox is not None and mailbox.count for mailbox in env.mailboxes):
            env = env.with_mailboxes(tuple(map(_renumbered, env.mailboxes)))
        return env


def answers_of(local: LocalState) -> tuple[Any, ...]:
    """All answers that a suspended engine can get; None is the time-out. Raises CheckError for too large a die."""
    question = local.question
    assert question is not None
    late = () if question.timeout_ns is None else (None,)
    if isinstance(question, Choose):
        return (*question.options, *late)
    if question.sides > ANSWERS_MAX:
        raise CheckError(f"{local.name} rolls a die with {question.sides} sides; at most {ANSWERS_MAX} are all tried")
    return (*range(1, question.sides + 1), *late)


def _renumbered(mailbox: Any) -> Any:
    if mailbox is None or not mailbox.count:
        return mailbox
    stored = tuple(msgspec.structs.replace(one, number=number) for number, one in enumerate(mailbox.stored, 1))
    return msgspec.structs.replace(mailbox, stored=stored, count=len(stored))


def _without(env: Environment[Any], cause: Delivery[Any] | Due) -> Environment[Any]:
    """The environment after a failed transition: timers that failed have elapsed like any others."""
    if not isinstance(cause, Due):
        return env
    timers = env.timers
    for handle in cause.handles:
        timers = timers.without(handle.name)
    return env.with_timers(timers)


def ended(local: LocalState) -> LocalState:
    """The engine once it has ended from outside: it waits for nothing any more."""
    return LocalState(local.configuration, local.family, local.env, local.clock_ns, "stopped", first=local.first)
