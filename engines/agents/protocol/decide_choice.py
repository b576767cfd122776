"""Which transitions there are from a state, in the order in which they are chosen from."""

from __future__ import annotations

from .decide_values import Blocked
from .model import ANY, SELF, Actor, Capability, Protocol, State, Transition
from .quantities import DURATIONS, write


def candidates(protocol: Protocol, state: str, target: str = "", event: str = "") -> tuple[Transition, ...]:
    """The transitions from a state to a target, or on an event, in the order in which they are chosen from."""
    found = [
        one
        for one in protocol.transitions
        if leaves(one, state)
        and (not target or one.target == target or (one.target == SELF and target == state))
        and one.event == event
    ]
    return tuple(sorted(found, key=lambda one: (_breadth(one), -one.priority, one.index)))


def leaves(transition: Transition, state: str) -> bool:
    """Whether a transition leaves this state."""
    if transition.sources == (ANY,):
        return state not in transition.excepted
    return state in transition.sources


def _breadth(transition: Transition) -> int:
    """How specific the source is: 0 for one state, 1 for a list, 2 for any."""
    return 2 if transition.sources == (ANY,) else min(len(transition.sources), 2) - 1


def targets(protocol: Protocol, state: str, actor: Actor = "agent") -> tuple[str, ...]:
    """The targets that this actor's transitions from a state have, in the order of the document."""
    found = (one for one in protocol.transitions if leaves(one, state) and actor in (one.actors or ("agent",)))
    return tuple(dict.fromkeys(one.target for one in found if not one.event))


def by_others(protocol: Protocol, state: str) -> tuple[Blocked, ...]:
    """The moves from a state that an agent does not make by naming their target: who makes each, and when."""
    left = [one for one in protocol.transitions if leaves(one, state)]
    found = [_by_other(one) for one in left if one.event or "agent" not in (one.actors or ("agent",))]
    stay = protocol.state(state)
    if stay is not None and stay.timeout is not None:
        when = f"the engine makes this move after {write(stay.timeout.after_ns, DURATIONS)}"
        found.append(Blocked(stay.timeout.target, awaiting=(when,)))
    return tuple(found)


def _by_other(one: Transition) -> Blocked:
    if "engine" in one.actors:
        when = f"on '{one.event}'" if one.event else f"when `{one.guard.text}`" if one.guard else "at once"
        return Blocked(one.target, awaiting=(f"the engine makes this move {when}",), condition=one.text)
    if "agent" in (one.actors or ("agent",)):
        return Blocked(one.target, awaiting=(f"it is made on '{one.event}': --event {one.event}",), condition=one.text)
    return Blocked(one.target, forbidden=("only admin may do this",), condition=one.text)


def permits(state: State, kind: str, what: str) -> bool:
    """Whether a state allows this: it is in no denial, and in a permission where there are some of its kind."""

    def covers(one: Capability) -> bool:
        return one.kind == kind and (not one.of or what in one.of)

    of_kind = [one for one in state.allow or () if one.kind == kind]
    is_allowed = state.allow is None or any(map(covers, of_kind))
    return is_allowed and not any(map(covers, state.deny))
