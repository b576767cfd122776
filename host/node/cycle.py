"""The order of a cycle: the one place that defines it, for every driver of a scheduler.

`cycle` does what is pure and yields a `Duty` for each step that touches the world. A driver performs the duties that
mean something for it, at once and in this order. Stopping in between is the same as being killed there.

    deliver     drained messages go into mailboxes; stop and go take effect
    run         transitions, for a bounded time (`Scheduler.run`), unless outputs wait to leave and no mail came
    "commit"
    "heads"     only where frames were drained
    "born"      only where something was spawned
    release     the outputs of the transitions leave, or are held
    "publish"
    "show"

Drivers: the worker (`host.live.worker.loop`), which devices share, the simulated process (`host.sim.process`), and the
node in one process (`host.live.inline`).
The cycle in C (`host/live/cycle/_cycle.c`) does the common case in the same order; a cycle that it cannot finish
is finished here.

A kill at each place, and what the slot's next process finds:

    before commit is done   the mail, in its lanes; the control page says which message was in flight
    before heads is done    the same mail again; marks drop what the log has already
    before publish is done  no output of this cycle: a journal has them and sends them again, else they are lost
    later                   all of it
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, Literal

from host.node.scheduler import RUN_NS_MAX
from transport.port import EVERYONE, KIND_GO, KIND_MESSAGES, KIND_STOP, Frame

if TYPE_CHECKING:
    from host.node.births import Births
    from host.node.outbox import Outbox
    from host.node.scheduler import Scheduler


CYCLE_MESSAGES_MAX: Final = 2_048
"""Messages drained for one cycle: the most that is repeated, or lost, when the process is killed in it."""


Duty = Literal["commit", "heads", "born", "publish", "show"]
"""A step that a driver of cycles performs where the cycle yields it:

    commit   make everything so far permanent: append it to the log, and sync where that is promised. Must be done
             before anything that follows. It is yielded once more, early, when the mail of one cycle fills the log's
             batch
    heads    give the room of the drained frames back to their senders
    born     announce the children, before a message that names one of them leaves
    publish  make the messages put into lanes visible to their receivers
    show     report the rest, and answer queries: the answers cover all mail drained before. No receiver waits for this

Words, not an enumeration: comparing with its members took longer than all else in an empty cycle.
"""


def cycle(scheduler: Scheduler, births: Births, frames: Sequence[Frame], budget_ns: int = RUN_NS_MAX) -> Iterator[Duty]:
    """One cycle over `frames`, which were just drained, with transitions for about `budget_ns`."""
    outbox, recording = scheduler.outbox, scheduler.recording
    for peer, kind, sender, target, mailbox, epoch, first_n, payloads in frames:
        if kind == KIND_MESSAGES:
            scheduler.deliver(peer, sender, target, mailbox, epoch, first_n, payloads)
            if recording is not None and recording.is_full:
                yield "commit"
        else:
            _hear(outbox, peer, kind, target)
    if frames or not scheduler.turns.outputs:
        scheduler.run(budget_ns)
    scheduler.park()
    yield "commit"
    if frames:
        yield "heads"
    if scheduler.turns.has_spawned:
        births.bear_spawned(scheduler)
        yield "born"
    outbox.release()
    yield "publish"
    scheduler.show()
    yield "show"


def _hear(outbox: Outbox, peer: int, kind: int, target: str) -> None:
    """A receiver in another slot sent stop or go."""
    if kind == KIND_STOP:
        outbox.stop(target, peer)
    elif kind == KIND_GO and target == EVERYONE:
        outbox.go_all(peer)
    elif kind == KIND_GO:
        outbox.go(target)
