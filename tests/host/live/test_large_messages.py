"""Large messages between engines of a live node: whole, kept as they were, refused beyond the limit."""

from __future__ import annotations

import os
import signal
from typing import Any
from zlib import crc32

import pytest
from live_nodes import World, until

from host.config.spec import EngineSpec, SupervisionSpec, TransportSpec
from host.live.control.client import ControlError
from transport.native import native_available
from transport.port import MESSAGE_BYTES_MAX

pytestmark = pytest.mark.skipif(not native_available(), reason="large messages lie beside native lanes")

SHIPPER, KEEPER = EngineSpec("shipper", "hauling:SHIPPER"), EngineSpec("keeper", "hauling:KEEPER")


def weight(node: Any, count: int) -> Any:
    """What the keeper has, once so many parcels came."""

    def found() -> Any:
        weighed = node.send("keeper", "Weigh", wait="Weight")
        return weighed if weighed["count"] >= count else None

    return until(found, f"{count} parcels")


@pytest.mark.storm
def test_parcels_arrive_whole_and_stay_as_they_were(world: World) -> None:
    """False if a large message were damaged, or a state changed when its memory was used again."""
    size = 3 << 20
    with world.up(world.spec(SHIPPER, KEEPER)) as node:
        for _ in range(3):
            node.send("shipper", "Ship", size=size, count=60, target="keeper")
        weighed = weight(node, 180)
        assert (weighed["count"], weighed["size"], weighed["damaged"]) == (180, 180 * size, 0)
        assert weighed["first"] == crc32(bytes(size))
        assert node.ask("dead_letters", limit=10) == []


@pytest.mark.storm
def test_the_limit_is_64_mib_of_encoded_message(world: World) -> None:
    """False if one of 64 MiB did not arrive, or one of a byte more were not a dead letter that says why."""
    with world.up(world.spec(SHIPPER, KEEPER)) as node:
        around = 1 + 7 + 5 + 1  # array, tag, head of the content, a checksum of a byte or five
        around += 4 if crc32(bytes(MESSAGE_BYTES_MAX - around - 4)) >= 1 << 16 else 0
        node.send("shipper", "Ship", size=MESSAGE_BYTES_MAX - around, count=1, target="keeper")
        assert weight(node, 1)["damaged"] == 0
        node.send("shipper", "Ship", size=MESSAGE_BYTES_MAX - around + 1, count=1, target="keeper")
        (letter,) = until(lambda: node.ask("dead_letters", limit=10), "a dead letter")
        assert (letter["reason"], letter["target"]) == ("too_large", "keeper")
        assert "67108865 bytes, the most is 67108864" in letter["detail"]


@pytest.mark.storm
def test_a_sender_from_outside_is_told(world: World) -> None:
    """False if `send` of a message over the limit were silent, or blamed something else."""
    with world.up(world.spec(KEEPER)) as node:
        text = "x" * (MESSAGE_BYTES_MAX - 1 - 7 - 5)
        node.send("keeper", "Letter", text=text)
        assert weight(node, 1)["size"] == len(text)
        with pytest.raises(ControlError, match="67108865 bytes, the most is 67108864") as refused:
            node.send("keeper", "Letter", text=text + "x")
        assert refused.value.error == "refused"


@pytest.mark.storm
@pytest.mark.parametrize("victim", ["shipper", "keeper"])
def test_a_death_with_parcels_on_their_way(world: World, victim: str) -> None:
    """False if the memory of parcels were lost with a process, until none was left to send with."""
    with world.up(world.spec(SHIPPER, KEEPER)) as node:
        for number in range(4):
            node.send("shipper", "Ship", size=20 << 20, count=12, target="keeper")
            pid = node.ps()[victim]["pid"]
            os.kill(pid, signal.SIGKILL)
            until(lambda pid=pid: node.ps()[victim]["pid"] not in (None, pid), f"restart {number}")
            until(lambda: node.states()[victim] == "running", "it runs again")
        before = node.send("keeper", "Weigh", wait="Weight")["count"]
        node.send("shipper", "Ship", size=20 << 20, count=12, target="keeper")
        assert weight(node, before + 12)["damaged"] == 0


@pytest.mark.storm
def test_parcels_of_a_child_that_ended_while_nobody_was_in_its_parent_s_slot(world: World) -> None:
    """False if the memory of what it was sent were its for good: nobody else would get a parcel of its parent's."""
    host, other = EngineSpec("host", "lodging:HOST"), EngineSpec("other", "lodging:LODGER")
    size = 40 << 20
    of_node = {
        "spawned": "process",
        "supervision": SupervisionSpec(backoff_ns=4_000_000_000),
        "transport": TransportSpec(arena_bytes=MESSAGE_BYTES_MAX),
    }
    with world.up(world.spec(host, other, **of_node)) as node:

        def lodger() -> str:
            found = (name for name, state in node.states().items() if "/lodger" in name and state == "running")
            return next(found, "")

        for _ in range(2):  # it takes its lodger along; the second death is followed by a pause
            node.send("host", "Open")
            name, pid = until(lodger, "a lodger"), node.ps()["host"]["pid"]
            node.send("host", "Ship", size=size, target=name)
            until(lambda name=name: node.ps()[name]["handled"] == 1, "its parcel")
            os.kill(pid, signal.SIGKILL)
            until(lambda pid=pid: node.ps()["host"]["pid"] not in (pid, None), "the next host")
            until(lambda: node.states()["host"] == "running", "it to run")
            until(lambda: not lodger(), "the end of its lodger")
        node.send("host", "Ship", size=size, target="other")
        until(lambda: node.ps()["other"]["handled"] == 1, "a parcel")
