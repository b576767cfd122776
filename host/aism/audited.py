"""The commits of the audit repository, and the events in them, read without an engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from engines.agents.audit import LATE, REFERENCE, lines_of
from host.aism.output import Failure

PLACE: Final = Path("engine", "audit.git")
BEHIND_NS: Final = 180 * 10**9
"""Events of a running node that are younger may still wait to be committed."""


class Commit(NamedTuple):
    """A commit of the audit: its id, first line, time, the events that it added, whether these were missed at first."""

    id: str
    subject: str
    time_s: int
    events: tuple[dict[str, Any], ...]
    is_late: bool


def commits(root: Path, *, is_oldest_first: bool) -> Iterator[Commit]:
    """The commits. Raises Failure without an audit or without pygit2; `ValueError` for a damaged one."""
    try:
        import pygit2
    except ImportError:
        hint = "install the extra: pip install 'enginehost[agents]'"
        raise Failure("unavailable", "no_pygit2", "pygit2 is not installed", suggestions=[hint]) from None
    if not (root / PLACE).is_dir():
        raise Failure("unknown", "no_audit", f"there is no audit at {root / PLACE}")
    repository = pygit2.Repository(str(root / PLACE))
    if REFERENCE not in repository.references:
        return
    modes = pygit2.enums.SortMode
    order = modes.TOPOLOGICAL | modes.REVERSE if is_oldest_first else modes.NONE
    try:
        for commit in repository.walk(repository.references[REFERENCE].target, order):
            yield _read(repository, commit)
    except (pygit2.GitError, KeyError) as error:
        raise ValueError(f"the audit cannot be read: {error}") from None


def _read(repository: Any, commit: Any) -> Commit:
    lines = commit.message.splitlines()
    return Commit(str(commit.id), lines[0], commit.commit_time, tuple(lines_of(repository, commit)), LATE in lines)
