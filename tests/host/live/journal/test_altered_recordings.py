"""`enginehost conform` on recordings that were altered, with valid checksums: each is rejected at the right record."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from altered_logs import AlteredLog, Record
from journal_engines import Decide, Gamble, Later, Pay, Tick
from journal_worker import ROOT, Worker

from engines.model import Ref, encode
from engines.model.store.dump import FORMAT
from host.live.journal import data_folder
from host.live.journal.conformance import conformance
from host.live.journal.frames import frame_bytes, read_frame
from host.node.journal.records import AnswerRecord, DueTurn, RecordKind, StateDigest, TurnResult
from host.node.set_aside import environment_digest

SHOP: Ref[object] = Ref("shop")
ROUNDS = 8
MUTATIONS = 60

Expected = tuple[Record, int, str]
"""The record that has to be named, the turn, and the kind of the deviation."""


def rounds(worker: Worker) -> None:
    """Runs of payments, a roll, a timer, a choice; digests behind every second round."""
    for number in range(1, ROUNDS + 1):
        worker.clock.now_ns += 1_000_000
        worker.mail("alice", "bank", [Pay(number * 10 + one, SHOP) for one in range(4)])
        worker.mail("carol", "bank", [Gamble()])
        worker.mail("dave", "bank", [Later(10)])
        worker.mail("bob", "ticks", [Tick(number, "tick"), Tick(number, "tock")])
        worker.commit()
        worker.clock.now_ns += 100
        assert worker.fire("bank")
        worker.mail("alice", "bank", [Pay(number, SHOP), Pay(number + 1, SHOP)])
        worker.mail("erin", "bank", [Decide()])
        worker.commit()
        worker.answer("bank", "yes")
        if number % 2 == 0:
            for name in ("bank", "ticks"):
                cell = worker.engines[name].cell
                worker.journal.record(name, StateDigest(FORMAT, environment_digest(cell.family, cell.env)))
        worker.commit()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a log of two engines."""
    data = str(tmp_path_factory.mktemp("recorded") / "data")
    data_folder.pin(data, "node", (ROOT,), 7)
    worker = Worker(data_folder.log_folder(data, "bank", make=True), "durable")
    worker.bear("bank")
    worker.bear("ticks", "journal_engines:COUNTER")
    rounds(worker)
    worker.journal.close()
    return Path(data)


def verdict(data: Path) -> dict[str, Any]:
    """What `conform` says of it."""
    logs = data_folder.find_logs(str(data))
    (item,) = conformance(logs.folders, logs.node.node, logs.node.roots, None)
    return item


def payments(log: AlteredLog) -> list[Record]:
    """Runs of payments, the only turns of bank with outputs: of more than one turn."""
    return [one for one in log.of("bank", RecordKind.TURNS) if len(one.turns) > 1]


def outputs(log: AlteredLog, chance: Random) -> Expected:
    """Another checksum of outputs."""
    record = chance.choice(payments(log))
    at = chance.randrange(len(record.turns))
    turns = record.turns
    now_ns, checksum, result, answers = turns[at]
    turns[at] = (now_ns, checksum ^ 1 << chance.randrange(32), result, answers)
    record.turns = turns
    return record, log.turns_before(record) + at + 1, "outcome"


def result(log: AlteredLog, chance: Random) -> Expected:
    """Another outcome."""
    record = chance.choice(log.of(chance.choice(["bank", "ticks"]), RecordKind.TURNS))
    at = chance.randrange(len(record.turns))
    turns = record.turns
    now_ns, checksum, was, answers = turns[at]
    others = [one for one in TurnResult if one not in (was, TurnResult.SKIPPED)]
    turns[at] = (now_ns, checksum, chance.choice(others), answers)
    record.turns = turns
    return record, log.turns_before(record) + at + 1, "outcome"


def payload(log: AlteredLog, chance: Random) -> Expected:
    """Another message, from outside: the turn over it has other outputs."""
    record = chance.choice(payments(log))
    frame = next(one for one in reversed([*_before(log, record)]) if one.kind == RecordKind.FRAME)
    mail = read_frame(memoryview(frame.body))
    at = chance.randrange(len(mail.payloads))
    assert mail.first_n == record.first_n
    content = [bytes(one) for one in mail.payloads]
    content[at] = encode(Pay(chance.randrange(100, 1000), SHOP))
    frame.body = frame_bytes(mail.sender, mail.target, mail.mailbox, mail.epoch, mail.first_n, content)
    return record, log.turns_before(record) + at + 1, "outcome"


def dropped(log: AlteredLog, chance: Random) -> Expected:
    """A turn is missing within its run: the next one's record is then over its message."""
    record = chance.choice(payments(log))
    at = chance.randrange(len(record.turns) - 1)
    record.turns = record.turns[:at] + record.turns[at + 1 :]
    return record, log.turns_before(record) + at + 1, "outcome"


def dropped_at_the_end(log: AlteredLog, chance: Random) -> Expected:
    """The last turn of a run is missing: the next run of the stream, or a digest, does not follow."""
    record = chance.choice(payments(log)[:-1])
    record.turns = record.turns[:-1]
    for later in log.after(record):
        if later.kind == RecordKind.DIGEST and later.engine == "bank":
            return later, log.turns_before(later), "state"
        if later in payments(log):
            return later, log.turns_before(later) + 1, "order"
    raise AssertionError("nothing follows")


def doubled(log: AlteredLog, chance: Random) -> Expected:
    """A turn is there twice: the second is over another message, or over one that is not there."""
    record = chance.choice(payments(log))
    count = len(record.turns)
    at = chance.randrange(count)
    record.turns = record.turns[: at + 1] + record.turns[at:]
    return record, log.turns_before(record) + at + 2, "outcome" if at + 1 < count else "record"


def roll(log: AlteredLog, chance: Random) -> Expected:
    """Another roll changes the state alone, so the next digest tells."""
    found = [one for one in log.of("bank", RecordKind.ANSWER) if _answer(one).answer == 3]
    record = chance.choice(found)
    record.encode(msgspec.structs.replace(_answer(record), answer=chance.choice([1, 2, 4, 5, 6])))
    digest = next(one for one in log.after(record) if one.kind == RecordKind.DIGEST and one.engine == "bank")
    return digest, log.turns_before(digest), "state"


def impossible_roll(log: AlteredLog, chance: Random) -> Expected:
    """A side that the die does not have."""
    record = chance.choice([one for one in log.of("bank", RecordKind.ANSWER) if _answer(one).answer == 3])
    record.encode(msgspec.structs.replace(_answer(record), answer=chance.choice([0, 7, 100])))
    turn = next(one for one in log.after(record) if one.kind == RecordKind.TURNS)
    return turn, log.turns_before(turn) + 1, "outcome"


def choice(log: AlteredLog, chance: Random) -> Expected:
    """Another choice, or none of those offered: the note that follows differs, or the turn fails."""
    record = chance.choice([one for one in log.of("bank", RecordKind.ANSWER) if _answer(one).answer == "yes"])
    record.encode(msgspec.structs.replace(_answer(record), answer=chance.choice(["no", "perhaps"])))
    resumed = next(one for one in log.after(record) if one.kind == RecordKind.RESUMED)
    return resumed, log.turns_before(resumed), "outcome"


def time(log: AlteredLog, chance: Random) -> Expected:
    """A clock that goes back."""
    record = chance.choice(log.of(chance.choice(["bank", "ticks"]), RecordKind.TURNS)[1:])
    at = chance.randrange(len(record.turns))
    turns = record.turns
    before_ns = turns[at - 1][0] if at else _last_time(log, record)
    turns[at] = (before_ns - chance.randrange(1, 1000), *turns[at][1:])
    record.turns = turns
    return record, log.turns_before(record) + at + 1, "time"


def timer(log: AlteredLog, chance: Random) -> Expected:
    """A timer that elapses before its deadline, or one that was not set."""
    record = chance.choice(log.of("bank", RecordKind.DUE))
    turn = record.decoded()
    assert isinstance(turn, DueTurn)
    early = msgspec.structs.replace(turn, now_ns=turn.now_ns - 91)
    other = msgspec.structs.replace(turn, handles=((turn.handles[0][0], turn.handles[0][1] + 1),))
    record.encode(chance.choice([early, other]))
    return record, log.turns_before(record) + 1, "timers"


def digest(log: AlteredLog, chance: Random) -> Expected:
    """Another digest."""
    record = chance.choice(log.of(chance.choice(["bank", "ticks"]), RecordKind.DIGEST))
    body = record.decoded()
    assert isinstance(body, StateDigest)
    at = chance.randrange(len(body.digest))
    changed = body.digest[:at] + bytes([body.digest[at] ^ 1]) + body.digest[at + 1 :]
    record.encode(msgspec.structs.replace(body, digest=changed))
    return record, log.turns_before(record), "state"


ALTERATIONS: tuple[Callable[[AlteredLog, Random], Expected], ...] = (
    outputs,
    result,
    payload,
    dropped,
    dropped_at_the_end,
    doubled,
    roll,
    impossible_roll,
    choice,
    time,
    timer,
    digest,
)


def _answer(record: Record) -> AnswerRecord:
    body = record.decoded()
    assert isinstance(body, AnswerRecord)
    return body


def _before(log: AlteredLog, record: Record) -> list[Record]:
    flat = [one for batch in log.batches for one in batch]
    return flat[: next(at for at, one in enumerate(flat) if one is record)]


def _last_time(log: AlteredLog, record: Record) -> int:
    """The time of the engine's turn before a record."""
    found = 0
    for one in _before(log, record):
        if one.engine == record.engine and one.kind == RecordKind.TURNS:
            found = one.turns[-1][0]
        elif one.engine == record.engine and one.kind in (RecordKind.DUE, RecordKind.RESUMED):
            found = one.decoded().now_ns  # type: ignore[union-attr]
    return found


def test_a_recording_conforms(recorded: Path) -> None:
    """False if `conform` rejected a recording of the very rules that it runs, or counted its turns wrongly."""
    item = verdict(recorded)
    turns = ROUNDS * (4 + 1 + 1 + 2 + 1 + 2 + 1)
    assert item == {"conforms": True, "turns": turns, "engines": 2, "notes": [], "deviation": None}


def test_writing_again_alters_nothing(recorded: Path, tmp_path: Path) -> None:
    """False if the alterations below were found for the way in which they are written."""
    data = tmp_path / "data"
    shutil.copytree(recorded, data)
    AlteredLog(str(data / "journal" / "bank" / "00000001.log")).write()
    assert verdict(data)["conforms"]


@pytest.mark.parametrize(
    "seed", [*range(20), *(pytest.param(one, marks=pytest.mark.storm) for one in range(20, MUTATIONS))]
)
def test_an_altered_recording_is_rejected_at_its_record(recorded: Path, tmp_path: Path, seed: int) -> None:
    """False if an altered record passed, or another record were named than the first that does not follow; if a state
    that alone was changed were not found by the next digest.
    """
    data = tmp_path / "data"
    shutil.copytree(recorded, data)
    log = AlteredLog(str(data / "journal" / "bank" / "00000001.log"))
    record, turn, kind = ALTERATIONS[seed % len(ALTERATIONS)](log, Random(seed))
    offset, number = log.write()[id(record)]
    found = verdict(data)["deviation"]
    assert found is not None
    named = (found["log"], found["segment"], found["offset"], found["record"], found["engine"], found["turn"])
    assert named == ("bank", "00000001.log", offset, number, record.engine, turn), found
    assert found["kind"] == kind
