"""The way out: outputs of committed transitions, sent to neighbours in the slot or over a link, in order, never lost on
the way.

An output that cannot leave now is *held* in the engine that sent it, under its target, in order. Such an engine gets no
trigger until all its outputs have left. Causes, and what ends them:

    route  the target's slot is being looked up        `route`
    stop   the target's mailbox is filling             `go`, or `go_all` from a new process in its slot
    room   the lane to the target's slot is full       `poll_room`, or the report that the lane has no reader for now

Numbers. Each stream (sender, target, mailbox) counts its messages from 1. Its `Way` keeps the count while it has no
outlet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from engines.model import Noted, Outgoing, Output, Stopped, encode, in_parts, view
from host.node.cell import Blocked, Cell, Way
from host.node.journal.numbering import WAYS_MAX
from host.node.neighbours import post_here
from host.node.news import NoteLine
from host.node.recorder import NumberedMessage
from host.node.relief import DEADLOCK, Relief
from host.node.routing import DEGRADED
from host.node.set_aside import PARKED
from host.node.signals import Signals
from host.node.slot_engines import SlotEngines
from transport.port import Closed, Link, Outlet, TooLarge

ROUTES_MAX: Final = 100_000
"""Names whose slot is remembered; beyond it the oldest is looked up again when needed."""

CLOSED_MAX: Final = 100_000
"""Closed streams whose number an engine remembers; beyond it the oldest is forgotten. A stream that is not remembered
begins above the numbers of the forgotten ones, so it is never taken for a repeat; its receiver reports a gap."""


class Outbox:
    """Mutable, one a slot. `link` None: there is nothing outside this slot. `held` counts held messages."""

    _engines: SlotEngines

    def __init__(self, slot: int, epoch: int, link: Link | None = None) -> None:
        self.slot = slot
        self.epoch = epoch
        self.link = link
        self.stops: dict[str, int] = {}
        self.signals = Signals()
        self.relief = Relief()
        self.held = 0
        self.on_news: Callable[[], None] = lambda: None
        self.waiting: dict[Blocked, dict[tuple[str, str], Cell]] = {}
        self._routes: dict[str, int] = {}
        self._mailboxes: set[int] = set()  # of all streams that ever had an outlet: few, where names may be many
        self._asked: set[str] = set()
        self._degraded: set[str] = set()

    def attach(self, engines: SlotEngines) -> None:
        """Know whose outputs these are. Called once, by the scheduler."""
        self._engines = engines

    @property
    def is_calm(self) -> bool:
        """Whether nothing is held and no signal waits."""
        return not self.waiting and not self.signals.pending and not self.relief.allowed

    def release(self) -> None:
        """Let the outputs of the last run leave, and what was held and can leave now."""
        turns = self._engines.turns
        if turns.outputs:
            released, turns.outputs, turns.outputs_count = turns.outputs, [], 0
            for cell, outputs in released:
                for output in outputs:
                    if output.__class__ is Outgoing:
                        self.post(cell, output.target, output.mailbox, output.message)
                    else:
                        self._perform(cell, output)
        if self.waiting:
            self.poll_room()
        if self.relief.allowed:
            self.relief.restore()
        if self.signals.pending and self.link is not None:
            self.signals.send(self.link)

    def _perform(self, cell: Cell, output: Output) -> None:
        report = self._engines.report
        if isinstance(output, Noted):
            fields = {name: view(value) for name, value in output.fields.items()}
            report.note(NoteLine(cell.name, self._engines.clock(), output.text, fields))
        elif isinstance(output, Stopped):
            report.stopped.append(cell.name)

    def post(self, cell: Cell, target: str, mailbox: int, message: Any) -> None:
        """Send, or hold behind the messages held for this target already."""
        if cell.held and target in cell.held:
            self.hold_more(cell, target, mailbox, message)
        elif (cause := self.try_post(cell, target, mailbox, message)) is not None:
            self.hold(cell, target, [(mailbox, message)], cause)

    def hold(self, cell: Cell, target: str, messages: list[tuple[int, Any]], cause: Blocked) -> None:
        """Keep messages (there may be none) until `cause` is gone; then `cell` is woken."""
        cell.held[target] = deque(messages)
        self.held += len(messages)
        cell.let_views_go()
        self._wait_for(cause, cell, target)
        self._engines.turns.rearm(cell)

    def hold_more(self, cell: Cell, target: str, mailbox: int, message: Any) -> None:
        """Keep a message behind those held for `target`."""
        cell.held[target].append((mailbox, message))
        self.held += 1

    def take_in(self, cell: Cell) -> None:
        """Look up the targets of outputs that a cell brings along unsent; they wait until the node answers."""
        for target, queue in cell.held.items():
            if target != PARKED:
                self.held += len(queue)
                self._wait_for(self._ask(target), cell, target)

    def try_post(self, cell: Cell, target: str, mailbox: int, message: Any) -> Blocked | None:
        """Send, or say what it would have to wait for. None: it left, or became a dead letter."""
        if message.__class__ is NumberedMessage:
            return self._try_post_numbered(cell, target, mailbox, message)
        way = cell.ways.get((target, mailbox)) or self._new_way(cell, target, mailbox)
        here = way.cell
        if here is None or here.is_ended:
            here = way.cell = self._engines.cells.get(target)
        if here is not None:
            return post_here(self._engines, self.relief, self.epoch, cell, way, here, mailbox, message)
        if target in self.stops and target not in self._degraded:
            return self._stopped(cell, target, mailbox, message)
        outlet = way.outlet or self._open(cell, way, target, mailbox)
        if outlet is None:
            return self._nowhere(cell, target, mailbox, message)
        try:
            parts = in_parts(message)
            if not (outlet.send(encode(message)) if parts is None else outlet.send_parts(parts)):
                return self._no_room(cell, target, mailbox, message, way.peer)
        except TooLarge as error:
            self._bury("too_large", cell, target, mailbox, message, str(error))
            return None
        except Closed:
            self.detached(way.peer)
            return self._nowhere(cell, target, mailbox, message)
        cell.sent += 1
        self._engines.tally.sent += 1
        return None

    def _try_post_numbered(self, cell: Cell, target: str, mailbox: int, numbered: NumberedMessage) -> Blocked | None:
        """Send a message of a journaled engine under the number it was committed with."""
        way = cell.ways.get((target, mailbox)) or self._new_way(cell, target, mailbox)
        if way.number != numbered.n:
            way.close()
            way.next_n = numbered.n
        here = self._engines.cells.get(target)
        cause = self.try_post(cell, target, mailbox, numbered.message)
        if cause is None and cell.recorder is not None:
            if here is not None and here.recorder is not None:
                cell.recorder.left(target, mailbox, numbered.n, None)
            elif here is None and way.outlet is not None and way.number == numbered.n + 1:
                cell.recorder.left(target, mailbox, numbered.n, way.peer)
            else:
                cell.recorder.settled(target, mailbox, numbered.n)
        return cause

    def _stopped(self, cell: Cell, target: str, mailbox: int, message: Any) -> Blocked | None:
        """The target said stop: wait for its word, unless the node found that to be without end."""
        if not self.relief.loses(cell, target):
            return ("stop", target)
        self._bury(DEADLOCK, cell, target, mailbox, message, "")
        return None

    def _no_room(self, cell: Cell, target: str, mailbox: int, message: Any, peer: int) -> Blocked | None:
        """The lane is full. Nobody waits for one that nobody reads for now."""
        if target not in self._degraded:
            return ("room", peer)
        self._bury(DEGRADED, cell, target, mailbox, message, "")
        return None

    def _new_way(self, cell: Cell, target: str, mailbox: int) -> Way:
        while len(cell.ways) >= WAYS_MAX:
            self._close_oldest(cell)
        way = cell.ways[target, mailbox] = Way(cell.closed.pop((target, mailbox), cell.ways_from_n))
        return way

    def _close_oldest(self, cell: Cell) -> None:
        oldest = next(iter(cell.ways))
        cell.closed[oldest] = cell.ways.pop(oldest).number
        if len(cell.closed) > CLOSED_MAX:
            forgotten = cell.closed.pop(next(iter(cell.closed)))
            cell.ways_from_n = max(cell.ways_from_n, forgotten)

    def _open(self, cell: Cell, way: Way, target: str, mailbox: int) -> Outlet | None:
        slot = self._routes.get(target)
        if slot is None or self.link is None or slot == self.slot:
            return None
        epoch = self.epoch if cell.recorder is None else cell.recorder.epoch
        try:
            way.outlet = self.link.outlet(slot, cell.name, target, mailbox, epoch, way.next_n)
        except Closed:
            del self._routes[target]
            return None
        way.peer = slot
        self._mailboxes.add(mailbox)
        return way.outlet

    def _nowhere(self, cell: Cell, target: str, mailbox: int, message: Any) -> Blocked | None:
        """The target has no place that is known here: it ended, or the node has to be asked."""
        if target in self._engines.ended:
            self._bury("ended", cell, target, mailbox, message, "")
            return None
        return self._ask(target)

    def _ask(self, target: str) -> Blocked:
        if target not in self._asked:
            self._asked.add(target)
            self._engines.report.resolve.append(target)
        return ("route", target)

    def route(self, name: str, slot: int | None, reason: str = "") -> None:
        """Take the node's answer for a name: its slot, or why it has none; then held messages become dead letters."""
        self._asked.discard(name)
        if self._routes.get(name, slot) != slot:  # a name without a route has no outlet
            self._close_ways_to(name)
        if slot is None:
            self._routes.pop(name, None)
            self._degraded.discard(name)
            self.stops.pop(name, None)
            for cause in (("route", name), ("stop", name)):
                self._give_up(cause, name, reason or "unknown")
            return
        if reason == DEGRADED:
            self._degraded.add(name)
            self.relief.forget(name)
            self._retry(("stop", name))  # its stop stands, unheeded, until a new process sends go for all
        else:
            self._degraded.discard(name)
        self._routes[name] = slot
        if len(self._routes) > ROUTES_MAX:
            oldest = next(iter(self._routes))
            del self._routes[oldest]
            self._close_ways_to(oldest)
        self._retry(("route", name))
        self._retry(("room", slot))

    def stop(self, target: str, peer: int) -> None:
        """`target`, in slot `peer`, sent stop."""
        self.on_news()
        self.stops[target] = peer

    def inherit(self, stops: Mapping[str, int]) -> None:
        """Take over the earlier process's received stops. Their senders may have ended since: the node is asked."""
        self.stops.update(stops)
        for target in stops:
            self._ask(target)

    def go(self, target: str) -> None:
        """`target` sent go: it takes messages again."""
        self.stops.pop(target, None)
        self.relief.forget(target)
        self._retry(("stop", target))

    def go_all(self, peer: int) -> None:
        """A new process in slot `peer` sent go for all its engines: no stop of the earlier one stands."""
        for target in [target for target, slot in self.stops.items() if slot == peer]:
            self.go(target)

    def lose(self, engine: str, target: str) -> None:
        """In a circle, `engine` loses what it has for `target`, if it still waits for that."""
        cause: Blocked = ("stop", target)
        cell = self.waiting.get(cause, {}).pop((engine, target), None)
        if cell is not None:
            self.waiting = {cause: cells for cause, cells in self.waiting.items() if cells}
            self.relief.lose(cell, target)
            self._post_held(cell, target)

    def restarted(self, peer: int) -> None:
        """The slot has a new process, which nobody stopped yet. Whom it stops it says in its lane, after go for all."""
        for cell in self._engines.cells.values():
            self.signals.again(cell, peer)

    def detached(self, peer: int) -> None:
        """The slot is not linked any more; names that were there are looked up again."""
        if self._engines.recording is not None:
            self._engines.recording.detached(peer)
        self._close_ways_over(peer)
        for cell in self._engines.cells.values():
            cell.told -= {peer}
        self.signals.forget(peer)
        for name in [name for name, slot in self._routes.items() if slot == peer]:
            del self._routes[name]
        self._retry(("room", peer))

    def poll_room(self) -> None:
        """Send again where a full lane has room."""
        for cause in [cause for cause in self.waiting if cause[0] == "room"]:
            peer = cause[1]
            assert self.link is not None
            assert isinstance(peer, int)
            if self.link.has_room(peer):
                self._retry(cause)

    def _wait_for(self, cause: Blocked, cell: Cell, target: str) -> None:
        self.waiting.setdefault(cause, {})[cell.name, target] = cell

    def _retry(self, cause: Blocked) -> None:
        for (_, target), cell in self.waiting.pop(cause, {}).items():
            self._post_held(cell, target)

    def _post_held(self, cell: Cell, target: str) -> None:
        queue = cell.held[target]
        while queue:
            cause = self.try_post(cell, target, *queue[0])
            if cause is not None:
                self._wait_for(cause, cell, target)
                return
            queue.popleft()
            self.held -= 1
        del cell.held[target]
        self._engines.wake(cell)

    def _give_up(self, cause: Blocked, target: str, reason: str) -> None:
        for cell in self.waiting.pop(cause, {}).values():
            for mailbox, message in cell.held.pop(target):
                self.held -= 1
                self._bury(reason, cell, target, mailbox, message, "")
            self._engines.wake(cell)

    def _close_ways_to(self, target: str) -> None:
        self.on_news()
        for cell in self.senders():
            for mailbox in self._mailboxes:
                if (way := cell.ways.get((target, mailbox))) is not None:
                    way.close()

    def _close_ways_over(self, peer: int) -> None:
        self.on_news()
        for cell in self.senders():
            for way in cell.ways.values():
                if way.outlet is not None and way.peer == peer:
                    way.close()

    def senders(self) -> list[Cell]:
        """All cells, and cells that ended while outputs of theirs are held."""
        ended = {id(cell): cell for held in self.waiting.values() for cell in held.values() if cell.is_ended}
        return [*self._engines.cells.values(), *ended.values()]

    def _bury(self, reason: str, cell: Cell, target: str, mailbox: int, message: Any, detail: str) -> None:
        """Make a dead letter of something `cell` sent."""
        if message.__class__ is NumberedMessage:
            if cell.recorder is not None:
                cell.recorder.settled(target, mailbox, message.n)
            message = message.message
        now_ns = self._engines.clock()
        self._engines.report.bury(reason, cell.name, target, mailbox, now_ns, message, is_encoded=False, detail=detail)
