"""Two-phase commit: resource managers decide together whether a transaction commits.

The manager of the transaction asks nobody; each resource manager prepares or aborts on its own accord and says when it
is prepared. Once all are, the transaction may commit; until then it may abort. After J. Gray and L. Lamport, "Consensus
on Transaction Commit" (2006), whose model has the same states: messages stay in transit, as a set, and what a manager
does on its own accord are standing messages.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from msgspec.structs import replace

from engines.model import Arrived, Become, Config, Effects, Family, Map, Message, Ref, Send, Value, rule
from engines.model.system import Envelope, Member, System
from engines.model.system_view import SystemView


class Prepare(Message):
    """Standing, to a resource manager: it may prepare now."""


class ChooseToAbort(Message):
    """Standing, to a resource manager: it may abort now, unless it is prepared."""


class Prepared(Message):
    """From a resource manager to that of the transaction: it will do what is decided."""

    manager: str


class Decide(Message):
    """Standing, to the manager of the transaction: it may commit, or abort, now."""

    to_commit: bool


class Commit(Message):
    """The transaction is committed."""


class Abort(Message):
    """The transaction is aborted."""


class Stage(Enum):
    """Of a resource manager, or of the transaction (which is never `PREPARED`)."""

    WORKING = "working"
    PREPARED = "prepared"
    COMMITTED = "committed"
    ABORTED = "aborted"


class Transaction(Config):
    """The resource managers that take part."""

    managers: Map[Ref[Commit | Abort], None]


class Progress(Value):
    """State of the transaction's manager: how far it is, and who is prepared."""

    stage: Stage = Stage.WORKING
    prepared: Map[str, None] = Map()


class Part(Config):
    """Where a resource manager says that it is prepared."""

    transaction: Ref[Prepared]


class Held(Value):
    """State of a resource manager."""

    stage: Stage = Stage.WORKING


def is_new(t: Arrived[Prepared, Transaction, Progress]) -> Progress | None:
    """The state with the sender prepared, if it was not and nothing is decided."""
    progress, name = t.env.state, t.message.manager
    if progress.stage is not Stage.WORKING or name in progress.prepared:
        return None
    return replace(progress, prepared=progress.prepared.set(name, None))


@rule(when=is_new)
def count(progress: Progress, _t: Arrived[Prepared, Transaction, Progress]) -> Effects[Progress, Commit | Abort]:
    """State: one more is prepared. Messages, timers, engines: none."""
    return progress


def may_decide(t: Arrived[Decide, Transaction, Progress]) -> Stage | None:
    """The decision, if it may be taken now: to commit only once all are prepared."""
    if t.env.state.stage is not Stage.WORKING:
        return None
    if not t.message.to_commit:
        return Stage.ABORTED
    return Stage.COMMITTED if len(t.env.state.prepared) == len(t.config.managers) else None


@rule(when=may_decide)
def decide(stage: Stage, t: Arrived[Decide, Transaction, Progress]) -> Effects[Progress, Commit | Abort]:
    """State: decided. Messages: the decision, to all. Timers, engines: none."""
    after = Become(replace(t.env.state, stage=stage))
    if stage is Stage.COMMITTED:
        return [after, *(Send(manager, Commit()) for manager in t.config.managers)]
    return [after, *(Send(manager, Abort()) for manager in t.config.managers)]


@rule(priority=1)
def leave(_message: Prepared | Decide, _t: Arrived[Prepared | Decide, Transaction, Progress]) -> Effects[Progress, Any]:
    """Too late, too early, or known already. State, messages, timers, engines: none."""
    return []


TRANSACTION = Family(
    "transaction", config=Transaction, state=Progress(), accepts=Prepared | Decide, emits=Commit | Abort
).rules(count, decide, leave)


def may_prepare(t: Arrived[Prepare, Part, Held]) -> Held | None:
    """The state when prepared, if it still works."""
    return Held(Stage.PREPARED) if t.env.state.stage is Stage.WORKING else None


@rule(when=may_prepare)
def prepare(held: Held, t: Arrived[Prepare, Part, Held]) -> Effects[Held, Prepared]:
    """State: prepared. Messages: to the transaction's manager. Timers, engines: none."""
    return [Become(held), Send(t.config.transaction, Prepared(t.me.name))]


def may_abort(t: Arrived[ChooseToAbort, Part, Held]) -> Held | None:
    """The state when aborted, if it still works."""
    return Held(Stage.ABORTED) if t.env.state.stage is Stage.WORKING else None


@rule(when=may_abort)
def choose_to_abort(held: Held, _t: Arrived[ChooseToAbort, Part, Held]) -> Effects[Held, Prepared]:
    """State: aborted. Messages, timers, engines: none."""
    return held


@rule
def commit(_decided: Commit, _t: Arrived[Commit, Part, Held]) -> Effects[Held, Prepared]:
    """State: committed. Messages, timers, engines: none."""
    return Held(Stage.COMMITTED)


@rule
def abort(_decided: Abort, _t: Arrived[Abort, Part, Held]) -> Effects[Held, Prepared]:
    """State: aborted. Messages, timers, engines: none."""
    return Held(Stage.ABORTED)


@rule(priority=1)
def stay(
    _message: Prepare | ChooseToAbort, _t: Arrived[Prepare | ChooseToAbort, Part, Held]
) -> Effects[Held, Prepared]:
    """Prepared or decided already. State, messages, timers, engines: none."""
    return []


RESOURCE = Family(
    "resource-manager", config=Part, state=Held(), accepts=Prepare | ChooseToAbort | Commit | Abort, emits=Prepared
).rules(prepare, choose_to_abort, commit, abort, stay)


def stages(view: SystemView) -> set[Stage]:
    """The stages that the resource managers are in."""
    return {engine.state.stage for engine in view.engines(RESOURCE.name)}


def consistent(view: SystemView) -> bool:
    """No resource manager has committed while another one has aborted."""
    return not stages(view) >= {Stage.COMMITTED, Stage.ABORTED}


def all_commit(view: SystemView) -> bool:
    """All have committed."""
    return stages(view) == {Stage.COMMITTED}


def all_abort(view: SystemView) -> bool:
    """All have aborted."""
    return stages(view) == {Stage.ABORTED}


def SYSTEM(resource_managers: int = 3) -> System:
    """The transaction, with so many resource managers."""
    names = [f"rm{number}" for number in range(resource_managers)]
    managers = Transaction(Map((RESOURCE.at(name), None) for name in names))
    part = Part(TRANSACTION.at("transaction"))
    own = [Envelope(name, spontaneous) for name in names for spontaneous in (Prepare(), ChooseToAbort())]
    return System(
        name="two-phase-commit",
        members=[
            Member("transaction", TRANSACTION, managers),
            *(Member(name, RESOURCE, part) for name in names),
        ],
        standing=[*own, Envelope("transaction", Decide(True)), Envelope("transaction", Decide(False))],
        network="duplicating",
        always=[consistent],
        sometimes=[all_commit, all_abort],
        symmetric=[names],
    )
