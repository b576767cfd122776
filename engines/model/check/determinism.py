"""The determinism check: one transition, run again elsewhere, must have the same outcome to the byte.

Two runs in one process never show the order of a set, and little of a clock. So a transition is written down as a case
(`record_case`) with its outcome (`record_outcome`), and a process with another hash seed runs the case again
(`run_case`). `compare` finds where the two differ. All of it is pure; the caller starts the process.

A case is small: family by name, configuration, environment, input, time and the answers given. The awkward case is a
rule that counts its own runs in a global: its first run there equals the first run here. Therefore `run_case` runs the
case twice and reports the second run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Final, TypeAlias

import msgspec

from ..environment import Environment, Handle
from ..family import Family
from ..interaction import Answer
from ..outcome import Committed, Failed, Noted, Outcome, Outgoing, Output, Overflow, Refused, Spawned, Stored, Suspended
from ..step import step
from ..store.dump import decoder, dump_environment, read_dump
from ..store.load import load_family
from ..trigger import Cause, Configuration, Delivery, Due
from ..values import encode

AnyFamily: TypeAlias = Family[Any, Any, Any, Any]

DIFFERENCES_MAX: Final = 20
"""Differences reported of one case; the first few are enough."""

_ADDRESS: Final = re.compile(r"\bat 0x[0-9a-f]+")


class Case(msgspec.Struct, frozen=True):
    """A transition, all typed values still encoded. It has either a `message` or `handles`, the elapsed timers."""

    family: str
    node: str
    name: str
    parent: str | None
    birth: int
    params: bytes
    env: bytes
    now_ns: int
    sender: str = ""
    mailbox: int = 0
    message: bytes | None = None
    handles: tuple[Handle, ...] = ()
    answers: tuple[Answer, ...] = ()


class Difference(msgspec.Struct, frozen=True):
    """A place in the outcome ("env.state.votes[2]"), and the text that each run had there."""

    where: str
    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.where}: {self.first} and {self.second}"


def record_case(
    family: AnyFamily,
    configuration: Configuration[Any],
    env: Environment[Any],
    cause: Cause,
    now_ns: int,
    answers: Sequence[Answer] = (),
) -> bytes:
    """The arguments of a `step`, to run it again elsewhere; not for one that refused its message.

    The family must have a name, `family.ref`, by which the other process can load it.
    """
    assert family.ref, f"{family.name} is held by no module, so no other process can load it"
    me = configuration
    head = (family.ref, me.node, me.name, me.parent, me.birth, encode(me.params), dump_environment(env), now_ns)
    if isinstance(cause, Delivery):
        arrived = (cause.sender, cause.mailbox, encode(cause.message))
        return encode(Case(*head, *arrived, answers=tuple(answers)))
    return encode(Case(*head, handles=cause.handles, answers=tuple(answers)))


def run_case(case: bytes, roots: Sequence[str] = ()) -> bytes:
    """Run a case and return its record, for `compare`; for a process with another hash seed.

    Raises:
        LoadError: the family cannot be loaded here.
        msgspec.ValidationError: the case does not fit the family.
    """
    return _run(case, lambda ref: load_family(ref, roots))


def run_cases(cases: Sequence[bytes], roots: Sequence[str] = ()) -> list[bytes]:
    """The records of many cases, in their order; each family is loaded once. They are run last first, so that memory
    between transitions shows."""
    load = cache(lambda ref: load_family(ref, roots))
    return [_run(case, load) for case in reversed(cases)][::-1]


def _run(case: bytes, load: Callable[[str], Any]) -> bytes:
    given = _CASE(case)
    family = load(given.family)
    params = decoder(family.config)(given.params)
    configuration = Configuration(given.node, given.name, given.parent, params, given.birth)
    cause: Cause = Due(given.handles)
    if given.message is not None:
        cause = Delivery(given.sender, given.mailbox, family.boxes[given.mailbox].decode(given.message))
    env = family.load(given.env)
    step(family, configuration, env, cause, given.now_ns, given.answers)
    return record_outcome(step(family, configuration, env, cause, given.now_ns, given.answers))


def record_outcome(outcome: Outcome[Any]) -> bytes:
    """An outcome in full, as MessagePack; equal outcomes have equal bytes. A failure is without its traceback."""
    return encode({"outcome": type(outcome).__name__, **_parts(outcome)})


def compare(first: bytes, second: bytes) -> list[Difference]:
    """Where two records of one case differ, the first DIFFERENCES_MAX places; empty when they are equal."""
    if first == second:
        return []
    found = _differences("", msgspec.msgpack.decode(first), msgspec.msgpack.decode(second))
    return [difference for difference, _ in zip(found, range(DIFFERENCES_MAX), strict=False)]


def _parts(outcome: Outcome[Any]) -> dict[str, object]:
    match outcome:
        case Committed():
            outputs = [{"output": type(output).__name__, **_output(output)} for output in outcome.outputs]
            return {
                "labels": outcome.labels,
                "env": _environment(outcome.env),
                "outputs": outputs,
                "ignored": outcome.ignored,
            }
        case Suspended():
            return {"labels": outcome.labels, "question": repr(outcome.question)}
        case Stored():
            return {"env": _environment(outcome.env)}
        case Overflow():
            return {"mailbox": outcome.mailbox, "stored_max": outcome.stored_max}
        case Failed():
            return {"error": _ADDRESS.sub("at …", outcome.error)}
        case Refused():
            return {"reason": outcome.reason}


def _output(output: Output) -> dict[str, object]:
    match output:
        case Outgoing():
            return {"target": output.target, "mailbox": output.mailbox, "message": output.message}
        case Spawned():
            return {
                "name": output.name,
                "family": output.family,
                "params": output.params,
                "state": output.state,
            }
        case Noted():
            return {"text": output.text, "fields": output.fields}
        case _:
            return {}


def _environment(env: Environment[Any]) -> dict[str, object]:
    parts = read_dump(dump_environment(env))
    return {name: getattr(parts, name) for name in parts.__struct_fields__}


def _differences(where: str, first: Any, second: Any) -> Iterator[Difference]:
    """Depth first; structs differ in their fields, lists of one length in their items, others as wholes."""
    if isinstance(first, dict) and isinstance(second, dict):
        for name in {**first, **second}:
            parts = (one.get(name, _ABSENT) for one in (first, second))
            yield from _differences(f"{where}.{name}" if where else str(name), *parts)
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for place, (one, other) in enumerate(zip(first, second, strict=True)):
            yield from _differences(f"{where}[{place}]", one, other)
    elif repr(first) != repr(second):
        yield Difference(where, repr(first), repr(second))


class _Absent:
    """Shown for a field that one of two structs does not have."""

    def __repr__(self) -> str:
        return "absent"


_ABSENT: Final = _Absent()
_CASE: Final = msgspec.msgpack.Decoder(Case).decode
