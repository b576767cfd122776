"""The audit in git: what happened, in order, each event once, while nobody waits for it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deadline import DEADLINE_S

from engines.agents.audit import TRAILER, AuditEntry, compared, is_single, key_of, subject_of, text_of
from engines.agents.messages import Happened
from engines.devices.audit_repository import BATCH_MAX, COMMITS_AT_ONCE, Repository, commit_late
from engines.devices.git_audit import GIT_AUDIT, AuditPlace, GitAudit, _give_way
from engines.model import Committed, Configuration, Delivery, Ref, birth, step

pygit2 = pytest.importorskip("pygit2")
SECOND_NS = 10**9


class Auditor:
    """A driver at work: events are handed to it, and what it reports is kept."""

    def __init__(self, path: Path, batch_ns: int = 50_000_000) -> None:
        self.config = AuditPlace(str(path), Ref("bridge"), batch_ns)
        self.me = Configuration("test", "audit", None, self.config)
        self.mail: asyncio.Queue[Delivery[Any]] = asyncio.Queue()
        self.reports: list[str] = []
        self.taken = 0

    def now_ns(self) -> int:
        return 0

    async def receive(self) -> Delivery[Any]:
        mail = await self.mail.get()
        self.taken += 1
        return mail

    def send(self, target: Ref[Any], message: Any) -> bool:
        self.reports.append(dict(message.attributes)["code"])
        return True

    async def writable(self, target: Ref[Any]) -> None: ...

    async def send_when_writable(self, target: Ref[Any], message: Any) -> None:
        self.send(target, message)

    def hand(self, events: list[tuple[str, Happened]]) -> None:
        for family, event in events:
            self.mail.put_nowait(Delivery(family, 0, event))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not holds():
            await asyncio.sleep(0.002)


def audited(path: Path, events: list[tuple[str, Happened]], script: Any = None) -> Auditor:
    """Runs a driver until it has committed these events, or until a script of the test ends."""

    async def run() -> Auditor:
        auditor = Auditor(path)
        auditor.hand(events)
        task = asyncio.create_task(GitAudit().run(auditor))
        await (script(auditor) if script else until(lambda: auditor.taken == len(events)))
        task.cancel()
        await asyncio.wait([task])
        return auditor

    return asyncio.run(run())


def some_events(count: int, first: int = 1) -> list[tuple[str, Happened]]:
    """Events of two families: every third is a message, which goes into a batch."""
    events = []
    for number in range(first, first + count):
        kind = "message.sent" if number % 3 == 0 else "transition"
        event = Happened(
            number, number * SECOND_NS, kind, f"a{number % 4}", 1, "deep", number, attributes=(("before", "inbox"),)
        )
        events.append(("router" if number % 2 else "validator", event))
    return events


def commits(path: Path) -> list[Any]:
    """All commits, the oldest first."""
    repository = pygit2.Repository(str(path))
    head = repository.references["refs/heads/audit"].target
    return list(repository.walk(head, pygit2.enums.SortMode.TOPOLOGICAL | pygit2.enums.SortMode.REVERSE))


def lines(path: Path) -> list[dict[str, Any]]:
    """The events in the audit, commit by commit: what each changed."""
    repository = pygit2.Repository(str(path))
    found = []
    for commit in commits(path):
        parent = commit.parents[0].tree if commit.parents else None
        diff = commit.tree.diff_to_tree(parent, swap=True) if parent else commit.tree.diff_to_tree(swap=True)
        for delta in diff.deltas:
            found += [json.loads(line) for line in repository[delta.new_file.id].data.decode().splitlines()]
    return found


def test_d5_the_audit_has_each_event_once_and_in_order(tmp_path: Path) -> None:
    """False if an event is missing, twice, or out of order within its family; or the repository is damaged."""
    events = some_events(COMMITS_AT_ONCE)
    audited(tmp_path / "audit.git", events)
    found = lines(tmp_path / "audit.git")
    for kind in ("transition", "message.sent"):
        assert [one["number"] for one in found if one["kind"] == kind] == [
            event.number for _, event in events if event.kind == kind
        ]
    singles = [one for one in commits(tmp_path / "audit.git") if "events" not in one.message.split("\n")[0]]
    assert len(singles) == sum(is_single(event.kind) for _, event in events)
    assert singles[0].message.startswith("a1 transition inbox → deep\n")
    assert dict(TRAILER.findall(commits(tmp_path / "audit.git")[-1].message)) == {"router": "49", "validator": "50"}
    if shutil.which("git"):
        checked = ["git", "-C", str(tmp_path / "audit.git"), "fsck", "--strict"]
        assert subprocess.run(checked, capture_output=True, timeout=60).returncode == 0


def test_d5_a_crowd_of_events_shares_commits(tmp_path: Path) -> None:
    """False if one of many events that wait is missing, twice or out of order, or each takes a commit of its own."""
    events = some_events(3 * BATCH_MAX)
    audited(tmp_path / "audit.git", events)
    for name in ("router", "validator"):
        mine = [event.number for family, event in events if family == name]
        assert [one["number"] for one in lines(tmp_path / "audit.git") if one["family"] == name] == mine
    assert len(commits(tmp_path / "audit.git")) <= 3 + COMMITS_AT_ONCE


def test_d5_it_goes_on_where_it_was_and_a_deleted_one_is_made_again_as_it_was(tmp_path: Path) -> None:
    """False if a restart forgets the numbers, or the same events make another audit."""
    events = [one for one in some_events(40) if is_single(one[1].kind)]
    audited(tmp_path / "audit.git", events[:10])
    audited(tmp_path / "audit.git", events[10:])
    once = [str(one.id) for one in commits(tmp_path / "audit.git")]
    assert len(once) == len(events)
    shutil.rmtree(tmp_path / "audit.git")
    audited(tmp_path / "audit.git", events)
    assert [str(one.id) for one in commits(tmp_path / "audit.git")] == once


@pytest.mark.parametrize("count", [9, COMMITS_AT_ONCE + 9])
def test_d5_what_was_missed_is_added_and_the_newest_stays_the_newest(tmp_path: Path, count: int) -> None:
    """False if an event that is added late is lost, counts as misplaced, or hides a later one in the tree."""
    path = tmp_path / "audit.git"
    events = [one for one in some_events(3 * count) if is_single(one[1].kind)]
    audited(path, [*events[:3], *events[-8:-4]])
    missed = [AuditEntry(family, event) for family, event in [*events[3:-8], *events[-4:]]]
    commit_late(Repository(str(path)), missed)
    record = [json.loads(text_of(AuditEntry(family, event))) for family, event in events]
    late = {key_of(json.loads(text_of(one))) for one in missed}
    assert compared(record, lines(path), late=late) == ([], [], [], [], [])
    agent, newest = events[-5][1].agent, events[-5][1].number
    tree = commits(path)[-1].tree
    assert json.loads(tree[f"agents/{agent}/latest.json"].data)["number"] >= newest


def test_what_cannot_be_written_waits_and_is_reported(tmp_path: Path) -> None:
    """False if a disk that refuses loses events, stops the device from taking more, or goes unnoticed."""
    path = tmp_path / "audit.git"
    events = [one for one in some_events(40) if is_single(one[1].kind)]
    audited(path, events[:5])

    async def script(auditor: Auditor) -> None:
        (path / "objects").rename(path / "away")
        (path / "objects").write_text("")
        auditor.hand(events[5:])
        await until(lambda: bool(auditor.reports))
        assert auditor.taken == len(events) - 5
        (path / "objects").unlink()
        (path / "away").rename(path / "objects")

    assert audited(path, [], script).reports == ["audit_failed"]
    assert [one["number"] for one in lines(path)] == [event.number for _, event in events]


def test_d5_what_comes_again_after_a_restart_is_there_once(tmp_path: Path) -> None:
    """False if the last events of a family that is started again are committed a second time."""
    events = some_events(30)
    audited(tmp_path / "audit.git", events[:20])
    audited(tmp_path / "audit.git", events[14:])
    found = sorted((one["family"], one["number"]) for one in lines(tmp_path / "audit.git"))
    assert found == sorted((family, event.number) for family, event in events)


def test_a_subject_says_what_it_is_about() -> None:
    """False if the log of the audit leaves out which version, or which alarm."""
    moved = (("before", "busy"),)
    rows = [
        (Happened(1, 1, "migrated", "ann", 1, "busy", 2, "work", "1.1.0", attributes=moved), "work 1.1.0"),
        (Happened(2, 1, "protocol", attributes=(("name", "work"), ("version", "1.1.0"))), "work 1.1.0"),
        (Happened(3, 1, "alarm", "ann", 1, "busy", attributes=(("reason", "flood"), ("text", "x"))), "flood"),
        (Happened(4, 1, "transition", "ann", 1, "idle", attributes=moved), "busy → idle"),
        (Happened(5, 1, "life.started", "ann", 1, "busy"), "busy"),
    ]
    for event, what in rows:
        assert subject_of(AuditEntry("validator", event)) == " ".join(filter(None, (event.agent, event.kind, what)))


def test_a_slow_audit_holds_nobody_up(tmp_path: Path) -> None:
    """False if events wait in the mailbox, and so in their senders, until commits are made."""

    async def script(auditor: Auditor) -> None:
        auditor.hand(some_events(1_000))
        await until(lambda: auditor.taken == 1_000)
        assert len(commits(tmp_path / "audit.git")) < 600

    first = [("validator", Happened(1, 1, "transition", "ann"))]
    audited(tmp_path / "audit.git", first)
    audited(tmp_path / "audit.git", [], script)
    assert len(lines(tmp_path / "audit.git")) == 1_001


def test_the_twin_notes_what_the_driver_commits(tmp_path: Path) -> None:
    """False if a simulated audit says something else than a real one."""
    events = [one for one in some_events(30) if is_single(one[1].kind)]
    audited(tmp_path / "audit.git", events)
    twin = GIT_AUDIT.twin
    assert twin is not None
    me = Configuration("test", "audit", None, AuditPlace("x"))
    env = birth(twin, me, now_ns=0)
    for family, event in events:
        outcome = step(twin, me, env, Delivery(family, 0, event), now_ns=1)
        assert isinstance(outcome, Committed)
        env = outcome.env
    assert [json.loads(line) for line in env.state.lines] == lines(tmp_path / "audit.git")
    assert list(env.state.subjects) == [one.message.split("\n")[0] for one in commits(tmp_path / "audit.git")]


def test_d5_an_audit_is_compared_with_the_record() -> None:
    """False if an event that is missing, changed, made up or moved goes unnoticed, or an older one counts."""
    record = [json.loads(text_of(AuditEntry(family, event))) for family, event in some_events(30)]
    old = {**record[0], "time_ns": 1, "number": 900}
    elsewhere = {**record[1], "family": "bridge"}
    assert compared(record, [old, elsewhere, *record]) == ([], [], [], [], [])
    changed, made_up = {**record[3], "agent": "eve"}, {**record[4], "number": 99}
    found = compared(record, [*record[:3], changed, made_up, *record[4:7], *record[8:], record[7]])
    assert (found.missing, found.different, found.unknown) == ([], [changed], [made_up])
    assert record[7] in found.misplaced
    assert compared(record, record[:-2]).missing == record[-2:]


def test_d5_what_is_young_is_compared_and_not_missed() -> None:
    """False if the audit of a running node were wrong because its last events wait, or because they do not."""
    record = [json.loads(text_of(AuditEntry(family, event))) for family, event in some_events(30)]
    young_ns = sorted(one["time_ns"] for one in record)[10]
    whole = compared(record, record, young_ns)
    assert whole == ([], [], [], [], [])
    behind = compared(record, record[:-2], young_ns)
    assert (behind.missing, behind.waiting) == ([], record[-2:])
    made_up = {**record[-1], "number": 99}
    assert compared(record, [*record, made_up], young_ns).unknown == [made_up]


def test_a_node_with_the_lowest_priority_has_an_audit() -> None:
    """False if `nice aism up` of an ordinary user, who may not raise a priority, ended the thread that commits."""
    pid = os.fork()
    if pid == 0:
        try:
            os.nice(19)
            if os.getuid() == 0:
                os.setresuid(65534, 65534, 65534)
            _give_way()
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
