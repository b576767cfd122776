"""`aism replay`: the recorded decisions about agents, decided again from the journal of the engine."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from engines.agents.protocol.model import Protocol
from engines.agents.validation.replaying import Disagreement, Replaying
from engines.agents.validation.validator import VALIDATOR
from engines.model import Delivery, Due, due_timers
from host.aism.asking import duration_argument
from host.aism.call import Call
from host.aism.commands.evolution import protocol_in
from host.aism.node import root_of
from host.aism.output import Failure, Outcome, done, failed
from host.aism.protocol_files import read_file
from host.aism.recorded import logs_and_engines
from host.live.journal.conformance import LogReading
from host.live.journal.data_folder import NotAJournal
from host.live.journal.folder import Folder
from host.live.journal.replays import NotRetained
from host.live.journal.versions import LogCode
from host.node.journal.rerun import Deviates, LoggedMessage, LoggedStep
from host.node.journal.scan import Damaged

SHOWN_MAX: Final = 1_000


def replay(call: Call) -> Outcome:
    """Decide again; exit status 1 if a decision would be another one."""
    path = call.arguments.get("--protocol")
    protocol, source = (protocol_in(path), read_file(path).decode()) if path else (None, "")
    since_ns = time.time_ns() - duration_argument(call.arguments["--since"]) if "--since" in call.arguments else 0
    run = _Run(protocol, source, since_ns)
    try:
        differences = list(islice(run.differences(_reading(root_of(os.getcwd()))), SHOWN_MAX + 1))
    except (NotRetained, NotAJournal, Damaged) as error:
        raise Failure("unavailable", "no_journal", str(error)) from None
    data = {
        **({"protocol": protocol.name, "version": protocol.version} if protocol else {}),
        "turns": run.turns,
        "differences": [msgspec.to_builtins(one) for one in differences[:SHOWN_MAX]],
        "more": len(differences) > SHOWN_MAX,
    }
    head = f"{run.turns} recorded turns of the validator"
    if not differences:
        return done(data, f"{head}: all decided alike")
    first = differences[0]
    message = f"{head}: the first that differs is turn {first.turn}, about {first.agent or 'the validator'}"
    failure = Failure("validation", "differs", message)
    return failed(failure, data, "\n".join(_line(one) for one in differences[:SHOWN_MAX]))


def _line(one: Disagreement) -> str:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(one.time_ns // 10**9))
    asked = f" {one.asked}" if one.asked else ""
    return f"{at}  {one.agent}{asked}\n  recorded: {one.recorded}\n  now:      {one.now}"


def _reading(root: Path) -> LogReading:
    """The log of the validator. Raises Failure, and as `logs_and_engines` and `LogReading`."""
    logs, names = logs_and_engines(root, VALIDATOR.ref)
    for name, path in logs.folders.items():
        reading = LogReading(name, Folder(path), logs.node.node, LogCode(logs.node.roots, present=True))
        if names & set(reading.engines()):
            return reading
    raise Failure("unknown", "no_validator", f"no log in {logs.data} has turns of a validator")


class _Run:
    """One reading of the log. Without a protocol, a turn differs that this code cannot make as it was recorded."""

    def __init__(self, protocol: Protocol | None, source: str, since_ns: int) -> None:
        self.turns = 0
        self._since_ns = since_ns
        self._other = Replaying(protocol, source) if protocol is not None else None
        self._letters: dict[Any, LoggedMessage] = {}
        self._env: Any = None

    def differences(self, reading: LogReading) -> Iterator[Disagreement]:
        """Those of all turns, in order."""
        while True:
            try:
                for one in reading.steps():
                    yield from self._of(one)
                return
            except Deviates as error:
                found = error.deviation
                if reading.go_on_behind(found):
                    continue
                told = f"{found.kind}: {found.found}"
                yield Disagreement(found.turn, found.time_ns, "", "", found.recorded, told)
                return

    def _of(self, one: LoggedStep) -> Iterator[Disagreement]:
        if one.cell.family.name != VALIDATOR.name:
            return
        mail = one.origin.waiting if one.origin is not None else one.mail
        self._letters |= {letter.id: letter for letter in mail}
        before, self._env = self._env, one.cell.env
        if one.kind not in ("turn", "resumed"):
            return
        letter = self._letters.pop(one.took, None) if one.took is not None else None
        if before is None or one.time_ns < self._since_ns:
            return
        self.turns += 1
        if self._other is None:
            return
        if letter is not None:
            message = one.cell.family.boxes.get(letter.id.mailbox).decode(bytes(letter.payload))
            cause: Any = Delivery(letter.id.sender, letter.id.mailbox, message)
        else:
            cause = Due(due_timers(before, one.time_ns))
        if letter is not None or one.took is None:
            me = one.cell.configuration
            yield from self._other.differences(me, one.turn, cause, before, self._env, one.time_ns)
