"""Birth: the first environment of an engine."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .acquaintance import learn, references_in
from .box import Mailbox
from .conform import conform
from .conform_leaves import ConformError
from .environment import Environment
from .map import Map
from .trigger import Configuration

if TYPE_CHECKING:
    from .family_types import FamilyTypes

S = TypeVar("S")

SHARED_MAX: Final = 1_024
"""Mailbox clusters and acquaintances shared by newborns of one kind: being immutable, they are the same objects."""


class BirthError(ValueError):
    """A configuration or first state that does not fit the family."""


def birth(
    family: FamilyTypes[Any, Any, S, Any],
    configuration: Configuration[Any],
    *,
    now_ns: int,
    state: S | None = None,
    acquaintances: Iterable[str] = (),
) -> Environment[S]:
    """The environment an engine starts with: the family's state unless another is given, empty mailboxes, no timers.

    It is acquainted with its parent, the references in its parameters, and `acquaintances`. `now_ns` is its clock at
    birth (a child's is its parent's); the environment of a family without timers at birth does not depend on it.

    Raises:
        BirthError: parameters or state of another type.
    """
    _, state = birth_values(family, configuration.params, state)
    return newborn(family, configuration, state, acquaintances)


def newborn(
    family: FamilyTypes[Any, Any, S, Any],
    configuration: Configuration[Any],
    state: S | None,
    acquaintances: Iterable[str],
) -> Environment[S]:
    """As `birth`, of parameters and a state that `birth_values` returned."""
    first = () if configuration.parent is None else (configuration.parent,)
    known = _acquainted((*first, *references_in(configuration.params), *acquaintances))
    return Environment(family.state if state is None else state, mailboxes(family), acquaintances=known)


def birth_values(family: FamilyTypes[Any, Any, Any, Any], params: Any, state: Any) -> tuple[Any, Any]:
    """Parameters and first state (None: the family's own) as its types declare them. Raises BirthError."""
    wanted = family.config or type(None)
    if type(params) is not wanted:
        raise BirthError(f"{family.name} takes {wanted.__name__} as its parameters, not {type(params).__name__}")
    if state is not None and type(state) not in family.state_types:
        raise BirthError(f"{family.name} has no state of type {type(state).__name__}")
    try:
        return conform(params, family.config), None if state is None else conform(state, family.states)
    except ConformError as error:
        raise BirthError(f"{family.name} cannot begin with {error}") from None


@lru_cache(maxsize=SHARED_MAX)
def _acquainted(names: tuple[str, ...]) -> Map[str, None]:
    return learn(Map(), names)


@lru_cache(maxsize=SHARED_MAX)
def mailboxes(family: FamilyTypes[Any, Any, Any, Any]) -> tuple[Mailbox[Any, Any] | None, ...]:
    """The mailbox cluster of a newborn, by number."""
    last = max(family.boxes, default=-1)
    boxes = [family.boxes.get(number) for number in range(last + 1)]
    return tuple(None if box is None else Mailbox(conform(box.start, box.states)) for box in boxes)
