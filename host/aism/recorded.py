"""What the journal of an engine for agents says that happened: the events that its families sent to the audit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from engines.agents.audit import AuditEntry, text_of
from engines.agents.messages import Happened, HappenedTogether
from engines.agents.telling import events_in
from engines.model import LoadError
from host.aism.node import FILE, STRICT
from host.config.load import load_node
from host.config.problems import ConfigErrors
from host.live.journal.conformance import LogReading
from host.live.journal.data_folder import Logs, NotAJournal, find_logs
from host.live.journal.folder import Folder
from host.live.journal.replays import NotRetained
from host.live.journal.versions import LogCode
from host.node.journal.layout import Newer
from host.node.journal.rerun import Deviates
from host.node.journal.scan import Damaged

AUDIT: Final = "engines.devices.git_audit:GIT_AUDIT"


def logs_and_engines(root: Path, family: str) -> tuple[Logs, set[str]]:
    """The logs of an engine for agents, and the names of its engines of a family. Raises `NotAJournal`."""
    found = [load_node(str(root / name)) for name in (FILE, STRICT) if (root / name).exists()]
    return find_logs(found[0].data), {one.name for spec in found for one in spec.engines if one.family == family}


class RecordedEvents:
    """One reading of all logs of a node. `count` are the events that were read, `notes` say what could not be.

    `since_ns`: those from then on are needed; some earlier ones may come too.
    """

    def __init__(self, root: Path, since_ns: int = 0) -> None:
        self.count = 0
        self.notes: list[str] = []
        self._root = root
        self._since_ns = since_ns

    def events(self) -> Iterator[dict[str, Any]]:
        """The events as the audit has them, those of a family in their order."""
        for one in self.entries():
            yield json.loads(text_of(one))

    def entries(self) -> Iterator[AuditEntry]:
        """The same, as they were sent to the audit."""
        try:
            logs, audits = logs_and_engines(self._root, AUDIT)
        except (NotAJournal, ConfigErrors) as error:
            self.notes.append(f"not compared with the journal: {error}")
            return
        for name, path in logs.folders.items():
            try:
                code = LogCode(logs.node.roots, present=True)
                reading = LogReading(name, Folder(path), logs.node.node, code, self._since_ns)
                yield from self._of(reading, audits)
            except (NotRetained, Damaged, Newer, Deviates, LoadError, OSError) as error:
                self.notes.append(f"not compared with all of {name}: {error}")
                continue
            if reading.note:
                self.notes.append(reading.note)

    def _of(self, reading: LogReading, audits: set[str]) -> Iterator[AuditEntry]:
        while True:
            try:
                for step in reading.steps():
                    for _, one in step.sent:
                        if one.target in audits and isinstance(one.message, Happened | HappenedTogether):
                            for event in events_in(one.message):
                                self.count += 1
                                yield AuditEntry(step.engine, event)
                return
            except Deviates as error:
                if not reading.go_on_behind(error.deviation):
                    raise
