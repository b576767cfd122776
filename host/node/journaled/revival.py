"""Revives the engines found in a slot's log: each stream becomes a cell, with its pending work restored.

Order: every stream becomes a cell with its marks, timers, waiting mail and unacknowledged outputs; the findings are
reported to the node, then the engines it did not know; children whose birth is not in the log are born; only then are
the node file's engines ready. Nothing is run or sent to engines here. A kill at any point changes nothing: the next
revival writes the same records again. A worker revives what it read from files (`host.live.journal.recovery`), the
simulator what it read from memory (`host.sim.log`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Mapping
from typing import Any, Final

import msgspec

from engines.model.blame import blame
from host.config.spec import EngineSpec
from host.node.births import Births, plain
from host.node.cell import NOBODY, Cell
from host.node.journal.checking import Diverged
from host.node.journal.old_rules import DETAIL, Formed
from host.node.journal.records import EndRecord
from host.node.journal.records import SpawnRecord as SpawnedChild
from host.node.journal.replay import Replay
from host.node.journal.scan import Scan
from host.node.journal.stream import Stream
from host.node.journaled.keeping import EngineRecorder, Keeping
from host.node.news import DIVERGED, Event, SetAside
from host.node.recorder import NumberedMessage
from host.node.report import Offspring
from host.node.routing import Birth
from host.node.scheduler import Scheduler
from host.node.set_aside import park, state_digest

RECOVERED_SHOWN: Final = 100
"""Engines of a log that get an event of their own; the rest are counted."""


class LogContent(msgspec.Struct):
    """What a log held. `turns` were run again, in `took_ns`; `refused` are snapshots that could not be used.

    `is_followed`: turns of other code in it were run by the present code before, so they need no image behind them.
    `diverged` are engines whose state differs from the one their log records, `formed` those whose turns ran before
    there was a value law.
    """

    replay: Replay
    scan: Scan
    turns: int
    took_ns: int
    refused: tuple[str, ...]
    same_boot: bool
    diverged: dict[str, Diverged]
    formed: dict[str, Formed]
    is_followed: bool


class Revival:
    """One revival of a slot's engines."""

    def __init__(
        self,
        scheduler: Scheduler,
        births: Births,
        keeping: Keeping,
        announce: Callable[[], None],
        *,
        parked: Container[str],
        is_new: bool,
    ) -> None:
        """`announce` reports children to the node. `is_new`: nobody handed the slot over, so no stop was sent."""
        self.births = births
        self.clock = scheduler.clock
        self.keeping = keeping
        self.scheduler = scheduler
        self._announce = announce
        self._is_new = is_new
        self._parked = parked

    def run(self, found: LogContent, births: Mapping[str, Birth]) -> list[Cell]:
        """Revive the engines of the log; report those the node did not know, and the time it took.

        Returns those of `births`, or all of a slot that was handed over; they are ready once what this wrote is in the
        log. Ended engines with waiting outputs are included: their process is up, and the node's start must not wait
        for the acknowledgements.
        """
        scheduler, replay, reborn = self.scheduler, found.replay, self._reborn(found, births)
        scheduler.ended.update(dict.fromkeys(name for name in replay.ended if name not in reborn))
        known: list[Cell] = []
        others: list[Cell] = []
        for name, stream in replay.streams.items():
            birth = births.get(name)
            if birth is not None and birth.spec.durability == "volatile":
                self.keeping.log.record(name, EndRecord("volatile from now on"))
                continue
            mode = stream.kept.mode
            is_other = name in found.diverged or name in found.formed
            by_other_code = not found.is_followed and stream.codes != {stream.family.version}
            cell = self._go_on(stream, birth, is_other=is_other or by_other_code)
            (others if birth is None and self._is_new else known).append(cell)
            if len(known) + len(others) <= RECOVERED_SHOWN:
                self._tell_recovered(name, {"turns": stream.turns, "mode": mode}, found)
            if name in found.formed:
                self._tell_formed(cell, found.formed[name])
            if (error := found.diverged.get(name)) is not None:
                diverged = {"turn": error.turn, "recorded": error.recorded, "found": error.found}
                scheduler.report.events.append(Event(DIVERGED, name, diverged))
        for name, stream in replay.leaving.items():
            cell = self._go_on(stream, None, is_other=False)
            if name in births and births[name].spec.durability != "volatile":
                known.append(cell)
        if (more := len(known) + len(others) - RECOVERED_SHOWN) > 0:
            self._tell_recovered("", {"engines": more}, found)
        self._tell_found(found)
        for cell in others:
            scheduler.report.spawned.append(_as_child(cell, self.keeping.kept[cell.name]))
        for kept in tuple(self.keeping.kept.values()):
            for child in kept.children.values():
                self._spawn_again(kept.cell, child)
        self._announce()  # children before the engines whose readiness makes the node ready
        return known

    def _tell_recovered(self, name: str, fields: dict[str, Any], found: LogContent) -> None:
        fields |= {"replayed": found.turns, "took_ns": found.took_ns}
        self.scheduler.report.events.append(Event("recovered", name, fields))

    def _reborn(self, found: LogContent, births: Mapping[str, Birth]) -> set[str]:
        """Names with a tombstone that live again: an engine of the node file that has become volatile."""
        return {name for name in births if births[name].spec.durability == "volatile" and name in found.replay.ended}

    def _go_on(self, stream: Stream, birth: Birth | None, *, is_other: bool) -> Cell:
        """Turn a stream into a cell. Its unacknowledged outputs leave before it gets a trigger.

        `is_other`: its state may not be the one its log leads to, so an image of it is written.
        """
        kept, cell = stream.go_on(), stream.cell
        before = kept.mode
        self.keeping.take_over(kept)
        if self._is_new:
            cell.told = NOBODY
            cell.poison = birth.spec.child.poison if birth else "skip"
        waits = cell.depth > 0 and not self._is_new and any(inbox.says_stop for inbox in cell.inboxes.values())
        cell.is_stopping = bool(cell.told) or waits
        for (target, mailbox), outputs in kept.unacked.items():
            held = cell.held.setdefault(target, deque())
            held.extend((mailbox, NumberedMessage(n, msgspec.Raw(payload), len(payload))) for n, payload in outputs)
        if cell.name in self._parked:
            park(cell)
        if self._is_new:
            self._wait_again(cell)
        else:
            self.scheduler.take_in(cell)
        is_other = is_other or stream.is_of_other_family or before != kept.mode
        if is_other and not cell.is_ended:
            self.keeping.log.record(cell.name, kept.image("version", self.clock()))
        if cell.suspension is not None:
            self.scheduler.report.suspended(cell.name, cell.suspension)
        return cell

    def _wait_again(self, cell: Cell) -> None:
        """Take in a cell whose mail may have killed the process before this one, batch by batch."""
        waiting = [(inbox, batch) for inbox in cell.inboxes.values() for batch in inbox.take_batches()]
        self.scheduler.take_in(cell)
        for inbox, batch in sorted(waiting, key=lambda one: one[1].arrival):
            self.scheduler.tally.received += batch.left
            self.scheduler.arrivals.wait_in(cell, inbox, batch, None)

    def _tell_formed(self, cell: Cell, formed: Formed) -> None:
        """Triggers left out of the state are in quarantine before its image is in the log."""
        report, now_ns = self.scheduler.report, self.clock()
        detail, state = DETAIL + formed.reason, state_digest(cell)
        for one in formed.left_out:
            report.set_aside.append((SetAside(one.trigger, now_ns, state, cell.family.version, detail), one.payload))
        if formed.left_out or formed.is_converted:
            fields = {"turn": formed.turn, "left_out": len(formed.left_out), "reason": formed.reason}
            report.events.append(Event("brought_to_form", cell.name, fields))

    def _tell_found(self, found: LogContent) -> None:
        events = self.scheduler.report.events
        if (cut := found.scan.cut) is not None:
            fields = {"segment": cut.segment, "offset": cut.offset, "finding": cut.finding}
            events.append(Event("journal_cut", "", fields))
        for refused in found.refused:
            events.append(Event("snapshot_refused", "", {"finding": refused}))
        for name, reason in found.replay.unread.items():
            events.append(Event("image_unread", name, {"reason": reason}))
        for note in found.replay.notes:
            events.append(Event("journal_note", "", {"note": note}))

    def _spawn_again(self, parent: Cell, child: SpawnedChild) -> None:
        """Spawn a child whose birth is not in the log. For a name that exists already, this does nothing."""
        scheduler = self.scheduler
        if child.name in scheduler.cells or child.name in scheduler.ended:
            return
        params, state = msgspec.msgpack.decode(child.params), child.state
        spec = EngineSpec(
            name=child.name,
            family=child.family,
            params=params or {},
            state=None if state is None else msgspec.msgpack.decode(state),
            acquaintances=(parent.name,),
            durability=self.keeping.kept[parent.name].mode,
        )
        is_here = self.births.are_here
        if is_here:
            try:
                self.births.bear(scheduler, spec, parent.name, 1)
            except BaseException as error:
                fields = {"child": child.name, "family": child.family, "error": blame(error)[0]}
                scheduler.report.events.append(Event("spawn_failed", parent.name, fields))
        scheduler.report.spawned.append(
            Offspring(spec, parent.name, is_here, scheduler.cells.get(child.name), again=True)
        )


def _as_child(cell: Cell, kept: EngineRecorder) -> Offspring:
    """An engine of the log that is not in the node file: spawned in an earlier life, or removed from the file."""
    spec = EngineSpec(
        name=cell.name, family=cell.family.ref, params=plain(cell.configuration.params) or {}, durability=kept.mode
    )
    return Offspring(spec, cell.configuration.parent or "", True, cell)
