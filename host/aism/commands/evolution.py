"""`aism protocol check` and `aism simulate`: on files, without an engine."""

from __future__ import annotations

import msgspec

from engines.agents.protocol.compare import Comparison, compare
from engines.agents.protocol.compare_proof import Hole, proof
from engines.agents.protocol.library import effective
from engines.agents.protocol.model import Protocol
from engines.agents.validation.simulation import ScriptError, Simulation, Step
from host.aism.call import Call
from host.aism.output import Failure, Outcome, done, failed
from host.aism.protocol_files import is_protocol, library_for, read_file, read_protocol

BLOCKED_BY = ("migration", "breaking")
"""Levels at which agents have to be moved."""


def check(call: Call) -> Outcome:
    """The differences and their level; exit status 1 if agents of the old version cannot all be moved."""
    old, new = (protocol_in(call.arguments[name]) for name in ("old", "new"))
    if old.name != new.name:
        raise Failure("usage", "other_protocol", f"'{old.name}' and '{new.name}' are no versions of one protocol")
    found, holes = compare(old, new), proof(old, new)
    data = {
        "name": new.name,
        "old": old.version,
        "new": new.version,
        "level": found.level,
        "differences": [msgspec.to_builtins(one) for one in found.differences],
        "missing": [msgspec.to_builtins(one) for one in holes],
    }
    text = _checked(found, holes)
    if holes:
        message = f"agents of {old.version} cannot all be moved to {new.version}: {holes[0].message}"
        return failed(
            Failure("validation", "E-MIGRATION", message, suggestions=["aism explain E-MIGRATION"]), data, text
        )
    return done(data, text)


def protocol_in(path: str) -> Protocol:
    """The protocol in a file, with what it extends. Raises Failure."""
    reading = read_protocol(path)
    # One of two versions of a protocol is not in the file of its name.
    errors = [one for one in reading.findings if one.is_error and one.code != "E-NAME-FILE"]
    if errors or not is_protocol(reading):
        why = f"{path}:{errors[0].line}: {errors[0].message}" if errors else f"{path} is no protocol"
        raise Failure("validation", "lint", why, suggestions=[f"aism protocol lint {path}"])
    return effective(reading.protocol, library_for(path, reading))


def _checked(found: Comparison, holes: tuple[Hole, ...]) -> str:
    lines: list[str] = [found.level]
    lines += [f"{one.level:>10}  {one.rule}: {one.message}" for one in found.differences]
    lines += [f"   missing  {one.kind} {one.name}: {one.message}" for one in holes]
    if not holes and found.level in BLOCKED_BY:
        lines.append("all agents of the old version can be moved")
    return "\n".join(lines)


def simulate(call: Call) -> Outcome:
    """Each decision, in order; exit status 1 where the script fails."""
    path, script = call.arguments["file"], call.arguments["--script"]
    source = read_file(path).decode(errors="replace")
    world = Simulation(source)
    if not world.loaded["success"]:
        error = world.loaded["error"]
        raise Failure("validation", error["code"], error["message"], suggestions=[f"aism protocol lint {path}"])
    steps: list[Step] = []
    lines = read_file(script).decode(errors="replace")
    try:
        for one in world.run(lines):
            steps.append(one)
    except ScriptError as error:
        failure = Failure("validation", "script", f"{script}:{error.line}: {error.message}")
        return failed(failure, _data(world, steps), _lines(steps))
    return done(_data(world, steps), _lines(steps))


def _data(world: Simulation, steps: list[Step]) -> dict[str, object]:
    agents = {name: held.record.shown for name, held in world.state.agents.items()}
    return {"steps": [msgspec.to_builtins(one) for one in steps], "agents": agents}


def _lines(steps: list[Step]) -> str:
    return "\n".join(f"{one.time_ns / 1e9:>10.3f} s  {one.agent}  {one.kind}: {one.text}" for one in steps)
