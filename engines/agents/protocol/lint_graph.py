"""Rules about the state machine as a graph: where agents begin, what they can reach, and where they cannot go on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .model import SYSTEM_STATES, State, Transition
from .subject import MOVES_MAX, Edge, Subject

PRESSURE = ("measure.context_percent", "measure.context_tokens")
"""What a guard names that reacts to a full context."""


def check_graph(subject: Subject) -> None:
    """Add the findings about initial and final states, reachability, dead ends, traps, timers and pressure."""
    _initial(subject)
    _final(subject)
    _timers(subject)
    if not any(_is_own(state) for state in subject.states.values()) or len(subject.moves) >= MOVES_MAX:
        return
    reached = reachable(subject)
    stuck = _dead_ends(subject)
    _unreachable(subject, reached)
    _traps(subject, stuck)
    _busy_loops(subject)
    _working_states(subject, stuck)


def _is_own(state: State) -> bool:
    """Whether agents of this protocol are in the state: it is neither another protocol's nor the engine's."""
    return not {"external", "system"} & set(state.flags)


def _initial(subject: Subject) -> None:
    own = [one for one in subject.whole.states if _is_own(one)]
    marked = [one for one in subject.whole.states if "initial" in one.flags]
    if own and not marked:
        first = subject.whole.states[0]
        message = f"no initial state; '{first.id}', which is listed first, is assumed"
        place = subject.locate(first.place, first.id)
        subject.add("W-NO-INITIAL", place, message, f"write '- {first.id} (initial)'", length=len(first.id))
    for other in marked[1:]:
        message = f"'{other.id}' is a second initial state; '{marked[0].id}' of line {marked[0].place.line} is one"
        subject.add("E-INITIAL", other.place, message, "remove one of the flags", length=len(other.id))
    for one in marked[:1]:
        wrong = next((flag for flag in ("final", "system", "external") if flag in one.flags), None)
        if wrong:
            message = f"initial state '{one.id}' is {wrong}: no agent could do anything"
            subject.add("E-INITIAL", one.place, message, "mark another state as initial", length=len(one.id))


def _final(subject: Subject) -> None:
    for transition in subject.whole.transitions:
        if transition.actors and "agent" not in transition.actors:
            continue
        for source in transition.sources:
            state = subject.states.get(source)
            if state is not None and "final" in state.flags:
                message = f"state '{source}' is final, so its agents cannot move to '{transition.target}'"
                hint = "remove the flag 'final' or the transition; 'by admin' may bring an agent back"
                place = subject.locate(transition.place, source)
                subject.add("E-FINAL-OUT", place, message, hint, length=len(source))


def _timers(subject: Subject) -> None:
    for state in subject.whole.states:
        timeout = state.timeout
        if timeout is not None and timeout.after_ns <= state.min_duration_ns:
            message = f"max_duration of '{state.id}' is not longer than its min_duration"
            subject.add("E-TIMER", timeout.place, message, "raise max_duration, or lower min_duration")


def reachable(subject: Subject) -> set[str]:
    """The states that an agent can come to: from where it begins, and from where the engine may put it."""
    marked = [one.id for one in subject.whole.states if "initial" in one.flags]
    begins = [*(marked or [one.id for one in subject.whole.states[:1]]), *SYSTEM_STATES]
    begins += [one.id for one in subject.whole.states if "system" in one.flags]
    return reach(begins, _edges(subject.moves))


def reach(begins: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
    """What can be reached along edges."""
    seen: set[str] = set()
    stack = list(begins)
    while stack:
        one = stack.pop()
        if one not in seen:
            seen.add(one)
            stack.extend(edges.get(one, ()))
    return seen


def _edges(moves: Iterable[Edge]) -> dict[str, set[str]]:
    edges: dict[str, set[str]] = {}
    for move in moves:
        edges.setdefault(move.source, set()).add(move.target)
    return edges


def _dead_ends(subject: Subject) -> set[str]:
    """States without a way out; each is reported."""
    edges = _edges(move for move in subject.moves if move.target != move.source)
    found = [
        one.id for one in subject.states.values() if _is_own(one) and "final" not in one.flags and one.id not in edges
    ]
    for name in found:
        place = subject.states[name].place
        message = f"state '{name}' has no way out, and is not final"
        subject.add(
            "W-DEAD-END", place, message, f"add '- {name} → ...' to Transitions, or mark it (final)", length=len(name)
        )
    return set(found)


def _unreachable(subject: Subject, reached: set[str]) -> None:
    for state in subject.states.values():
        if _is_own(state) and state.id not in reached:
            message = f"no transition leads to state '{state.id}'"
            hint = f"add '- ... → {state.id}' to Transitions, or remove the state"
            subject.add("W-UNREACHABLE", state.place, message, hint, length=len(state.id))


def _traps(subject: Subject, stuck: set[str]) -> None:
    """Circles that lead nowhere else, where some state is final, safe or idle but none of the circle."""
    goals = {one.id for one in subject.states.values() if {"final", "safe", "idle"} & set(one.flags)}
    if not goals:
        return
    edges = _edges(subject.moves)
    back = _edges(Edge(move.target, move.source, None) for move in subject.moves)
    away = {move.target for move in subject.moves} - subject.states.keys()
    saved = reach(goals | away, back) | stuck
    for name, state in subject.states.items():
        if name in saved or not _is_own(state):
            continue
        beyond = reach([name], edges)
        if len(beyond) > 1 and beyond <= reach([name], back):
            saved |= beyond
            message = f"no final, safe or idle state can be reached from {', '.join(sorted(beyond))}"
            subject.add("W-TRAP", state.place, message, "add a way out of one of them", length=len(name))


def _is_automatic(transition: Transition | None) -> bool:
    """Whether the engine takes it by itself, at once."""
    return (
        transition is not None
        and transition.actors == ("engine",)
        and not transition.event
        and not transition.cooldown_ns
        and not transition.limits
    )


def _busy_loops(subject: Subject) -> None:
    moves = [move for move in subject.moves if _is_automatic(move.transition)]
    edges = _edges(moves)
    back = _edges(Edge(move.target, move.source, None) for move in moves)
    seen: set[str] = set()
    firsts: dict[str, Transition | None] = {}
    for move in moves:
        firsts.setdefault(move.source, move.transition)
    for source, transition in firsts.items():
        after = reach(edges[source], edges)
        if transition is None or source in seen or source not in after:
            continue
        circle = after & reach([source], back)
        seen |= circle
        message = f"the engine would move in a circle without an end: {', '.join(sorted(circle))}"
        hint = "add an event ('on message'), a cooldown, or leave a step to the agent"
        subject.add("W-BUSY-LOOP", transition.place, message, hint)


def _working_states(subject: Subject, stuck: set[str]) -> None:
    """Advice about states in which agents work, and can go on."""
    eased = {move.source for move in subject.moves if move.transition and _eases_pressure(move.transition)}
    for state in subject.states.values():
        if not _is_own(state) or {"final", "idle"} & set(state.flags) or state.id in stuck:
            continue
        if state.timeout is None:
            message = f"an agent may stay in state '{state.id}' for ever"
            hint = "add '  - max_duration: 2h → <state>' below it"
            subject.add("W-NO-TIMEOUT", state.place, message, hint, length=len(state.id))
        if state.id not in eased:
            message = f"no move out of state '{state.id}' is guarded by context pressure"
            hint = "add a transition with '  - guard: `measure.context_percent >= 70%`'"
            subject.add("W-NO-PRESSURE", state.place, message, hint, length=len(state.id))


def _eases_pressure(transition: Transition) -> bool:
    is_guarded = transition.guard is not None and any(name in transition.guard.text for name in PRESSURE)
    return is_guarded or any(effect.kind == "rotate" for effect in transition.effects)
