"""Agents are moved from one version of their protocol to another, and back.

A migration needs a proof that no agent of the old version is left without an image (`compare_proof`); its policy says
when an agent is moved: `now`, at once; `at_safe_point`, in a state marked safe or with a new session; `pinned`, never
by itself. Each agent is moved by one change of its record, which is one event, and keeps its record of before: it goes
back to that by a rollback, unless it has changed since. An agent without an image stays where it is, and its alarm says
why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from ..envelope import Json, Problem
from ..messages import AgentRequest, PromptWanted
from ..protocol.compare import compare
from ..protocol.compare_image import Image, back, image
from ..protocol.compare_proof import Hole, proof
from ..protocol.decide_record import Record
from ..protocol.model import Protocol
from .records import PAGE, Registered, armed, counted, unknown_version
from .validating import Validation

IMAGES_MAX: Final = 3
"""Records before migrations that are kept of an agent."""


def holes_for(turn: Validation, version: Registered) -> tuple[tuple[str, tuple[Hole, ...]], ...]:
    """The versions with agents that a new version does not prove to move, and what is missing for each."""
    found = []
    for other in turn.state.versions.values():
        is_older = other.protocol.name == version.protocol.name and other.digest != version.digest
        if is_older and turn.state.followers(other.digest) and (missing := proof(other.protocol, version.protocol)):
            found.append((other.protocol.version, missing))
    return tuple(found)


def refusal_of_holes(holes: Sequence[tuple[str, tuple[Hole, ...]]], version: Registered) -> Problem:
    """That a migration is not complete, with all that is missing."""
    version_of, first = holes[0][0], holes[0][1][0]
    message = f"agents of {version_of} cannot all be moved to {version.protocol.version}: {first.message}"
    rows = [
        {"from": name, "kind": one.kind, "name": one.name, "message": one.message, "path": list(one.path)}
        for name, missing in holes
        for one in missing
    ]
    hints = ("add rules to the section Migrations", "or `policy: pinned`, and agents stay on their version")
    return Problem("validation", "E-MIGRATION", message, {"missing": rows}, hints)


def mixing_problem(turn: Validation, version: Registered) -> Problem | None:
    """That agents of another version would not understand those of this one while both are there; None if they do."""
    for other in turn.state.versions.values():
        if other.protocol.name != version.protocol.name or other.digest == version.digest:
            continue
        agents = turn.state.followers(other.digest)
        found = compare(other.protocol, version.protocol) if agents else None
        if found is not None and found.level == "breaking":
            message = f"agents of {other.protocol.version} would not understand {version.protocol.version}"
            rules = [f"{one.rule}: {one.message}" for one in found.differences if one.level == "breaking"]
            hints = ("move them all at once with `policy: now`", "or make the difference one that both understand")
            details = {"agents": list(agents[:PAGE]), "differences": rules}
            return Problem("validation", "breaking_mix", f"{message}: {found.differences[0].message}", details, hints)
    return None


def rollout_problem(turn: Validation, version: Registered) -> Problem | None:
    """Why a version cannot become the current one: a hole in the migration, or versions that do not go together."""
    if version.policy != "pinned" and (holes := holes_for(turn, version)):
        return refusal_of_holes(holes, version)
    return mixing_problem(turn, version) if version.policy != "now" else None


def begin_rollout(turn: Validation, version: Registered, policy: str, agents: Sequence[str] | None = None) -> None:
    """Agents of other versions of this name are moved now, or as soon as the policy allows."""
    if policy == "pinned":
        return
    for agent in _others(turn, version, agents):
        turn.hold(agent, replace(turn.held(agent), pending=version.digest))
        if policy == "now":
            move_over(turn, agent)
        else:
            at_safe_point(turn, agent)


def _others(turn: Validation, version: Registered, agents: Sequence[str] | None) -> list[str]:
    """The agents that follow another version of this name."""
    return [
        name
        for name, held in turn.state.agents.items()
        if held.record.protocol == version.protocol.name
        and held.record.digest != version.digest
        and (agents is None or name in agents)
    ]


def at_safe_point(turn: Validation, agent: str, *, is_rotation: bool = False) -> None:
    """Moves an agent to its pending version, if it is in a safe state, or begins a session."""
    held = turn.held(agent)
    if not held.pending:
        return
    state = turn.protocol_of(held.record).state(held.record.state)
    if is_rotation or (state is not None and "safe" in state.flags):
        move_over(turn, agent)


def move_over(turn: Validation, agent: str) -> None:
    """Moves an agent to its pending version, or raises an alarm that says why not."""
    held = turn.held(agent)
    version = turn.state.versions.get(held.pending)
    turn.hold(agent, replace(held, pending=""))
    if version is None:
        return
    made = image_in(turn, agent, version)
    if made.record is None:
        turn.alarm(agent, f"it stays on version {held.record.version}: {made.reason}")
        return
    turn.hold(agent, replace(turn.held(agent), images=(*held.images, held.record)[-IMAGES_MAX:]))
    _take_over(turn, agent, made.record, made.rules)


def image_in(turn: Validation, agent: str, version: Registered) -> Image:
    """An agent's record in another version."""
    record = turn.held(agent).record
    old = turn.protocol_of(record)
    return image(old, version.protocol, version.digest, record, turn.facts(agent), turn.now_ns)


def _take_over(
    turn: Validation, agent: str, after: Record, rules: tuple[str, ...], *, is_rollback: bool = False
) -> None:
    held = turn.held(agent)
    before = held.record
    population = counted(counted(turn.state.population, before, -1), after, 1)
    turn.change(population=population)
    protocol = turn.state.versions[after.digest].protocol
    held = replace(held, record=after, armed=0, is_told=False)
    turn.hold(agent, armed(held, protocol, turn.now_ns))
    turn.tell_moved(agent, before)
    turn.happen(
        "migrated",
        agent,
        ("seq", str(after.number)),
        ("from", before.digest),
        ("to", after.digest),
        ("before", before.state),
        ("after", after.state),
        ("context_before", repr(dict(before.context.items()))[:4000]),
        ("context_after", repr(dict(after.context.items()))[:4000]),
        *([("rules", "; ".join(rules)[:4000])] if rules else []),
        *([("is_rollback", "true")] if is_rollback else []),
    )
    turn.send(
        turn.wiring.orchestrator,
        PromptWanted(agent, "migrated", told(turn.state.versions[before.digest].protocol, protocol)),
    )
    turn.look_again(agent)


def told(old: Protocol, new: Protocol) -> str:
    """What an agent is told about a new version."""
    lines = [f"- {one.message}" for one in compare(old, new).differences][:20]
    head = f"Your protocol '{new.name}' is now version {new.version}, after {old.version}."
    return "\n".join((head, *lines, "Read it with: aism protocol show"))


def migrate(turn: Validation, request: AgentRequest, agent: str, body: Mapping[str, Json]) -> None:
    """Moves agents to a version; `dry_run` says what would become of each."""
    version = turn.state.version(body["name"], body["version"])
    if version is None:
        turn.refused(request, agent, unknown_version(turn.state, body["name"], body["version"]))
        return
    if unknown := _unknown_of(turn, body.get("agents")):
        turn.refused(request, agent, unknown)
        return
    policy = body.get("policy", "now")
    if policy not in ("now", "at_safe_point", "pinned"):
        turn.refused(request, agent, Problem("usage", "bad_policy", "the policy is now, at_safe_point or pinned"))
        return
    chosen = _others(turn, version, body.get("agents"))
    holes = [
        one for one in holes_for(turn, version) if any(turn.held(name).record.version == one[0] for name in chosen)
    ]
    if holes:
        turn.refused(request, agent, refusal_of_holes(holes, version))
        return
    rows = [_row(turn, name, image_in(turn, name, version)) for name in chosen]
    if not body.get("dry_run", False):
        begin_rollout(turn, version, policy, chosen)
        for row in rows:
            held = turn.held(row["agent"])
            row["stage"] = "pending" if held.pending else ("moved" if held.record.digest == version.digest else "stays")
    turn.done(request, agent, {"agents": rows[: 10 * PAGE], "policy": policy})


def _row(turn: Validation, agent: str, made: Image) -> dict[str, Json]:
    record = turn.held(agent).record
    row: dict[str, Json] = {"agent": agent, "from": record.version, "state": record.state}
    if made.record is None:
        return {**row, "is_possible": False, "reason": made.reason}
    context = dict(made.record.context.items())
    return {**row, "is_possible": True, "to": made.record.version, "image": made.record.state, "context": context}


def rollback(turn: Validation, request: AgentRequest, agent: str, body: Mapping[str, Json]) -> None:
    """Moves agents from a version back to what they were before they were moved to it."""
    version = turn.state.version(body["name"], body["version"])
    if version is None:
        turn.refused(request, agent, unknown_version(turn.state, body["name"], body["version"]))
        return
    wanted = body.get("agents")
    if unknown := _unknown_of(turn, wanted):
        turn.refused(request, agent, unknown)
        return
    rows: list[dict[str, Json]] = []
    for name, held in turn.state.agents.items():
        if held.record.digest != version.digest or not held.images or (wanted is not None and name not in wanted):
            continue
        made = back(held.record, held.images[-1], turn.now_ns)
        if made.record is not None and made.record.digest not in turn.state.versions:
            made = Image(None, f"version {made.record.version} is retired")
        rows.append(_row(turn, name, made))
        if made.record is not None:
            turn.hold(name, replace(held, images=held.images[:-1]))
            _take_over(turn, name, made.record, (), is_rollback=True)
    if not rows:
        turn.refused(request, agent, _nothing_to_roll_back(turn, version))
        return
    turn.done(request, agent, {"agents": rows[: 10 * PAGE]})


def _unknown_of(turn: Validation, agents: Sequence[str] | None) -> Problem | None:
    """That some of the agents that are named are none."""
    unknown = [name[:64] for name in agents or () if name not in turn.state.agents]
    if not unknown:
        return None
    return Problem("unknown", "unknown_agent", f"there is no agent {', '.join(unknown[:20])}", {}, ("aism agent ls",))


def _nothing_to_roll_back(turn: Validation, version: Registered) -> Problem:
    """That no agent was moved to a version, and to which ones some were: a rollback names what it leaves."""
    name = version.protocol.name
    moved = [turn.state.versions[held.record.digest].protocol for held in turn.state.agents.values() if held.images]
    others = sorted({one.version for one in moved if one.name == name and one.version != version.protocol.version})
    message = f"no agent was moved to version {version.protocol.version} of {name!r}"
    hints = tuple(f"agents were moved to {other}: aism protocol rollback {name} {other}" for other in others)
    return Problem("validation", "nothing_to_roll_back", message, {}, hints)
