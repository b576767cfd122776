"""The driver of the bridge (`engines/devices/bridge.py`): three tasks on one loop.

| task | does |
|---|---|
| mail | messages of the families; it never waits for a family, as that one may wait for the bridge |
| store | the server's process, the connection, then the readers; after each loss, again, with growing pauses |
| clock | each second: the room on the disk; open requests without an answer; sessions that are over are forgotten |
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec.structs import replace

from engines.agents.bridge.intake import (
    OPEN_MAX,
    Admission,
    Deed,
    Forward,
    Intake,
    Push,
    answer,
    arrive,
    emptied,
    refusal,
)
from engines.agents.bridge.resp import StoreError
from engines.agents.bridge.unanswered import overdue, stranded
from engines.agents.bus import IDENTIFIER, OPERATOR, REQUEST_ID, mark_of, request_key
from engines.agents.envelope import Problem
from engines.agents.messages import (
    Admit,
    Admitted,
    AgentAnswer,
    AgentSeen,
    Happened,
    HappenedTogether,
    PutRequest,
    RequestAnswered,
    Resend,
    Revoke,
    Together,
    ViewChanged,
)
from engines.agents.telling import GATHERED_MAX, events_in, message_of
from engines.agents.together import together
from engines.model import DeviceHost, Ref, Send

from .bus_sessions import BusSessions
from .disk_room import DiskRoom
from .outgoing import Outgoing
from .request_streams import STREAMS_MAX, Arrival, RequestStreams
from .store_commands import ANSWER_BYTES_MAX, SCHEMA, StoreCommands
from .store_link import LinkDown, StoreLink
from .store_place import StorePlace
from .stream_watch import StreamWatch

PAUSE_S: Final = 0.02
PAUSE_S_MAX: Final = 2.0
TICK_S: Final = 1.0

STALL_S: Final = 10.0
"""A store that does not answer for so long is started again."""

SECOND_NS: Final = 1_000_000_000
SELECTORS_SINCE: Final = 7
"""The major version of stores in which a user may have one command for some keys, and another one for others."""

TOO_LONG: Final = Problem("internal", "answer_too_large", "the answer is larger than the store takes")


class BridgeDriver:
    """The driver."""

    def __init__(self, terms_of: Callable[[Any, str], Admission]) -> None:
        self._terms_of = terms_of
        self._intake = Intake()
        self._link: StoreLink | None = None
        self._streams: list[RequestStreams] = []
        self._putters: dict[tuple[str, str, str], list[Ref[RequestAnswered]]] = {}
        self._start = 0
        self._events = 0
        self._below_max = asyncio.Event()
        self._shown_ns: dict[str, int] = {}
        self._seen: dict[str, AgentSeen] = {}
        self._answered: dict[tuple[str, str, str], list[float]] = {}

    async def run(self, host: DeviceHost) -> None:
        """Run until cancelled. Raises RootTaken, NoServer, FolderTaken, and OSError for the files."""
        self._host = host
        self._terms = self._terms_of(host.config, host.me.name)
        self._room = DiskRoom(host.config.journal, host.config.reserve_bytes)
        self._store = StoreCommands(host.config.namespace)
        self._place = StorePlace(host.me.node, host.config, self._store, os.environ)
        self._sessions = BusSessions(self._store, self._admitted)
        self._watch = StreamWatch(host.config.namespace, self._alarm, self._read_anew)
        try:
            await self._place.open()
            async with asyncio.TaskGroup() as tasks:
                self._out = Outgoing(host, tasks)
                tasks.create_task(self._tick())
                tasks.create_task(self._serve_mail())
                await self._keep_connected()
        finally:
            self._place.close()

    async def _serve_mail(self) -> None:
        while True:
            mail = await self._host.receive()
            with contextlib.suppress(LinkDown):
                self._handle(mail.message, mail.sender)
            if self._link is not None:
                await self._link.room()

    def _handle(self, message: Any, sender: str) -> None:
        """Raises LinkDown: what is lost then is asked for again on the next connection."""
        match message:
            case Together():
                self._handle_all(message.messages, sender)
            case AgentAnswer() | ViewChanged():
                self._handle_all((message,), sender)
            case Happened() | HappenedTogether():
                self._store.events(self._connected, events_in(message))
            case Admit():
                self._admit(message)
            case Revoke():
                self._revoke(message)
            case PutRequest():
                self._put(message)

    def _handle_all(self, messages: Sequence[Any], sender: str) -> None:
        """Answers, and views. Raises LinkDown."""
        views = [one for one in messages if isinstance(one, ViewChanged)]
        deeds: list[Deed] = []
        for one in messages:
            if isinstance(one, AgentAnswer):
                self._intake, found = answer(self._intake, one, self._terms, self._host.now_ns())
                deeds += found
        if views and self._link is not None:
            self._store.views(self._link, sender.partition("~")[0], self._start, views)
        self._do(deeds)

    @property
    def _connected(self) -> StoreLink:
        if self._link is None:
            raise LinkDown("the store is down")
        return self._link

    # Requests

    async def _take(self, arrivals: list[Arrival]) -> None:
        """Entries were read."""
        now_ns = self._host.now_ns()
        deeds: list[Deed] = []
        self._look_at_room()
        for one in arrivals:
            self._intake, found = arrive(self._intake, one.agent, one.entry, one.fields, self._terms, now_ns)
            deeds += found
        self._do(deeds)
        if seen := {one.agent for one in arrivals}:
            self._store.seen(self._connected, seen, now_ns)
            self._show_seen([AgentSeen(agent, self._session(agent), now_ns) for agent in seen - {OPERATOR}])
            await self._watch.look(self._connected, arrivals, self._session, now_ns)
        while self._intake.count > OPEN_MAX:
            self._below_max.clear()
            await self._below_max.wait()
        await self._connected.room()

    def _do(self, deeds: Sequence[Deed], *, are_alone: bool = False) -> None:
        """Send requests to their families, and push answers. Raises LinkDown."""
        if self._intake.count <= OPEN_MAX:
            self._below_max.set()
        config = self._host.config
        sends = [Send(getattr(config, one.family), one.request) for one in deeds if isinstance(one, Forward)]
        for send in sends if are_alone else together(sends, config.orchestrator, config.measurement):
            self._out.send(send.target, send.message)
        if pushes := [self._fitting(one) for one in deeds if isinstance(one, Push)]:
            for one in pushes:
                self._tell_putters(one)
            self._store.push(self._connected, pushes)
            self._note_answered(pushes)

    def _fitting(self, one: Push) -> Push:
        if len(one.text) > ANSWER_BYTES_MAX // 4 and len(one.text.encode()) > ANSWER_BYTES_MAX:
            return one._replace(text=refusal(one.agent, one.request_id, TOO_LONG).text, kind=TOO_LONG.kind)
        return one

    def _tell_putters(self, one: Push) -> None:
        """All of them: the entry of an earlier one may be lost with a store, and its answer is the same."""
        answered = RequestAnswered(one.agent, one.request_id, one.text, one.kind)
        for putter in self._putters.pop((one.agent, one.request_id, one.mark), []):
            self._out.send(putter, answered)

    def _note_answered(self, pushes: Sequence[Push]) -> None:
        if self._host.config.measurement is not None:
            now_ns = self._host.now_ns()
            for one in pushes:
                self._answered.setdefault((one.agent, one.op, one.kind), []).append((now_ns - one.began_ns) / 1e6)

    def _report_answered(self) -> None:
        """Tell measurement how long the requests of the last second took: an event for those of an agent that are
        alike. Nobody else is told of single requests."""
        answered, self._answered = self._answered, {}
        events = tuple(
            self._event("request", agent, (("op", op), ("kind", kind)), tuple(took_ms))
            for (agent, op, kind), took_ms in answered.items()
        )
        for first in range(0, len(events), GATHERED_MAX):
            message = message_of(events[first : first + GATHERED_MAX])
            self._out.send(self._host.config.measurement, message)

    def _put(self, order: PutRequest) -> None:
        words = ("id", order.request_id, "op", order.op, "body", order.body)
        self._connected.tell("XADD", request_key(self._store.namespace, order.agent), "*", *words)
        request_id = order.request_id if REQUEST_ID.fullmatch(order.request_id) else ""
        content = (order.agent, request_id, mark_of(order.op, order.body))
        self._putters.setdefault(content, []).append(order.destination)
        self._read(order.agent)

    # Sessions

    def _admit(self, order: Admit) -> None:
        if not IDENTIFIER.fullmatch(order.agent) or order.agent == OPERATOR:
            self._alarm(order.agent, "name", "no agent may have this name")
        elif self._sessions.admit(order):
            self._intake = replace(self._intake, sessions=self._intake.sessions.set(order.agent, order.session))
            self._sessions.give(self._connected, order)
            self._sessions.take_away(self._connected)
            self._read(order.agent)

    def _revoke(self, order: Revoke) -> None:
        self._sessions.revoke(order)
        self._sessions.take_away(self._connected)

    def _admitted(self, order: Admit) -> None:
        self._out.send(order.reply_to, Admitted(order.agent, order.session, self._place.bus))

    def _session(self, agent: str) -> int:
        return self._intake.sessions.get(agent, 0)

    def _read(self, agent: str) -> None:
        """Have the agent's stream read."""
        if any(agent in one for one in self._streams):
            return
        for one in self._streams:
            if len(one) < STREAMS_MAX:
                one.add(agent, self._link)
                return
        self._streams.append(RequestStreams(self._store.namespace, len(self._streams)))
        self._streams[-1].add(agent, self._link)
        if self._link is not None:
            self._readers.create_task(self._read_streams(self._streams[-1]))

    def _read_anew(self, agent: str) -> None:
        for one in self._streams:
            if agent in one:
                one.add(agent, None)

    # The store

    async def _keep_connected(self) -> None:
        pause_s = PAUSE_S
        while True:
            link: StoreLink | None = None
            try:
                link = await self._place.connect()
                pause_s = PAUSE_S
                await self._live(link)
            except* (LinkDown, StoreError) as errors:
                is_unsound = any("WRONGTYPE" in str(one) for one in errors.exceptions)
                if link is not None and (link.is_unsound or is_unsound):
                    await self._place.discard()
            finally:
                self._link = None
                if link is not None:
                    link.close()
            await asyncio.sleep(pause_s)
            pause_s = min(PAUSE_S_MAX, pause_s * 2)

    async def _live(self, link: StoreLink) -> None:
        """Make what the store may lack, then read requests until the connection ends."""
        self._start = await link.ask("HINCRBY", self._store.meta, "starts", 1)
        link.tell("HSET", self._store.meta, "schema", SCHEMA, "namespace", self._store.namespace)
        self._store.has_selectors = _major(await link.ask("INFO", "server")) >= SELECTORS_SINCE
        sessions = _sessions(await link.ask("HGETALL", self._store.sessions))
        self._intake = emptied(self._intake)
        self._below_max.set()
        for agent, session in sessions.items():
            if agent not in self._intake.sessions:
                self._intake = replace(self._intake, sessions=self._intake.sessions.set(agent, session))
        self._link = link
        if self._place.quarantined:
            self._alarm("", "quarantine", f"the store starts empty; its files are in {self._place.quarantined}")
            self._place.quarantined = ""
        async with asyncio.TaskGroup() as self._readers:
            self._readers.create_task(self._wait_down(link))
            for one in self._streams:
                self._readers.create_task(self._read_streams(one))
            for agent in [OPERATOR, *sessions, *self._sessions.give_all(link)]:
                self._read(agent)
            self._sessions.take_away(link)
            self._resend()
            self._report("recovered", "", (("start", str(self._start)),))

    async def _wait_down(self, link: StoreLink) -> None:
        await link.down
        self._link = None
        raise LinkDown("the connection has ended")

    async def _read_streams(self, streams: RequestStreams) -> None:
        """Over a connection of its own."""
        link = await self._place.connect()
        try:
            await streams.read(link, self._take)
        finally:
            self._link = None
            link.close()

    def _resend(self) -> None:
        config = self._host.config
        for family in (config.validator, config.router, config.orchestrator, config.measurement):
            if family is not None:
                self._out.send(family, Resend(self._start))

    # Signs of life, and alarms

    def _show_seen(self, signs: Sequence[AgentSeen]) -> None:
        """The orchestrator knows at once of the first request of an agent in a second, and of the last at its end.

        `signs` are of the sessions and times of the requests, as another session may have begun since."""
        for one in signs:
            if self._host.now_ns() - self._shown_ns.get(one.agent, 0) < SECOND_NS:
                self._seen[one.agent] = one
                continue
            self._shown_ns[one.agent] = self._host.now_ns()
            self._seen.pop(one.agent, None)
            if self._host.config.orchestrator is not None:
                self._out.send(self._host.config.orchestrator, one)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._show_seen([*self._seen.values()])
            self._report_answered()
            link = self._link
            try:
                async with asyncio.timeout(STALL_S):
                    await self._look_after(self._connected)
            except (LinkDown, StoreError):
                continue
            except TimeoutError:
                self._alarm("", "stalled", f"the store has not answered for {STALL_S:g} s")
                await self._place.restart()
                if link is not None:
                    link.close()

    async def _look_after(self, link: StoreLink) -> None:
        self._look_at_room()
        now_ns = self._host.now_ns()
        if self._terms.full:
            self._intake, deeds = stranded(self._intake, self._terms, now_ns)
            self._do(deeds)
        self._intake, deeds = overdue(self._intake, self._terms, now_ns)
        self._do(deeds, are_alone=True)
        await self._watch.look_at_connections(link)
        for agent in await self._sessions.agents_gone(link):
            for one in self._streams:
                one.remove(agent)

    def _look_at_room(self) -> None:
        full, was = self._room.shortage(), self._terms.full
        if full != was:
            self._terms = replace(self._terms, full=full)
        if full and not was:
            self._alarm("", "storage_full", f"{full}; agents may only read until then")
        elif was and not full:
            self._report("recovered", "", (("reason", "storage_full"),))

    def _alarm(self, agent: str, reason: str, text: str) -> None:
        self._report("alarm", agent, (("reason", reason), ("text", text)))

    def _report(self, kind: str, agent: str, attributes: tuple[tuple[str, str], ...]) -> None:
        """Send an event to measurement, to the audit, and to the stream of events."""
        event = self._event(kind, agent, attributes)
        for listener in (self._host.config.measurement, self._host.config.audit):
            if listener is not None:
                self._out.send(listener, event)
        if self._link is not None:
            self._store.events(self._link, (event,))

    def _event(
        self, kind: str, agent: str, attributes: tuple[tuple[str, str], ...], took_ms: tuple[float, ...] = ()
    ) -> Happened:
        self._events += 1
        session, unit = self._session(agent), "ms" if took_ms else ""
        now_ns = self._host.now_ns()
        return Happened(self._events, now_ns, kind, agent, session, unit=unit, attributes=attributes, values=took_ms)


def _major(information: bytes) -> int:
    match = re.search(rb"redis_version:(\d+)", information)
    return int(match[1]) if match else 0


def _sessions(found: list[bytes]) -> dict[str, int]:
    """The session of each agent, from the fields of a hash; what is no such thing is left out."""
    texts = [one.decode(errors="replace") for one in found]
    pairs = zip(texts[::2], texts[1::2], strict=True)
    return {agent: int(session) for agent, session in pairs if IDENTIFIER.fullmatch(agent) and session.isdecimal()}
