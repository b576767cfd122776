"""What a slot does and what a recovery makes of its log, compared as a whole: bounds, choices, strides, outputs.

Other tests write logs by hand or compare two loops with each other; this one runs the live loop and stops anywhere.
"""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_engines import Decide, Fail, Gamble, Later, Odd, Pay, Venture
from journal_worker import BOOT, LOG_ID, Clock, image_of, load
from simulated_disk import SimulatedFolder

from engines.model import Configuration, Ref, birth, encode
from host.config.spec import MailboxSpec
from host.live.journal.checksums import checksums
from host.live.journal.frames import frame_bytes
from host.live.journal.recovery import begin, recover
from host.node.journal.digest import Digest
from host.node.journal.records import StreamImage
from host.node.journaled.keeping import Keeping
from host.node.outbox import Outbox
from host.node.progress import Unseen
from host.node.report import Report
from host.node.scheduler import Scheduler
from transport.local import Hub

PAYLOADS = [encode(one) for one in (Pay(5, Ref("shop")), Later(30), Gamble(), Decide(), Venture(), Fail("no"), Odd(1))]
UNREADABLE = b"\xc1"
MAIL = st.tuples(
    st.just("mail"), st.sampled_from("ab"), st.lists(st.sampled_from([*PAYLOADS, UNREADABLE]), min_size=1, max_size=4)
)
REPEAT = st.tuples(st.just("repeat"), st.sampled_from("ab"), st.integers(1, 4))
RUN = st.sampled_from([("run", 0), ("run", 1)])
"""One stride, or until nothing can run."""
SHOP, REST = st.just(("shop",)), st.sampled_from([("yes",), ("first",), ("time",)])
STEPS = st.one_of(MAIL, RUN, SHOP, MAIL, RUN, REPEAT, RUN, REST)


class Slot:
    """One journaled engine in a scheduler, and its log on a simulated disk. Its neighbour `shop` is not known."""

    def __init__(self, policy: str) -> None:
        self.clock, self.folder = Clock(), SimulatedFolder()
        self.journal = begin(
            self.folder, recover(self.folder, "node", load, BOOT), BOOT, self.clock, durable=False, log_id=LOG_ID
        )
        keeping = Keeping(self.journal, Digest(checksums()[self.journal.head.kind]), frame_bytes, Hub().link(1))
        keeping.modes["bank"] = "crash"
        self.scheduler = Scheduler(self.clock, lambda sides: sides - 1, Unseen(), Report(), Outbox(1, 1), keeping)
        family = load("journal_engines:ACCOUNT")
        configuration = Configuration[None]("node", "bank")
        env = birth(family, configuration, now_ns=self.clock())
        cell = self.scheduler.give_birth(family, configuration, env, {0: MailboxSpec(3, policy)})
        assert cell is not None
        self.cell, self.kept = cell, keeping.kept["bank"]
        self.sent: dict[str, int] = {"a": 1, "b": 1}
        self.journal.append()

    def do(self, what: str, *details: object) -> None:
        """One step; mail is not run by its own."""
        scheduler = self.scheduler
        match what, details:
            case "mail", (str() as sender, list() as payloads):
                scheduler.deliver(0, sender, "bank", 0, 1, self.sent[sender], payloads)
                self.sent[sender] += len(payloads)
            case "repeat", (str() as sender, int() as back):
                first_n = max(1, self.sent[sender] - back)
                payloads = [encode(Odd(1))] * (self.sent[sender] - first_n)
                if payloads:
                    scheduler.deliver(0, sender, "bank", 0, 1, first_n, payloads)
            case "run", (int() as budget_ns,):
                scheduler.run(budget_ns)
            case "first", ():
                self.cell.inboxes[0].put_first("b")
            case "yes", ():
                scheduler.answer("bank", "yes")
            case "shop", ():
                scheduler.outbox.route("shop", None)
            case "time", ():
                self.clock.now_ns += 20
        scheduler.park()
        scheduler.outbox.release()
        self.journal.append()


def essence(image: StreamImage) -> object:
    """An image without what a recovery does not owe: stops in force, how mail lies in batches, and what left: outputs,
    and messages that a bound refused."""
    cell = image.cell
    _, received, _, failed, ignored = cell.counters
    mail = {(one.sender, one.first_n + at): each for one in cell.waiting for at, each in enumerate(one.payloads)}
    bare = msgspec.structs.replace(cell, waiting=[], told=(), poison="", counters=(0, received, 0, failed, ignored))
    return msgspec.structs.replace(image, clock_ns=0, cell=bare), mail


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["wait", "reject"]), st.lists(STEPS, min_size=1, max_size=40))
def test_a_recovery_makes_what_there_was(policy: str, steps: list[tuple[object, ...]]) -> None:
    """False if a recovery at any point gave another engine than the one that ran: state, mail, marks, question,
    outputs, numbers or counts."""
    slot = Slot(policy)
    for what, *details in steps:
        slot.do(str(what), *details)
    found = recover(slot.folder, "node", load, BOOT)
    assert not found.diverged
    assert essence(image_of(found.replay.streams["bank"])) == essence(slot.kept.image("snapshot", 0))
