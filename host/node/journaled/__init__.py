"""Engines with a journal: what of them is written down, and who has what they sent.

    keeping   the recorder that a scheduler is given (`host.node.recorder`): a record a step, outputs numbered and kept
    acks      when an output that left need not be sent again
    ledger    what the cycle in C is given of both

The order of a cycle stands in `host.node.cycle`, the bytes of a log in `host.node.journal`.
"""
