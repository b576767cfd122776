"""A slot's own end, lanes or ZeroMQ; a worker's, as its first packet demands, with the control page beside it.

Only the implementation in use is imported: pyzmq costs threads and memory that a worker with lanes does not have.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from host.live.control_page import ControlPage, write_stacks_to
from host.live.packets import close_all
from host.live.wire import Boot
from transport.port import Broken, Link

if TYPE_CHECKING:
    from host.live.cycle._cycle import Cycle
    from host.node.journaled.keeping import Ledger
    from host.node.scheduler import Scheduler

LANE_DESCRIPTORS: Final = 3
"""out, in, doorbell."""
ZMQ_DESCRIPTORS: Final = 1
"""The keep."""

Attach = Callable[[int, str, list[int]], None]
"""Links with a peer's slot, by its ZeroMQ address and its descriptors, which are taken over."""


class OwnLink(NamedTuple):
    """An open slot."""

    link: Link
    attach: Attach
    page: ControlPage
    is_native: bool


def open_link(boot: Boot, descriptors: list[int], *, owns: bool = True) -> OwnLink:
    """Open the slot that `Boot` describes; takes over the descriptors, even on failure. Raises `Broken`, OSError.

    Without `owns` lanes are mapped and nothing is written: the slot is another process's until `take_slot`.
    """
    wanted = (LANE_DESCRIPTORS if boot.native else ZMQ_DESCRIPTORS) + 1
    if len(descriptors) != wanted:
        close_all(descriptors)
        raise Broken(f"slot {boot.slot}: {wanted} descriptors expected, {len(descriptors)} came")
    page = ControlPage(descriptors[-1], begins=owns)
    write_stacks_to(descriptors[-1])
    os.close(descriptors[-1])
    end = open_end(boot.slot, boot.address, descriptors[:-1], boot.native, boot.wait, boot.arena_bytes, owns=owns)
    return OwnLink(*end, page, boot.native)


def take_slot(own: OwnLink) -> None:
    """Own a slot that was only mapped; the process that had it has let go. Raises `Broken`."""
    from transport.lanes import LaneLink

    assert isinstance(own.link, LaneLink), "a slot over ZeroMQ is opened when it is owned"
    own.page.begin()
    own.link.own()


def common_case(own: OwnLink, scheduler: Scheduler, offset_ns: int, ledger: Ledger | None = None) -> Cycle | None:
    """The cycle in C over an open slot; None if the link is not lanes. `offset_ns` is that of the engine clock."""
    if not own.is_native:
        return None
    from host.live.cycle._cycle import Cycle

    return Cycle(own.link, scheduler, own.page.memory, offset_ns, ledger)


def open_end(
    slot: int, address: str, descriptors: list[int], native: bool, wait: str, arena_bytes: int, *, owns: bool = True
) -> tuple[Link, Attach]:
    """The own end of a slot with these descriptors, which are taken over, and how it links with another; `owns` as in
    `open_link`."""
    if native:
        from transport.lanes import LaneLink

        out, into, doorbell = descriptors
        lanes = LaneLink(slot, out, into, doorbell, wait, arena_bytes, owns)
        return lanes, lambda peer, _, theirs: lanes.attach(peer, *theirs)
    from transport.zmq_link import ZmqLink

    link = ZmqLink(slot, address, descriptors[0], wait)

    def attach(peer: int, address: str, theirs: list[int]) -> None:
        if len(theirs) != ZMQ_DESCRIPTORS:
            close_all(theirs)
            raise Broken(f"slot {peer}: {ZMQ_DESCRIPTORS} descriptor expected, {len(theirs)} came")
        link.attach(peer, address, *theirs)

    return link, attach
