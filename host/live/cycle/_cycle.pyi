"""The common case of a worker's cycle, in C; `_cycle.c` describes what it does, and what it leaves to Python."""

from typing import Any, final

from host.node.journaled.keeping import Ledger
from host.node.scheduler import Scheduler
from transport.port import Frame

@final
class Cycle:
    """Cycles over the lanes of one slot.

    Args:
        link: a `LaneLink`.
        page: `ControlPage.memory`.
        offset_ns: of the engine clock (`host.live.clock`), which is then read without a call; None: `scheduler.clock`.
        ledger: of a slot with a journal.
    """

    def __init__(
        self, link: Any, scheduler: Scheduler, page: memoryview, offset_ns: int | None, ledger: Ledger | None = None
    ) -> None: ...
    def run(self, poll_ns: int, rests: bool, /) -> list[Frame] | None:
        """Run cycles while they are of the common kind, sleeping between them. Only while `Worker.is_calm`.

        With `rests` False, return instead of sleeping; also if `Ledger.commit` demands that. Returns None once a
        descriptor is ready, a deadline came, or `poll_ns` of work have passed; a list of frames if `Worker.turn` has to
        finish the cycle with them. Raises `Broken` as `Link.drain`, before a cycle.
        """
