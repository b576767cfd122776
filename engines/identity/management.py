"""Identity management: makes identities, connects to them, deletes them; spawns the engines that sign and decrypt.

A backend is a key store by the name that the parameters give it. Only public parts come here. The commitment and
decryption engines are children, so the key store lets them use the keys of this engine (`owner_of` there).

An order to a key store may be lost with its process, so it is kept as pending under a number, and a timer sends it
again until it is answered. The key store does a repeated order once; a deletion names the identity, since the name may
have another key when a repeat arrives. Numbers follow the clock, which never goes back, so an answer to an earlier
birth of this engine is not taken for another one. States of an identity's name:

    free --Generate--> pending --KeyGenerated--> known --Delete--> pending --KeyDeleted--> free
                       pending --KeyRefused--> free (generating)

A name that is not free cannot be generated. From `Delete` on the identity is not found, and its engines end.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta
from msgspec.structs import replace

from engines.crypto.keys import PublicKey, identity_of
from engines.devices.key_store import (
    Capabilities,
    DeleteKey,
    GenerateKey,
    KeyDeleted,
    KeyGenerated,
    KeyName,
    KeyRefused,
    OpenSealed,
    SignData,
)
from engines.identity.commitment import COMMITMENT, Commit
from engines.identity.decryption import DECRYPTION, Decrypt
from engines.identity.held_key import HeldKey, Retire, denial
from engines.model import (
    Arrived,
    Become,
    Config,
    Effect,
    Effects,
    Elapsed,
    Family,
    Handle,
    Map,
    Message,
    Note,
    Numbered,
    Ref,
    Send,
    SetTimer,
    Spawn,
    Timer,
    Value,
    rule,
)

PENDING_MAX: Final = 1_000
ENGINES_MAX: Final = 1_000
"""Commitment and decryption engines of one identity, by its making and by connections."""

Backend: TypeAlias = Ref[GenerateKey | DeleteKey | SignData | OpenSealed]
Why: TypeAlias = Literal["already exists", "not found", "not available", "does not exist", "full", "denied"]


class Backends(Config):
    """The key stores by name, and how long one may take to answer before it is asked again.

    `users` are the engines that may make, use and delete identities, with their descendants; () is everybody who
    reaches this engine.
    """

    stores: Map[str, Backend]
    retry_ns: Annotated[int, Meta(ge=1_000_000)] = 1_000_000_000
    users: tuple[str, ...] = ()


class Generate(Message):
    """Make an identity. `name` is that of its key, for people and for asking again."""

    name: KeyName
    reply: Ref[IdentityReady | IdentityRefused]
    capabilities: Capabilities = "both"
    backend: str = "store"
    params: Literal["Ed25519"] = "Ed25519"
    request: int = 0


class Connect(Message):
    """Spawn engines for an identity that is there, with all or some of its capabilities."""

    identity: bytes
    reply: Ref[IdentityReady | IdentityRefused]
    capabilities: Capabilities = "both"
    backend: str = "store"
    request: int = 0


class Delete(Message):
    """End the engines of an identity, and wipe its key."""

    identity: bytes
    reply: Ref[IdentityDeleted | IdentityRefused]
    backend: str = "store"
    request: int = 0


class IdentityReady(Message):
    """The identity, its public key, and the engines for the capabilities that were asked for."""

    identity: bytes
    key: PublicKey
    commitment: Ref[Commit] | None
    decryption: Ref[Decrypt] | None
    request: int


class IdentityDeleted(Message):
    """The key is wiped."""

    identity: bytes
    request: int


class IdentityRefused(Message):
    """Nothing was done, for this reason."""

    reason: Why
    detail: str
    request: int


class Managed(Value):
    """An identity: its key, where that is, and the engines that use it."""

    name: str
    key: PublicKey
    backend: str
    capabilities: Capabilities
    engines: tuple[str, ...] = ()


class Making(Value, tag=True):
    """The key store has not answered yet: a key is being made."""

    order: Generate

    @property
    def backend(self) -> str:
        """The key store."""
        return self.order.backend

    @property
    def name(self) -> str:
        """The key's name."""
        return self.order.name


class Deleting(Value, tag=True):
    """The key store has not answered yet: the key `name` is being wiped."""

    order: Delete
    name: str

    @property
    def backend(self) -> str:
        """The key store."""
        return self.order.backend


class Identities(Value):
    """State: identities, pending orders by number, and the last number."""

    known: Map[bytes, Managed] = Map()
    pending: Map[int, Making | Deleting] = Map()
    last: int = 0

    def is_taken(self, name: str, backend: str) -> bool:
        """Whether a key of that name is there, or on its way in or out."""
        entries: tuple[Managed | Making | Deleting, ...] = (*self.known.values(), *self.pending.values())
        return any((entry.name, entry.backend) == (name, backend) for entry in entries)


RETRY = Timer("retry")
COMMITTING = Numbered("commitment")
DECRYPTING = Numbered("decryption")
Orders: TypeAlias = GenerateKey | DeleteKey | Retire
Answers: TypeAlias = IdentityReady | IdentityDeleted | IdentityRefused


def generate_fault(t: Arrived[Generate, Backends, Identities]) -> tuple[Why, str] | None:
    """Why no identity is made."""
    order, state = t.message, t.env.state
    if (reason := denial(t.sender, t.config.users)) is not None:
        return "denied", reason
    if order.backend not in t.config.stores:
        return "does not exist", f"there is no backend {order.backend}"
    if state.is_taken(order.name, order.backend):
        return "already exists", f"{order.name} is taken"
    return ("full", f"{PENDING_MAX} orders wait") if len(state.pending) >= PENDING_MAX else None


@rule(when=generate_fault)
def refuse_generate(
    found: tuple[Why, str], t: Arrived[Generate, Backends, Identities]
) -> Effects[Identities, IdentityRefused]:
    """Messages: the reason. State, timers, engines: none."""
    return Send(t.message.reply, IdentityRefused(*found, t.message.request))


@rule(priority=1)
def generate(order: Generate, t: Arrived[Generate, Backends, Identities]) -> Effects[Identities, Orders]:
    """State, messages, timers: as `begin`. Engines: none."""
    return begin(Making(order), t.env.state, t)


def begin(
    pending: Making | Deleting, state: Identities, t: Arrived[Any, Backends, Identities]
) -> list[Effect[Identities, Orders]]:
    """State: the order is pending. Messages: the order. Timers: to send it again, unless that is set."""
    number = max(state.last + 1, t.now_ns)
    timer = [] if t.env.is_pending(RETRY) else [SetTimer(RETRY, after_ns=t.config.retry_ns)]
    after = replace(state, pending=state.pending.set(number, pending), last=number)
    return [Become(after), order_of(number, pending, t.config, t.me.name), *timer]


def order_of(number: int, pending: Making | Deleting, config: Backends, me: str) -> Effect[Identities, Orders]:
    """The message to the key store."""
    store = config.stores[pending.backend]
    if isinstance(pending, Deleting):
        return Send(store, DeleteKey(pending.name, Ref(me), number, pending.order.identity))
    return Send(store, GenerateKey(pending.name, pending.order.capabilities, Ref(me), number))


@rule(timer=RETRY)
def ask_again(_retry: Handle, t: Elapsed[Backends, Identities]) -> Effects[Identities, Orders]:
    """Messages: every pending order again. Timers: the next time, while there are any. State, engines: none."""
    pending = t.env.state.pending.items()
    orders = [order_of(number, one, t.config, t.me.name) for number, one in pending]
    return [*orders, SetTimer(RETRY, after_ns=t.config.retry_ns)] if orders else []


KeyAnswer = Arrived[KeyGenerated | KeyDeleted | KeyRefused, Backends, Identities]


def expected(t: KeyAnswer) -> Identities | None:
    """The state without the pending order that a key store answers, if that one was asked."""
    orders = t.env.state.pending
    pending = orders.get(t.message.request)
    if pending is None or t.sender != str(t.config.stores[pending.backend]).partition("#")[0]:
        return None
    return replace(t.env.state, pending=orders.without(t.message.request))


@rule(when=expected)
def conclude(state: Identities, t: KeyAnswer) -> Effects[Identities, Answers]:
    """State: the order is not pending; an identity that was made is known. Messages: the outcome. Engines: those of the
    identity. Timers: none."""
    answer, order = t.message, t.env.state.pending[t.message.request].order
    if isinstance(order, Generate) and isinstance(answer, KeyGenerated):
        known = Managed(order.name, answer.key, order.backend, order.capabilities)
        return ready(known, order, state, t)
    if isinstance(order, Delete) and isinstance(answer, KeyDeleted):
        return [Become(state), Send(order.reply, IdentityDeleted(order.identity, order.request))]
    reason: Why = "not available"
    if isinstance(answer, KeyRefused) and answer.reason in ("already exists", "full"):
        reason = answer.reason
    detail = answer.detail if isinstance(answer, KeyRefused) else "the key store answered something else"
    return [Become(state), Send(order.reply, IdentityRefused(reason, detail, order.request))]


def ready(
    known: Managed, order: Generate | Connect, state: Identities, t: Arrived[Any, Backends, Identities]
) -> list[Effect[Identities, Answers]]:
    """State: the identity, with its new engines. Messages: that it is ready. Engines: one for each capability."""
    held = HeldKey(t.config.stores[known.backend], known.name, t.config.users)
    commitment = t.child(COMMITTING) if order.capabilities != "decrypt" else None
    decryption = t.child(DECRYPTING) if order.capabilities != "commit" else None
    names = tuple(str(one) for one in (commitment, decryption) if one is not None)
    identity = identity_of(known.key)
    after = replace(known, engines=(*known.engines, *names))
    return [
        Become(replace(state, known=state.known.set(identity, after))),
        *([Spawn(COMMITMENT, COMMITTING, held)] if commitment else []),
        *([Spawn(DECRYPTION, DECRYPTING, held)] if decryption else []),
        Send(order.reply, IdentityReady(identity, known.key, commitment, decryption, order.request)),
    ]


@rule(priority=1)
def disregard(_answer: KeyGenerated | KeyDeleted | KeyRefused, t: KeyAnswer) -> Effects[Identities, Answers]:
    """A second answer, or one from another engine: a note. State, messages, timers, engines: none."""
    return Note("an answer that was not asked for", by=t.sender)


def known_fault(t: Arrived[Connect | Delete, Backends, Identities]) -> tuple[Why, str] | None:
    """Why an identity is not connected to, or not deleted."""
    order, known = t.message, t.env.state.known.get(t.message.identity)
    if (reason := denial(t.sender, t.config.users)) is not None:
        return "denied", reason
    if order.backend not in t.config.stores:
        return "does not exist", f"there is no backend {order.backend}"
    if known is None or known.backend != order.backend:
        return "not found", f"no identity {order.identity.hex()} is in {order.backend}"
    if isinstance(order, Delete):
        return ("full", f"{PENDING_MAX} orders wait") if len(t.env.state.pending) >= PENDING_MAX else None
    if known.capabilities not in ("both", order.capabilities):
        return "not available", f"it can {known.capabilities} only"
    return ("full", f"it has {ENGINES_MAX} engines") if len(known.engines) >= ENGINES_MAX else None


@rule(when=known_fault)
def refuse(
    found: tuple[Why, str], t: Arrived[Connect | Delete, Backends, Identities]
) -> Effects[Identities, IdentityRefused]:
    """Messages: the reason. State, timers, engines: none."""
    return Send(t.message.reply, IdentityRefused(*found, t.message.request))


@rule(priority=1)
def connect(order: Connect, t: Arrived[Connect, Backends, Identities]) -> Effects[Identities, Answers]:
    """State, messages, engines: as `ready`. Timers: none."""
    return ready(t.env.state.known[order.identity], order, t.env.state, t)


@rule(priority=1)
def delete(order: Delete, t: Arrived[Delete, Backends, Identities]) -> Effects[Identities, Orders]:
    """State: the identity is not known. Messages: its engines retire. State, messages, timers: as `begin`. Engines:
    none; the children end by themselves."""
    state, known = t.env.state, t.env.state.known[order.identity]
    retiring = [Send(Ref[Retire](name), Retire()) for name in known.engines]
    left = replace(state, known=state.known.without(order.identity))
    return [*retiring, *begin(Deleting(order, known.name), left, t)]


MANAGEMENT = Family(
    "identity-management",
    config=Backends,
    state=Identities(),
    accepts=Generate | Connect | Delete | KeyGenerated | KeyDeleted | KeyRefused,
    emits=IdentityReady | IdentityDeleted | IdentityRefused | GenerateKey | DeleteKey | Retire,
    timers=[RETRY],
    spawns=[COMMITMENT, DECRYPTION],
).rules(refuse_generate, generate, ask_again, conclude, disregard, refuse, connect, delete)
