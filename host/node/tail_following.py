"""A candidate's engines behind a tail of triggers (`trigger_tail`): each goes on from where its rehearsal ended.

Nothing of the old process's outcomes is in a tail. What is compared is what the cut shows anyway: how many transitions
failed, and the states of small engines, which cross nevertheless (`host.node.snapshot`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from engines.model import (
    AnswerError,
    Committed,
    Configuration,
    Delivery,
    Due,
    Environment,
    Failed,
    Family,
    Handle,
    Outcome,
    Suspended,
    arrive,
    step,
)
from engines.model.blame import blame
from host.node.mailbox import Mail
from host.node.past import env_after
from host.node.rehearsal import Differs, RehearsalEnd
from host.node.trigger_ring import When, times_of
from host.node.trigger_tail import TailBegin, Tailed, TailFrame, TailLost, TailMail, TailTrigger

COMPARED_BYTES_MAX: Final = 16 << 10
"""Of a state that crosses at the cut although the candidate has it, to be compared: that takes less than a cycle."""


_decode: Final = msgspec.msgpack.Decoder(list[Tailed]).decode


class Followed:
    """An engine under its new version. Mutable. `failed` transitions raised, and `failed_before` had when it began."""

    __slots__ = ("_family", "_me", "env", "failed", "failed_before", "is_large")

    def __init__(self, rehearsed: RehearsalEnd, failed_before: int) -> None:
        self.env: Environment[Any] = rehearsed.env
        self.is_large = rehearsed.env_bytes > COMPARED_BYTES_MAX
        self.failed = 0
        self.failed_before = failed_before
        self._family: Family[Any, Any, Any, Any] = rehearsed.family
        self._me: Configuration[Any] = rehearsed.me

    def mail(self, when: When, sender: str, mailbox: int, payloads: list[bytes]) -> None:
        """Handle messages of one stream. Raises `Differs`."""
        family, me = self._family, self._me
        for now_ns, payload in zip(times_of(when, len(payloads)), payloads, strict=True):
            message = self._message(sender, mailbox, payload)
            outcome = arrive(family, me, self.env, sender, mailbox, message, now_ns)
            if outcome.__class__ is Committed:
                self.env = outcome.env
            else:
                self._take(Delivery(sender, mailbox, message), outcome)

    def trigger(self, kept: TailTrigger) -> None:
        """Handle a trigger as the old version did, with the same answers. Raises `Differs`."""
        if kept.message is None:
            pending = self.env.timers
            handles = [Handle(name, pending[name].number if name in pending else 0) for name in kept.timers]
            cause: Delivery[Any] | Due = Due(tuple(handles))
        else:
            cause = Delivery(kept.sender, kept.mailbox, self._message(kept.sender, kept.mailbox, kept.message))
        try:
            outcome = step(self._family, self._me, self.env, cause, kept.now_ns, kept.answers)
        except AnswerError as error:
            raise Differs(f"it asks otherwise: {error}") from None
        self._take(cause, outcome)

    def _message(self, sender: str, mailbox: int, payload: bytes) -> Any:
        try:
            return self._family.boxes[mailbox].decode(payload)
        except BaseException as error:
            raise Differs(f"a message of {sender or 'nobody'} is unreadable: {blame(error)[0]}") from None

    def _take(self, cause: Delivery[Any] | Due, outcome: Outcome[Any]) -> None:
        if isinstance(outcome, Suspended):
            raise Differs(f"it asks otherwise: {outcome.question}")
        self.failed += isinstance(outcome, Failed)
        self.env = env_after(self.env, cause, outcome)


class TailFollower:
    """Mutable, one a candidate. `engines` are those of which every trigger came."""

    def __init__(self, rehearsed: dict[str, RehearsalEnd], read_frame: Callable[[memoryview], Mail]) -> None:
        """`rehearsed` are the engines whose rehearsal found that migration and transitions commute. They are taken out:
        an old environment that is kept would be freed in the pause."""
        self.engines: dict[str, Followed] = {}
        self._rehearsed = rehearsed
        self._read_frame = read_frame

    def run(self, part: bytes, stand_at: Callable[[str], None]) -> int:
        """Run the triggers of a part; how many there were. `stand_at` gets each engine before. Raises `Differs`."""
        turns, standing = 0, ""
        for one in _decode(part):
            if isinstance(one, TailBegin):
                rehearsed = self._rehearsed.pop(one.engine, None)
                if rehearsed is not None:
                    self.engines[one.engine] = Followed(rehearsed, one.failed)
                continue
            engine = self.engines.get(one.engine)
            if engine is None:
                continue
            if one.engine != standing:
                standing = one.engine
                stand_at(standing)
            match one:
                case TailLost(name):
                    del self.engines[name]
                case TailFrame(_, when, frame):
                    mail = self._read_frame(memoryview(frame))
                    engine.mail(when, mail.sender, mail.mailbox, mail.payloads)
                    turns += len(mail.payloads)
                case TailMail(_, when, sender, mailbox, payloads):
                    engine.mail(when, sender, mailbox, payloads)
                    turns += len(payloads)
                case TailTrigger():
                    engine.trigger(one)
                    turns += 1
        return turns
