"""Rules that can never run, whatever the state: those behind a rule that always holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from ..rule import Rule

AnyRule: TypeAlias = Rule[Any, Any, Any, Any]


def unreachable(
    rules: Sequence[tuple[AnyRule, tuple[type[Any], ...]]], accepted: Iterable[type[Any]], strategy: str
) -> Iterator[tuple[AnyRule, str]]:
    """Rules (given with their message types) that no message and no timer can reach, with the reason."""
    blocked: dict[int, str] = {}
    reached: set[int] = set()
    groups = [[rule for rule, kinds in rules if kind in kinds] for kind in accepted]
    for group in groups:
        _sort_out(group, strategy, blocked, reached)
    for timer in dict.fromkeys(rule.timer for rule, _ in rules if rule.timer is not None):
        _sort_out([rule for rule, _ in rules if rule.timer == timer], "all", blocked, reached)
    for rule, _ in rules:
        if id(rule) in blocked and id(rule) not in reached:
            yield rule, blocked[id(rule)]


def _sort_out(group: list[AnyRule], strategy: str, blocked: dict[int, str], reached: set[int]) -> None:
    """Sort the rules about one message type, or one timer, into the blocked (with the reason) and the reached."""
    always = [rule for rule in group if rule.guard is None]
    level = min((rule.priority for rule in always), default=None)
    for place, rule in enumerate(group):
        if level is None or rule.priority < level:
            reached.add(id(rule))
        elif rule.priority > level:
            first = next(other for other in always if other.priority == level)
            blocked[id(rule)] = f"{first.name} always holds, at a lower priority number"
        else:
            cause = _blocked_in_level(place, rule, group, strategy)
            if cause:
                blocked[id(rule)] = cause
            else:
                reached.add(id(rule))


def _blocked_in_level(place: int, rule: AnyRule, group: list[AnyRule], strategy: str) -> str:
    """Why a rule cannot run beside a rule of its own priority number that always holds; "" when it can."""
    rivals = [
        (other_place, other)
        for other_place, other in enumerate(group)
        if other is not rule and other.priority == rule.priority and other.guard is None
    ]
    for other_place, other in rivals:
        if strategy == "first" and other_place < place:
            return f"{other.name}, listed before it, always holds"
        if strategy == "last" and other_place > place:
            return f"{other.name}, listed after it, always holds"
        if strategy == "unique":
            return f"{other.name} always holds too, and the strategy is unique"
    return ""
