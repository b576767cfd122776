"""Rehearsals of versions of one family, without processes: the past is made by `step`, as a log would have it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from engines.model import (
    Committed,
    Configuration,
    Delivery,
    Due,
    Family,
    Stored,
    birth,
    due_timers,
    encode,
    load_family,
    step,
)
from host.node.past import PastEnd, PastEngine, PastTurn, encode_past, outputs_of, result_of
from host.node.rehearsal import RehearsalResult, rehearse

STALL = Path(__file__).parent / "rehearsals" / "stall.py"

AnyFamily = Family[Any, Any, Any, Any]


class Versions:
    """Mutable: versions of a family, each a module of its own in one folder."""

    def __init__(self, folder: Path, name: str = "STALL", source: Path = STALL) -> None:
        self._folder = folder
        self._name = name
        self._text = source.read_text()
        self._count = 0

    def load(self, *edits: tuple[str, str]) -> AnyFamily:
        """The version after these edits of the source."""
        text = self._text
        for old, new in edits:
            assert old in text, old
            text = text.replace(old, new)
        self._count += 1
        module = f"{self._folder.name.replace('-', '_')}_{self._count}"
        (self._folder / f"{module}.py").write_text(text)
        family = load_family(f"{module}:{self._name}", [str(self._folder)])
        assert isinstance(family, Family)
        return family


def past_of(family: AnyFamily, messages: Sequence[tuple[int, Any]], *, keeps_states: bool = True) -> list[bytes]:
    """An engine's past: its life under `family`, given messages with their times. Timers come first."""
    return [*_past(family, messages, keeps_states), encode_past(PastEnd())]


def _past(family: AnyFamily, messages: Sequence[tuple[int, Any]], keeps_states: bool) -> Iterator[bytes]:
    me = Configuration[Any]("node", "engine", None, None)
    env = birth(family, me, now_ns=0)
    yield encode_past(
        PastEngine(me.name, me.node, me.parent, 1, None, family.interface(), family.version, family.dump(env))
    )
    for n, (now_ns, message) in enumerate(messages, 1):
        for cause in (Due(due_timers(env, now_ns)), Delivery("client", 0, message)):
            if isinstance(cause, Due) and not cause.handles:
                continue
            outcome = step(family, me, env, cause, now_ns)
            if isinstance(outcome, Committed | Stored):
                env = outcome.env
            dump = family.dump(env) if keeps_states else b""
            yield encode_past(_turn(n, now_ns, cause, result_of(outcome), outputs_of(outcome), dump))


def _turn(n: int, now_ns: int, cause: Delivery[Any] | Due, result: str, outputs: list[Any], dump: bytes) -> PastTurn:
    if isinstance(cause, Due):
        return PastTurn(n, now_ns, "", 0, None, tuple(one.name for one in cause.handles), (), result, outputs, dump)
    return PastTurn(n, now_ns, cause.sender, 0, encode(cause.message), (), (), result, outputs, dump)


def rehearsed(past: list[bytes], family: AnyFamily) -> RehearsalResult:
    """What a rehearsal of that past finds. Raises `Differs`."""
    (result,) = rehearse(past, lambda engine, before: family)
    return result
