"""A log of three versions: each turn is run by the one that made it, from the code that was kept of it."""

from __future__ import annotations

import json
import shutil
import sys
from copy import copy
from pathlib import Path
from typing import Any

import pytest
from journal_worker import BOOT, Worker, log_state_of

from engines.model import Family, load_family
from engines.model.store.module_sets import SOURCES, ModuleSet
from host.cli.main import run
from host.live.journal import data_folder
from host.live.journal.recovery import recover
from host.live.journal.snapshots import Snapshots
from host.live.journal.versions import Versions

SUMS = '''
from __future__ import annotations

from engines.model import Arrived, Become, Effects, Family, Message, Ref, Send, Value, rule

import steps


class Add(Message):
    amount: int
    told: Ref[Told]


class Told(Message):
    total: int


class Total(Value):
    total: int = 0{field}


@rule
def add(m: Add, t: Arrived[Add, None, Total]) -> Effects[Total, Told]:
    """State: the sum. Messages: the sum. Timers, engines: none."""
    from steps import step  # found when the rule runs

    total = t.env.state.total + step(m.amount)
    return [Become(Total(total{more})), Send(m.told, Told(total))]


SUM = Family("sum", state=Total(), accepts=Add, emits=Told).rules(add)
'''
FIELD, MORE = "\n    count: int = 0", ", t.env.state.count + 1"
EDITIONS = [("n", "", ""), ("min(n, 100)", "", ""), ("n * 10", FIELD, MORE)]
"""What a step is, and whether steps are counted."""

CLAIMS = '''
from engines.model.system_view import SystemView
from sums import Total


def is_small(system: SystemView) -> bool:
    """A claim in the types of the present sources."""
    return isinstance(system.state("a"), Total) and system.state("a").total < {bound}
'''


class Log:
    """A data folder whose log has turns 1 and 2 of the first version, 3 of one that followed it, 4 and 5 of a third.

    No version can make all of them: the second makes another first turn, the third another turn of each.
    """

    def __init__(self, folder: Path) -> None:
        self.roots, self.data = folder / "roots", str(folder / "data")
        self.roots.mkdir()
        data_folder.pin(self.data, "node", (str(self.roots),), 7)
        self.folder = data_folder.log_folder(self.data, "a", make=True)
        self.versions: list[str] = []
        first = self._life(0)
        first.bear("a", "sums:SUM")
        self._add(first, 200)
        self._snapshot(first)
        self._add(first, 1)
        second = self._life(1)
        self._add(second, 500)
        self._snapshot(second)
        third = self._life(2)
        kept = third.found.replay.streams["a"].kept
        third.journal.record("a", kept.image("version", third.clock()))
        self._add(third, 1)
        self._add(third, 2)
        SOURCES.use()

    def _life(self, edition: int) -> Worker:
        """A process with this version, which has kept its code."""
        step, field, more = EDITIONS[edition]
        (self.roots / "sums.py").write_text(SUMS.format(field=field, more=more))
        (self.roots / "steps.py").write_text(f"def step(n: int) -> int:\n    return {step}\n")
        ModuleSet().use()
        self._family = load_family("sums:SUM", [str(self.roots)])
        self.versions.append(self._family.version)
        Versions(self.folder.path, lambda: 0).keep([self._family])
        return Worker(self.folder, "durable", load=lambda _: self._family)

    def _add(self, worker: Worker, amount: int) -> None:
        assert isinstance(self._family, Family)
        worker.clock.now_ns += 1_000_000
        worker.mail("alice", "a", [sys.modules["sums"].Add(amount, "bob")])
        worker.commit()

    def _snapshot(self, worker: Worker) -> None:
        state = log_state_of(recover(self.folder, "node", lambda _: self._family, BOOT).replay)
        assert Snapshots(self.folder, worker.journal, worker.clock).take(state).reason == ""

    def copied(self, folder: Path) -> Log:
        """The log with its sources in another place."""
        shutil.copytree(self.roots.parent, folder, dirs_exist_ok=True)
        other = copy(self)
        other.roots, other.data = folder / "roots", str(folder / "data")
        other.folder = data_folder.log_folder(other.data, "a")
        record = folder / "data" / "journal" / "node.json"
        record.write_text(record.read_text().replace(str(self.roots), str(other.roots)))
        return other

    def forget(self, edition: int) -> None:
        """As in a data folder from before code was kept."""
        Path(self.folder.path, f"{self.versions[edition]}.code").unlink()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Log:
    return Log(tmp_path_factory.mktemp("written"))


@pytest.fixture
def log(written: Log, tmp_path: Path) -> Log:
    return written.copied(tmp_path)


def ask(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> list[dict[str, Any]]:
    ended = run([*argv, "--json"])
    said = capsys.readouterr()
    assert ended == code, said
    return list(json.loads(said.out)["items"])


def break_sources(log: Log) -> None:
    (log.roots / "sums.py").write_text("def broken(:\n")


def test_every_turn_of_a_log_is_verified_by_its_version(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    """False if `replay --verify` began behind a reload, needed the sources, or ran a turn by another version."""
    break_sources(log)
    (item,) = ask(capsys, "replay", log.data, "--verify")
    assert (item["turn"], item["from_turn"], item["state"]) == (5, 0, {"total": 331, "count": 2})
    assert (item["code"], item["other_code"]) == (log.versions[2], [])
    for turn, total, edition in ((1, 200, 0), (2, 201, 0), (3, 301, 1), (4, 311, 2)):
        (item,) = ask(capsys, "replay", log.data, "--engine", "a", "--until", str(turn))
        assert (item["state"]["total"], item["code"]) == (total, log.versions[edition])


def test_a_difference_is_shown_between_states_of_two_versions(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    """False if one of the states were that of other code, or were shown in the shape of the other one."""
    break_sources(log)
    items = ask(capsys, "state", "diff", "a", log.data, "--from", "2", "--to", "5")
    found = {item["where"]: (item["from"], item["to"]) for item in items}
    assert found == {"state.total": ("201", "331"), "state.count": ("absent", "2")}
    assert [item["other_code"] for item in items] == [[]] * len(items)


def test_a_chart_has_the_messages_of_every_version(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    """False if turns of an earlier version were drawn from records alone, or with what other code would send."""
    break_sources(log)
    (chart,) = ask(capsys, "chart", log.data)
    told = [event["label"] for event in chart["events"] if event.get("source") == "a"]
    assert told == [f"Told(total={total})" for total in (200, 201, 301, 311, 331)]
    assert chart["notes"] == []


def test_a_run_conforms_to_the_rules_that_made_it(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    """False if turns of earlier versions were left out, or were held against other rules unless that is asked for."""
    (item,) = ask(capsys, "conform", log.data)
    assert item == {"conforms": True, "turns": 5, "engines": 1, "notes": [], "deviation": None}
    (log.roots / "steps.py").write_text("def step(n: int) -> int:\n    return 0\n")
    assert ask(capsys, "conform", log.data)[0]["conforms"]
    (item,) = ask(capsys, "conform", log.data, "--present", code=8)
    assert (item["deviation"]["turn"], item["deviation"]["is_by_other_code"]) == (1, True)


def test_claims_are_about_the_types_of_the_present_sources(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    """False if a claim met states of other classes, or turns that the present code cannot make were no longer checked
    by their own rules."""
    for bound, code in ((1000, 0), (320, 8)):
        (log.roots / "claims.py").write_text(CLAIMS.format(bound=bound))
        (item,) = ask(capsys, "conform", log.data, "--always", "claims:is_small", code=code)
        assert item["turns"] == 5
        assert item["notes"] == ["a: checked behind its first 3 turns; other code ran before, which differs from this"]
        assert item["conforms"] is (code == 0)
    assert (item["deviation"]["kind"], item["deviation"]["turn"]) == ("property", 5)


def test_a_version_that_is_not_kept_is_named(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    """False if the present code passed for one that is gone, or nobody said which, and what to do."""
    log.forget(0)
    missing = f"the code of version {log.versions[0]} is not kept here: with its sources below the roots, all turns can"
    (item,) = ask(capsys, "replay", log.data, "--verify")
    assert (item["turn"], item["from_turn"], item["other_code"]) == (5, 3, [])
    (item,) = ask(capsys, "conform", log.data)
    assert item["notes"] == [
        "a: checked behind its first 3 turns; other code ran before, which differs from this",
        f"{missing} be run again",
    ]
    (chart,) = ask(capsys, "chart", log.data)
    assert f"a: {missing} be run again" in chart["notes"]
    assert run(["replay", log.data, "--engine", "a", "--until", "2"]) == 8
    assert missing in capsys.readouterr().err


def test_damaged_code_is_not_run(log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    """False if a text ran that is not the one that its version is the digest of."""
    path = Path(log.folder.path, f"{log.versions[0]}.code")
    path.write_bytes(path.read_bytes().replace(b"return n", b"return 7"))
    assert run(["replay", log.data, "--verify"]) == 1
    assert "is damaged" in capsys.readouterr().err
