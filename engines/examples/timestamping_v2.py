"""The time-stamping server, second version: it also counts the requests it refuses, and reports on request.

To be put in the place of a running server of the first version. Messages, parameters and mailbox are the same; the
state has one more field, and the server accepts one more message.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from nacl.signing import SigningKey

from engines.examples.timestamping import Limit, Recent, TimeStampedHash, TimeStampRequest, signed_text
from engines.model import Arrived, Become, Box, Effects, Family, Message, Put, Ref, Send, Value, rule


class Served(Value):
    """State of the server: how many requests it answered, and how many it refused."""

    issued: int = 0
    refused: int = 0


class Report(Message):
    """How many requests the server answered and refused."""

    issued: int
    refused: int


class ReportRequest(Message):
    """Send a `Report` to `destination`."""

    destination: Ref[Report]


INBOX = Box(0, accepts=TimeStampRequest | ReportRequest, start=Recent())
Request = Arrived[TimeStampRequest, Limit, Served]


def within_limit(t: Request) -> Recent | None:
    """The times of the window's requests with this one, if there is room for it."""
    recent = tuple(time_ns for time_ns in t.env[INBOX].state.times_ns if time_ns > t.now_ns - t.config.window_ns)
    return Recent((*recent, t.now_ns)) if len(recent) < t.config.requests else None


@rule(when=within_limit)
def stamp(recent: Recent, t: Request) -> Effects[Served, TimeStampedHash | Report]:
    """State: one more issued; its time, in the mailbox. Messages: the attestation. Timers, engines: none."""
    signed = SigningKey(t.config.key).sign(signed_text(t.message.hash, t.now_ns))
    attestation = TimeStampedHash(t.message.hash, t.now_ns, signed.signature)
    served = replace(t.env.state, issued=t.env.state.issued + 1)
    return [Become(served), Put(INBOX, recent), Send(t.message.destination, attestation)]


@rule(priority=1)
def refuse(_request: TimeStampRequest, t: Request) -> Effects[Served, TimeStampedHash | Report]:
    """Over the limit. State: one more refused. Messages, timers, engines: none."""
    return replace(t.env.state, refused=t.env.state.refused + 1)


@rule
def report(
    request: ReportRequest, t: Arrived[ReportRequest, Limit, Served]
) -> Effects[Served, TimeStampedHash | Report]:
    """State: none. Messages: the counts, to the destination. Timers, engines: none."""
    return Send(request.destination, Report(t.env.state.issued, t.env.state.refused))


def migrate(old: dict[str, Any]) -> Served:
    """The first version counted attestations, as `count`; its refusals are not known."""
    return Served(issued=old["count"])


SERVER = Family(
    "time-stamping-server",
    config=Limit,
    state=Served(),
    accepts=TimeStampRequest | ReportRequest,
    emits=TimeStampedHash | Report,
    boxes=[INBOX],
    migrate=migrate,
).rules(stamp, refuse, report)
