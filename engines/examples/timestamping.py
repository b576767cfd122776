"""A time-stamping server with a rate limit, and its clients.

The server attests that it has seen a hash at a time: it signs both and sends them to the destination in the request.
Within any window it answers a limited number of requests; it takes and drops the others. A client sends the hashes it
holds one by one, by a timer, so that it stays inside the limit.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace
from nacl.signing import SigningKey

from engines.model import (
    Arrived,
    Become,
    Box,
    Config,
    Effects,
    Elapsed,
    Family,
    Handle,
    Message,
    Note,
    Put,
    Ref,
    Send,
    SetTimer,
    Timer,
    Value,
    rule,
)


class TimeStampRequest(Message):
    """Attest to `destination` that you have seen `hash`."""

    hash: bytes
    destination: Ref[TimeStampedHash]


class TimeStampedHash(Message):
    """`hash` was seen at `time_ns`; the server's Ed25519 signature is over `signed_text`."""

    hash: bytes
    time_ns: int
    signature: bytes


class Limit(Config):
    """Requests answered within any window; `key` is the 32-byte seed of the signing key."""

    requests: int
    window_ns: int
    key: Annotated[bytes, Meta(min_length=32, max_length=32)]


class Recent(Value):
    """State of the server's mailbox: when the requests it answered last came."""

    times_ns: tuple[int, ...] = ()


class Issued(Value):
    """State of the server: the number of attestations sent."""

    count: int = 0


INBOX = Box(0, accepts=TimeStampRequest, start=Recent())
Request = Arrived[TimeStampRequest, Limit, Issued]


def within_limit(t: Request) -> Recent | None:
    """The times of the window's requests with this one, if there is room for it."""
    recent = tuple(time_ns for time_ns in t.env[INBOX].state.times_ns if time_ns > t.now_ns - t.config.window_ns)
    return Recent((*recent, t.now_ns)) if len(recent) < t.config.requests else None


@rule(when=within_limit)
def stamp(recent: Recent, t: Request) -> Effects[Issued, TimeStampedHash]:
    """State: one more issued; its time, in the mailbox. Messages: the attestation. Timers, engines: none."""
    signed = SigningKey(t.config.key).sign(signed_text(t.message.hash, t.now_ns))
    attestation = TimeStampedHash(t.message.hash, t.now_ns, signed.signature)
    return [Become(Issued(t.env.state.count + 1)), Put(INBOX, recent), Send(t.message.destination, attestation)]


@rule(priority=1)
def refuse(_request: TimeStampRequest, _t: Request) -> Effects[Issued, TimeStampedHash]:
    """Over the limit: taken and dropped. State, messages, timers, engines: none."""
    return []


def signed_text(hash: bytes, time_ns: int) -> bytes:
    """The hash, then the time as 8 bytes, most significant first."""
    return hash + time_ns.to_bytes(8, "big")


SERVER = Family(
    "time-stamping-server", config=Limit, state=Issued(), accepts=TimeStampRequest, emits=TimeStampedHash, boxes=[INBOX]
).rules(stamp, refuse)


HELD_MAX = 1000
"""Hashes a client holds at once, and attestations it keeps, the latest."""

SECOND_NS = 1_000_000_000


class Pace(Config):
    """The limit of its server as a client knows it; by default that of `configs/timestamping.yaml`."""

    requests: int = 100
    window_ns: int = SECOND_NS

    @property
    def interval_ns(self) -> int:
        """Requests this far apart never exceed the limit: the quotient, rounded up."""
        return -(-self.window_ns // self.requests)


class Submit(Message):
    """To a client: have `server` stamp these hashes, for `destination`."""

    hashes: tuple[bytes, ...]
    server: Ref[TimeStampRequest]
    destination: Ref[TimeStampedHash]


class Errand(Value):
    """A hash to be stamped: the request and the server it goes to."""

    server: Ref[TimeStampRequest]
    request: TimeStampRequest


class Held(Value):
    """State of a client: hashes still to be stamped, and the attestations it was sent."""

    errands: tuple[Errand, ...] = ()
    stamps: tuple[TimeStampedHash, ...] = ()


READY = Timer("ready")
Submitted = Arrived[Submit, Pace, Held]


def room(t: Submitted) -> Held | None:
    """The state with these hashes held, if there is room for them."""
    held, order = t.env.state, t.message
    errands = tuple(Errand(order.server, TimeStampRequest(hash, order.destination)) for hash in order.hashes)
    return None if len(held.errands) + len(errands) > HELD_MAX else replace(held, errands=(*held.errands, *errands))


@rule(when=room)
def submit(held: Held, t: Submitted) -> Effects[Held, TimeStampRequest]:
    """State: the new hashes are held. Messages, timers: as `request_next`, unless one left just now. Engines: none."""
    return held if t.env.is_pending(READY) else request_next(held, t.config)


@rule(priority=1)
def turn_down(order: Submit, _t: Submitted) -> Effects[Held, TimeStampRequest]:
    """Too many hashes: a note. State, messages, timers, engines: none."""
    return Note("too many hashes at once", hashes=len(order.hashes), held_max=HELD_MAX)


@rule(timer=READY)
def go_on(_ready: Handle, t: Elapsed[Pace, Held]) -> Effects[Held, TimeStampRequest]:
    """State, messages, timers: as `request_next`. Engines: none."""
    return request_next(t.env.state, t.config)


@rule
def keep(stamped: TimeStampedHash, t: Arrived[TimeStampedHash, Pace, Held]) -> Effects[Held, TimeStampRequest]:
    """State: the attestation is kept, the oldest one forgotten. Messages, timers, engines: none."""
    return replace(t.env.state, stamps=(*t.env.state.stamps, stamped)[-HELD_MAX:])


def request_next(held: Held, pace: Pace) -> Effects[Held, TimeStampRequest]:
    """State: one hash less, if there is any. Messages: its request. Timers: until the next may leave. Engines: none."""
    if not held.errands:
        return held
    errand, *rest = held.errands
    after = replace(held, errands=tuple(rest))
    return [Become(after), Send(errand.server, errand.request), SetTimer(READY, after_ns=pace.interval_ns)]


CLIENT = Family(
    "time-stamping-client",
    config=Pace,
    state=Held(),
    accepts=Submit | TimeStampedHash,
    emits=TimeStampRequest,
    timers=[READY],
    strict=True,
).rules(submit, turn_down, go_on, keep)
