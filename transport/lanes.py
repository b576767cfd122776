"""Links through shared memory: the native lanes, where they were built.

`create_slot(lane_bytes)` makes the memory of a slot and returns three descriptors, which the caller owns: `out`, `in`
and the doorbell. A process opens its slot with `LaneLink(slot, out_fd, in_fd, doorbell_fd, wait)` and links with others
with `attach(peer, out_fd, in_fd, doorbell_fd)`; both take over the descriptors they are given, also when they fail, so
a holder passes duplicates. The slot's next process opens the same memory and goes on where the last one stopped; the
last one, if it still runs, gets `Broken` from then on.

Importing this module without the native core raises `NativeMissing`. How it works stands in `core.h`, `lane.h` and
`slot.h`; the bytes of a frame in `frame.h`.
"""

from __future__ import annotations

from transport.native import require_native

require_native()

from transport._lane import LaneLink, Outlet, create_slot  # noqa: E402 - the line above says why it may be missing

__all__ = ["LaneLink", "Outlet", "create_slot"]
