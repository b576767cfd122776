"""What `Family(...)` fixes before it has rules: its types and start state, and how its rules are to run.

Effects, dumps, births and the checks of a definition know a family by this; `Family` knows all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Literal

from .declaration import Declaration
from .environment import Timer

if TYPE_CHECKING:
    from typing import Never

    from typing_extensions import TypeVar

    from .mismatch import Mismatch

    A_co = TypeVar("A_co", covariant=True)
    C = TypeVar("C", default=None)
    S = TypeVar("S", default=None)
    E = TypeVar("E", default=Never)
else:
    from typing import TypeVar

    A_co, C, S, E = TypeVar("A_co"), TypeVar("C"), TypeVar("S"), TypeVar("E")

Strategy = Literal["first", "last", "all", "one", "unique"]
"""Which rules run when several of the lowest priority number hold; see `step`."""


class FamilyTypes(Declaration[A_co, C, E], Generic[A_co, C, S, E]):
    """A family for whom its rules do not matter; the arguments of `Family` say what each of these is."""

    state: S
    states: Any
    state_types: frozenset[type[Any]]
    timers: tuple[Timer, ...]
    strategy: Strategy
    strict: bool
    spawns: tuple[Declaration[Any, Any, Any] | str, ...]
    migrate: Callable[[Any], S] | None
    downgrade: Callable[[S], Any] | None
    invariants: tuple[Callable[[S], bool], ...]
    intended: Callable[[Mismatch], bool] | None
    holds_blobs: bool
    hidden: frozenset[type[Any]] = frozenset()
    """Messages taken from the engine itself alone; see `compose`."""
