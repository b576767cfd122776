"""Adds to the audit, while no engine runs, what the journal has and the audit lacks.

The audit is written behind: what had not been committed when its process or the node ended, by order or by a kill, is
in the journals of the families. `aism down` and `aism up` look at the last minutes, which is all that can wait in an
audit that is in order; `aism audit repair` looks at everything that is retained, and makes a lost audit again. An event
is known by its family, its number and its time, so each is there once, whoever is killed during this.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engines.agents.audit import Key, key_of, key_of_entry
from host.aism.audited import BEHIND_NS, PLACE, commits
from host.aism.node import FILE
from host.aism.output import Failure

if TYPE_CHECKING:
    from engines.agents.audit import AuditEntry

DONE: Final = "caught-up"
"""A file in the repository, as old as the last time that nothing was missing any more."""


def catch_up(root: Path, *, is_whole: bool = False) -> int:
    """How many events were added. Raises Failure without pygit2, or for an audit or journal that cannot be used."""
    begun_s = time.time()
    if not is_whole and _is_done(root):
        return 0
    from host.aism.recorded import RecordedEvents

    known, since_ns = _known(root, is_whole)
    record = RecordedEvents(root, since_ns)
    missing = [one for one in record.entries() if one.event.time_ns >= since_ns and key_of_entry(one) not in known]
    if missing:
        _commit(root, missing)
    if not record.notes and (root / PLACE).is_dir():
        (root / PLACE / DONE).touch()
        os.utime(root / PLACE / DONE, (begun_s, begun_s))
    return len(missing)


def _is_done(root: Path) -> bool:
    """Whether no journal has been written to since the last time."""
    from host.config.load import load_node
    from host.config.problems import ConfigErrors
    from host.live.journal.data_folder import JOURNAL

    try:
        done_s = (root / PLACE / DONE).stat().st_mtime
        logs = Path(load_node(str(root / FILE)).data, JOURNAL)
        return all(path.stat().st_mtime < done_s for path in logs.rglob("*"))
    except (OSError, ConfigErrors):
        return False


def _commit(root: Path, missing: list[AuditEntry]) -> None:
    from pygit2 import GitError

    from engines.devices.audit_repository import Repository, commit_late

    try:
        commit_late(Repository(str(root / PLACE)), sorted(missing, key=lambda one: one.event.time_ns))
    except (GitError, OSError) as error:
        raise Failure("unavailable", "audit", f"the audit at {root / PLACE} cannot be written: {error}") from None


def _known(root: Path, is_whole: bool) -> tuple[set[Key], int]:
    """What the audit has, and from when on it may lack something."""
    known: set[Key] = set()
    since_ns = 0
    if not (root / PLACE).is_dir():
        return known, since_ns
    try:
        for commit in commits(root, is_oldest_first=False):
            at_ns = commit.time_s * 10**9
            if not is_whole:
                since_ns = max(since_ns, at_ns - BEHIND_NS)
            if at_ns < since_ns - BEHIND_NS:
                break
            known |= {key_of(one) for one in commit.events}
    except ValueError as error:
        raise Failure("internal", "damaged", str(error), suggestions=[f"git -C {PLACE} fsck"]) from None
    return known, since_ns
