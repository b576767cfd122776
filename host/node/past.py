"""The last triggers of an engine, with what its present code made of them: what a new version rehearses on.

The process with the old code writes this, since nobody else has that code. Values of the old version are here as plain
data (`view`) or encoded, so the reader needs none of its classes. Mechanism of the rehearsal: `rehearsal`.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from engines.model import (
    Committed,
    Configuration,
    Delivery,
    Due,
    Environment,
    Family,
    Noted,
    Outcome,
    Outgoing,
    Output,
    Spawned,
    Stored,
    encode,
    view,
)
from engines.model.store.adopt import Downgraded
from host.node.births import plain
from host.node.journal.records import RESULTS, TurnResult
from host.node.trigger_ring import PastTrigger

MESSAGE_BYTES_MAX: Final = 16 * 1024
"""Longer messages are compared by their digests."""

STATES_BYTES_MAX: Final = 16 << 20
"""Dumps of engines' states kept for one rehearsal; engines share it evenly."""


class PastEngine(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """An engine before the first of its turns that follow. `code` is the digest of the version that ran them, `family`
    its reference.

    `downgraded` is the state of `env` as the version before has it, if the family has a `downgrade`.
    """

    name: str
    node: str
    parent: str | None
    birth: int
    params: Any
    interface: dict[str, Any]
    code: str
    env: bytes
    downgraded: Downgraded = b""
    family: str = ""


class PastTurn(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A turn: its trigger (a message, or the names of timers), its answers, and the outcome.

    `n` is the number of the turn in the engine's life. `env` is the dump after it, b"" where it was not kept.
    """

    n: int
    now_ns: int
    sender: str
    mailbox: int
    message: bytes | None
    timers: tuple[str, ...]
    answers: tuple[Any, ...]
    result: str
    outputs: list[Any]
    env: bytes
    downgraded: Downgraded = b""


class PastLost(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The engine's past cannot be had, and why."""

    name: str
    reason: str


class PastEnd(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Nothing follows. Without it, the writer died."""


Past = PastEngine | PastTurn | PastLost | PastEnd

encode_past: Final = msgspec.msgpack.Encoder().encode
decode_past: Final = msgspec.msgpack.Decoder(Past).decode


def result_of(outcome: Outcome[Any]) -> str:
    """The kind of an outcome as a word: "committed", "failed"."""
    return TurnResult(RESULTS[type(outcome)]).name.lower()


def outputs_of(outcome: Outcome[Any]) -> list[Any]:
    """The outputs of an outcome as plain data, without notes: nobody but a reader of the log gets these."""
    return list(_plain(outcome.outputs)) if isinstance(outcome, Committed) else []


def _plain(outputs: Iterable[Output]) -> Iterable[Any]:
    for output in outputs:
        match output:
            case Outgoing(target, mailbox, message):
                yield {"to": target, "mailbox": mailbox, "message": _short(message)}
            case Spawned(name, family, params, state):
                yield {"spawn": name, "family": family, "params": _short(params), "state": _short(state)}
            case Noted():
                continue
            case _:
                yield {"stop": True}


def _short(value: Any) -> Any:
    if value is None or len(data := encode(value)) <= MESSAGE_BYTES_MAX:
        return view(value)
    tag = getattr(getattr(value, "__struct_config__", None), "tag", None)
    return {"type": tag, "bytes": len(data), "digest": blake2b(data, digest_size=16).hexdigest()}


_NONE: Final[Downgraded] = b""


class PastEngines:
    """Mutable: the past of one engine as it is made. It has several beginnings where other code ran meanwhile.

    States are kept behind every turn that changed them, until they exceed a bound; the last one always is (`close`).
    """

    def __init__(self, states_bytes_max: int) -> None:
        self.past: list[PastEngine | PastTurn] = []
        self._states_bytes_left = states_bytes_max
        self._family: Family[Any, Any, Any, Any] | None = None
        self._env: Environment[Any] | None = None

    def begin(self, family: Family[Any, Any, Any, Any], me: Configuration[Any], env: Environment[Any]) -> None:
        """The turns to come begin with this environment."""
        back = family.downgraded(env.state)
        rest = (me.birth, plain(me.params), family.interface(), family.version, family.dump(env), back, family.ref)
        self.past.append(PastEngine(me.name, me.node, me.parent, *rest))
        self._family, self._env = family, env

    def keep(
        self,
        n: int,
        now_ns: int,
        trigger: PastTrigger,
        answers: tuple[Any, ...],
        outcome: Outcome[Any],
        env: Environment[Any],
    ) -> None:
        """Keep a turn; `env` is the environment after it."""
        assert self._family is not None
        dump, back = b"", _NONE
        if env is not self._env and self._states_bytes_left > 0:
            dump, back, self._env = self._family.dump(env), self._family.downgraded(env.state), env
            self._states_bytes_left -= len(dump) + (len(back) if isinstance(back, bytes) else 0)
        result, outputs = result_of(outcome), outputs_of(outcome)
        self.past.append(PastTurn(n, now_ns, *trigger, answers, result, outputs, dump, back))

    def close(self, env: Environment[Any]) -> None:
        """No turn follows this environment before the end, or the next beginning: the last one gets its state."""
        last = self.past[-1] if self.past else None
        if isinstance(last, PastTurn) and self._family is not None:
            back = self._family.downgraded(env.state)
            self.past[-1] = replace(last, env=self._family.dump(env), downgraded=back)


def env_after(env: Environment[Any], cause: Delivery[Any] | Due, outcome: Outcome[Any]) -> Environment[Any]:
    """The environment that a transition leaves: timers whose transition failed are over."""
    if isinstance(outcome, Committed | Stored):
        return outcome.env
    timers = env.timers
    for handle in cause.handles if isinstance(cause, Due) else ():
        timers = timers.without(handle.name)
    return env if timers is env.timers else env.with_timers(timers)
