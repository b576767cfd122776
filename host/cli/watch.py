"""Reloads the engines whose sources changed, whenever a file below the code roots was saved.

It polls times and sizes of the files: that works on every file system, and a root has some hundred files. What a change
concerns follows from the families' versions, digests of all sources that a family loads: a throw-away process imports
them, as for `validate`. So a broken source is reported here, with its place, and no engine is asked.

Each save tries all engines again that do not run the saved sources. What was refused may fit by now: a question was
answered, a neighbour has its new code. What was given and failed on probation is not given again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, Final

from host.cli.output import diagnose
from host.cli.problem import CliError
from host.live.control.client import Client
from host.live.inspection.inspect import DEADLINE_NS, inspect_families
from host.live.inspection.inspect_records import FamilyReport, Inquiry

POLL_S: Final = 0.2
"""Between two looks. An editor that writes a file in pieces is waited for: two looks have to agree."""

UNLIKE_MAX: Final = 10
"""Looks that may differ in a row. What is saved without end is reloaded nevertheless, as it is at that moment."""

LOOKS_A_REQUEST: Final = 5
"""Looks between two questions whether the node still runs."""

PASSED_OVER: Final = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})

PASSING: Final = frozenset({"conflict", "not_ready"})
"""Errors of a reload that pass by themselves: a probation, another reload, an engine that is being restarted."""

Stamps = dict[str, tuple[int, int]]
Reload = Callable[[str], None]


class SourceWatch:
    """Mutable: what is known of the sources of a running node. `reload` replaces the code of an engine, or raises."""

    def __init__(self, client: Client, roots: Sequence[str], reload: Reload) -> None:
        self._client = client
        self._roots = tuple(roots)
        self._reload = reload
        self._seen: Stamps = {}  # the first look is at once: what was saved since the node began counts too
        self._given: dict[str, str] = {}  # engine -> the version it got last, from which it may have gone back
        self._waits: dict[str, str] = {}  # engine -> the version that it cannot get yet
        self._reports: dict[str, FamilyReport] = {}

    def run(self) -> None:
        """Until the node ends: `ControlError`."""
        for n in count(1):
            time.sleep(POLL_S)
            found = stamps(self._roots)
            if found == self._seen:
                if n % LOOKS_A_REQUEST == 0:
                    self._client.request("status")
                    for name in list(self._waits):
                        self._bring_up_to_date(name)
                continue
            for _ in range(UNLIKE_MAX):
                if found == self._seen:
                    break
                self._seen = found
                time.sleep(POLL_S)
                found = stamps(self._roots)
            self.look()

    def look(self) -> None:
        """Reload every engine whose sources are not those that it runs."""
        engines = self._engines()
        refs = tuple(dict.fromkeys(engine["family"] for engine in engines))
        self._reports = inspect_families(Inquiry(refs, self._roots, (), DEADLINE_NS)).families
        self._waits.clear()
        for report in self._reports.values():
            for problem in report.problems:
                diagnose(f"{report.ref}: {problem}; its engines keep their code")
        for name in [engine["engine"] for engine in engines]:
            self._bring_up_to_date(name)

    def _bring_up_to_date(self, name: str) -> None:
        """Its process may have been reloaded with a neighbour, so what it runs is asked for again."""
        waited = self._waits.pop(name, None)
        engine = next((one for one in self._engines() if one["engine"] == name), None)
        report = None if engine is None else self._reports.get(engine["family"])
        if engine is None or report is None or not report.ok:
            return
        if not engine["version"]:
            self._waits[name] = ""
            return
        if report.version == engine["version"]:
            self._given[name] = report.version  # it may have come by hand
            return
        if report.version == self._given.get(name):
            return
        try:
            self._reload(name)
            self._given[name] = report.version
        except CliError as error:
            if error.problem.error in PASSING:
                self._waits[name] = report.version
                if waited == report.version:
                    return  # said before
            diagnose(f"{error.problem.message}\n{error.problem.text}".rstrip())

    def _engines(self) -> list[dict[str, Any]]:
        return self._client.request("ps").items


def stamps(roots: Sequence[str]) -> Stamps:
    """Time and size of every source below the roots."""
    return {path: stamp for root in roots for path, stamp in _sources(root)}


def _sources(root: str) -> Iterator[tuple[str, tuple[int, int]]]:
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in PASSED_OVER and not name.startswith(".")]
        for name in files:
            if name.endswith(".py"):
                path = os.path.join(folder, name)
                try:
                    found = os.stat(path)
                except OSError:
                    continue  # it was removed just now, or replaced: the next look sees that
                yield path, (found.st_mtime_ns, found.st_size)
