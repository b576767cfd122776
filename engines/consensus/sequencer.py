"""The sequencer: a single source of order. Batches get consecutive indices in the order in which they arrive.

A consensus takes its place later. What both emit is `Ordered` and nothing else: they hold no transactions, and give no
timestamps. A batch that is announced twice is ordered twice; the dispatcher drops what came before.
"""

from __future__ import annotations

from engines.model import Arrived, Become, Config, Effects, Family, Ref, Send, Value, rule

from .order import OrderBatch, Ordered


class Output(Config):
    """Where the order goes."""

    dispatcher: Ref[Ordered]


class Last(Value):
    """State: the last index that was given."""

    index: int = 0


@rule
def order(batch: OrderBatch, t: Arrived[OrderBatch, Output, Last]) -> Effects[Last, Ordered]:
    """State: the next index. Messages: the batch under it, to the dispatcher. Timers, engines: none."""
    index = t.env.state.index + 1
    return [Become(Last(index)), Send(t.config.dispatcher, Ordered(index, (batch.digest,)))]


SEQUENCER = Family("sequencer", config=Output, state=Last(), accepts=OrderBatch, emits=Ordered).rules(order)
