"""What comes for a message from outside."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
from deadline import DEADLINE_S

from host.live.packets import close_all
from host.live.supervisor.serving.sessions import SessionMail, Sessions
from transport.native import native_available, native_reason
from transport.port import Frame

LANE_TO_0 = 4096
"""Where the tail of a slot's lane to slot 0 lies: 7 is none."""

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
    findings: list[str] = []

    async def play() -> SessionMail:
        link = LaneLink(0, *map(os.dup, own))
        memory: Any = Memory()
        sessions = Sessions(
            memory, link, lambda slot, _: link.attach(slot, *map(os.dup, far)), late.append, findings.append
        )
        link.attach(2, *map(os.dup, far))
        peer = LaneLink(2, *map(os.dup, far))
        peer.attach(0, *map(os.dup, own))
        try:
            session = sessions.open()
            assert peer.outlet(0, "child", session.name, 0, 1, 1).send(b"answer")
            peer.flush()
            sessions.detach(2)
            item = session.inbox.get_nowait()
            assert isinstance(item, SessionMail)
            return item
        finally:
            sessions.close()
            peer.close()

    try:
        answer = asyncio.run(play())
    finally:
        close_all([*own, *far])
    assert (answer.sender, answer.payload, late, findings) == ("child", b"answer", [], [])


def test_a_lane_that_breaks_leaves_the_others_heard() -> None:
    """False if one worker's nonsense made the supervisor deaf to all: no bell would be armed any more."""
    from transport.lanes import LaneLink, create_slot

    own, bad, good = create_slot(1 << 16), create_slot(1 << 16), create_slot(1 << 16)
    findings: list[str] = []

    async def play() -> object:
        link = LaneLink(0, *map(os.dup, own))
        memory: Any = Memory()
        sessions = Sessions(memory, link, lambda *_: None, lambda _: None, findings.append)
        peers = [LaneLink(slot, *map(os.dup, far)) for slot, far in ((2, bad), (3, good))]
        for slot, far, peer in ((2, bad, peers[0]), (3, good, peers[1])):
            link.attach(slot, *map(os.dup, far))
            peer.attach(0, *map(os.dup, own))
        try:
            session = sessions.open()
            os.pwrite(bad[0], (7).to_bytes(8, "little"), LANE_TO_0)
            os.eventfd_write(own[2], 1)
            for _ in range(3):
                await asyncio.sleep(0)  # the bell is heard, and the lane broken
            assert peers[1].outlet(0, "child", session.name, 0, 1, 1).send(b"answer")
            peers[1].flush()
            async with asyncio.timeout(DEADLINE_S):
                return await session.inbox.get()
        finally:
            sessions.close()
            for peer in peers:
                peer.close()

    try:
        answer = asyncio.run(play())
    finally:
        close_all([*own, *bad, *good])
    assert answer == SessionMail("child", b"answer")
    assert len(findings) == 1
    assert "lane 2>0" in findings[0]
