"""Engines with a journal: which records are written of them, and who has their outputs.

    keeping   the recorder that a scheduler is given (`host.node.recorder`): a record a step, outputs numbered and kept
    acks      when an output that left need not be sent again
    ledger    the calls of both for the cycle in C

The order of a cycle is defined in `host.node.cycle`, the bytes of a log in `host.node.journal`.
"""
