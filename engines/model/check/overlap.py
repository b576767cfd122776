"""The search for overlaps: a trigger and an environment for which two rules of one priority hold.

Guards are functions, so this is a bounded search, not a proof: a finding is a fact, an empty answer only means that
none of the cases tried was one. Cases are made from the declared types (`samples`), with the constants that the guards
mention among the scalars, and from examples. A rule without a guard always holds: for it a case is only the witness.

With strategy `first` an overlap means that the order of the list decides, with `all` that both rules run. That may be
intended, but should be known. As in `step`, only the lowest priority number with a rule that holds takes part. A guard
that raises counts as not holding; the answer includes the number of such cases, since they make the search weaker.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, combinations
from typing import Any, Final, TypeAlias

import msgspec

from ..box import Box, Mailbox, StoredMessage
from ..environment import Environment, Handle
from ..family import Family
from ..rule import Rule
from ..trigger import Arrived, Configuration, Elapsed
from .samples import Samples, constants_of

AnyFamily: TypeAlias = Family[Any, Any, Any, Any]
AnyRule: TypeAlias = Rule[Any, Any, Any, Any]
AnyTrigger: TypeAlias = Arrived[Any, Any, Any] | Elapsed[Any, Any]

CASES_MAX: Final = 2000
"""Cases made for each message type and timer, unless another bound is given: some tenths of a second."""

STORED_MAX: Final = 2
"""Stored messages made for a mailbox."""


class Overlap(msgspec.Struct, frozen=True):
    """Two rules of one priority number that both hold on `trigger`, in the order of the family's list."""

    first: str
    second: str
    priority: int
    trigger: AnyTrigger

    def __str__(self) -> str:
        t = self.trigger
        what = t.message if isinstance(t, Arrived) else t.timer
        return f"{self.first} and {self.second} (priority {self.priority}) both hold on {what} in {t.env.state}"


class Search(msgspec.Struct, frozen=True):
    """The result of a search: each pair of rules once, how many cases it tried, and in how many a guard raised."""

    overlaps: tuple[Overlap, ...]
    cases: int
    raised: int


def find_overlaps(
    family: AnyFamily,
    *,
    examples: Iterable[AnyTrigger] = (),
    configs: Sequence[Any] = (),
    states: Sequence[Any] = (),
    messages: Sequence[Any] = (),
    cases_max: int = CASES_MAX,
    seed: int = 0,
) -> Search:
    """Search a complete family for overlapping rules; the same arguments give the same answer.

    Args:
        examples: whole triggers, tried first.
        configs, states, messages: values to draw these from, instead of making them; messages by type.
        cases_max: cases made for each message type and each timer.

    Raises:
        TypeError: no value of a type can be made; pass such values.
    """
    cases = _Cases(family, seed, configs, states, messages)
    found: dict[tuple[str, str], Overlap] = {}
    tried = raised = 0
    for trigger in chain(examples, cases.triggers(cases_max)):
        tried += 1
        holding, failed = _holding(_rules(family, trigger), trigger)
        raised += failed
        for first, second in combinations(holding, 2):
            names = (first.name, second.name)
            found.setdefault(names, Overlap(*names, first.priority, trigger))
    return Search(tuple(found.values()), tried, raised)


def _rules(family: AnyFamily, trigger: AnyTrigger) -> Sequence[AnyRule]:
    """The rules about a trigger, in order of priority and list."""
    if isinstance(trigger, Arrived):
        plan = family.plan.get(type(trigger.message))
        return plan.rules if plan is not None else ()
    return _timer_rules(family, trigger.timer.name)


def _timer_rules(family: AnyFamily, name: str) -> list[AnyRule]:
    return [rule for rule in family.timer_plan if rule.timer is not None and rule.timer.name == name]


def _holding(rules: Sequence[AnyRule], trigger: AnyTrigger) -> tuple[list[AnyRule], bool]:
    """The rules of the lowest priority number that hold, and whether a guard raised."""
    holding: list[AnyRule] = []
    raised = False
    for rule in rules:
        if holding and rule.priority > holding[0].priority:
            break
        try:
            holds = rule.guard is None or rule.guard(trigger) is not None
        except Exception:
            holds, raised = False, True
        if holds:
            holding.append(rule)
    return holding, raised


def _may_overlap(rules: Sequence[AnyRule]) -> bool:
    """Whether two rules share a priority number."""
    return len({rule.priority for rule in rules}) < len(rules)


class _Cases:
    """Triggers made for a family: values are drawn from the given ones, or made from their types."""

    def __init__(
        self, family: AnyFamily, seed: int, configs: Sequence[Any], states: Sequence[Any], messages: Sequence[Any]
    ) -> None:
        guards = [rule.guard for rule in family.rule_list if rule.guard is not None]
        self.family = family
        self.samples = Samples(seed, chain.from_iterable(map(constants_of, guards)))
        self.configs = configs
        self.states = states
        self.messages = messages

    def triggers(self, cases_max: int) -> Iterator[AnyTrigger]:
        """This many triggers for each message type and each timer that two rules of one priority are about."""
        for kind in sorted(self.family.plan, key=lambda kind: (kind.__qualname__, kind.__module__)):
            plan = self.family.plan[kind]
            if _may_overlap(plan.rules):
                given = [message for message in self.messages if type(message) is kind]
                for _ in range(cases_max):
                    yield self._arrived(self._drawn(given, kind), plan.mailbox)
        for timer in self.family.timers:
            if _may_overlap(_timer_rules(self.family, timer.name)):
                for _ in range(cases_max):
                    yield self._elapsed(timer.name)

    def _arrived(self, message: Any, mailbox: int) -> Arrived[Any, Any, Any]:
        me = self._me()
        return Arrived(message, self.samples.of(str), mailbox, self._time_ns(), me.params, self._environment(), me)

    def _elapsed(self, name: str) -> Elapsed[Any, Any]:
        me = self._me()
        handle = Handle(name, 1)
        return Elapsed(handle, (handle,), self._time_ns(), me.params, self._environment(), me)

    def _me(self) -> Configuration[Any]:
        return Configuration("node", "engine", None, self._drawn(self.configs, self.family.config))

    def _environment(self) -> Environment[Any]:
        boxes = self.family.boxes
        cluster = [boxes.get(number) for number in range(max(boxes, default=-1) + 1)]
        state = self._drawn(self.states, self.family.states)
        return Environment(state, tuple(None if box is None else self._mailbox(box) for box in cluster))

    def _mailbox(self, box: Box[Any, Any]) -> Mailbox[Any, Any]:
        count = self.samples.below(STORED_MAX + 1)
        return Mailbox(self.samples.of(box.states), tuple(self._stored(box, n + 1) for n in range(count)), count)

    def _stored(self, box: Box[Any, Any], number: int) -> StoredMessage[Any]:
        message = self.samples.of(box.accepts)
        return StoredMessage(number, self.samples.of(str), box.number, message, self._time_ns())

    def _time_ns(self) -> int:
        return abs(int(self.samples.of(int)))

    def _drawn(self, given: Sequence[Any], declared: Any) -> Any:
        return self.samples.pick(given) if given else self.samples.of(declared)
