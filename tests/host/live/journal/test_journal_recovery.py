"""What was appended is what is recovered: states, marks, outputs, timers, answers, children."""

from __future__ import annotations

from pathlib import Path

import pytest
from journal_engines import Bear, Decide, End, Fail, Gamble, Later, Odd, Pay
from journal_worker import BOOT, Clock, Worker, image_of, load, marks_of

from engines.model import Ref, encode
from host.live.journal.folder import Folder
from host.live.journal.frames import frame_bytes
from host.live.journal.recovery import Recovered, recover
from host.node.journal.checking import Diverged
from host.node.journal.layout import SEGMENT
from host.node.journal.records import TurnResult

PAID: Ref[object] = Ref("shop")


def folder_at(path: Path) -> Folder:
    return Folder(str(path / "slot"), make=True)


def recovered(folder: Folder) -> Recovered:
    return recover(folder, "node", load, BOOT)


@pytest.mark.parametrize("mode", ["crash", "durable"])
def test_everything_an_engine_is_comes_back(tmp_path: Path, mode: str) -> None:
    """False if a state, a mark, a timer, an answer, a child or an output differed after the process died."""
    folder = folder_at(tmp_path)
    worker = Worker(folder, mode)
    worker.bear("bank")
    worker.mail("alice", "bank", [Pay(5, PAID), Pay(7, PAID), Odd(1), Gamble(), Fail("no"), Bear("kid"), Later(50)])
    worker.commit()
    worker.mail("bob", "bank", [Pay(1, PAID)])
    worker.mail("alice", "bank", [Decide()])
    worker.commit()
    found = recovered(folder).replay.streams["bank"]
    live = worker.engines["bank"]
    assert found.env == live.cell.env
    assert found.turns == live.turns == 9
    assert marks_of(found) == {("alice", 0): (1, 9), ("bob", 0): (1, 2)}
    assert [(way, list(queue)) for way, queue in found.kept.unacked.items()] == [
        (("shop", 0), [(n, payload) for _, _, n, payload in worker.released])
    ]
    assert found.cell.suspension is not None
    assert found.cell.suspension.question.options == ("yes", "no")
    assert list(found.kept.children) == ["bank/kid"]
    assert found.cell.failed == 1


def test_a_choice_and_a_timer_go_on_after_the_death(tmp_path: Path) -> None:
    """False if an answer was lost or taken twice, or a timer fired twice or never."""
    folder = folder_at(tmp_path)
    worker = Worker(folder)
    worker.bear("bank")
    worker.mail("alice", "bank", [Later(50), Decide()])
    worker.commit()
    second = Worker(folder, clock=Clock(worker.clock.now_ns + 100))
    second.answer("bank", "yes")
    assert second.fire("bank")
    assert not second.fire("bank")
    second.commit()
    third = Worker(folder)
    assert third.clock() >= second.clock()
    assert not third.fire("bank")
    state = third.state("bank")
    assert (state.fired, state.decided) == (1, ("yes",))


def test_an_end_is_for_ever(tmp_path: Path) -> None:
    """False if an engine that ended were revived."""
    folder = folder_at(tmp_path)
    worker = Worker(folder)
    worker.bear("bank")
    worker.mail("alice", "bank", [End()])
    worker.commit()
    found = recovered(folder)
    assert list(found.replay.ended) == ["bank"]
    assert not found.replay.streams


def test_mail_that_did_not_run_waits(tmp_path: Path) -> None:
    """False if mail whose head moved, and which no turn handled, were lost."""
    folder = folder_at(tmp_path)
    worker = Worker(folder)
    worker.bear("bank")
    worker.journal.frame("bank", frame_bytes("alice", "bank", 0, 1, 1, [encode(Pay(n, PAID)) for n in range(3)]))
    worker.commit()
    waiting = image_of(recovered(folder).replay.streams["bank"]).cell.waiting
    assert [(one.sender, one.epoch, one.first_n, len(one.payloads)) for one in waiting] == [("alice", 1, 1, 3)]


def test_a_repeat_is_dropped_and_a_gap_is_noted(tmp_path: Path) -> None:
    """False if a message that came twice were handled twice, or one that is missing went unnoticed."""
    folder = folder_at(tmp_path)
    worker = Worker(folder)
    worker.bear("bank")
    worker.mail("alice", "bank", [Pay(1, PAID), Pay(1, PAID)])
    worker.mail("alice", "bank", [Pay(1, PAID), Pay(1, PAID)], first_n=2)
    worker.mail("alice", "bank", [Pay(1, PAID)], first_n=9)
    worker.commit()
    found = recovered(folder)
    assert found.replay.streams["bank"].env.state.balance == 4
    assert found.replay.notes == ["bank: gap from alice at message 9"]


def test_epochs_rise_only_where_history_may_be_lost(tmp_path: Path) -> None:
    """False if numbers given out again kept their epoch, or an epoch rose for nothing."""
    folder = folder_at(tmp_path)
    worker = Worker(folder)
    worker.bear("bank")
    worker.commit()
    assert Worker(folder).engines["bank"].epoch == 1
    after_boot = Worker(folder, boot=b"another boot....")
    assert after_boot.engines["bank"].epoch == 2
    after_boot.journal.close()
    assert Worker(folder, boot=b"a third one.....").engines["bank"].epoch == 2


def test_an_epoch_rises_although_the_life_that_would_raise_it_was_killed(tmp_path: Path) -> None:
    """False if a kill between the new segment and the LIFE record in it hid the loss of power before."""
    folder = folder_at(tmp_path)
    worker = Worker(folder)
    worker.bear("bank")
    worker.commit()
    Worker(folder, boot=b"another boot....")
    path = tmp_path / "slot" / folder.names()[-1]
    path.write_bytes(path.read_bytes()[: SEGMENT.size])
    assert Worker(folder, boot=b"another boot....").engines["bank"].epoch == 2


def test_a_write_that_a_kill_tore_keeps_the_epoch(tmp_path: Path) -> None:
    """False if outputs that are not acknowledged left again under a new epoch, and were taken twice.

    The kernel stops a write of more than a page at a SIGKILL, so the log ends in a part of a batch.
    """
    folder = folder_at(tmp_path)
    worker = Worker(folder)
    worker.bear("bank")
    worker.commit()
    worker.mail("alice", "bank", [Pay(1, PAID)])
    worker.commit()
    [name] = [name for name in folder.names() if name.endswith(".log")]
    path = tmp_path / "slot" / name
    path.write_bytes(path.read_bytes()[:-20])
    again = Worker(folder)
    assert recovered(folder).replay.streams["bank"].turns == 0, "the torn batch counts for nothing"
    assert again.engines["bank"].epoch == 1


def test_outputs_that_differ_stop_the_replay(tmp_path: Path) -> None:
    """False if a family that now does something else went on from there."""
    folder = folder_at(tmp_path)
    worker = Worker(folder)
    worker.bear("bank")
    worker.mail("alice", "bank", [Pay(1, PAID)])
    code = load("journal_engines:ACCOUNT").version
    worker.journal.frame("bank", frame_bytes("alice", "bank", 0, 1, 2, [encode(Pay(2, PAID))]))
    worker.journal.turn("bank", "alice", 0, 1, 2, code, 1, 7, TurnResult.COMMITTED)
    worker.commit()
    with pytest.raises(Diverged, match=r"bank, turn 2: recorded committed with outputs 00000007") as caught:
        recovered(folder)
    assert caught.value.outputs


@pytest.mark.parametrize("mode", ["crash", "durable"])
@pytest.mark.parametrize("builds", [("off", "auto"), ("auto", "off")])
def test_a_log_goes_on_under_the_other_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, builds: tuple[str, str]
) -> None:
    """False if a node with a compiler and one without could not read, and carry on, each other's logs."""
    folder = folder_at(tmp_path)
    for life, build in enumerate([*builds, *builds], 1):
        monkeypatch.setenv("ENGINEHOST_NATIVE", build)
        worker = Worker(folder, mode)
        if life == 1:
            worker.bear("bank")
        worker.mail("alice", "bank", [Pay(1, PAID), Pay(2, PAID)])
        worker.commit()
        assert recovered(folder).replay.streams["bank"].turns == 2 * life
