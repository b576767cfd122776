"""The states of an engine system as tuples of small numbers, and their successors.

Everything that recurs is kept once (`parts`, `network`). A state is then

    (roster, network, extra, engine 1, engine 2, ...)

with a number for each. A *roster* says which engines there are, in order of their names, and which have stopped; it
changes only when an engine is born or ends. *Extra* is the history that the system records and the node faults left.
What an engine can do depends on its local state and on the group of messages that can be delivered to it. Its moves
are kept for both, so nearly every successor is made by looking up numbers, without running a rule.

The fingerprint of a state is the exclusive or of those of its parts (a local state's contains its name, so places do
not matter). A successor's is made from the differences of the parts that changed.

Mail to an engine that has ended, or that can never be born, is dropped when it is sent: it would stay in transit for
ever and tell states apart that no engine can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple

from engines.model import Configuration, is_descendant
from engines.model.system import Envelope, Member, System
from engines.model.system_view import SystemView
from host.check.local import Engines, LocalState, Reaction, ended
from host.check.network import NOTHING, Network
from host.check.parts import Extra, Parts
from host.check.visited import Add

ROSTER: Final = 0
NETWORK: Final = 1
EXTRA: Final = 2
FIRST: Final = 3
"""Where the engines begin in a state."""

State = tuple[int, ...]

Plain = tuple[int, int, int]
"""A move in which roster and extra stay and nothing is to be reported: the local state then, the difference of the
fingerprints, the change of the network."""


class Move(NamedTuple):
    """A reaction in numbers, for one roster: the engine's place, its local state before and then, the network's change.

    `message` is that delivered, or `NOTHING`; `is_standing`: it stays. `sent` are all messages sent, also those that
    cannot arrive.
    """

    at: int
    before: int
    after: int
    change: int
    message: int
    is_standing: bool
    sent: tuple[int, ...]
    reaction: Reaction


class Successor(NamedTuple):
    """A successor, with how it comes about: for traces and graphs.

    `kind` is `deliver`, `step`, `answer`, `reload`, `lose` or `crash`. `owed` names what was done, where fairness is
    owed to it: a message's number, or the engine with its timer or question.
    """

    state: State
    print: int
    kind: str
    engine: str
    label: str
    envelope: Envelope | None = None
    owed: int | str | None = None
    reaction: Reaction | None = None


class Roster:
    """The engines of a state in order, which of them have stopped, and the moves met with them."""

    def __init__(self, names: tuple[str, ...], stopped: frozenset[str]) -> None:
        self.names = names
        self.stopped = stopped
        self.places = {name: FIRST + place for place, name in enumerate(names)}
        self.groups: dict[int, tuple[int, ...]] = {}
        """By network: for each engine, the group of messages that can be delivered to it."""
        self.tables: dict[int, dict[int, tuple[tuple[Plain, ...], tuple[Move, ...], tuple[Move, ...]]]] = {}
        """By local state and group: the moves that change something, as plain ones and others; then all moves."""
        self.deliveries: dict[tuple[int, int, bool], Move] = {}
        """By local state and message, and whether that is a standing one: the move of its delivery, in any group."""


class Space:
    """The states of one system.

    Args:
        faults: node faults that may happen in one run.
        ignores_idle: a delivery that changes no engine and sends nothing is no transition, as with Stateright's actors.

    Raises BirthError for an engine that cannot begin.
    """

    def __init__(
        self,
        system: System,
        engines: Engines,
        faults: int = 0,
        ignores_idle: bool = False,
    ) -> None:
        self.system = system
        self.engines = engines
        self.parts = Parts(system)
        self.rosters: list[Roster] = []
        self.sends: set[tuple[str, str]] = set()
        """Pairs of engines of which the first was met sending to the second, or spawning it."""
        self.dropped: dict[str, int] = {}
        """Messages that became dead letters, by reason; each reaction counts once."""
        self.failures: dict[str, Reaction] = {}
        """Rules that raised, and versions that did not accept a state, by their error; of states that were expanded."""
        self.network = Network(system.network, self.parts.flows.__getitem__, self.parts.message_prints.__getitem__)
        self._ignores_idle = ignores_idle
        self.has_mishaps = faults > 0 or system.network == "lossy"
        self._durable = frozenset(member.name for member in system.members if member.is_durable)
        self._outside = frozenset(system.outsiders)
        self._roster_numbers: dict[tuple[tuple[str, ...], frozenset[str]], int] = {}
        self._group_numbers: dict[tuple[int, ...], int] = {}
        self._group_list: list[tuple[int, ...]] = []
        self._reactions: dict[tuple[int, int], Reaction] = {}
        self._alone_reactions: dict[int, tuple[Reaction, ...]] = {}
        self._standing: dict[str, tuple[int, ...]] = {}
        for envelope in system.standing:
            number = self.parts.message(envelope)
            self._standing[envelope.target] = (*self._standing.get(envelope.target, ()), number)
        self.view_of: Callable[..., SystemView] = SystemView
        self.canonical: Callable[[State], State] | None = None
        """The state that stands for a state, where only one is kept of those that differ by an exchange of names."""
        self.initial = self._begin(faults)

    def print_of(self, state: State) -> int:
        """The fingerprint of a state."""
        prints = self.parts.local_prints
        total = self.network.hashes[state[NETWORK]] ^ self.parts.extra_prints[state[EXTRA]]
        for local in state[FIRST:]:
            total ^= prints[local]
        return total

    def canonical_print(self, state: State) -> int:
        """The fingerprint under which a state is kept: its own, or that of the state that stands for it."""
        return self.print_of(state if self.canonical is None else self.canonical(state))

    def expand(self, state: State, print_: int, add: Add, found: list[tuple[State, int]]) -> int:
        """Add the successors of a state that `add` says are new, with `print_` as their parent, to `found`.

        Returns how many successors there are. This is the path of every state and is written for that.
        """
        if self.canonical is not None:
            return self._expand_canonically(state, print_, add, found)
        roster = self.rosters[state[ROSTER]]
        network = state[NETWORK]
        contents = self.network.successors[network]
        groups = roster.groups.get(network)
        if groups is None:
            groups = self._groups(roster, network)
        tables = roster.tables
        count = 0
        at = FIRST
        for group in groups:
            local = state[at]
            try:
                kept = tables[local][group]
            except KeyError:
                kept = None
            plain, others, _ = self._moves(roster, local, at, group) if kept is None else kept
            count += len(plain)
            for after, difference, change in plain:
                reached = contents.get(change)
                if reached is None:
                    reached = self.network.changed(network, change)
                print_after = print_ ^ difference ^ reached[1]
                if add(print_after, print_):
                    changed = list(state)
                    changed[NETWORK] = reached[0]
                    changed[at] = after
                    found.append((tuple(changed), print_after))
            for move in others:
                if move.reaction.error:
                    self.failures.setdefault(move.reaction.error, move.reaction)
                count += self._meet(self._after(state, move), state, print_, add, found)
            at += 1
        if self.has_mishaps:
            for successor in self._mishaps(state):
                count += self._meet(successor.state, state, print_, add, found)
        return count

    def _expand_canonically(self, state: State, print_: int, add: Add, found: list[tuple[State, int]]) -> int:
        count = 0
        for one in self.successors(state):
            if one.reaction is not None and one.reaction.error:
                self.failures.setdefault(one.reaction.error, one.reaction)
            count += self._meet(one.state, state, print_, add, found)
        return count

    def successors(self, state: State) -> Iterator[Successor]:
        """All successors of a state, with how each comes about; those that change nothing too."""
        roster = self.rosters[state[ROSTER]]
        groups = roster.groups.get(state[NETWORK]) or self._groups(roster, state[NETWORK])
        for at, group in enumerate(groups, FIRST):
            local = state[at]
            found = roster.tables.get(local, {}).get(group) or self._moves(roster, local, at, group)
            for move in found[2]:
                yield self._successor(state, self.parts.locals[local], move)
        yield from self._mishaps(state)

    def moves_of(self, state: State) -> list[tuple[tuple[Plain, ...], tuple[Move, ...]]]:
        """For each engine, the moves that change something: plain ones and others."""
        roster = self.rosters[state[ROSTER]]
        groups = roster.groups.get(state[NETWORK]) or self._groups(roster, state[NETWORK])
        found = []
        for at, group in enumerate(groups, FIRST):
            local = state[at]
            kept = roster.tables.get(local, {}).get(group) or self._moves(roster, local, at, group)
            found.append(kept[:2])
        return found

    def view(self, state: State) -> SystemView:
        """A state as properties see it."""
        views = self.parts.views
        engines = dict(zip(self.rosters[state[ROSTER]].names, [views[one] for one in state[FIRST:]], strict=True))
        history = self.parts.extras[state[EXTRA]].history
        return self.view_of(engines, partial(self._transit, state[NETWORK]), history)

    def _transit(self, network: int) -> tuple[Envelope, ...]:
        return tuple(self.parts.messages[one] for one in self.network.messages(network))

    def _begin(self, faults: int) -> State:
        numbers: dict[str, int] = {}
        for member in self.system.members:
            numbers[member.name] = self.parts.local(self._member(member))
        roster = self.roster(tuple(sorted(numbers)), frozenset())
        extra = self.parts.extra(Extra(self.system.history, faults))
        messages = tuple(map(self.parts.message, self.system.messages))
        for message in messages:
            extra = self.parts.recorded(extra, message, True)
        kept = [one for one in messages if self._arrives(self.rosters[roster], self.parts.messages[one].target)]
        network = self.network.content(kept)
        return (roster, network, extra, *(numbers[name] for name in sorted(numbers)))

    def _member(self, member: Member) -> LocalState:
        configuration = Configuration(self.system.name, member.name, None, member.params)
        return self.engines.born(member.family, configuration, member.state, self.system.clock_ns)

    def roster(self, names: tuple[str, ...], stopped: frozenset[str]) -> int:
        """The number of a roster."""
        number = self._roster_numbers.get((names, stopped))
        if number is None:
            number = self._roster_numbers[names, stopped] = len(self.rosters)
            self.rosters.append(Roster(names, stopped))
        return number

    def _groups(self, roster: Roster, network: int) -> tuple[int, ...]:
        """For each engine, the number of the group of messages that can be delivered to it."""
        mail: dict[str, list[int]] = {}
        for message in self.network.heads(network):
            mail.setdefault(self.parts.messages[message].target, []).append(message)
        groups = roster.groups[network] = tuple(self._group(tuple(mail.get(name, ()))) for name in roster.names)
        return groups

    def _group(self, messages: tuple[int, ...]) -> int:
        number = self._group_numbers.get(messages)
        if number is None:
            number = self._group_numbers[messages] = len(self._group_list)
            self._group_list.append(messages)
        return number

    def _moves(
        self, roster: Roster, local: int, at: int, group: int
    ) -> tuple[tuple[Plain, ...], tuple[Move, ...], tuple[Move, ...]]:
        """All that an engine in a local state can do with a group of messages."""
        state, moves = self.parts.locals[local], list[Move]()
        if state.status != "stopped":
            moves += (self._move(roster, local, at, NOTHING, True, one) for one in self._alone(local))
            if not self.engines.is_urgent(state):
                moves += (self._delivery(roster, local, at, one, False) for one in self._group_list[group])
                moves += (self._delivery(roster, local, at, one, True) for one in self._standing.get(state.name, ()))
        moving = [move for move in moves if not self._is_idle(move)]
        plain = tuple(self._plain(move) for move in moving if self._is_plain(move))
        others = tuple(move for move in moving if not self._is_plain(move))
        kept = tuple(move for move in moves if not (self._ignores_idle and self._is_idle(move)))
        found = roster.tables.setdefault(local, {})[group] = (plain, others, kept)
        return found

    def _alone(self, local: int) -> tuple[Reaction, ...]:
        """What an engine can do without a message; run once for each local state."""
        found = self._alone_reactions.get(local)
        if found is None:
            state = self.parts.locals[local]
            later = self.engines.reloaded(state)
            found = self.engines.alone(state) if later is None else (*self.engines.alone(state), later)
            self._alone_reactions[local] = found
        return found

    def _delivery(self, roster: Roster, local: int, at: int, message: int, is_standing: bool) -> Move:
        """The move of a delivery; its rule runs once for each local state and message."""
        move = roster.deliveries.get((local, message, is_standing))
        if move is None:
            reaction = self._reactions.get((local, message))
            if reaction is None:
                reaction = self.engines.deliver(self.parts.locals[local], self.parts.messages[message])
                self._reactions[local, message] = reaction
            move = self._move(roster, local, at, message, is_standing, reaction)
            roster.deliveries[local, message, is_standing] = move
        return move

    def _move(self, roster: Roster, local: int, at: int, message: int, is_standing: bool, reaction: Reaction) -> Move:
        after = self.parts.local(reaction.after)
        self.sends.update((envelope.sender, envelope.target) for envelope in reaction.sends)
        self.sends.update((reaction.after.name, child.name) for child in reaction.spawns)
        if reaction.dropped and not reaction.error:
            self.dropped[reaction.dropped] = self.dropped.get(reaction.dropped, 0) + 1
        born = {child.name for child in reaction.spawns}
        sent = tuple(map(self.parts.message, reaction.sends))
        targets = (envelope.target for envelope in reaction.sends)
        arriving = [target in born or self._arrives(roster, target) for target in targets]
        kept = tuple(one for one, arrives in zip(sent, arriving, strict=True) if arrives)
        change = self.network.change(NOTHING if is_standing else message, kept)
        return Move(at, local, after, change, message, is_standing, sent, reaction)

    def _arrives(self, roster: Roster, target: str) -> bool:
        """Whether mail for this name can be delivered, now or to an engine yet to be born."""
        if target in self._outside or target in roster.stopped:
            return False
        living = (name for name in roster.names if name not in roster.stopped)
        return target in roster.places or any(is_descendant(target, name) for name in living)

    def _is_idle(self, move: Move) -> bool:
        """Whether a move changes nothing; a delivery that only uses up its message does, unless that is ignored."""
        if move.before != move.after or move.reaction.spawns or move.reaction.error:
            return False
        used, sent = self.network.changes[move.change]
        if self._ignores_idle and self.system.network != "ordered":  # the head of a queue must leave it
            return not sent
        is_recorded = self.system.record is not None and move.message != NOTHING
        return not sent and used == NOTHING and not is_recorded

    def _is_plain(self, move: Move) -> bool:
        reaction = move.reaction
        return not (
            reaction.spawns or reaction.error or reaction.after.status == "stopped" or self.system.record is not None
        )

    def _plain(self, move: Move) -> Plain:
        prints = self.parts.local_prints
        return move.after, prints[move.before] ^ prints[move.after], move.change

    def _meet(self, after: State, state: State, print_: int, add: Add, found: list[tuple[State, int]]) -> int:
        """As `expand` for one successor."""
        if after == state:
            return 0
        if self.canonical is not None:
            after = self.canonical(after)
        print_after = self.print_of(after)
        if add(print_after, print_):
            found.append((after, print_after))
        return 1

    def _after(self, state: State, move: Move) -> State:
        """The state after a move, whatever it does."""
        network = state[NETWORK]
        reached = self.network.successors[network].get(move.change) or self.network.changed(network, move.change)
        changed = list(state)
        changed[NETWORK] = reached[0]
        changed[move.at] = move.after
        extra = state[EXTRA]
        if self.system.record is not None:
            if move.message != NOTHING:
                extra = self.parts.recorded(extra, move.message, False)
            for message in move.sent:
                extra = self.parts.recorded(extra, message, True)
            changed[EXTRA] = extra
        if not move.reaction.spawns and move.reaction.after.status != "stopped":
            return tuple(changed)
        engines = dict(zip(self.rosters[state[ROSTER]].names, changed[FIRST:], strict=True))
        for child in move.reaction.spawns:
            if child.name not in engines:  # a spawn repeated by name does nothing
                engines[child.name] = self.parts.local(child)
        return self.with_engines(engines, reached[0], extra)

    def with_engines(self, engines: dict[str, int], network: int, extra: int) -> State:
        """A state with these engines, by name. Mail to those that have ended is gone."""
        names = tuple(sorted(engines))
        stopped = frozenset(name for name in names if self.parts.locals[engines[name]].status == "stopped")
        number = self.roster(names, stopped)
        roster = self.rosters[number]
        network = self.network.filtered(network, lambda one: self._arrives(roster, self.parts.messages[one].target))
        return (number, network, extra, *(engines[name] for name in names))

    def _successor(self, state: State, local: LocalState, move: Move) -> Successor:
        reaction = move.reaction
        after = state if self._is_idle(move) else self._after(state, move)
        kind, envelope = "step", None
        owed: int | str | None = reaction.owed or None
        if move.message != NOTHING:
            kind, envelope = "deliver", self.parts.messages[move.message]
            owed = None if move.is_standing else move.message
        elif local.status == "suspended":
            kind = "answer"
        elif reaction.label.startswith("reload"):
            kind = "reload"
        return Successor(after, self.print_of(after), kind, local.name, reaction.label, envelope, owed, reaction)

    def _mishaps(self, state: State) -> Iterator[Successor]:
        """Messages lost, and node faults."""
        if self.system.network == "lossy":
            for message in self.network.heads(state[NETWORK]):
                reached = self.network.changed(state[NETWORK], self.network.change(message, ()))
                after = (state[ROSTER], reached[0], *state[EXTRA:])
                envelope = self.parts.messages[message]
                yield Successor(after, self.print_of(after), "lose", envelope.target, "lost", envelope)
        extra = self.parts.extras[state[EXTRA]]
        if extra.faults_left:
            left = self.parts.extra(Extra(extra.history, extra.faults_left - 1))
            for name, local in zip(self.rosters[state[ROSTER]].names, state[FIRST:], strict=True):
                if self.parts.locals[local].status != "stopped" and not self._outlives(name):
                    after = self._crashed(state, self.parts.locals[local], left)
                    yield Successor(after, self.print_of(after), "crash", name, "node fault")

    def _outlives(self, name: str) -> bool:
        """Whether a node fault costs this engine nothing: it is durable, or a child of one that is."""
        return name in self._durable or any(is_descendant(name, durable) for durable in self._durable)

    def _crashed(self, state: State, local: LocalState, extra: int) -> State:
        engines = dict(zip(self.rosters[state[ROSTER]].names, state[FIRST:], strict=True))
        for name, number in engines.items():
            if is_descendant(name, local.name):
                engines[name] = self.parts.local(ended(self.parts.locals[number]))
        engines[local.name] = self.parts.local(self.engines.crashed(local))
        return self.with_engines(engines, state[NETWORK], extra)
