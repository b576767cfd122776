"""`send`: a message from outside, checked against the interface, delivered by a session, with its result.

Without `wait` it returns when the message has arrived, or with the dead letter it became. With `wait`, one type or
several as `A|B`, it returns the first message that the session receives; a message of another type is an error that
shows it.

With an `id`, a repetition gets the result of the first `send` and sends nothing, as long as the node runs. A failed
first `send` is repeated where that is safe: the message was not handled, or its receiver has a journal and thus knows,
even after a restart of the node, the ids it took (`sessions`). A receiver does not answer again a message it took
before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn

import msgspec

from host.live.control.protocol import ControlError, Response, TypedField
from host.live.supervisor import links
from host.live.supervisor.node import SLOT_SUPERVISOR, Node
from host.live.supervisor.serving.fields import ANY, FieldProblem, Undeclared, encode_message, message_tag
from host.live.supervisor.serving.sessions import Session, SessionMail
from host.live.supervisor.serving.shown import show_message
from host.node.news import Letter
from host.node.routing import Missing, Resident
from transport.port import Closed, TooLarge

IDS_MAX: Final = 10_000
"""Results kept for `id`; the oldest are dropped."""

ARRIVAL_NS: Final = 250_000_000
"""How long to wait for confirmation; a worker in a long transition answers later, and the message waits."""

NOT_HANDLED: Final = ("refused", "not_found", "not_ready")
"""Errors which imply that the engine did not handle the message."""

ERRORS: Final = {
    "unknown": "not_found",
    "ended": "not_found",
    "failed": "failed",
    "crashed": "failed",
    "quarantined": "failed",
}
"""Error by the reason of a dead letter; any other reason means that the message was refused."""


class Dispatch:
    """Remembers the results of messages with an id."""

    def __init__(self) -> None:
        self._results: dict[str, asyncio.Future[Response]] = {}

    def first(self, key: str | None) -> Awaitable[Response] | None:
        """The result, perhaps still to come, of the message sent first under `key`; None if there was none."""
        task = None if key is None else self._results.get(key)
        return None if task is None else asyncio.shield(task)

    async def once(self, key: str | None, resident: Resident, send: Callable[[], Awaitable[Response]]) -> Response:
        """The result of `send`, which runs once for each key, and again only after a failure where that is safe."""
        if key is None:
            return await send()
        if key not in self._results:
            self._results[key] = asyncio.ensure_future(send())
            if len(self._results) > IDS_MAX:
                del self._results[next(iter(self._results))]
        try:
            return await asyncio.shield(self._results[key])
        except ControlError as error:
            if resident.spec.durability != "volatile" or error.error in NOT_HANDLED:
                self._results.pop(key, None)
            raise


def id_key(args: dict[str, Any]) -> str | None:
    """The key for a user's id: it covers messages to one mailbox of one engine. None without an id."""
    key = args.get("id")
    return None if key is None else f"{args['engine']}#{args.get('mailbox', 0)} {key}"


async def send_message(node: Node, resident: Resident, args: dict[str, Any]) -> Response:
    """Run one `send`. Raises `ControlError`."""
    session = node.sessions.open(id_key(args))
    try:
        async with asyncio.timeout(args["timeout_ns"] / 1e9):
            return await _exchange(node, session, resident, args)
    except TimeoutError:
        awaited = _awaited(args)
        what = f"no {' or '.join(awaited)} came back" if awaited else f"{resident.name} takes no messages now"
        raise ControlError("timeout", f"{what} within {args['timeout_ns'] / 1e9:g} s") from None
    finally:
        node.sessions.end(session)


def bury_ended(node: Node, args: dict[str, Any]) -> None:
    """Turn a message for an ended engine into a dead letter, like any other late one; the caller reports the error."""
    from host.node.report import render  # brings the model with it: not on the way to the first engine

    session = node.sessions.open()
    node.sessions.end(session)
    fields = {name: written.value for name, written in _written(args).items()}
    message = render({"type": args["tag"], **fields}, False)
    mailbox = args.get("mailbox", 0)
    node.letters.add({"ended": 1}, [Letter("ended", session.name, args["engine"], mailbox, node.now_ns(), message)])


def _written(args: dict[str, Any]) -> dict[str, TypedField]:
    return msgspec.convert(args.get("fields", {}), dict[str, TypedField])


async def _exchange(node: Node, session: Session, resident: Resident, args: dict[str, Any]) -> Response:
    mailbox, awaited = args.get("mailbox", 0), _awaited(args)
    payload = _encoded(node, session, args, awaited)
    links.link(node, resident.slot, SLOT_SUPERVISOR)
    try:
        position = await node.sessions.send(session, resident.slot, resident.name, mailbox, payload)
    except (TooLarge, Closed) as error:
        raise ControlError("refused", f"{resident.name}: {error}") from error
    if not awaited:
        await node.sessions.await_release(resident.slot, position, ARRIVAL_NS)
        await _await_arrival(node, session, resident)
        return Response("sent", [{"engine": resident.name, "tag": args["tag"]}])
    return Response("message", [await _await_answer(node, session, awaited)])


def _awaited(args: dict[str, Any]) -> tuple[str, ...]:
    return tuple(tag for part in (args.get("wait") or "").split("|") if (tag := part.strip()))


def _encoded(node: Node, session: Session, args: dict[str, Any], awaited: tuple[str, ...]) -> bytes:
    engine, mailbox = args["engine"], args.get("mailbox", 0)
    running = node.running.get(engine)
    if running is None:
        raise ControlError("not_ready", f"{engine} is not running: {node.faults.get(engine, 'not ready yet')}")
    try:
        return encode_message(running.interface, mailbox, args["tag"], _written(args), session.name, awaited)
    except FieldProblem as problem:
        error = "not_found" if isinstance(problem, Undeclared) else "refused"
        raise ControlError(error, f"{engine}: {problem}") from problem


async def _await_arrival(node: Node, session: Session, resident: Resident) -> None:
    """Wait until the worker has made one turn of its loop; see `host.live.supervisor.serving.sessions`."""
    for _ in range(2):
        process = node.slots[resident.slot].process if resident.slot in node.slots else None
        if process is None or await node.queries.ask(process, "stats", resident.name, ARRIVAL_NS) is None:
            break
    while not session.inbox.empty():
        item = session.inbox.get_nowait()
        if isinstance(item, Letter):
            _raise(item)


async def _await_answer(node: Node, session: Session, awaited: tuple[str, ...]) -> dict[str, Any]:
    item = await session.inbox.get()
    if isinstance(item, Letter):
        _raise(item)
    answer = _shown(node, item)
    if ANY in awaited or message_tag(item.payload) in awaited:
        return answer
    other = f"{item.sender} answered {answer['type']}, not {' or '.join(awaited)}"
    raise ControlError("failed", other, [{"answer": answer}])


def _shown(node: Node, arrived: SessionMail) -> dict[str, Any]:
    found = node.directory.find(arrived.sender)
    running = None if isinstance(found, Missing) else node.running.get(arrived.sender)
    return show_message(running.interface if running else None, arrived.payload)


def _raise(letter: Letter) -> NoReturn:
    last = letter.detail.strip().splitlines()[-1] if letter.detail.strip() else ""
    message = f"{letter.target}: the message became a dead letter: {letter.reason}" + (f" ({last})" if last else "")
    item = {"reason": letter.reason, "target": letter.target, "detail": letter.detail}
    raise ControlError(ERRORS.get(letter.reason, "refused"), message, [item])
