"""Properties: plain functions of a `SystemView`, and what is claimed of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import msgspec

from engines.model.blame import blame, without_frames
from engines.model.system import System
from engines.model.transition_system import AnyTransitionSystem

Predicate = Callable[[Any], bool]
"""Of a `SystemView`, or of the state of a plain transition system."""

Claim = Literal["always", "sometimes", "eventually", "leads_to"]


class Property(msgspec.Struct, frozen=True):
    """A claim about all runs. `then` is the second predicate of `leads_to`."""

    claim: Claim
    holds: Predicate
    then: Predicate | None = None

    @property
    def name(self) -> str:
        """The claim in words."""
        if self.then is not None:
            return f"{name_of(self.holds)} leads to {name_of(self.then)}"
        return f"{self.claim} {name_of(self.holds)}"


class PropertyError(Exception):
    """A property raised; the text has its name and the end of its traceback."""


def name_of(predicate: Predicate) -> str:
    """The name of a predicate, for people."""
    return getattr(predicate, "__name__", None) or repr(predicate)


def properties_of(system: System | AnyTransitionSystem) -> tuple[Property, ...]:
    """The properties that a system itself states."""
    plain: Iterable[tuple[Claim, Sequence[Predicate]]] = (
        ("always", system.always),
        ("sometimes", system.sometimes),
        ("eventually", system.eventually),
    )
    stated = [Property(claim, predicate) for claim, predicates in plain for predicate in predicates]
    return (*stated, *(Property("leads_to", first, then) for first, then in system.leads_to))


def holds(predicate: Predicate, view: Any) -> bool:
    """Whether a predicate holds in a state. Raises PropertyError when it raised, or returned anything but a bool."""
    try:
        found = predicate(view)
    except (Exception, SystemExit) as error:  # an interrupt is the user's
        line, text = blame(without_frames(error, 1))
        raise PropertyError(f"`{name_of(predicate)}` raised {line}\n{text}") from None
    if not isinstance(found, bool):
        raise PropertyError(f"`{name_of(predicate)}` returned {found!r}, which is neither True nor False")
    return found
