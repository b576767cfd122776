"""The pure core of a node: scheduling, routing, placement, supervision, reload. Time and chance are arguments."""
