"""Dispatch tables: for each message type, and each timer, the rules that may take it, in order of priority and list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from .check.signature import rule_messages
from .large import blob_places
from .rule import Rule

if TYPE_CHECKING:
    from .box import Box
    from .family_types import FamilyTypes

AnyRule: TypeAlias = Rule[Any, Any, Any, Any]
Candidate: TypeAlias = tuple[Callable[..., Any] | None, Callable[..., Any], tuple[str, ...]]


class Plan:
    """How to handle a message of one type: its mailbox, its rules, and these as (guard, action, labels).

    `plain`: strategy `first`, nothing interactive or hidden, no blobs, no invariants, not strict; then the first
    candidate that holds is the transition.
    """

    __slots__ = ("box", "candidates", "mailbox", "plain", "rules", "state_types")

    def __init__(
        self, box: Box[Any, Any], rules: tuple[AnyRule, ...], plain: bool, state_types: frozenset[type[Any]]
    ) -> None:
        self.box = box
        self.mailbox = box.number
        self.rules = rules
        self.plain = plain
        self.state_types = state_types
        self.candidates: tuple[Candidate, ...] = tuple((rule.guard, rule.action, (rule.name,)) for rule in rules)


def in_order(rules: list[AnyRule]) -> tuple[AnyRule, ...]:
    """By priority number; rules of one number stay in the order they are listed."""
    return tuple(sorted(rules, key=lambda rule: rule.priority))


def plan_messages(family: FamilyTypes[Any, Any, Any, Any], rules: Sequence[AnyRule]) -> dict[type[Any], Plan]:
    """The plan for each message type a mailbox accepts."""
    messages = [(rule, rule_messages(rule)) for rule in rules]
    plans = {}
    blobs = family.holds_blobs or any(map(blob_places, family.emits_types))
    for box in family.boxes.values():
        for kind in box.accepts_types:
            candidates = in_order([rule for rule, kinds in messages if kind in kinds])
            asks = any(rule.interactive for rule in candidates)
            special = family.strict or blobs or asks or kind in family.hidden or family.invariants
            plain = family.strategy == "first" and not special
            plans[kind] = Plan(box, candidates, plain, family.state_types)
    return plans


def plan_timers(rules: Sequence[AnyRule]) -> tuple[AnyRule, ...]:
    """The rules about timers, in order of priority and list."""
    return in_order([rule for rule in rules if rule.timer is not None])
