"""A worker's own end of its slot: lanes or ZeroMQ, as its first packet demands, and the control page beside it.

Only the implementation in use is imported: pyzmq costs threads and memory that a worker with lanes does not have.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from host.live.control_page import ControlPage, write_stacks_to
from host.live.packets import close_all
from host.live.wire import Boot, Peer
from transport.port import Broken, Link

if TYPE_CHECKING:
    from host.live.cycle._cycle import Cycle
    from host.node.journaled.ledger import Ledger
    from host.node.scheduler import Scheduler

LANE_DESCRIPTORS: Final = 3
"""out, in, doorbell."""
ZMQ_DESCRIPTORS: Final = 1
"""The keep."""

Attach = Callable[[Peer, list[int]], None]


class OwnLink(NamedTuple):
    """An open slot. `attach` takes over the descriptors it is given."""

    link: Link
    attach: Attach
    page: ControlPage
    is_native: bool


def open_link(boot: Boot, descriptors: list[int]) -> OwnLink:
    """Open the slot that `Boot` describes; takes over the descriptors, even on failure. Raises `Broken`, OSError."""
    wanted = (LANE_DESCRIPTORS if boot.native else ZMQ_DESCRIPTORS) + 1
    if len(descriptors) != wanted:
        close_all(descriptors)
        raise Broken(f"slot {boot.slot}: {wanted} descriptors expected, {len(descriptors)} came")
    page = ControlPage(descriptors[-1])
    write_stacks_to(descriptors[-1])
    os.close(descriptors[-1])
    if boot.native:
        return OwnLink(*_lane_link(boot, *descriptors[:LANE_DESCRIPTORS]), page, True)
    return OwnLink(*_zmq_link(boot, descriptors[0]), page, False)


def common_case(own: OwnLink, scheduler: Scheduler, offset_ns: int, ledger: Ledger | None = None) -> Cycle | None:
    """The cycle in C over an open slot; None if the link is not lanes. `offset_ns` is that of the engine clock."""
    if not own.is_native:
        return None
    from host.live.cycle._cycle import Cycle

    return Cycle(own.link, scheduler, own.page.words, offset_ns, ledger)


def _lane_link(boot: Boot, out: int, into: int, doorbell: int) -> tuple[Link, Attach]:
    from transport.lanes import LaneLink

    link = LaneLink(boot.slot, out, into, doorbell, boot.wait, boot.arena_bytes)

    def attach(peer: Peer, descriptors: list[int]) -> None:
        link.attach(peer.slot, *descriptors)

    return link, attach


def _zmq_link(boot: Boot, keep: int) -> tuple[Link, Attach]:
    from transport.zmq_link import ZmqLink

    link = ZmqLink(boot.slot, boot.address, keep, boot.wait)

    def attach(peer: Peer, descriptors: list[int]) -> None:
        if len(descriptors) != ZMQ_DESCRIPTORS:
            close_all(descriptors)
            raise Broken(f"slot {peer.slot}: {ZMQ_DESCRIPTORS} descriptor expected, {len(descriptors)} came")
        link.attach(peer.slot, peer.address, *descriptors)

    return link, attach
