"""An engine that ended: what it had sent is in the log until it is acknowledged."""

from __future__ import annotations

from pathlib import Path

from journal_engines import End, Pay
from journal_worker import BOOT, Worker, load, log_state_of

from engines.model import Ref
from host.live.journal.folder import Folder
from host.live.journal.recovery import Recovered, begin, recover
from host.node.journal.records import Acked

SHOP: Ref[object] = Ref("shop")


def recovered(folder: Folder) -> Recovered:
    return recover(folder, "node", load, BOOT)


def test_what_an_engine_sent_before_its_end_is_kept_until_it_is_acknowledged(tmp_path: Path) -> None:
    """Its last words are lost with the process, or said again by every life."""
    folder = Folder(str(tmp_path / "slot"), make=True)
    worker = Worker(folder)
    worker.bear("bank")
    worker.mail("alice", "bank", [Pay(5, SHOP), Pay(7, SHOP), End()])
    worker.commit()
    found = recovered(folder)
    assert not found.replay.streams
    assert list(found.replay.ended) == ["bank"]
    assert [n for n, _ in found.replay.leaving["bank"].kept.unacked["shop", 0]] == [1, 2]
    journal = begin(folder, found, BOOT, worker.clock, durable=False)
    journal.record("bank", Acked("shop", 0, 2))
    journal.append()
    again = recovered(folder)
    assert [n for n, _ in again.replay.leaving["bank"].kept.unacked["shop", 0]] == [2]
    state = log_state_of(again.replay)
    assert [image.cell.is_ended for image in state.streams] == [True]
    journal.record("bank", Acked("shop", 0, 3))
    journal.append()
    assert not recovered(folder).replay.leaving
