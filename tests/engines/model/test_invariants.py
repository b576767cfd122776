"""Invariants: what holds of every state. A transition that breaks one fails, and a reload is refused."""

from __future__ import annotations

from typing import Any

import pytest
from scripted import newborn, tell

from engines.model import AdoptError, Arrived, Committed, Failed, Family, Message, Value, rule


class Take(Message):
    amount: int


class Purse(Value):
    coins: int = 5


@rule
def take(m: Take, t: Arrived[Take, None, Purse]) -> Purse:
    return Purse(t.env.state.coins - m.amount)


def is_solvent(purse: Purse) -> bool:
    return purse.coins >= 0


def is_odd(purse: Purse) -> bool:
    raise LookupError("nothing here")


def purse(*invariants: Any, state: Any = None) -> Any:
    return Family("purse", accepts=Take, state=state or Purse(), invariants=invariants).rules(take)


def test_a_transition_that_breaks_an_invariant_fails_and_changes_nothing() -> None:
    """False if a state of which an invariant does not hold were ever in force."""
    family = purse(is_solvent)
    env = newborn(family)
    done = tell(env, Take(5), 0, family)
    assert isinstance(done, Committed)
    failed = tell(done.env, Take(1), 0, family)
    assert isinstance(failed, Failed)
    assert "the invariant is_solvent does not hold of Purse(coins=-1)" in failed.error
    failed = tell(env, Take(1), 0, purse(is_odd))
    assert isinstance(failed, Failed)
    assert "the invariant is_odd raised LookupError: nothing here" in failed.error


def test_a_state_that_breaks_an_invariant_is_not_taken_over() -> None:
    """False if a reload brought a state into force that no transition may make."""
    old, new = purse(), purse(is_solvent)
    env = newborn(old).with_state(Purse(-3))
    with pytest.raises(AdoptError, match="is_solvent does not hold"):
        new.adopt(old.dump(env), old.interface())
