"""Two-phase commit as a plain transition system: the states and steps of the published model, without engines.

The same states as those of `engines.protocols.two_phase_commit`, and the same properties. After J. Gray and L. Lamport,
"Consensus on Transaction Commit" (2006).
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from engines.model import Map, Value
from engines.model.transition_system import PlainStep, TransitionSystem
from engines.protocols.two_phase_commit import Stage


class CommitState(Value):
    """The stages of the resource managers and of the transaction, who is known to be prepared, and what was sent.

    Messages stay in transit: who said that it is prepared, and what was decided (`COMMITTED`, `ABORTED`).
    """

    managers: Map[str, Stage]
    transaction: Stage = Stage.WORKING
    known: Map[str, None] = Map()
    said: Map[str, None] = Map()


def steps(state: CommitState) -> Iterator[PlainStep[CommitState]]:
    """What the transaction may decide, and what each resource manager may do."""
    if state.transaction is Stage.WORKING:
        if len(state.known) == len(state.managers):
            yield PlainStep("commit", replace(state, transaction=Stage.COMMITTED), False)
        yield PlainStep("abort", replace(state, transaction=Stage.ABORTED), False)
        for name in state.said:
            yield PlainStep(f"{name} is known to be prepared", replace(state, known=state.known.set(name, None)))
    for name, stage in state.managers.items():
        if stage is Stage.WORKING:
            prepared = replace(state, said=state.said.set(name, None))
            yield PlainStep(f"{name} prepares", moved(prepared, name, Stage.PREPARED), False)
            yield PlainStep(f"{name} chooses to abort", moved(state, name, Stage.ABORTED), False)
        if state.transaction is not Stage.WORKING:
            yield PlainStep(f"{name} hears of the decision", moved(state, name, state.transaction))


def moved(state: CommitState, name: str, stage: Stage) -> CommitState:
    """The state with a resource manager at another stage."""
    return replace(state, managers=state.managers.set(name, stage))


def stages(state: CommitState) -> set[Stage]:
    """The stages that the resource managers are in."""
    return set(state.managers.values())


def consistent(state: CommitState) -> bool:
    """No resource manager has committed while another one has aborted."""
    return not stages(state) >= {Stage.COMMITTED, Stage.ABORTED}


def all_commit(state: CommitState) -> bool:
    """All have committed."""
    return stages(state) == {Stage.COMMITTED}


def all_abort(state: CommitState) -> bool:
    """All have aborted."""
    return stages(state) == {Stage.ABORTED}


def SYSTEM(resource_managers: int = 3) -> TransitionSystem[CommitState]:
    """The transaction, with so many resource managers."""
    names = [f"rm{number}" for number in range(resource_managers)]
    return TransitionSystem(
        name="two-phase-commit-plain",
        initial=CommitState(Map((name, Stage.WORKING) for name in names)),
        steps=steps,
        always=[consistent],
        sometimes=[all_commit, all_abort],
        symmetric=[names],
    )
