"""The engines of a slot that keeps a journal: the scheduler's parts, with what they write down at each step.

What may live here: the parts of `host.node` that differ where an engine is journaled, as subclasses, so that a slot
without a journal runs none of it. An engine that is not in `Keeping.kept` is volatile and goes the ordinary way.

    arrivals   new mail of journaled engines goes into the batch as frames, a neighbour's too
    turns      a TURN a transition; outputs are numbered and kept as they are committed (`Kept.commit`)
    outbox     outputs leave with the numbers and the epoch of their engine, until they are acknowledged
    scheduler  births and ends

The order of a cycle stands in `host.node.journal`; whoever drives the scheduler keeps it. An output is *unacked* from
its commit until its receiver has it where a kill of its process cannot reach it; it is sent again by a recovery.
"""
