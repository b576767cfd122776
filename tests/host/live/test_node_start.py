"""The start of a node: what it reports, and what only one node may have."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest
from deadline import DEADLINE_S
from live_nodes import World, counter, until

from host.live.control.launch import Launch
from host.live.control.protocol import Response
from host.live.supervisor.start_progress import StartProgress

PACKETS = 20_000


def test_every_packet_of_progress_arrives_whoever_slow_reads() -> None:
    """If false, `up` of many engines reports too few of them, or waits for a last packet that was dropped."""
    asyncio.run(_tell_all())


async def _tell_all() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    progress, loop = StartProgress(theirs.detach()), asyncio.get_running_loop()
    for number in range(PACKETS):
        progress.tell(Response("ready", [number], last=number == PACKETS - 1))
    heard: list[Any] = []
    while len(heard) < PACKETS:
        packet = await asyncio.wait_for(loop.sock_recv(ours, 65_536), 10)
        heard.append(msgspec.msgpack.decode(packet, type=Response).items[0])
    assert heard == list(range(PACKETS))
    ours.close()
    progress.tell(Response("ready"))
    progress.finish()
    progress.socket.close()


def test_what_waits_at_the_end_is_still_said() -> None:
    """If false, the reason of a failed start is lost when its reader is behind."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    progress = StartProgress(theirs.detach())
    for number in range(3):
        progress.tell(Response("failed", ["x" * 3_000, number]))
    first = [ours.recv(65_536) for _ in range(3 - len(progress._waiting))]
    progress.finish()
    heard = [msgspec.msgpack.decode(packet, type=Response).items[1] for packet in first]
    ours.setblocking(False)
    heard += [msgspec.msgpack.decode(ours.recv(65_536), type=Response).items[1] for _ in range(3 - len(heard))]
    assert heard == [0, 1, 2]
    ours.close()
    progress.socket.close()


@pytest.mark.storm
def test_two_nodes_never_share_a_data_folder(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """If false, one node file started from two environments runs twice and writes the same files."""
    spec = world.spec(counter("a"))
    with world.up(spec):
        other = world.folder / "other"
        other.mkdir(mode=0o700)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(other))
        with Launch(spec, attached=False) as launch:
            refused = world.responses(launch)[-1]
            launch.process.wait(DEADLINE_S)
        assert refused.error == "conflict"
        assert spec.data in refused.message
        monkeypatch.undo()


@pytest.mark.parametrize("durability", [pytest.param("volatile", marks=pytest.mark.storm), "crash"])
def test_a_zygote_has_what_journals_need_where_there_is_one(world: World, durability: Any) -> None:
    """If false, each recovery waits for imports, longer than for its log; or every node has them."""
    sums = pytest.importorskip("host.live.journal._sums").__file__
    with world.up(world.spec(counter("a", durability=durability))):
        (zygote,) = [pid for pid in world.processes() if world.shown(pid)[1] == "zygote"]
        maps = Path(f"/proc/{zygote}/maps")
        if durability == "volatile":
            assert sums not in maps.read_text()
        else:
            until(lambda: sums in maps.read_text(), "what a journal needs")
