"""The checker: every interleaving of an engine system, over the very families that run live. Pure but for its workers.

`local` is one engine and its reactions, `network` what is in transit, `space` both together as small numbers, `search`
the search, `liveness` what must happen sooner or later, `trace` the way to a state.
"""
