"""The bridge: the driver, with a real store, and its twin pass the same list; and what only the driver can show."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from deadline import DEADLINE_S

from engines.agents.bridge.resp import StoreError
from engines.agents.bus import OPERATOR, POINTER, answer_key, mark_of, request_key, unmarked, user_name
from engines.agents.envelope import succeeded
from engines.agents.messages import (
    Admit,
    Admitted,
    AgentRequest,
    AgentSeen,
    Happened,
    PutRequest,
    RequestAnswered,
    Resend,
    Revoke,
    ViewChanged,
)
from engines.devices.bridge import BRIDGE, TWIN, AgentBus
from engines.devices.store_link import LinkDown, Place, StoreLink, connect
from engines.devices.store_server import find_server
from engines.model import Committed, Configuration, Delivery, Outgoing, Ref, birth, step

ME = "bridge"
CONFIG = AgentBus(validator=Ref("validator"), orchestrator=Ref("orchestrator"), requests_per_s=0.001, burst=5)
TOKEN = "7-secret"


def admit(agent: str = "ann", session: int = 7, token: str = TOKEN) -> Admit:
    return Admit(agent, session, sha256(token.encode()).hexdigest(), Ref("orchestrator"))


def put(request_id: str, op: str = "state.current", body: str = "{}", agent: str = "ann") -> PutRequest:
    return PutRequest(agent, request_id, op, body, Ref("ann"))


class Twin:
    """The twin, which answers at once."""

    def __init__(self) -> None:
        self._me = Configuration("test", ME, None, CONFIG)
        self._environment = birth(TWIN, self._me, now_ns=0)
        self.seen: list[AgentSeen] = []

    async def exchange(self, sender: str, message: Any, count: int) -> list[tuple[str, Any]]:
        """What the bridge sends when it gets this, by target."""
        outcome = step(TWIN, self._me, self._environment, Delivery(sender, 0, message), now_ns=10**18)
        assert isinstance(outcome, Committed)
        self._environment = outcome.env
        sent = [(str(one.target), one.message) for one in outcome.outputs if isinstance(one, Outgoing)]
        self.seen += [message for _, message in sent if isinstance(message, AgentSeen)]
        sent = [(target, message) for target, message in sent if not isinstance(message, AgentSeen)]
        assert len(sent) == count
        return sent


class Driven:
    """The driver, and the host that it gets."""

    def __init__(self, config: AgentBus = CONFIG) -> None:
        self.me = Configuration("test", ME, None, config)
        self.config = config
        self.mail: asyncio.Queue[Delivery[Any]] = asyncio.Queue()
        self.sent: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.events: list[Happened] = []
        self.seen: list[AgentSeen] = []
        self.resent = 0
        self._is_full = False

    def now_ns(self) -> int:
        return time.time_ns()

    async def receive(self) -> Delivery[Any]:
        return await self.mail.get()

    def send(self, target: Ref[Any], message: Any) -> bool:
        """Every other send finds the way full."""
        self._is_full = not self._is_full
        if not self._is_full:
            if isinstance(message, Happened):
                self.events.append(message)
            elif isinstance(message, AgentSeen):
                self.seen.append(message)
            elif isinstance(message, Resend):
                self.resent += 1
            else:
                self.sent.put_nowait((str(target), message))
        return not self._is_full

    async def writable(self, target: Ref[Any]) -> None:
        await asyncio.sleep(0)

    async def send_when_writable(self, target: Ref[Any], message: Any) -> None:
        while not self.send(target, message):
            await self.writable(target)

    def give(self, sender: str, message: Any) -> None:
        self.mail.put_nowait(Delivery(sender, 0, message))

    async def next(self) -> tuple[str, Any]:
        return await asyncio.wait_for(self.sent.get(), DEADLINE_S)

    async def exchange(self, sender: str, message: Any, count: int) -> list[tuple[str, Any]]:
        self.give(sender, message)
        found = [await self.next() for _ in range(count)]
        assert self.sent.empty()
        return found

    async def event(self, reason: str) -> Happened:
        """The alarm with this reason."""
        return await until(lambda: next((one for one in self.events if ("reason", reason) in one.attributes), None))

    async def up(self) -> None:
        """Returns once the store is there."""
        await until(lambda: self.resent >= 2)


async def until(found: Callable[[], Any]) -> Any:
    async with asyncio.timeout(DEADLINE_S):
        while not (value := found()):
            await asyncio.sleep(0.005)
        return value


def run(play: Callable[[Driven], Awaitable[None]], config: AgentBus = CONFIG) -> None:
    """A play with a driver and a store of its own."""

    async def go() -> None:
        host = Driven(config)
        driver = asyncio.create_task(BRIDGE.driver().run(host))
        playing = asyncio.ensure_future(play(host))
        await asyncio.wait([driver, playing], return_when=asyncio.FIRST_COMPLETED)
        driver.cancel()
        playing.cancel() if not playing.done() else None
        await asyncio.wait([driver, playing])
        if not driver.cancelled():
            driver.result()
        playing.result()

    asyncio.run(go())


def pointer() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(POINTER).read_text())
    return found


async def store(user: str = "", password: str = "") -> StoreLink:
    """A connection of somebody; without a user, of an operator."""
    bus = pointer()
    path = bus["bus"].removeprefix("unix://").partition("?")[0]
    return await connect(Place(path, "", 0, False, user or bus["user"], password or bus["token"]))


async def as_ann() -> StoreLink:
    return await store(user_name("ann", 7), TOKEN)


async def ask(link: StoreLink, request_id: str, op: str = "state.current", body: str = "{}") -> str:
    """A request of ann; returns its entry."""
    entry = await link.ask("XADD", request_key("main", "ann"), "*", "id", request_id, "op", op, "body", body)
    return str(entry.decode())


async def ping_for_ever(link: StoreLink) -> None:
    """Ends as the connection does."""
    while True:
        await link.ask("PING")


async def answer_to(link: StoreLink, request_id: str, op: str = "state.current", body: str = "{}") -> dict[str, Any]:
    """The next answer with the right mark."""
    while True:
        _, text = await link.ask("BLPOP", answer_key("main", "ann", request_id), DEADLINE_S)
        found = unmarked(mark_of(op, body), text.decode())
        if found is not None:
            answer: dict[str, Any] = json.loads(found)
            return answer


async def conformance(bridge: Twin | Driven) -> None:
    """The list: what goes in, what comes out, in order."""
    assert [type(m) for _, m in await bridge.exchange("orchestrator", admit(), 1)] == [Admitted]

    request = AgentRequest("ann", 7, "r1", "state.current", "{}", "agent", Ref(ME))
    assert await bridge.exchange("ann", put("r1"), 1) == [("validator", request)]
    assert [(one.agent, one.session) for one in bridge.seen] == [("ann", 7)]

    answer = succeeded(request, {"state": "inbox"})
    assert await bridge.exchange("validator", answer, 1) == [("ann", RequestAnswered("ann", "r1", answer.text, ""))]
    assert await bridge.exchange("validator", answer, 0) == []

    for op, body, kind in [
        ("agent.stop", "{}", "identity"),
        ("state.stop", "{}", "usage"),
        ("state.can", '{"a":NaN}', "usage"),
        ("state.can", '{"a":"' + "x" * 65_536 + '"}', "limit"),
        ("message.read", "{}", "unavailable"),
    ]:
        [(target, refused)] = await bridge.exchange("ann", put("bad", op, body), 1)
        assert (target, refused.request_id, refused.kind) == ("ann", "bad", kind)
        assert json.loads(refused.text)["error"]["kind"] == kind

    [(_, open_request)] = await bridge.exchange("ann", put("r2"), 1)
    assert await bridge.exchange("ann", put("r2"), 0) == []
    other = '{"target":"x"}'
    assert await bridge.exchange("ann", put("r2", "state.can", other), 0) == []
    if isinstance(bridge, Driven):
        await until_read(3)
    answered = await bridge.exchange("validator", succeeded(open_request, {}), 3)
    assert [target for target, _ in answered if target == "ann"] == ["ann", "ann"]
    [second] = [message for target, message in answered if target == "validator"]
    assert (second.request_id, second.op, second.body) == ("r2", "state.can", other)
    [(_, last)] = await bridge.exchange("validator", succeeded(second, {}), 1)
    assert last.request_id == "r2"

    for number in range(3):
        [(target, _)] = await bridge.exchange("ann", put(f"more{number}"), 1)
        assert target == "validator"
    [(target, refused)] = await bridge.exchange("ann", put("too much"[:3]), 1)
    assert (target, refused.kind) == ("ann", "limit")
    assert json.loads(refused.text)["error"]["retry_after_ms"] > 0


async def until_read(count: int) -> None:
    """Until the bridge has taken this many entries of ann that it has not answered: it answers what came after them."""
    engine = await store()
    async with asyncio.timeout(DEADLINE_S):
        while await engine.ask("XLEN", request_key("main", "ann")) < count:
            await asyncio.sleep(0.005)
        words = ("id", "after", "op", "no.such", "body", "{}")
        await engine.ask("XADD", request_key("main", OPERATOR), "*", *words)
        assert await engine.ask("BLPOP", answer_key("main", OPERATOR, "after"), DEADLINE_S)


def test_the_twin_conforms() -> None:
    """False if the twin behaves otherwise than the list says."""
    asyncio.run(conformance(Twin()))


def test_the_driver_conforms() -> None:
    """False if the driver behaves otherwise than its twin."""

    async def play(bridge: Driven) -> None:
        await bridge.up()
        await conformance(bridge)

    run(play)


def test_a_view_has_the_latest_number_of_each_family() -> None:
    """False if an older view, or a repeated one, replaces a newer one; or one family hides the view of another."""

    async def play(bridge: Driven) -> None:
        await bridge.up()
        operator = await store()

        async def view() -> dict[bytes, bytes]:
            found = await operator.ask("HGETALL", "aism:main:ag:ann")
            return {name: text for name, text in zip(found[::2], found[1::2], strict=True) if b":" not in name}

        for sender, number, name, text in [
            ("validator", 5, "state", "new"),
            ("validator", 5, "state", "again"),
            ("validator", 4, "state", "old"),
            ("orchestrator", 1, "phase", "busy"),
            ("validator~2", 6, "visit", "9"),
        ]:
            bridge.give(sender, ViewChanged("ann", number, ((name, text),)))
        async with asyncio.timeout(DEADLINE_S):
            while await view() != {b"state": b"new", b"phase": b"busy", b"visit": b"9"}:
                await asyncio.sleep(0.005)

    run(play)


def test_f2_a_store_that_runs_already_is_used(own_place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """False if a bridge cannot use a store of somebody else, or agents are not kept apart there."""
    found = find_server(os.environ)
    address = own_place / "other.sock"
    with subprocess.Popen(
        [found.path, "--port", "0", "--unixsocket", str(address), "--save", ""], stdout=subprocess.DEVNULL
    ) as server:
        try:
            monkeypatch.setenv("AISM_REDIS_URL", f"unix://{address}")

            async def play(bridge: Driven) -> None:
                await bridge.up()
                assert [type(m) for _, m in await bridge.exchange("orchestrator", admit(), 1)] == [Admitted]
                link = await as_ann()
                await link.ask("XADD", request_key("main", "ann"), "*", "id", "r", "op", "heartbeat", "body", "{}")
                _, request = await bridge.next()
                bridge.give("orchestrator", succeeded(request, {"is": "alive"}))
                _, text = await link.ask("BLPOP", answer_key("main", "ann", "r"), DEADLINE_S)
                assert json.loads(text)["data"] == {"is": "alive"}
                with pytest.raises(StoreError, match="NOPERM"):
                    await link.ask("XLEN", request_key("main", "ann"))

            until_there(address)
            run(play)
        finally:
            server.kill()


def until_there(path: Path) -> None:
    """Until a socket takes connections."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        with socket.socket(socket.AF_UNIX) as one:
            try:
                one.connect(str(path))
                return
            except OSError:
                assert time.monotonic() < deadline, path
                time.sleep(0.005)


def test_a_session_of_before_is_over_and_a_later_one_is_not_replaced() -> None:
    """False if a token of an earlier session is taken, or a late message takes the later one away."""

    async def play(bridge: Driven) -> None:
        await bridge.up()
        await bridge.exchange("orchestrator", admit(session=7), 1)
        await bridge.exchange("orchestrator", admit(session=8, token="8-new"), 1)
        await bridge.exchange("orchestrator", admit(session=7), 0)
        bridge.give("orchestrator", Revoke("ann", 7))
        await (await store(user_name("ann", 8), "8-new")).ask("PING")
        with pytest.raises(StoreError, match="WRONGPASS"):
            await as_ann()

    run(play)


@pytest.mark.storm
def test_a_sign_of_life_is_of_the_session_that_gave_it() -> None:
    """False if the last request of a session, of which the orchestrator is told later, counts as the first of the next
    session: a start that failed would have succeeded."""

    async def play(bridge: Driven) -> None:
        await bridge.up()
        await bridge.exchange("orchestrator", admit(), 1)
        link = await as_ann()
        for name in ("first", "last"):
            await link.ask("XADD", request_key("main", "ann"), "*", "id", name, "op", "heartbeat", "body", "{}")
            await bridge.next()
        await bridge.exchange("orchestrator", admit(session=8, token="8-new"), 1)
        async with asyncio.timeout(DEADLINE_S):
            while len(bridge.seen) < 2:
                await asyncio.sleep(0.01)
        assert [one.session for one in bridge.seen] == [7, 7]

    run(play)


def test_x1_requests_of_over_a_mebibyte_are_a_flood() -> None:
    """False if an agent may put requests of a mebibyte for ever, as long as few of them are read at a time; or if one
    that is only larger than a request may be is more than refused."""

    async def play(bridge: Driven) -> None:
        await bridge.up()
        await bridge.exchange("orchestrator", admit(), 1)
        link = await as_ann()
        await ask(link, "r1", body="y" * 600_000)
        assert (await answer_to(link, "r1", body="y" * 600_000))["error"]["code"] == "too_large"
        await ask(link, "r2", body="y" * (1 << 20))
        with pytest.raises(LinkDown):
            await asyncio.wait_for(ping_for_ever(link), DEADLINE_S)
        await bridge.event("flood")

    run(play, AgentBus(orchestrator=Ref("orchestrator"), measurement=Ref("measurement")))


def test_no_agent_has_the_name_of_operators() -> None:
    """False if an agent could become an operator by its name."""

    async def play(bridge: Driven) -> None:
        await bridge.up()
        assert await bridge.exchange("orchestrator", admit("admin"), 0) == []
        await bridge.event("name")

    run(play, AgentBus(orchestrator=Ref("orchestrator"), measurement=Ref("measurement")))
