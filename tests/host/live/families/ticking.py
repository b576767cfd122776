"""An engine that counts orders and, some milliseconds later, their timers."""

from __future__ import annotations

from typing import Never

from engines.model import Arrived, Become, Effects, Elapsed, Family, Handle, Message, SetTimer, Timer, Value, rule

DUE = Timer("due")
AFTER_NS = 50_000_000


class Order(Message):
    """Arms the timer, which is not pending."""


class Ticked(Value):
    ordered: int = 0
    elapsed: int = 0


@rule
def order(m: Order, t: Arrived[Order, None, Ticked]) -> Effects[Ticked, Never]:
    """State: one order more. Timers: one is set. Messages, engines: none."""
    state = t.env.state
    return [Become(Ticked(state.ordered + 1, state.elapsed)), SetTimer(DUE, after_ns=AFTER_NS)]


@rule(timer=DUE)
def elapse(handle: Handle, t: Elapsed[None, Ticked]) -> Effects[Ticked, Never]:
    """State: one timer more. Messages, timers, engines: none."""
    return Ticked(t.env.state.ordered, t.env.state.elapsed + 1)


TICKER = Family("ticker", state=Ticked(), accepts=Order, timers=[DUE]).rules(order, elapse)
