"""States from one process to another: fingerprints of their parts, and each part once with its content.

A row is `state, roster, network, extra, engine 1, ...`, all as 64-bit fingerprints. Parts that the other side was not
sent before go ahead of the rows: local states, messages, extras and rosters as MessagePack, contents of the network as
the fingerprints of their messages. Types are found by the families of the system, so nothing is run that was sent.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from engines.model import Configuration, Delivery, Due, Environment, Handle, encode
from engines.model.system import Envelope
from engines.model.values import Decoder
from host.check.local import LocalState
from host.check.network import fingerprint
from host.check.parts import Extra
from host.check.space import EXTRA, FIRST, NETWORK, ROSTER, Space, State

HEAD: Final = 2
"""Words of a row before those of the state's parts: the state's own fingerprint and the roster's."""


class StateBatch(msgspec.Struct, array_like=True):
    """New parts, then rows."""

    locals: list[bytes] = []
    messages: list[bytes] = []
    extras: list[bytes] = []
    rosters: list[bytes] = []
    networks: list[bytes] = []
    rows: bytes = b""


class Sender:
    """What one other process is sent, and which parts it has."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._sent: dict[str, set[int]] = {kind: set() for kind in ("local", "message", "extra", "roster", "network")}
        self._roster_prints: dict[int, int] = {}

    def batch(self, states: Iterable[tuple[State, int]]) -> bytes:
        """States, each with its fingerprint, as bytes."""
        space, parts, batch, rows = self._space, self._space.parts, StateBatch(), array("Q")
        sent = self._sent["local"]
        for state, print_ in states:
            if state[ROSTER] not in self._sent["roster"]:
                self._roster(state[ROSTER], batch)
            if state[NETWORK] not in self._sent["network"]:
                self._network(state[NETWORK], batch)
            if state[EXTRA] not in self._sent["extra"]:
                self._sent["extra"].add(state[EXTRA])
                extra = parts.extras[state[EXTRA]]
                batch.extras.append(encode((parts.extra_prints[state[EXTRA]], extra.history, extra.faults_left)))
            for local in state[FIRST:]:
                if local not in sent:
                    sent.add(local)
                    batch.locals.append(_local(space, local))
            head = (print_, self._roster_prints[state[ROSTER]], space.network.hashes[state[NETWORK]])
            rows.extend((*head, parts.extra_prints[state[EXTRA]]))
            rows.extend([parts.local_prints[local] for local in state[FIRST:]])
        batch.rows = rows.tobytes()
        return encode(batch)

    def _roster(self, number: int, batch: StateBatch) -> None:
        self._sent["roster"].add(number)
        roster = self._space.rosters[number]
        content = encode((roster.names, sorted(roster.stopped)))
        self._roster_prints[number] = fingerprint(content)
        batch.rosters.append(content)

    def _network(self, number: int, batch: StateBatch) -> None:
        self._sent["network"].add(number)
        messages = self._space.network.messages(number)
        for message in messages:
            if message not in self._sent["message"]:
                self._sent["message"].add(message)
                batch.messages.append(_message(self._space.parts.messages[message]))
        prints = self._space.parts.message_prints
        batch.networks.append(array("Q", [prints[message] for message in messages]).tobytes())


class Receiver:
    """Numbers in this process for the parts that others send. One for all of them: a part's fingerprint is its name."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._locals: dict[int, int] = {}
        self._messages: dict[int, int] = {}
        self._extras: dict[int, int] = {}
        self._networks: dict[int, int] = {}
        self._rosters: dict[int, tuple[int, int]] = {}
        self._history = Decoder[Any](type(space.system.history)).decode

    def states(self, data: bytes) -> Iterator[tuple[State, int]]:
        """The states of a batch, each with its fingerprint."""
        space, parts = self._space, self._space.parts
        batch = _BATCH.decode(data)
        for content in batch.messages:
            number = parts.message(self._envelope(content))
            self._messages[parts.message_prints[number]] = number
        for content in batch.locals:
            number = parts.local(self._local(content))
            self._locals[parts.local_prints[number]] = number
        for content in batch.extras:
            print_, history, faults_left = _EXTRA.decode(content)
            self._extras[print_] = parts.extra(Extra(self._history(bytes(history)), faults_left))
        for content in batch.rosters:
            names, stopped = _ROSTER.decode(content)
            self._rosters[fingerprint(content)] = (space.roster(names, frozenset(stopped)), len(names))
        for content in batch.networks:
            number = space.network.content([self._messages[print_] for print_ in array("Q", content)])
            self._networks[space.network.hashes[number]] = number
        yield from self._rows(array("Q", batch.rows))

    def _rows(self, rows: array[int]) -> Iterator[tuple[State, int]]:
        at, locals_ = 0, self._locals
        while at < len(rows):
            roster, count = self._rosters[rows[at + 1]]
            begin = at + HEAD + 2
            engines = [locals_[print_] for print_ in rows[begin : begin + count]]
            head = (roster, self._networks[rows[at + HEAD]], self._extras[rows[at + HEAD + 1]])
            yield (*head, *engines), rows[at]
            at = begin + count

    def _envelope(self, content: bytes) -> Envelope:
        sender, target, mailbox, kind, message = _MESSAGE.decode(content)
        return Envelope(target, self._read(kind, message), sender, mailbox)

    def _read(self, kind: tuple[str, str], message: msgspec.Raw) -> Any:
        return _decoder(self._space.parts.message_type(kind))(bytes(message))

    def _local(self, content: bytes) -> LocalState:
        sent = _LOCAL.decode(content)
        family = self._space.parts.family(sent.family)
        params = None if family.config is None else _decoder(family.config)(bytes(sent.params))
        configuration = Configuration(sent.node, sent.name, sent.parent, params, sent.birth)
        env: Environment[Any] = family.load(sent.dump)
        first = None if sent.first is None else _decoder(family.states)(sent.first)
        local = LocalState(configuration, family, env, sent.clock_ns, sent.status, first=first)
        if sent.due:
            cause: Delivery[Any] | Due = Due(tuple(Handle(*handle) for handle in sent.due))
        elif sent.mail is not None:
            sender, _, mailbox, kind, message = _MESSAGE.decode(sent.mail)
            cause = Delivery(sender, mailbox, self._read(kind, message))
        else:
            return local
        return self._space.engines.resumed(local, cause, sent.at_ns, sent.answers)


class LocalDump(msgspec.Struct, array_like=True, frozen=True):
    """A local state with its typed parts still encoded; `mail` or `due` is the trigger of a suspended one."""

    name: str
    birth: int
    node: str
    parent: str | None
    params: msgspec.Raw
    family: str
    clock_ns: int
    status: Any
    dump: bytes
    at_ns: int = 0
    answers: tuple[Any, ...] = ()
    mail: bytes | None = None
    due: tuple[tuple[str, int], ...] = ()
    first: bytes | None = None


def _local(space: Space, number: int) -> bytes:
    local = space.parts.locals[number]
    configuration, cause = local.configuration, local.cause
    mail = None
    if isinstance(cause, Delivery):
        mail = _message(Envelope(local.name, cause.message, cause.sender, cause.mailbox))
    due = tuple((one.name, one.number) for one in cause.handles) if isinstance(cause, Due) else ()
    return encode(
        LocalDump(
            configuration.name,
            configuration.birth,
            configuration.node,
            configuration.parent,
            msgspec.Raw(encode(configuration.params)),
            space.parts.family_key(local.family),
            local.clock_ns,
            local.status,
            local.family.dump(local.env),
            local.at_ns,
            local.answers,
            mail,
            due,
            None if local.first is None else encode(local.first),
        )
    )


def _message(envelope: Envelope) -> bytes:
    kind = type(envelope.message)
    body = msgspec.Raw(encode(envelope.message))
    return encode((envelope.sender, envelope.target, envelope.mailbox, (kind.__module__, kind.__qualname__), body))


def _decoder(kind: Any) -> Any:
    found = _DECODERS.get(kind)
    if found is None:
        found = _DECODERS[kind] = Decoder[Any](kind).decode
    return found


_DECODERS: Final[dict[Any, Any]] = {}
_BATCH: Final = msgspec.msgpack.Decoder(StateBatch)
_LOCAL: Final = msgspec.msgpack.Decoder(LocalDump)
_MESSAGE: Final = msgspec.msgpack.Decoder(tuple[str, str, int, tuple[str, str], msgspec.Raw])
_EXTRA: Final = msgspec.msgpack.Decoder(tuple[int, msgspec.Raw, int])
_ROSTER: Final = msgspec.msgpack.Decoder(tuple[tuple[str, ...], tuple[str, ...]])
