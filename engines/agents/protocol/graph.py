"""The state machine of a protocol as a diagram: for Mermaid (`stateDiagram-v2`), or for Graphviz (dot).

There is one edge for each move: each state that a transition may be taken in, and each time-out.
"""

from __future__ import annotations

import re
from typing import Final

from .model import Protocol
from .phrases import write_duration
from .subject import Edge, edges_of

WORDS: Final = frozenset(
    {"state", "note", "end", "class", "classdef", "direction", "default", "style", "click", "href", "as"}
)
"""What Mermaid may take for a keyword."""

LABEL_CHARS_MAX: Final = 80
PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
ESCAPED: Final = {ord(char): f"#{ord(char)};" for char in '#;<>"{}:%`'}


def mermaid(protocol: Protocol) -> str:
    """The diagram for Mermaid."""
    names = _names(protocol)
    lines = ["stateDiagram-v2"]
    lines += [f'    state "{name}" as {alias}' for name, alias in names.items() if alias != name]
    shown = {one.id for one in protocol.states}
    if protocol.states:
        lines.append(f"    [*] --> {names[protocol.initial]}")
    for edge in edges_of(protocol):
        label = _label(edge).translate(ESCAPED)
        lines.append(f"    {names[edge.source]} --> {names[edge.target]}" + (f" : {label}" if label else ""))
    lines += [f"    {names[one.id]} --> [*]" for one in protocol.states if "final" in one.flags]
    linked = {name for edge in edges_of(protocol) for name in (edge.source, edge.target)}
    lines += [f"    {names[name]}" for name in names if name in shown - linked]
    return "\n".join(lines) + "\n"


def dot(protocol: Protocol) -> str:
    """The diagram for Graphviz."""
    lines = [f"digraph {_quoted(protocol.name)} {{", "    rankdir=LR;", "    node [shape=box, style=rounded];"]
    if protocol.states:
        lines += ['    "[*]" [shape=point];', f'    "[*]" -> {_quoted(protocol.initial)};']
    for state in protocol.states:
        final = " [peripheries=2]" if "final" in state.flags else ""
        lines.append(f"    {_quoted(state.id)}{final};")
    for edge in edges_of(protocol):
        label = _label(edge)
        attributes = f" [label={_quoted(label)}]" if label else ""
        lines.append(f"    {_quoted(edge.source)} -> {_quoted(edge.target)}{attributes};")
    return "\n".join((*lines, "}")) + "\n"


def _names(protocol: Protocol) -> dict[str, str]:
    """What each state is called in the diagram: its name, or an alias where Mermaid would misread it."""
    used = [one.id for one in protocol.states]
    used += [name for edge in edges_of(protocol) for name in (edge.source, edge.target)]
    names: dict[str, str] = {}
    for name in dict.fromkeys(used):
        if PLAIN.fullmatch(name) and name.lower() not in WORDS:
            names[name] = name
        else:
            names[name] = f"s{len(names)}_" + re.sub(r"\W", "_", name, flags=re.ASCII)
    return names


def _label(edge: Edge) -> str:
    """What an edge says: the event, the guard, who takes it; else the text for people."""
    transition = edge.transition
    if transition is None:
        return f"after {write_duration(edge.after_ns)}"
    parts = [f"on {transition.event}"] if transition.event else []
    if transition.guard is not None:
        parts.append(f"[{transition.guard.text}]")
    if transition.actors:
        parts.append(f"by {', '.join(transition.actors)}")
    text = " ".join(parts) or transition.text
    return text if len(text) <= LABEL_CHARS_MAX else f"{text[: LABEL_CHARS_MAX - 1]}…"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
