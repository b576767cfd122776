"""Small systems to explore, made at random: engines that follow a table, and a plain explorer to compare with."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

from engines.model import Arrived, Become, Config, Effects, Family, Message, Send, Value, rule, step
from engines.model.birth import birth
from engines.model.outcome import Committed, Outgoing
from engines.model.system import Envelope, Member, System
from engines.model.trigger import Configuration, Delivery

KINDS = 3
PHASES = 3


class Signal(Message):
    """One of a few kinds."""

    kind: int


class Entry(Value):
    """In `phase`, on a signal of `kind`: the next phase, and signals to send."""

    phase: int
    kind: int
    after: int
    sends: tuple[tuple[str, int], ...] = ()


class Table(Config):
    """What an engine does; what is not mentioned changes nothing."""

    entries: tuple[Entry, ...]


class Phase(Value):
    """State: the phase, and how many signals may still be sent, so that a run is finite."""

    phase: int = 0
    left: int = 2


@rule
def follow(signal: Signal, t: Arrived[Signal, Table, Phase]) -> Effects[Phase, Signal]:
    """State: as the table says. Messages: as the table says, while any are left. Timers, engines: none."""
    state = t.env.state
    for entry in t.config.entries:
        if (entry.phase, entry.kind) == (state.phase, signal.kind):
            sends = entry.sends[: state.left]
            after = Phase(entry.after, state.left - len(sends))
            return [Become(after), *(Send(target, Signal(kind)) for target, kind in sends)]
    return []


FOLLOWER = Family("follower", config=Table, state=Phase(), accepts=Signal, emits=Signal).rules(follow)


def random_system(seed: int, network: Any = "unordered", engines: int = 3) -> System:
    """A system of engines with random tables, and a few signals in transit."""
    chance = random.Random(seed)
    names = [f"e{number}" for number in range(engines)]

    def entry(phase: int, kind: int) -> Entry:
        count = chance.choice((0, 1, 1, 2))
        sends = tuple((chance.choice(names), chance.randrange(KINDS)) for _ in range(count))
        return Entry(phase, kind, chance.randrange(PHASES), sends)

    members = [
        Member(
            name,
            FOLLOWER,
            Table(tuple(entry(p, k) for p in range(PHASES) for k in range(KINDS) if chance.random() < 0.7)),
        )
        for name in names
    ]
    messages = [Envelope(chance.choice(names), Signal(chance.randrange(KINDS))) for _ in range(3)]
    return System(name=f"random {seed}", members=members, messages=messages, network=network)


def symmetric_system(seed: int, engines: int = 3) -> System:
    """Engines that all follow one random table and send only to a fourth one, which sends to all."""
    chance = random.Random(seed)
    names = [f"e{number}" for number in range(engines)]

    def entries(targets: list[str]) -> tuple[Entry, ...]:
        return tuple(
            Entry(p, k, chance.randrange(PHASES), tuple((one, chance.randrange(KINDS)) for one in targets[:1]))
            for p in range(PHASES)
            for k in range(KINDS)
            if chance.random() < 0.7
        )

    table = Table(entries(["hub"]))
    members = [*(Member(name, FOLLOWER, table) for name in names), Member("hub", FOLLOWER, Table(entries([])))]
    messages = [Envelope(name, Signal(kind)) for name in names for kind in (0, 1)]
    return System(name=f"symmetric {seed}", members=members, messages=messages, symmetric=[names])


Plain = tuple[tuple[tuple[str, Phase], ...], tuple[Any, ...]]
"""The phases by name, and what is in transit."""


def plainly(system: System) -> tuple[set[Plain], int]:
    """All states by the most obvious means, and how many steps there are that change something."""
    configurations = {m.name: Configuration(system.name, m.name, None, m.params) for m in system.members}
    environments = {
        member.name: birth(member.family, configurations[member.name], now_ns=0) for member in system.members
    }
    transit = tuple(_key(envelope) for envelope in system.messages)
    first: Plain = (
        tuple(sorted((name, env.state) for name, env in environments.items())),
        _settled(system, transit),
    )
    seen, todo, steps = {first}, [first], 0
    while todo:
        state = todo.pop()
        for after in _next(system, configurations, environments, state):
            if after == state:
                continue
            steps += 1
            if after not in seen:
                seen.add(after)
                todo.append(after)
    return seen, steps


def _next(system: System, configurations: Any, environments: Any, state: Plain) -> Iterator[Plain]:
    engines, transit = dict(state[0]), state[1]
    for key in dict.fromkeys(_heads(system, transit)):
        sender, target, kind = key
        rest = list(transit)
        if system.network != "duplicating":
            rest.remove(key)
        if system.network == "lossy":
            yield state[0], _settled(system, tuple(rest))
        env = environments[target].with_state(engines[target])
        outcome = step(FOLLOWER, configurations[target], env, Delivery(sender, 0, Signal(kind)), 0)
        assert isinstance(outcome, Committed)
        sent = [(target, out.target, out.message.kind) for out in outcome.outputs if isinstance(out, Outgoing)]
        after = {**engines, target: outcome.env.state}
        yield tuple(sorted(after.items())), _settled(system, (*rest, *sent))


def _heads(system: System, transit: tuple[Any, ...]) -> list[Any]:
    if system.network != "ordered":
        return list(transit)
    heads: dict[Any, Any] = {}
    for key in transit:
        heads.setdefault(key[:2], key)
    return list(heads.values())


def _settled(system: System, transit: tuple[Any, ...]) -> tuple[Any, ...]:
    """What is in transit, in a form in which equal contents are equal."""
    if system.network == "duplicating":
        return tuple(sorted(set(transit)))
    if system.network == "ordered":  # the order within a flow counts, that among flows does not
        return tuple(sorted(transit, key=lambda key: key[:2]))
    return tuple(sorted(Counter(transit).elements()))


def _key(envelope: Envelope) -> tuple[str, str, int]:
    return envelope.sender, envelope.target, envelope.message.kind
