"""The audit: what happened, in a git repository that people can read. It is written behind; nobody waits for it.

Each transition, change of a protocol, and step in the life of an agent is a commit of its own; messages, refusals and
measurements go into one commit a minute. What comes in `REST_S` is committed together, and when that is more than
`COMMITS_AT_ONCE` events, in one: a commit costs far more than an event in it. The repository is bare, apart from any
that agents commit to:

| path | content |
|---|---|
| `agents/<agent>/latest.json` | the newest event of the agent that is a commit of its own |
| `protocols/<name>.json` | the newest event about the protocol |
| `batches/latest.jsonl` | the newest events that came in a batch |

Each file has the newest only, so the tree stays small; `git log -p` has all.
The message of a commit ends with trailers. `Aism-Seq: <family> <number>` is one for each family: the greatest number of
its events up to this commit, so the last commit says where to go on.

Events wait in memory, up to `WAITING_MAX`; beyond it the oldest are lost, and a commit says how many. While the disk is
full, they wait too. Crash points: what waits is lost with the process, and what lies in the mailbox with the node. The
journals of the families have it, so it is committed afterwards, as late (`host/aism/catching_up.py`). Commits are made
by a thread with an index in memory; a reference is moved only if it is where it was.

Without pygit2 (extra `agents`) the device takes events, keeps none, and says so once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from threading import get_native_id
from typing import Any, Final, TypeAlias

from engines.agents.audit import AuditEntry, is_single, key_of_entry, subject_of, text_of
from engines.agents.messages import Happened, HappenedTogether
from engines.agents.telling import events_in
from engines.model import Arrived, Become, Box, Config, Delivery, Device, DeviceHost, Effects, Family, Ref, Value, rule

from .audit_repository import BATCH_MAX, COMMITS_AT_ONCE, Repository, commit_batch, commit_single

WAITING_MAX: Final = 50_000
REST_S: Final = 0.5
GC_COMMITS: Final = 20_000
"""After so many commits the repository is packed, if `git` is installed."""

RETRY_S: Final = 2.0
NICE: Final = 10


class AuditPlace(Config):
    """The repository; a relative path begins at the folder in which the node was started. `reports` gets alarms."""

    path: str
    reports: Ref[Happened] | None = None
    batch_ns: int = 60_000_000_000


ACCEPTED: TypeAlias = Happened | HappenedTogether
MAIL: Final = Box(0, accepts=ACCEPTED, lossy=True)
"""The node file may let it drop the oldest mail, so that nobody waits for a disk."""


class GitAudit:
    """The driver: one task takes events, another has a thread commit them."""

    def __init__(self) -> None:
        self._waiting: deque[AuditEntry] = deque()
        self._batch: list[AuditEntry] = []
        self._lost = 0
        self._came = asyncio.Event()
        self._reports = 0
        self._packed_at = 0
        self._repository: Repository | None = None
        self._is_kept = True
        self._is_failing = False

    async def run(self, host: DeviceHost) -> None:
        """Run until cancelled; what waits then is still committed."""
        taking = asyncio.create_task(self._take(host))
        with ThreadPoolExecutor(1, initializer=_give_way) as thread:
            try:
                self._repository = await self._open(host, thread)
                await self._commit_all(host, self._repository, thread)
            finally:
                taking.cancel()
                await asyncio.wait([taking])
                if self._is_kept:
                    thread.submit(self._commit_rest, host.config.path)

    async def _open(self, host: DeviceHost, thread: ThreadPoolExecutor) -> Repository:
        """The repository, once it can be opened; never, without pygit2."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return await loop.run_in_executor(thread, Repository, host.config.path)
            except ImportError:
                self._is_kept = False
                text = "pygit2 is not installed, so nothing is written to the audit; the extra `agents` has it"
                await self._report(host, "audit_unavailable", text)
                await asyncio.Event().wait()
            except Exception as error:
                await self._fail(host, error)

    async def _fail(self, host: DeviceHost, error: Exception) -> None:
        """Reports the first of errors in a row, of libgit2 or of the disk, and waits before the next try."""
        if not self._is_failing:
            self._is_failing = True
            await self._report(host, "storage_full" if _is_full(error) else "audit_failed", str(error)[:500])
        await asyncio.sleep(RETRY_S)

    async def _take(self, host: DeviceHost) -> None:
        while True:
            mail: Delivery[ACCEPTED] = await host.receive()
            if not self._is_kept:
                continue
            self._waiting += [AuditEntry(mail.sender, one) for one in events_in(mail.message)]
            while len(self._waiting) > WAITING_MAX:
                self._waiting.popleft()
                self._lost += 1
            self._came.set()

    async def _commit_all(self, host: DeviceHost, repository: Repository, thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        batch_s = host.config.batch_ns / 1e9
        next_batch_s = loop.time() + batch_s
        while True:
            if not self._waiting:
                self._came.clear()
                with_batch = next_batch_s - loop.time() if self._batch else None
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._came.wait(), with_batch)
            is_due = bool(self._batch) and loop.time() >= next_batch_s
            try:
                await loop.run_in_executor(thread, self._commit_some, repository, is_due)
                self._is_failing = False
            except Exception as error:
                await self._fail(host, error)
                continue
            if is_due or not self._batch:
                next_batch_s = loop.time() + batch_s
            if not self._waiting:
                await asyncio.sleep(REST_S)

    def _commit_some(self, repository: Repository, is_due: bool) -> None:
        """Commits some of what waits. What was committed is taken away one by one, so an error loses nothing."""
        if self._lost:
            lost, self._lost = self._lost, 0
            now_ns = self._waiting[0].event.time_ns if self._waiting else 0
            event = Happened(0, now_ns, "gap", attributes=(("lost", str(lost)),))
            commit_single(repository, AuditEntry("audit", event))
        is_crowded = len(self._waiting) > COMMITS_AT_ONCE
        for _ in range(BATCH_MAX if is_crowded else COMMITS_AT_ONCE):
            if not self._waiting:
                break
            if key_of_entry(self._waiting[0]) in repository.known:
                self._waiting.popleft()
            elif not is_crowded and is_single(self._waiting[0].event.kind):
                commit_single(repository, self._waiting[0])
                self._waiting.popleft()
            else:
                self._batch.append(self._waiting.popleft())
        if self._batch and (is_due or is_crowded or len(self._batch) >= BATCH_MAX):
            commit_batch(repository, self._batch)
            self._batch = []
        self._pack(repository)

    def _pack(self, repository: Repository) -> None:
        if repository.commits - self._packed_at < GC_COMMITS or shutil.which("git") is None:
            return
        import subprocess

        self._packed_at = repository.commits
        command = ["git", "-C", repository.path, "gc", "--quiet"]
        subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True)

    def _commit_rest(self, path: str) -> None:
        """What still waits, at the end. What cannot be written then is lost."""
        repository = self._repository or Repository(path)
        while self._waiting:
            self._commit_some(repository, False)
        self._commit_some(repository, True)

    async def _report(self, host: DeviceHost, code: str, text: str) -> None:
        if host.config.reports is None:
            return
        self._reports += 1
        attributes = (("code", code), ("text", text))
        event = Happened(self._reports, host.now_ns(), "alarm", attributes=attributes)
        await host.send_when_writable(host.config.reports, event)


def _give_way() -> None:
    """Nobody waits for the thread that commits, so the others have the processor first.

    A node that is nicer as a whole may not have less nice threads.
    """
    thread = get_native_id()
    os.setpriority(os.PRIO_PROCESS, thread, max(NICE, os.getpriority(os.PRIO_PROCESS, thread)))


def _is_full(error: Exception) -> bool:
    return "No space left" in str(error) or "quota" in str(error).lower()


class AuditLines(Value):
    """State of the twin: the lines that the driver would commit, with the subjects of single ones."""

    lines: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()


@rule
def note(event: Happened, t: Arrived[Happened, AuditPlace, AuditLines]) -> Effects[AuditLines, Any]:
    """Twin. State: one event more. Messages, timers, engines: none."""
    return Become(_noted(t.env.state, AuditEntry(t.sender, event)))


@rule
def note_all(
    message: HappenedTogether, t: Arrived[HappenedTogether, AuditPlace, AuditLines]
) -> Effects[AuditLines, Any]:
    """Twin. State: more events. Messages, timers, engines: none."""
    state = t.env.state
    for event in message.events:
        state = _noted(state, AuditEntry(t.sender, event))
    return Become(state)


def _noted(state: AuditLines, entry: AuditEntry) -> AuditLines:
    subjects = (*state.subjects, subject_of(entry)) if is_single(entry.event.kind) else state.subjects
    return AuditLines((*state.lines, text_of(entry))[-WAITING_MAX:], subjects[-WAITING_MAX:])


TWIN = Family(
    "git-audit-twin", config=AuditPlace, state=AuditLines(), accepts=ACCEPTED, emits=Happened, boxes=[MAIL]
).rules(note, note_all)
GIT_AUDIT = Device(
    "git-audit", config=AuditPlace, accepts=ACCEPTED, emits=Happened, boxes=[MAIL], driver=GitAudit, twin=TWIN
)
