"""Sequence charts: a chart as data, and its two forms, text and Mermaid. Pure; nothing here knows a log or a process.

    moments of engines ──join──▶ Chart ──text──▶ a terminal
    (of logs, of a checker)             ──mermaid──▶ a `sequenceDiagram`

A *moment* (`host/chart/moments.py`) is what one engine did at once: it took a message or its timers elapsed, and it
sent, spawned, or ended. A *source* is a list of moments whose order is certain, such as a log. `join` pairs each
message taken with its sending by (sender, epoch, number), and puts the moments of all sources into one order.

Whoever has the order already, such as a checker with a counterexample, makes a `Chart` without `join`.

Where it comes from: Message Sequence Charts (ITU-T Z.120), drawn with one horizontal line an event. A message is drawn
where it is taken, not where it is sent: neither form has slanted arrows.
"""
