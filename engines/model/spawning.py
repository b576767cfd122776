"""Children: family, parameters, state and name. A word is remembered for ever, so that no name is given out twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .declaration import Declaration
from .effects import EffectError, Spawn
from .environment import Numbered
from .map import Map
from .names import check_word

if TYPE_CHECKING:
    from .family import Family

AnyDeclaration: TypeAlias = Declaration[Any, Any, Any]

CHILD_WORDS_MAX: Final = 1_000_000
"""Child words an engine remembers for ever; a spawn under one more fails. Numbered children share one word."""


def child_family(parent: Family[Any, Any, Any, Any], effect: Spawn) -> tuple[AnyDeclaration | None, str]:
    """The child's family (None when it is given by reference only) and its reference.

    Raises:
        EffectError: the family is missing from spawns=, or parameters or first state are not of its types.
    """
    named = effect.family
    if isinstance(named, str):
        allowed = [other if isinstance(other, str) else other.ref for other in (parent, *parent.spawns)]
        if named not in allowed:
            raise EffectError(f"{parent.name} spawns no {named}: add it to spawns=")
        return None, named
    is_own = named is parent or (bool(named.ref) and named.ref == parent.ref)  # a parent may be a bounded twin
    if not is_own and named not in parent.spawns:
        raise EffectError(f"{parent.name} spawns no {named.name}: add it to spawns=")
    _check(named, effect)
    return named, named.ref


def child_types(family: AnyDeclaration | None) -> tuple[Any, Any]:
    """The types of a child's parameters and state; Any where its family is given by reference only."""
    return (Any, Any) if family is None else (family.config, getattr(family, "states", None))


def child_word(children: Map[str, int], child: str | Numbered) -> tuple[str, Map[str, int]]:
    """The child's word, and the words used with this one among them.

    Raises:
        EffectError: the word was used before, or too many words were used.
        ValueError: the word cannot be a name.
    """
    numbered = isinstance(child, Numbered)
    word = check_word(child.word if isinstance(child, Numbered) else child)
    key = word + "." if numbered else word
    used = children.get(key, 0)
    if used and not numbered:
        raise EffectError(f"the child word {word!r} was used before; names are never reused")
    if not used and len(children) >= CHILD_WORDS_MAX:
        raise EffectError(f"an engine uses at most {CHILD_WORDS_MAX} child words; number the children instead")
    return f"{key}{used + 1}" if numbered else word, children.set(key, used + 1)


def _check(family: AnyDeclaration, effect: Spawn) -> None:
    """Check parameters and first state against the family's types."""
    wanted = family.config or type(None)
    if type(effect.config) is not wanted:
        found = type(effect.config).__name__
        raise EffectError(f"{family.name} takes {wanted.__name__} as its parameters, not {found}")
    states: frozenset[type[Any]] = getattr(family, "state_types", frozenset())
    if effect.state is not None and type(effect.state) not in states:
        raise EffectError(f"{family.name} has no state of type {type(effect.state).__name__}")
