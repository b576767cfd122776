"""One turn of the orchestrator: the roster that it changes, and the messages that leave at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace

from engines.agents.messages import Happened, ViewChanged
from engines.model import Become, Effects, Ref, Send, SetTimer, Timer

from .record import Life, Roster
from .terms import Terms

WAKE: Final = Timer("wake")
NEVER: Final = 0


class Turn:
    """Lives within one action; what it collects is returned by `effects`."""

    def __init__(self, roster: Roster, terms: Terms, me: str, now_ns: int) -> None:
        self.roster = roster
        self.terms = terms
        self.me: Ref[Any] = Ref(me)
        self.now_ns = now_ns
        self._sent: list[Any] = []
        self._touched: dict[str, None] = {}

    def life(self, agent: str) -> Life | None:
        """The record of an agent."""
        return self.roster.lives.get(agent)

    def of_session(self, agent: str, session: int) -> Life | None:
        """The record of an agent, if this is its session; what comes late from an earlier one is for nobody."""
        life = self.life(agent)
        return life if life is not None and life.session == session else None

    def change(self, agent: str, **fields: Any) -> Life:
        """Change the record of an agent. Returns it."""
        before = self.roster.lives[agent]
        if "phase" in fields and fields["phase"] != before.phase:
            fields.setdefault("since_ns", self.now_ns)
        life = replace(before, **fields)
        self.roster = replace(self.roster, lives=self.roster.lives.set(agent, life))
        self._touched[agent] = None
        return life

    def send(self, target: Ref[Any] | None, message: Any) -> None:
        """Send, if there is somebody."""
        if target is not None:
            self._sent.append(Send(target, message))

    def order(self, message: Any) -> None:
        """Send to the launchers."""
        self._sent.append(Send(self.terms.launcher, message))

    def happened(
        self,
        kind: str,
        agent: str,
        value: float | None = None,
        source: Literal["engine", "launcher", "log", "agent"] = "engine",
        how: Mapping[str, object] | None = None,
        **attributes: object,
    ) -> None:
        """Report that something happened, with these attributes."""
        life = self.life(agent)
        where = life.where if life is not None else None
        self.roster = replace(self.roster, events=self.roster.events + 1)
        words = tuple((name, str(text)) for name, text in sorted({**(how or {}), **attributes}.items()))
        event = Happened(
            self.roster.events,
            self.now_ns,
            kind,
            agent,
            life.session if life is not None else 0,
            where.state if where is not None else "",
            where.visit if where is not None else 0,
            where.protocol if where is not None else "",
            where.version if where is not None else "",
            value,
            attributes=words,
            source=source,
        )
        for listener in self.terms.listeners:
            self.send(listener, event)

    def show(self, agent: str) -> None:
        """Send the view of an agent."""
        life = self.change(agent, views=self.roster.lives[agent].views + 1)
        fields = {
            "phase": life.phase,
            "session": str(life.session),
            "pid": str(life.pid),
            "role": life.role,
            "restarts": str(life.restarts),
            "isolation": life.plan.isolation,
            "paused": str(life.is_paused).lower(),
        }
        self.send(self.terms.bridge, ViewChanged(agent, life.views, tuple(sorted(fields.items()))))

    def effects(self, *, is_woken: bool = False) -> Effects[Roster, Any]:
        """State: the roster. Messages: those that were collected. Timers: to wake up for the first life that is due.
        Engines: none."""
        wake = NEVER if is_woken else self.roster.wake_ns
        lives = self.roster.lives.values() if is_woken else map(self.life, self._touched)
        first = min((life.due_ns for life in lives if life is not None and life.due_ns is not None), default=NEVER)
        timers: list[Any] = []
        if first and (wake == NEVER or first < wake):
            wake = first
            timers.append(SetTimer(WAKE, at_ns=first))
        self.roster = replace(self.roster, wake_ns=wake)
        return [Become(self.roster), *timers, *self._sent]


def text_of(value: Any) -> str:
    """A value as JSON."""
    return msgspec.json.encode(value).decode()
