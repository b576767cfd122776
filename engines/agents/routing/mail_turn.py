"""One transition of the router, as a working copy.

A `MailTurn` is made from the state when a message arrives. Its operations replace `state`, and list what is to be sent;
`effects` gives both, and what the validator, the bridge and the orchestrator should know about the inboxes touched. It
lives for one transition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from engines.model import Become, Map, Send, SetTimer

from ..answers import NO_ANSWERS
from ..envelope import Frame
from ..messages import (
    AgentAnswer,
    AgentRequest,
    Fact,
    FactsChanged,
    Happened,
    MessageWaiting,
    PromptWanted,
    ViewChanged,
)
from ..together import together
from .inbox import Inbox, Letter, give_back, put
from .passage import EMPTY, Side, can_receive
from .state import LOOK, Made, Routing, Ways, message_id
from .wheel import TICK_NS, Deadline, Slot


class MailTurn:
    """The working copy of one transition."""

    def __init__(self, ways: Ways, state: Routing, now_ns: int) -> None:
        self.ways, self.state, self.now_ns = ways, state, now_ns
        self._sends: list[Any] = []
        self._timer: list[SetTimer] = []
        self._touched: dict[str, str] = {}
        self._events: list[Happened] = []
        self._views: list[str] = []

    def change(self, **fields: Any) -> None:
        """Replaces fields of the state."""
        self.state = replace(self.state, **fields)

    def inbox(self, agent: str) -> Inbox:
        """The inbox of an agent."""
        return self.state.inboxes.get(agent) or Inbox()

    def set_inbox(self, agent: str, inbox: Inbox) -> None:
        """Replaces an inbox."""
        self.change(inboxes=self.state.inboxes.set(agent, inbox))
        self._touched.setdefault(agent, "")

    def side(self, agent: str) -> Side | None:
        """An agent and what its protocol says; None for a name that nobody has."""
        peer = self.state.peers.get(agent)
        return None if peer is None else Side(peer, self.state.conducts.get(peer.digest, EMPTY))

    def frame(self, agent: str) -> Frame:
        """What each answer to this agent says."""
        peer = self.state.peers.get(agent)
        protocol = {"name": peer.protocol, "version": peer.version, "digest": peer.digest} if peer else {}
        return Frame(peer.number if peer else 0, {"unread": self.inbox(agent).unread}, protocol)

    def is_taken(self, agent: str) -> Callable[[Letter], bool]:
        """Whether the agent's state takes a message, as a function."""
        side = self.side(agent)
        known: dict[str, bool] = {}

        def look(letter: Letter) -> bool:
            name = letter.message_type
            if name not in known:
                known[name] = side is None or can_receive(side, name, side.conduct.types.get(name))
            return known[name]

        return look

    # --- deadlines ----------------------------------------------------------------------------------------------------

    def wake_at(self, at_ns: int, kind: str, owner: str, number: int) -> Slot:
        """Adds a deadline."""
        return self.wake_all_at(at_ns, kind, owner, [number])[0]

    def wake_all_at(self, at_ns: int, kind: str, owner: str, numbers: Sequence[int]) -> list[Slot]:
        """Adds a deadline for each number, one at least."""
        deadlines = [Deadline(kind, owner, number) for number in numbers]
        wheel, slots = self.state.wheel.add(at_ns, deadlines, self.now_ns)
        self.change(wheel=wheel)
        self._look_at(slots[0].tick * TICK_NS)
        return slots

    def unwake(self, *slots: Slot | None) -> None:
        """Cancels deadlines."""
        wheel = self.state.wheel.cancel(slots)
        if wheel is not self.state.wheel:
            self.change(wheel=wheel)

    # --- messages -----------------------------------------------------------------------------------------------------

    def next_id(self) -> tuple[int, str]:
        """The number and the id of the next message."""
        number = self.state.message + 1
        self.change(message=number)
        return number, message_id(self.now_ns, number)

    def deliver(self, agent: str, letter: Letter) -> None:
        """Puts a message into an inbox."""
        self.set_inbox(agent, put(self.inbox(agent), letter))
        self.announce(agent, letter.message_type)

    def announce(self, agent: str, message_type: str) -> None:
        """Tells that the agent has a message of this type to read."""
        self._touched[agent] = message_type

    def forget(self, agent: str) -> None:
        """An agent is gone, and so is what was kept for it."""
        state, peer = self.state, self.state.peers.get(agent)
        roles = state.roles
        if peer is not None:
            roles = roles.set(peer.role, (roles.get(peer.role) or Map()).without(agent))
        self.change(
            peers=state.peers.without(agent),
            roles=roles,
            inboxes=state.inboxes.without(agent),
            answers=state.answers.without(agent),
        )

    def return_lease(self, agent: str, letter: Letter) -> None:
        """Lets a leased message be handed out again."""
        self.unwake(letter.lease)
        self.set_inbox(agent, give_back(self.inbox(agent), letter))

    def happen(
        self, kind: str, agent: str, *attributes: tuple[str, str], value: float | None = None, times: int = 1
    ) -> None:
        """Tells the listeners that something happened, or so many of its kind at once."""
        if not self.ways.listeners:
            return
        self.change(happened=self.state.happened + 1)
        peer = self.state.peers.get(agent)
        event = Happened(
            self.state.happened,
            self.now_ns,
            kind,
            agent,
            self.inbox(agent).session,
            peer.state if peer else "",
            peer.visit if peer else 0,
            peer.protocol if peer else "",
            peer.version if peer else "",
            value,
            "bytes" if value is not None else "",
            attributes,
            values=(1.0,) * times if times > 1 else (),
        )
        self._events.append(event)

    def count_refused(self, rule: str) -> None:
        """Counts a refusal by its rule."""
        refused = self.state.refused
        self.change(refused=refused.set(rule, refused.get(rule, 0) + 1))

    def answer(self, request: AgentRequest, answer: AgentAnswer, *, is_remembered: bool = True) -> None:
        """Answers a request; a repeat of it gets the same, if `is_remembered`."""
        if is_remembered:
            known = self.state.answers.get(request.agent, NO_ANSWERS)
            self.change(answers=self.state.answers.set(request.agent, known.remember(request, answer)))
        self._sends.append(Send(request.reply_to, answer))

    # --- the end ------------------------------------------------------------------------------------------------------

    def effects(self, *, are_together: bool = False) -> Made:
        """State: as it is now. Messages: those listed, and what changed about inboxes. Timers: to look at deadlines.
        Engines: none."""
        self.settle()
        self._tell_listeners()
        return [Become(self.state), *self._timer, *(together(self._sends) if are_together else self._sends)]

    def settle(self) -> None:
        """Says what changed about the inboxes touched; before the next message is looked at, as that counts from it."""
        for agent, came in self._touched.items():
            self._tell(agent, came)
        self._touched.clear()

    def _tell_listeners(self) -> None:
        """Sends events and views, or leaves them for later."""
        before = self.state.untold
        if before.is_empty and not self._events and not self._views:
            return
        untold, told = before.gathered(self._events, self._views, self.now_ns, self.ways.listeners)
        self.change(untold=untold)
        self._timer += told.timer
        self._sends += told.sends
        for agent in told.views:
            self._tell_view(agent)

    def look_again(self) -> None:
        """The timer has elapsed, and is set for the next deadline."""
        self.change(look_ns=0)
        if (at_ns := self.state.wheel.next_ns(self.now_ns)) is not None:
            self._look_at(at_ns)

    def _look_at(self, at_ns: int) -> None:
        if not self.state.look_ns or at_ns < self.state.look_ns:
            self.change(look_ns=at_ns)
            self._timer = [SetTimer(LOOK, at_ns=max(at_ns, self.now_ns + 1))]

    def _tell(self, agent: str, came: str) -> None:
        """What the others should know about an inbox; `came` is the type of a message that came, or "".

        Where no guard looks at the inbox, only whether it is empty is told at once, the rest with the views.
        """
        inbox, was_empty = self.inbox(agent), not self.inbox(agent).told[0]
        if agent not in self.state.inboxes:
            return
        if was_empty == (not inbox.unread) and not self._minds_inbox(agent):
            self._views.append(agent)
            return
        is_other = self._know(agent)
        inbox = self.inbox(agent)
        if is_other:
            self._views.append(agent)
            if came and was_empty and self.ways.orchestrator is not None:
                self._sends.append(Send(self.ways.orchestrator, PromptWanted(agent, "message", waiting_text(inbox))))
        if self.ways.validator is None or not self._minds_inbox(agent):
            return
        if came and inbox.unread:
            facts = tuple(inbox_facts(inbox)) if is_other else ()
            self._sends.append(Send(self.ways.validator, MessageWaiting(agent, inbox.unread, came, facts)))
        elif is_other:
            self._tell_facts(agent)

    def _minds_inbox(self, agent: str) -> bool:
        peer = self.state.peers.get(agent)
        return peer is None or self.state.conducts.get(peer.digest, EMPTY).minds_inbox

    def _know(self, agent: str) -> bool:
        """Notes what is told about an inbox; False if that was told before."""
        inbox = self.inbox(agent)
        told = (inbox.unread, inbox.oldest_ns())
        if told == inbox.told:
            return False
        self.change(inboxes=self.state.inboxes.set(agent, replace(inbox, told=told, views=inbox.views + 1)))
        return True

    def _tell_facts(self, agent: str) -> None:
        if self.ways.validator is not None:
            self._sends.append(Send(self.ways.validator, FactsChanged(agent, tuple(inbox_facts(self.inbox(agent))))))

    def tell_inbox(self, agent: str) -> None:
        """Tells what is in an inbox, whatever was told: a guard of the agent may look at it from now on."""
        self._know(agent)
        self._tell_facts(agent)

    def _tell_view(self, agent: str) -> None:
        if agent in self.state.inboxes:
            self._know(agent)
            self.send_view(agent, self.inbox(agent))
            if not self._minds_inbox(agent):
                self._tell_facts(agent)

    def send_view(self, agent: str, inbox: Inbox) -> None:
        """Tells the bridge about an inbox."""
        if self.ways.bridge is not None:
            fields = (("unread", str(inbox.told[0])), ("oldest", str(inbox.told[1])))
            self._sends.append(Send(self.ways.bridge, ViewChanged(agent, inbox.views, fields)))


def inbox_facts(inbox: Inbox) -> Iterable[Fact]:
    """What guards can know about an inbox."""
    yield Fact("inbox.unread", inbox.told[0])
    if inbox.told[1]:
        yield Fact("inbox.oldest", inbox.told[1])
    for name, count in inbox.by_type.items():
        yield Fact(f"inbox.of_type({name})", count)


def waiting_text(inbox: Inbox) -> str:
    """What a prompt says about an inbox."""
    count = inbox.told[0]
    return f"You have {count} unread message{'s' if count > 1 else ''}. Read with: aism message read"
