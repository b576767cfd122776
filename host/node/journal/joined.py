"""From the steps of several logs to the states of a system, in a causal order, and what is claimed of each of them.

The steps of a log keep their order. Mail comes after the turn that sent it, as far as that turn is in these logs. Among
steps that may come next, the earliest by (time, engine, log) does, and engines without a parent are born before all
else. Only messages under way and one step of each log are in memory.

A message between two of these engines is in two logs: as an output that the rules give, and as mail. They have to be
equal, or the mail deviates. Mail from elsewhere (a command, a volatile engine) is in transit from its arrival on; a
message to elsewhere is never in transit.

The awkward cases: logs that contradict each other may wait for each other's turns, and the one of an engine whose
history is cut may lack a sending. Then the earliest step goes first all the same.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from engines.model import encode, view
from engines.model.system import Envelope
from engines.model.system_view import EngineView, SystemView
from host.chart.labels import message_label
from host.chart.moments import MessageId
from host.node.journal.history import plain
from host.node.journal.rerun import Deviates, Deviation, DeviationKind, LoggedMessage, LoggedStep

Key = tuple[int, int, str, str]
Way = tuple[str, str, int]
"""Sender, target, mailbox."""


class Claims(msgspec.Struct, frozen=True):
    """What is claimed of every state. `fails`: the claim that a state breaks, "" for none.

    `history` and `record` are those of an engine system.
    """

    fails: Callable[[SystemView], str]
    history: Any = None
    record: Callable[[Any, Envelope, bool], Any] | None = None


class JoinedRun:
    """Mutable: the system, as far as its logs were read. `inside` are all engines that these logs have."""

    def __init__(
        self, logs: Mapping[str, Iterator[LoggedStep]], inside: frozenset[str], claims: Claims | None = None
    ) -> None:
        self.turns = 0
        self.engines: dict[str, EngineView] = {}
        self._logs = logs
        self._inside = inside
        self._claims = claims
        self._history = None if claims is None else claims.history
        self._transit: dict[MessageId, Envelope] = {}
        self._sent_n: dict[Way, int] = {}
        self._received_n: dict[Way, int] = {}
        self._ready: list[Key] = []
        self._blocked: dict[str, Key] = {}
        self._heads: dict[str, LoggedStep | Deviation] = {}

    def deviation(self) -> Deviation | None:
        """The first deviation of all logs; None: there is none."""
        for log in self._logs:
            self._advance(log)
        while self._heads:
            *_, log = heapq.heappop(self._ready) if self._ready else min(self._blocked.values())
            self._blocked.pop(log, None)
            head = self._heads.pop(log)
            if isinstance(head, Deviation):
                return head
            try:
                self._take(head)
            except Deviates as error:
                return error.deviation
            self._advance(log)
            if head.sent or head.origin is not None:
                self._unblock()
        return None

    def _advance(self, log: str) -> None:
        """Read the next step of a log."""
        head: LoggedStep | Deviation | None
        try:
            head = next(self._logs[log], None)
        except Deviates as error:
            head = error.deviation
        if head is None:
            return
        self._heads[log] = head
        is_later = isinstance(head, Deviation) or head.kind != "birth" or head.cell.configuration.parent is not None
        key = (int(is_later), head.time_ns, head.engine, log)
        if isinstance(head, LoggedStep) and self._is_unsent(head):
            self._blocked[log] = key
        else:
            heapq.heappush(self._ready, key)

    def _unblock(self) -> None:
        for log, key in [*self._blocked.items()]:
            head = self._heads[log]
            assert isinstance(head, LoggedStep)
            if not self._is_unsent(head):
                del self._blocked[log]
                heapq.heappush(self._ready, key)

    def _is_unsent(self, step: LoggedStep) -> bool:
        """Whether mail comes from a turn that is still to come."""
        return bool(step.mail) and self._is_inside(step.mail[-1].id) and not self._is_sent(step.mail[-1].id)

    def _is_inside(self, id: MessageId) -> bool:
        return id.sender in self._inside

    def _is_sent(self, id: MessageId) -> bool:
        return id.n < self._sent_n.get(_way(id), 0)

    def _take(self, step: LoggedStep) -> None:
        """Let a step happen. Raises `Deviates`."""
        if step.view is not None:
            if step.engine not in self.engines:
                self.engines = dict(sorted((self.engines | {step.engine: step.view}).items()))
            self.engines[step.engine] = step.view
        if step.origin is not None:
            self._begin(step)
        for letter in step.mail:
            self._receive(step, letter)
        if step.took is not None:
            envelope = self._transit.pop(_known(step.took, self._inside), None)
            if envelope is not None:
                self._record(envelope, is_sent=False)
        for id, output in step.sent:
            self._sent_n[_way(id)] = id.n + 1
            if id.target in self._inside and id.n >= self._received_n.get(_way(id), 0):
                self._send(id, Envelope(id.target, output.message, id.sender, id.mailbox))
        if step.view is not None and step.view.status == "stopped":
            self._forget(step.engine)
        if step.kind in ("turn", "resumed"):
            self.turns += step.kind == "turn"
            self._judge(step)

    def _begin(self, step: LoggedStep) -> None:
        """An engine begins, or goes on from an image: mail from elsewhere is what waits by it."""
        assert step.origin is not None
        name = step.engine
        for id in [id for id in self._transit if id.target == name and not self._is_inside(id)]:
            del self._transit[id]
        self._received_n.update({(sender, name, box): n for (sender, box), n in step.origin.marks.items()})
        self._sent_n.update({(name, target, box): n for (target, box), n in step.origin.ways.items()})
        for letter in step.origin.waiting:
            self._arrive(step, letter)

    def _receive(self, step: LoggedStep, letter: LoggedMessage) -> None:
        """Mail arrives. Raises `Deviates` if its sender sent something else."""
        id = _known(letter.id, self._inside)
        sent = self._transit.get(id)
        self._received_n[_way(id)] = id.n + 1
        if not self._is_inside(id):
            self._arrive(step, letter)
        elif sent is not None and encode(sent.message) != letter.payload:
            recorded = f"message {id.n} of {id.sender} is {message_label(plain(letter.payload))}"
            found = f"{id.sender} sent {message_label(view(sent.message))}"
            raise Deviates(self._deviation("message", step, recorded, found))

    def _arrive(self, step: LoggedStep, letter: LoggedMessage) -> None:
        """Mail whose sending is in no log; a message that cannot be read is in transit nowhere."""
        if self._claims is None:
            return
        id = letter.id
        box = step.cell.family.boxes.get(id.mailbox)
        try:
            message = box.decode(bytes(letter.payload))
        except Exception:
            return
        self._send(_known(id, self._inside), Envelope(id.target, message, id.sender, id.mailbox))

    def _send(self, id: MessageId, envelope: Envelope) -> None:
        self._transit[_known(id, self._inside)] = envelope
        self._record(envelope, is_sent=True)

    def _forget(self, engine: str) -> None:
        """What is under way to an engine that ended is a dead letter."""
        for id in [id for id in self._transit if id.target == engine]:
            del self._transit[id]

    def _record(self, envelope: Envelope, *, is_sent: bool) -> None:
        if self._claims is not None and self._claims.record is not None:
            self._history = self._claims.record(self._history, envelope, is_sent)

    def _judge(self, step: LoggedStep) -> None:
        if self._claims is None:
            return
        state = SystemView(self.engines, tuple(self._transit.values()), self._history, step.time_ns)
        if broken := self._claims.fails(state):
            raise Deviates(self._deviation("property", step, f"turn {step.turn} of {step.engine}", broken))

    def _deviation(self, kind: DeviationKind, step: LoggedStep, recorded: str, found: str) -> Deviation:
        return Deviation(kind, step.log, step.place, step.engine, step.turn, step.time_ns, recorded, found)


def _way(id: MessageId) -> Way:
    return (id.sender, id.target, id.mailbox)


def _known(id: MessageId, inside: frozenset[str]) -> MessageId:
    """The id of a message in transit. What a recovery sends again has a later epoch, and its old number."""
    return id._replace(epoch=0) if id.sender in inside else id
