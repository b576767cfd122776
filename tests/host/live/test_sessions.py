"""What comes for a message from outside."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from host.live.control.sessions import Arrived, Sessions
from host.live.packets import close_all
from transport.native import native_available, native_reason
from transport.port import Frame

pytestmark = pytest.mark.skipif(not native_available(), reason=f"no native lanes: {native_reason()}")


class Memory:
    """The memory of slot 0, which the test closes."""

    def close(self) -> None:
        pass


def test_an_answer_is_heard_though_its_slot_was_given_up_meanwhile() -> None:
    """False if the answer of an engine that ended at once were lost with its slot."""
    from transport.lanes import LaneLink, create_slot

    own, far = create_slot(1 << 16), create_slot(1 << 16)
    late: list[Frame] = []

    async def play() -> Arrived:
        link = LaneLink(0, *map(os.dup, own))
        memory: Any = Memory()
        sessions = Sessions(memory, link, lambda slot, _: link.attach(slot, *map(os.dup, far)), late.append)
        link.attach(2, *map(os.dup, far))
        peer = LaneLink(2, *map(os.dup, far))
        peer.attach(0, *map(os.dup, own))
        try:
            session = sessions.open()
            assert peer.outlet(0, "child", session.name, 0, 1, 1).send(b"answer")
            peer.flush()
            sessions.detach(2)
            item = session.inbox.get_nowait()
            assert isinstance(item, Arrived)
            return item
        finally:
            sessions.close()
            peer.close()

    try:
        answer = asyncio.run(play())
    finally:
        close_all([*own, *far])
    assert (answer.sender, answer.payload, late) == ("child", b"answer", [])
