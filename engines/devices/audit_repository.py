"""The git repository of the audit, open for writing: by its device, and by `aism` while no engine runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from engines.agents.audit import (
    BATCHES,
    LATE,
    REFERENCE,
    SEQ,
    TRAILER,
    AuditEntry,
    Key,
    is_single,
    key_of,
    lines_of,
    path_of,
    subject_of,
    text_of,
    with_numbers,
)

COMMITS_AT_ONCE: Final = 50
BATCH_MAX: Final = 2_000
KNOWN_S: Final = 600
"""The events of so long before the newest commit are known when the repository is opened."""


class Repository:
    """The open repository; used by one thread. Raises `pygit2.GitError` and OSError from each function."""

    def __init__(self, path: str) -> None:
        """Opens or makes it. Raises ImportError without pygit2."""
        import pygit2

        self._git = pygit2
        path = os.path.abspath(path)
        if not os.path.isdir(os.path.join(path, "objects")):
            pygit2.init_repository(path, bare=True, initial_head="audit")
        self.path = path
        self._open()
        self.known = set(self._recent_keys())
        self.commits = 0

    def _open(self) -> None:
        """Reads where the repository is, so that a commit that failed half-way leaves nothing behind."""
        self._repository = self._git.Repository(self.path)
        self._index = self._git.Index()
        self._parent = None
        self.numbers: dict[str, int] = {}
        if REFERENCE in self._repository.references:
            commit = self._repository.references[REFERENCE].peel(self._git.Commit)
            self._parent = commit.id
            self._index.read_tree(commit.tree)
            self.numbers = {family: int(number) for family, number in TRAILER.findall(commit.message)}

    def _recent_keys(self) -> Iterator[Key]:
        """What has been committed lately. A family that is started again may send its last events once more."""
        if self._parent is None:
            return
        newest_s = self._repository[self._parent].peel(self._git.Commit).commit_time
        for commit in self._repository.walk(self._parent):
            if commit.commit_time < newest_s - KNOWN_S:
                return
            yield from map(key_of, lines_of(self._repository, commit))

    def commit(self, entries: list[AuditEntry], path: str, text: str, subject: str, *, is_late: bool = False) -> None:
        """One commit of these entries, which puts `text` into the file at `path`."""
        numbers = with_numbers(self.numbers, entries)
        try:
            blob = self._repository.create_blob(text.encode())
            self._index.add(self._git.IndexEntry(path, blob, self._git.enums.FileMode.BLOB))
            tree = self._index.write_tree(self._repository)
            newest_s = max(one.event.time_ns for one in entries) // 10**9 if entries else 0
            author = self._git.Signature("aism", "aism@localhost", newest_s, 0)
            trailers = "\n".join(f"{SEQ}: {family} {number}" for family, number in sorted(numbers.items()))
            parents = [] if self._parent is None else [self._parent]
            message = f"{subject}\n\n{trailers}\n{LATE}\n" if is_late else f"{subject}\n\n{trailers}\n"
            self._parent = self._repository.create_commit(REFERENCE, author, author, message, tree, parents)
        except BaseException:
            self._open()
            raise
        self.numbers = numbers
        self.commits += 1


def commit_single(repository: Repository, entry: AuditEntry, *, is_late: bool = False) -> None:
    """An event that is a commit of its own."""
    repository.commit([entry], path_of(entry), text_of(entry) + "\n", subject_of(entry), is_late=is_late)


def commit_batch(repository: Repository, entries: list[AuditEntry], *, is_late: bool = False) -> None:
    """Many events in one commit."""
    text = "".join(text_of(one) + "\n" for one in entries)
    repository.commit(entries, BATCHES, text, f"{len(entries)} events", is_late=is_late)


def commit_late(repository: Repository, entries: list[AuditEntry]) -> None:
    """Events that were missed, in their order: in commits of their own only what is newer than all that is there."""
    rest: list[AuditEntry] = []
    for one in entries:
        is_newest = one.event.number > repository.numbers.get(one.family, 0)
        if is_newest and is_single(one.event.kind) and len(entries) <= COMMITS_AT_ONCE:
            commit_single(repository, one, is_late=True)
        else:
            rest.append(one)
    for first in range(0, len(rest), BATCH_MAX):
        commit_batch(repository, rest[first : first + BATCH_MAX], is_late=True)
