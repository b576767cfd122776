"""Outputs of a journaled engine: kept until they are acknowledged, and not more than a bound."""

from __future__ import annotations

from typing import Any

from engines.model import Arrived, Configuration, Effects, Family, Message, Ref, Send, Value, birth, encode, rule
from host.live.journal.checksums import checksums
from host.live.journal.frames import frame_bytes
from host.node.births import Births
from host.node.cycle import cycle
from host.node.journal.batch import LogBatch
from host.node.journal.checksum import CRC32
from host.node.journal.digest import Digest
from host.node.journal.layout import packer
from host.node.journaled.acks import FULL
from host.node.journaled.keeping import Keeping
from host.node.outbox import Outbox
from host.node.progress import Unseen
from host.node.report import Report
from host.node.scheduler import Scheduler
from transport.local import Hub

FAR = 2


class Echo(Message):
    text: str


class Say(Message):
    to: Ref[Echo]
    text: str


class Said(Value):
    count: int = 0


@rule
def say(m: Say, t: Arrived[Say, None, Said]) -> Effects[Said, Echo]:
    return [Send(m.to, Echo(m.text))]


@rule
def hear(_m: Echo, t: Arrived[Echo, None, Said]) -> Effects[Said, Echo]:
    return Said(t.env.state.count + 1)


SPEAKER = Family("speaker", accepts=Say | Echo, emits=Echo, state=Said()).rules(say, hear)


class Slot:
    """A slot with a journal in memory, and the far end of its link."""

    def __init__(self) -> None:
        hub = Hub()
        self.link, self.far = hub.link(1), hub.link(FAR)
        self.link.attach(FAR)
        self.far.attach(1)
        checksum = checksums()[CRC32]
        self.log = LogBatch(packer(checksum))
        self.keeping = Keeping(self.log, Digest(checksum), frame_bytes, self.link)
        self.births = Births("node", _nothing, are_here=True)
        self.outbox = Outbox(1, 1, self.link)
        self.scheduler = Scheduler(lambda: 1, lambda sides: 0, Unseen(), Report(), self.outbox, self.keeping)
        self.number = 0

    def bear(self, name: str, *, kept: bool = True) -> None:
        """An engine of the family above."""
        if kept:
            self.keeping.modes[name] = "crash"
        configuration = Configuration[Any]("node", name)
        self.scheduler.give_birth(SPEAKER, configuration, birth(SPEAKER, configuration, now_ns=1), {})

    def say(self, engine: str, to: str, text: str) -> None:
        """One message, run; its output leaves."""
        self.number += 1
        self.scheduler.deliver(0, "user", engine, 0, 1, self.number, [encode(Say(Ref(to), text))])
        self.cycle()

    def cycle(self) -> None:
        """As a worker does it, with a log in memory."""
        acks = self.keeping.acks
        for duty in cycle(self.scheduler, self.births, ()):
            if duty == "commit":
                acks.hear_released()
                for cell in acks.free(self.keeping.unacked_bytes_max):
                    self.scheduler.wake(cell)
                self.log.take()
                acks.appended()
            elif duty == "publish":
                self.link.flush()
                self.keeping.flushed()

    def unacked(self, name: str) -> int:
        """Outputs kept for an engine."""
        return sum(len(outputs) for outputs in self.keeping.kept[name].unacked.values())


def _nothing(ref: str) -> Any:
    raise AssertionError(ref)


def test_an_output_over_a_link_is_kept_until_it_is_released() -> None:
    """A kill of the receiver before it wrote loses it; or it is kept for ever."""
    slot = Slot()
    slot.bear("a")
    slot.outbox.route("far", FAR)
    slot.say("a", "far", "x")
    assert slot.unacked("a") == 1
    slot.far.drain(10)
    slot.cycle()
    assert slot.unacked("a") == 1, "drained is not released"
    slot.far.release()
    slot.cycle()
    assert slot.unacked("a") == 0


def test_an_engine_that_keeps_too_much_waits_for_acknowledgements() -> None:
    """A receiver that is away costs its sender all memory."""
    slot = Slot()
    slot.bear("a")
    slot.outbox.route("far", FAR)
    slot.keeping.unacked_bytes_max = 100
    slot.say("a", "far", "x" * 200)
    assert FULL in slot.scheduler.cells["a"].held
    slot.say("a", "far", "y")
    assert slot.unacked("a") == 1, "no trigger meanwhile"
    slot.far.drain(10)
    slot.far.release()
    slot.cycle()
    assert FULL not in slot.scheduler.cells["a"].held
    slot.cycle()
    (frame,) = slot.far.drain(10)
    assert (frame.epoch, frame.first_n, frame.payloads) == (1, 2, [encode(Echo("y"))])


def test_an_output_to_a_journaled_neighbour_is_done_with_the_next_batch() -> None:
    """It is forgotten before the neighbour's log has it."""
    slot = Slot()
    slot.bear("a")
    slot.bear("b")
    slot.say("a", "b", "x")
    assert slot.unacked("a") == 1
    slot.cycle()
    assert slot.unacked("a") == 0
    assert slot.scheduler.cells["b"].env.state.count == 1


def test_an_output_that_becomes_a_dead_letter_is_done() -> None:
    """It is sent again by every recovery."""
    slot = Slot()
    slot.bear("a")
    slot.outbox.route("nobody", None, "unknown")
    slot.say("a", "nobody", "x")
    assert slot.unacked("a") == 1
    slot.outbox.route("nobody", None, "unknown")
    assert slot.unacked("a") == 0


def test_a_volatile_engine_in_the_slot_writes_nothing() -> None:
    """It costs the log what nobody will read."""
    slot = Slot()
    slot.bear("v", kept=False)
    slot.outbox.route("far", FAR)
    slot.say("v", "far", "x")
    assert slot.log.take() == (b"", 0)
    assert len(slot.far.drain(10)) == 1
