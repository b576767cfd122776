"""What the rules of lint look at: a protocol, what others contribute to it, and the lines that it was read from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice
from typing import Final, NamedTuple

from .findings import found
from .library import Library, resolve
from .model import ANY, SELF, SYSTEM_STATES, Place, Protocol, State, Transition
from .phrases import ARROW

MOVES_MAX: Final = 20_000
"""A transition from `any` is a move from each state; with more moves in all, a file is refused."""

RESERVED_MESSAGES: Final = ("note", "agree", "refuse", "failure", "not_understood", "expired", "bounced", "system")
"""Message types of every protocol."""


class Subject:
    """A protocol under lint. `whole` has what it extends; `own` only what its file says."""

    def __init__(self, own: Protocol, library: Library, lines: tuple[str, ...] = ()) -> None:
        resolved = resolve(own, library)
        self.own = own
        self.whole = resolved.protocol
        self.findings = list(resolved.findings)
        self.lines = lines
        self.states: dict[str, State] = {}
        for state in self.whole.states:
            self.states.setdefault(state.id, state)
        self.imported_states = resolved.states
        self.known_states = {*self.states, *resolved.states, *SYSTEM_STATES}
        self.messages = {one.id for one in self.whole.messages} | {*resolved.messages, *RESERVED_MESSAGES}
        self.roles = {one.id for one in self.whole.roles}
        self.moves = tuple(edges_of(self.whole))
        if len(self.moves) == MOVES_MAX:
            message = f"transitions from 'any' make {MOVES_MAX} moves or more"
            self.add("E-LIMIT", own.title, message, "name the states that they are from")

    def add(
        self, code: str, place: Place, message: str, hint: str = "", *, length: int = 0, becomes: str | None = None
    ) -> None:
        """One more finding."""
        self.findings.append(found(code, place, message, hint, length=length, becomes=becomes))

    def undefined(self, code: str, noun: str, name: str, place: Place, known: set[str], hint: str = "") -> None:
        """One more finding: a name that is not defined."""
        near = get_close_matches(name, sorted(known), n=1, cutoff=0.7)
        uses = [one.name for one in self.whole.uses]
        where = f"here or in {', '.join(uses)}" if uses and code in ("E-UNDEF-STATE", "E-UNDEF-MSG") else "here"
        did = f"; did you mean '{near[0]}'?" if near else ""
        becomes = near[0] if near else None
        message = f"{noun} '{name}' is not defined {where}{did}"
        self.add(code, place, message, hint, length=len(name), becomes=becomes)

    def locate(self, place: Place, word: str, *, after_arrow: bool = False) -> Place:
        """The place of a word in the item that begins at a place; the item's own if it is not found."""
        pattern = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])")
        start = place.column - 1
        for number in range(place.line - 1, min(place.line + 60, len(self.lines))):
            line = self.lines[number]
            if number >= place.line and re.match(r"(?:[-*+#]|\d+[.)])", line):
                break
            arrow = ARROW.search(line, start) if after_arrow else None
            match = pattern.search(line, arrow.end() if arrow else start)
            if match:
                return Place(number + 1, match.start() + 1)
            start = 0
        return place


class Edge(NamedTuple):
    """An edge: from a state to a state, by a transition, or (None) by a time-out, which fires after this time."""

    source: str
    target: str
    transition: Transition | None
    after_ns: int = 0


def sources_of(transition: Transition, states: dict[str, State]) -> list[str]:
    """The states that a transition may be taken in. `any` is each state that is neither final nor excepted."""
    if transition.sources != (ANY,):
        return list(transition.sources)
    return [
        one.id
        for one in states.values()
        if not {"final", "external"} & set(one.flags) and one.id not in transition.excepted
    ]


def edges_of(protocol: Protocol) -> Iterator[Edge]:
    """The edges: one for each state that a transition may be taken in, and one for each time-out; up to a bound."""
    return islice(_edges(protocol), MOVES_MAX)


def _edges(protocol: Protocol) -> Iterator[Edge]:
    states = {one.id: one for one in protocol.states}
    for transition in protocol.transitions:
        for source in sources_of(transition, states):
            yield Edge(source, source if transition.target == SELF else transition.target, transition)
    for state in protocol.states:
        if state.timeout is not None:
            yield Edge(state.id, state.timeout.target, None, state.timeout.after_ns)
