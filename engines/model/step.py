"""`step`: the one definition of a transition, used by every driver.

Pure: the same family, configuration, environment, input, time and answers give the same outcome. What runs:

* A message. Of the rules that hold, only those with the lowest priority number take part. Among them the family's
  strategy decides: `first` and `last` in the order listed; `all`, each seeing the environment the previous one left,
  until one ends the engine; `one`, by a roll before the action; `unique`, where two that hold fail the transition. When
  no rule holds, the message is stored.
* Elapsed timers, one input with all their handles, which leave the environment first. For each timer the rules that
  hold with the lowest priority number take part, whatever the strategy. All these rules run, in order of priority and
  list, each on the environment the previous one left. Timers that no rule takes are counted.

An exception of any kind raised by a rule fails its transition and nothing else (`blame`).

Effects take place together or not at all (`commit`). An interactive action that lacks an answer suspends: nothing of it
is kept, and the same call with one more answer goes on (`interaction`).

The plain case (strategy `first`, nothing interactive, not strict) runs inline in `arrive`, since nearly every message
takes it; a law in the tests holds it equal to the general path.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .acquaintance import learn_from_message
from .blame import blame, without_frames
from .commit import Draft, StoredOverflow, commit, outgoing, store_message
from .conform_leaves import ConformError
from .effects import EffectError
from .environment import Environment, Handle
from .interaction import Answer, AnswerError, Answers, Roll, Unanswered, follow
from .outcome import Committed, Failed, Outcome, Output, Overflow, Refused, Stopped, Stored, Suspended
from .plan import AnyRule, Plan
from .sending import Sent
from .trigger import Arrived, Cause, Configuration, Delivery, Due, Elapsed

if TYPE_CHECKING:
    from .family import Family

S = TypeVar("S")


class Ambiguous(Exception):
    """Strategy `unique`, and two rules hold."""


def step(
    family: Family[Any, Any, S, Any],
    configuration: Configuration[Any],
    env: Environment[S],
    cause: Cause,
    now_ns: int,
    answers: Sequence[Answer] = (),
) -> Outcome[S]:
    """One transition of one engine.

    Args:
        cause: a `Delivery`, or the `Due` timers (a non-empty set whose deadlines have come).
        now_ns: the engine's clock, as rules will see it.
        answers: the answers recorded so far, for a transition that was suspended.

    Raises:
        AnswerError: an answer that the question does not allow; nothing changed.
    """
    if type(cause) is not Delivery:
        return _elapse(family, configuration, env, cast(Due, cause), now_ns, answers)
    if not answers:
        return arrive(family, configuration, env, cause.sender, cause.mailbox, cause.message, now_ns)
    plan = family.plan.get(type(cause.message))
    if plan is None or plan.mailbox != cause.mailbox:
        return _refuse(family, cause)
    return _arrive(family, configuration, env, cause, now_ns, answers, plan)


def arrive(
    family: Family[Any, Any, S, Any],
    configuration: Configuration[Any],
    env: Environment[S],
    sender: str,
    mailbox: int,
    message: Any,
    now_ns: int,
) -> Outcome[S]:
    """`step` for a message without answers, without a `Delivery` around it: the call in a host's loop."""
    plan = family.plan.get(type(message))
    if plan is None or plan.mailbox != mailbox:
        return _refuse(family, Delivery(sender, mailbox, message))
    if not plan.plain:
        return _arrive(family, configuration, env, Delivery(sender, mailbox, message), now_ns, (), plan)
    trigger = Arrived(message, sender, mailbox, now_ns, configuration.params, env, configuration)
    try:
        for guard, action, labels in plan.candidates:
            if guard is None:
                match = message
            elif (match := guard(trigger)) is None:
                continue
            effects = action(match, trigger)
            kind = type(effects)
            if kind in plan.state_types:
                state = family.law.state(effects, env.state)
                env = Environment(state, env.mailboxes, env.timers, env.acquaintances, env.children, env.timer_count)
                return Committed(env, (), labels)
            if kind is list and len(effects) == 1 and type(effects[0]) is Sent:
                return Committed(env, (outgoing(family, effects[0]),), labels)
            if kind is Sent:
                return Committed(env, (outgoing(family, effects),), labels)
            cause = Delivery(sender, mailbox, message)
            env, outputs = commit(family, configuration, env, cause, now_ns, effects)
            return Committed(env, outputs, labels)
    except BaseException as error:
        return raised(error, 1)
    return _store(family, configuration, env, Delivery(sender, mailbox, message), now_ns)


def _refuse(family: Family[Any, Any, Any, Any], cause: Delivery[Any]) -> Refused:
    return Refused(f"mailbox {cause.mailbox} of {family.name} takes no {type(cause.message).__name__}")


def raised(error: BaseException, frames: int = 0) -> Overflow | Failed:
    """The outcome of a plain transition that raised `error` in its rule or its effects, `frames` frames above the
    author's code. The cycle in C calls this for exceptions of its rules (`host/live/cycle/transition.h`)."""
    if type(error) is StoredOverflow:
        return Overflow(error.mailbox, error.stored_max)
    return _failed(without_frames(error, frames))


def _failed(error: BaseException) -> Failed:
    """A failure, with the traceback through the author's code; an impossible effect has no frames there."""
    line, text = blame(error)
    is_ours = issubclass(type(error), EffectError | ConformError)  # by type: an author's class may lie about itself
    return Failed(line, line if is_ours else text)


def _store(
    family: Family[Any, Any, Any, Any],
    configuration: Configuration[Any],
    env: Environment[Any],
    cause: Delivery[Any],
    now_ns: int,
) -> Stored[Any] | Overflow | Failed:
    draft = Draft(family, configuration, env, cause, now_ns, [])
    try:
        store_message(draft, cause)
    except StoredOverflow as full:
        return Overflow(full.mailbox, full.stored_max)
    except ConformError as error:
        return _failed(error)
    return Stored(draft.env)


class _Transition:
    """A transition by the general path: the environment after the rules so far, their outputs and labels."""

    __slots__ = ("answers", "cause", "configuration", "env", "family", "labels", "now_ns", "outputs")

    def __init__(
        self,
        family: Family[Any, Any, Any, Any],
        configuration: Configuration[Any],
        env: Environment[Any],
        cause: Cause,
        now_ns: int,
        answers: Sequence[Answer],
    ) -> None:
        self.family = family
        self.configuration = configuration
        self.env = env
        self.cause = cause
        self.now_ns = now_ns
        self.answers = Answers(answers, lambda question: family.law.question(question, now_ns))
        self.outputs: list[Output] = []
        self.labels: list[str] = []

    def arrived(self) -> Arrived[Any, Any, Any]:
        """The trigger of a message, with the environment as it is now."""
        cause = self.cause
        assert isinstance(cause, Delivery)
        return Arrived(
            cause.message,
            cause.sender,
            cause.mailbox,
            self.now_ns,
            self.configuration.params,
            self.env,
            self.configuration,
        )

    def elapsed(self, handle: Handle) -> Elapsed[Any, Any]:
        """The trigger of the timers, for the rule that takes `handle`."""
        assert isinstance(self.cause, Due)
        return Elapsed(handle, self.cause.handles, self.now_ns, self.configuration.params, self.env, self.configuration)

    def run(self, rule: AnyRule, match: object, trigger: Any) -> bool:
        """Run a rule's action and commit its effects; returns whether the engine goes on."""
        self.labels.append(rule.name)
        effects = rule.action(match, trigger)
        if rule.interactive:
            effects = follow(effects, self.answers)
        self.env, outputs = commit(self.family, self.configuration, self.env, self.cause, self.now_ns, effects)
        self.outputs.extend(outputs)
        return not (outputs and type(outputs[-1]) is Stopped)

    def committed(self, ignored: int = 0) -> Committed[Any]:
        """The outcome of the rules that ran. Raises AnswerError when there are more answers than questions."""
        if self.answers.taken < len(self.answers.given):
            raise AnswerError(f"{len(self.answers.given)} answers for {self.answers.taken} questions")
        return Committed(self.env, tuple(self.outputs), tuple(self.labels), ignored)


def _arrive(
    family: Family[Any, Any, Any, Any],
    configuration: Configuration[Any],
    env: Environment[Any],
    cause: Delivery[Any],
    now_ns: int,
    answers: Sequence[Answer],
    plan: Plan,
) -> Outcome[Any]:
    """A message, by any strategy."""
    if type(cause.message) in family.hidden and cause.sender != configuration.name:
        return Refused(f"{type(cause.message).__name__} is hidden in {family.name}: only the engine itself sends it")
    if family.strict:
        env = learn_from_message(env, cause)
    transition = _Transition(family, configuration, env, cause, now_ns, answers)
    try:
        taken = _run_all(transition, plan) if family.strategy == "all" else _run_one(transition, plan)
        if not taken:
            return _store(family, configuration, env, cause, now_ns)
        return transition.committed()
    except Unanswered as asked:
        return Suspended(asked.question, tuple(transition.labels))
    except StoredOverflow as full:
        return Overflow(full.mailbox, full.stored_max)
    except BaseException as error:
        if answers and issubclass(type(error), AnswerError):
            raise
        return _failed(error)


def _matches(rule: AnyRule, trigger: Arrived[Any, Any, Any]) -> Any:
    return trigger.message if rule.guard is None else rule.guard(trigger)


def _run_all(transition: _Transition, plan: Plan) -> bool:
    """Strategy `all`; returns whether any rule held."""
    level: int | None = None
    for rule in plan.rules:
        if level is not None and rule.priority > level:
            break
        trigger = transition.arrived()
        match = _matches(rule, trigger)
        if match is None:
            continue
        level = rule.priority
        if not transition.run(rule, match, trigger):
            break
    return level is not None


def _run_one(transition: _Transition, plan: Plan) -> bool:
    """Strategies that run a single rule; returns whether any rule held."""
    trigger = transition.arrived()
    strategy = transition.family.strategy
    holding: list[tuple[AnyRule, Any]] = []
    for rule in plan.rules:
        if holding and (strategy == "first" or rule.priority > holding[0][0].priority):
            break
        match = _matches(rule, trigger)
        if match is not None:
            holding.append((rule, match))
    if not holding:
        return False
    rule, match = holding[_choice(transition, holding)]
    transition.run(rule, match, trigger)
    return True


def _choice(transition: _Transition, holding: list[tuple[AnyRule, Any]]) -> int:
    """The index of the rule to run among those that hold. Raises Ambiguous, Unanswered."""
    strategy = transition.family.strategy
    if strategy == "last":
        return len(holding) - 1
    if len(holding) > 1 and strategy == "unique":
        raise Ambiguous(f"{transition.family.name} is unique, and these hold: {[rule.name for rule, _ in holding]}")
    if len(holding) > 1 and strategy == "one":
        side = transition.answers.take(Roll(len(holding)))
        assert isinstance(side, int)
        return side - 1
    return 0


def _elapse(
    family: Family[Any, Any, Any, Any],
    configuration: Configuration[Any],
    env: Environment[Any],
    cause: Due,
    now_ns: int,
    answers: Sequence[Answer],
) -> Outcome[Any]:
    """Elapsed timers: they leave the environment, then every rule that takes one of them runs."""
    timers = env.timers
    for handle in cause.handles:
        pending = timers.get(handle.name)
        if pending is None or pending.number != handle.number:
            return Refused(f"timer {handle.name!r} number {handle.number} is not pending")
        timers = timers.without(handle.name)
    env = env.with_timers(timers)
    transition = _Transition(family, configuration, env, cause, now_ns, answers)
    try:
        levels = _run_timers(transition, cause.handles)
        return transition.committed(ignored=len(cause.handles) - len(levels))
    except Unanswered as asked:
        return Suspended(asked.question, tuple(transition.labels))
    except BaseException as error:
        if answers and issubclass(type(error), AnswerError):
            raise
        return _failed(error)


def _run_timers(transition: _Transition, handles: tuple[Handle, ...]) -> dict[Handle, int]:
    """Run every rule that takes part; returns the timers taken, with the priority number that took them."""
    levels: dict[Handle, int] = {}
    by_name = {handle.name: handle for handle in handles}
    for rule in transition.family.timer_plan:
        handle = by_name.get(rule.timer.name) if rule.timer is not None else None
        if handle is None or rule.priority > levels.get(handle, rule.priority):
            continue
        trigger = transition.elapsed(handle)
        match = handle if rule.guard is None else rule.guard(trigger)
        if match is None:
            continue
        levels[handle] = rule.priority
        if not transition.run(rule, match, trigger):
            break
    return levels
