"""Streams of engines to names that are elsewhere, as the node's answers come."""

from __future__ import annotations

from typing import Any, Never

import pytest
from inline_nodes import node

from engines.model import Arrived, Effects, Family, Message, Ref, Send, Value, encode, rule
from host.node import outbox
from transport.local import Hub

NEAR, FAR = 2, 3


class Echo(Message):
    text: str


class Say(Message):
    to: Ref[Echo]
    text: str


class Nothing(Value):
    pass


@rule
def say(m: Say, t: Arrived[Say, None, Nothing]) -> Effects[Nothing, Echo]:
    return [Send(m.to, Echo(m.text))]


SPEAKER = Family("speaker", accepts=Say, emits=Echo, state=Nothing()).rules(say)


class NeverSearched(dict[Any, Any]):
    """Streams that can be looked up, and not gone through."""

    def _search(self) -> Never:
        raise AssertionError("all streams were gone through")

    __iter__ = items = values = keys = _search


@pytest.mark.parametrize("routes_max", [1, outbox.ROUTES_MAX])
def test_a_name_that_moved_gets_the_next_message_where_it_is(monkeypatch: pytest.MonkeyPatch, routes_max: int) -> None:
    """False if an engine went on sending to a place that its target has left, or began to number anew, also where the
    target's place was forgotten meanwhile; or if an answer about one name were looked for among all streams."""
    monkeypatch.setattr(outbox, "ROUTES_MAX", routes_max)
    hub, inline = Hub(), node()
    inline.outbox.link = link = hub.link(1)
    ends = {slot: hub.link(slot) for slot in (NEAR, FAR)}
    for slot, end in ends.items():
        link.attach(slot)
        end.attach(1)
    cell = inline.add("speaker", SPEAKER)
    cell.ways = NeverSearched()
    for text, slot in ("x", NEAR), ("y", FAR):
        inline.outbox.route("other", slot)
        inline.send("speaker", Say(Ref("other"), text))
        inline.run_until_idle()
        link.flush()
        inline.outbox.route("another", slot)
    found = {slot: [(one.first_n, one.payloads) for one in end.drain(10)] for slot, end in ends.items()}
    assert found == {NEAR: [(1, [encode(Echo("x"))])], FAR: [(2, [encode(Echo("y"))])]}
