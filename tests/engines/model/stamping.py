"""The time-stamping server of the seeds, as its specification reads: the measure of the model's interface."""

from __future__ import annotations

from hashlib import blake2b

from engines.model import Arrived, Box, Config, Effects, Family, Message, Put, Ref, Send, Value, rule


class TimeStampedHash(Message):
    hash: bytes
    now_ns: int
    signature: bytes


class TimeStampRequest(Message):
    hash: bytes
    destination: Ref[TimeStampedHash]


class SigningKey(Value):
    secret: bytes

    def sign(self, data: bytes) -> bytes:
        """A keyed hash stands in for a signature."""
        return blake2b(data, key=self.secret).digest()


class Limit(Config):
    requests: int
    window_ns: int
    key: SigningKey


class Recent(Value):
    times_ns: tuple[int, ...] = ()

    def since(self, start_ns: int) -> Recent:
        """Without what came before `start_ns`."""
        return Recent(tuple(time_ns for time_ns in self.times_ns if time_ns >= start_ns))


INBOX = Box(0, accepts=TimeStampRequest, start=Recent())
Request = Arrived[TimeStampRequest, Limit, None]


def within_limit(t: Request) -> Recent | None:
    recent = t.env[INBOX].state.since(t.now_ns - t.config.window_ns)
    return recent if len(recent.times_ns) < t.config.requests else None


@rule(when=within_limit)
def stamp(recent: Recent, t: Request) -> Effects[None, TimeStampedHash]:
    """State: this request's time. Messages: the stamp, to its destination. Timers, engines: none."""
    signature = t.config.key.sign(t.message.hash + t.now_ns.to_bytes(8, "big"))
    return [
        Send(t.message.destination, TimeStampedHash(t.message.hash, t.now_ns, signature)),
        Put(INBOX, Recent((*recent.times_ns, t.now_ns))),
    ]


@rule(priority=1)
def refuse(request: TimeStampRequest, t: Request) -> Effects[None, TimeStampedHash]:
    """Over the limit: taken and dropped."""
    return []


SERVER = Family(
    "time-stamping-server", config=Limit, accepts=TimeStampRequest, emits=TimeStampedHash, boxes=[INBOX]
).rules(stamp, refuse)
