"""From the ring of a process to the past of its volatile engines: each trigger is run again by the code in force.

The engine as it is now tells whether that was right: a rule that looks at a clock, say, ends elsewhere, and its engine
has no past that anything could be compared with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from engines.model import Delivery, Due, step
from host.node.cell import Cell
from host.node.mailbox import Mail
from host.node.past import STATES_BYTES_MAX, Past, PastEngines, PastLost, env_after
from host.node.trigger_ring import AnsweredTrigger, Base, Half, RingEntry, TriggerRing, past_trigger, times_of

TOO_LARGE: Final = "its last messages are too large to be kept"
NOT_REPRODUCED: Final = "its last triggers, run again, do not lead to its state"

ReadFrame = Callable[[memoryview], Mail]


class Kept(NamedTuple):
    """A trigger of an engine, with its time and answers."""

    now_ns: int
    cause: Delivery[Any] | Due
    answers: tuple[Any, ...]


def ring_pasts(ring: TriggerRing, cells: Mapping[str, Cell], count: int, read_frame: ReadFrame) -> Iterator[Past]:
    """The last `count` triggers of each of these engines, as far as the ring has them."""
    began = [name for name in cells if name in ring.newer.bases or name in ring.older.bases]
    by_number = {half: _by_number(ring, half) for half in (ring.older, ring.newer)}
    for name in began:
        halves = ring.halves_of(name)
        bases = [base for half in halves if (base := half.bases[name]) is not None]
        entries = [entry for half, base in zip(halves, bases, strict=True) for entry in by_number[half][base.number]]
        if not bases:
            yield PastLost(name, TOO_LARGE)
            continue
        kept = [*_triggers(cells[name], entries, read_frame)]
        yield from _past_of(cells[name], bases[0], kept, count, STATES_BYTES_MAX // len(began))


def _by_number(ring: TriggerRing, half: Half) -> dict[int, list[RingEntry]]:
    """The entries of a half by the number of their engine."""
    found = defaultdict[int, list[RingEntry]](list)
    for entry in ring.entries(half):
        found[entry.number].append(entry)
    return found


def _past_of(cell: Cell, base: Base, kept: list[Kept], count: int, states_bytes_max: int) -> Iterator[Past]:
    skipped = max(0, len(kept) - count)
    engine, env = PastEngines(states_bytes_max), base.env
    for n, (now_ns, cause, answers) in enumerate(kept, 1):
        if n == skipped + 1:
            engine.begin(base.family, base.configuration, env)
        outcome = step(base.family, base.configuration, env, cause, now_ns, answers)
        env = env_after(env, cause, outcome)
        if n > skipped:
            engine.keep(n, now_ns, past_trigger(cause), answers, outcome, env)
    if cell.env is None or base.family.dump(env) != base.family.dump(cell.env):
        yield PastLost(cell.name, NOT_REPRODUCED)
        return
    engine.close(env)
    yield from engine.past


def _triggers(cell: Cell, entries: Iterable[RingEntry], read_frame: ReadFrame) -> Iterator[Kept]:
    """The triggers of an engine, one by one."""
    for _, what, when in entries:
        if isinstance(what, AnsweredTrigger):
            assert isinstance(when, int)
            yield Kept(when, *what)
            continue
        mail = read_frame(what) if isinstance(what, memoryview) else what
        inbox = cell.inboxes[mail.mailbox]
        decode = inbox.decode or inbox.find_decode()
        for now_ns, payload in zip(times_of(when, len(mail.payloads)), mail.payloads, strict=True):
            message = decode(payload) if isinstance(payload, bytes) else payload
            yield Kept(now_ns, Delivery(mail.sender, mail.mailbox, message), ())
