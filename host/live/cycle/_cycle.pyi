"""The common case of a worker's cycle, in C; what it does and leaves to Python stands in `_cycle.c`."""

from typing import Any, final

from host.node.journaled.ledger import Ledger
from host.node.progress import Words
from host.node.scheduler import Scheduler
from transport.port import Frame

@final
class Cycle:
    """Cycles over the lanes of one slot.

    Args:
        link: a `LaneLink`.
        words: the row of a control page.
        offset_ns: of the engine clock (`host.live.clock`), which is then read without a call; None: `scheduler.clock`.
        ledger: of a slot with a journal.
    """

    def __init__(
        self, link: Any, scheduler: Scheduler, words: Words, offset_ns: int | None, ledger: Ledger | None = None
    ) -> None: ...
    def run(self, poll_ns: int, rests: bool, /) -> list[Frame] | None:
        """Run cycles while they are of the common kind, asleep between them. Only while `Worker.is_calm`.

        `rests` False: come back instead of sleeping, also where `Ledger.commit` wants it.
        None: nothing is left to do, but a descriptor is ready, a deadline came, or `poll_ns` of work have passed. A
        list: `Worker.turn` finishes the cycle with these frames. Raises `Broken` as `Link.drain`, before a cycle.
        """
