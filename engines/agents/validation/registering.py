"""What is asked of the validator about protocols: versions are loaded, shown, given to new agents, and forgotten.

A version is identified by its digest, which is over what it extends too, and never changes: a text of the same name and
version with another digest is refused. New agents get the current version of a name, or the one that is asked for.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from ..envelope import Json, Problem
from ..messages import AgentRequest, ProtocolChanged
from ..protocol.canonical import digest, doc_digest
from ..protocol.findings import Finding, Severity, found
from ..protocol.format import whole
from ..protocol.library import Library, effective
from ..protocol.lint import lint
from ..protocol.model import Protocol
from ..protocol.parse import parse
from ..protocol.versions import read_version
from . import migrating
from .records import PAGE, Registered, Registry, new_version, unknown_version
from .validating import Validation

VERSIONS_MAX: Final = 1_000
SHOWN_CHARS_MAX: Final = 256 << 10


def load(turn: Validation, request: AgentRequest, agent: str, body: Mapping[str, Json]) -> None:
    """Registers a version, and makes it the current one unless `current` is false; `dry_run` only looks at it."""
    source = body["source"]
    reading = parse(source, body.get("file", ""))
    library = library_of(turn.state, reading.protocol.name)
    protocol = effective(reading.protocol, library)
    findings = [*lint(reading, library), *_version_findings(turn.state, protocol, digest(protocol))]
    errors = [one for one in findings if one.is_error]
    if errors:
        turn.refused(request, agent, refusal_of(errors, findings))
        return
    if len(turn.state.versions) >= VERSIONS_MAX:
        turn.refused(request, agent, Problem("limit", "too_many_versions", f"there are {VERSIONS_MAX} versions"))
        return
    version = new_version(protocol, digest(protocol), doc_digest(source), whole(reading, protocol))
    is_current = body.get("current", True)
    if is_current and (problem := migrating.rollout_problem(turn, version)) is not None:
        turn.refused(request, agent, problem)
        return
    data = {**described(turn.state, version), "is_current": is_current, "findings": [*map(shown, findings)]}
    if not body.get("dry_run", False):
        register(turn, version, is_current=is_current)
        if is_current:
            migrating.begin_rollout(turn, version, version.policy)
        data |= described(turn.state, turn.state.versions[version.digest])
    turn.done(request, agent, data)


def library_of(state: Registry, name: str) -> Library:
    """The protocols that one of this name may extend or use: all others."""
    found: dict[str, tuple[Protocol, ...]] = {}
    for one in state.versions.values():
        if one.protocol.name != name:
            found[one.protocol.name] = (*found.get(one.protocol.name, ()), one.protocol)
    return found


def register(turn: Validation, version: Registered, *, is_current: bool) -> None:
    """A version is there; known prose of the same content is replaced."""
    known = turn.state.versions.get(version.digest)
    if known is not None:
        version = replace(known, source=version.source, doc_digest=version.doc_digest, protocol=version.protocol)
    turn.change(versions=turn.state.versions.set(version.digest, version))
    if is_current:
        make_current(turn, version)
    tell_version(turn, version)
    turn.happen(
        "protocol",
        "",
        ("name", version.protocol.name),
        ("version", version.protocol.version),
        ("digest", version.digest),
        ("is_current", str(is_current).lower()),
    )


def make_current(turn: Validation, version: Registered) -> None:
    """New agents get this version."""
    version = replace(version, is_draining=False)
    turn.change(
        versions=turn.state.versions.set(version.digest, version),
        current=turn.state.current.set(version.protocol.name, version.digest),
    )


def tell_version(turn: Validation, version: Registered) -> None:
    """Router and orchestrator get a version."""
    protocol = version.protocol
    is_current = turn.state.current.get(protocol.name) == version.digest
    changed = ProtocolChanged(protocol.name, protocol.version, version.digest, version.source, is_current)
    turn.send(turn.wiring.router, changed)
    turn.send(turn.wiring.orchestrator, changed)
    turn.send(turn.wiring.measurement, changed)


def _version_findings(state: Registry, protocol: Protocol, name: str) -> list[Finding]:
    """That the version is registered with another content, or lower than the current one."""
    known = state.version(protocol.name, protocol.version)
    if known is not None and known.digest != name:
        message = f"content changed but version is still {protocol.version}; raise it"
        return [found("E-DIGEST", protocol.title, message)]
    current = state.version(protocol.name)
    if current is None or known is not None:
        return []
    mine, other = read_version(protocol.version), read_version(current.protocol.version)
    if mine is not None and other is not None and mine < other:
        message = f"version {protocol.version} is lower than the current one, {current.protocol.version}"
        return [found("E-VERSION", protocol.title, message)]
    return []


def refusal_of(errors: list[Finding], findings: list[Finding]) -> Problem:
    """That a protocol is not loaded, with what was found."""
    first = errors[0]
    message = f"the protocol has {len(errors)} error{'s' if len(errors) > 1 else ''}; the first: {first.message}"
    kind = "conflict" if {one.code for one in errors} <= {"E-DIGEST", "E-VERSION"} else "validation"
    hints = tuple(dict.fromkeys(one.hint for one in errors if one.hint))[:5]
    return Problem(kind, first.code, message, {"findings": [*map(shown, findings)]}, hints)


def shown(one: Finding) -> dict[str, Json]:
    """A finding, as agents get it."""
    severity: Severity = one.severity
    return {
        "severity": severity,
        "code": one.code,
        "line": one.line,
        "column": one.column,
        "message": one.message,
        "hint": one.hint,
    }


def described(state: Registry, version: Registered) -> dict[str, Json]:
    """A version in a list."""
    protocol = version.protocol
    return {
        "name": protocol.name,
        "version": protocol.version,
        "digest": version.digest,
        "stage": stage_of(state, version),
        "policy": protocol.policy,
        "agents": len(state.followers(version.digest)),
    }


def stage_of(state: Registry, version: Registered) -> str:
    """Where a version is in its life."""
    if state.current.get(version.protocol.name) == version.digest:
        return "current"
    if state.followers(version.digest):
        return "draining"
    return "drained" if version.is_draining else "idle"


def version_for(state: Registry, name: str) -> Registered | None:
    """The version that a new agent gets; `name@version` asks for one."""
    name, _, wanted = name.partition("@")
    return state.version(name, wanted)


def list_versions(turn: Validation, request: AgentRequest, agent: str, body: Mapping[str, Json]) -> None:
    """The versions, a page at a time. Changes nothing."""
    after = body.get("after", "")
    rows = sorted((described(turn.state, one) for one in turn.state.versions.values()), key=_row_key)
    rest = [one for one in rows if _row_key(one) > after]
    following = _row_key(rest[PAGE - 1]) if len(rest) > PAGE else None
    turn.answer_only(request, agent, {"protocols": rest[:PAGE], "next": following})


def _row_key(row: Mapping[str, Json]) -> str:
    return f"{row['name']}@{row['version']}"


def show(turn: Validation, request: AgentRequest, agent: str, body: Mapping[str, Json]) -> None:
    """A version as its text, a section of it, or what is different in it. Changes nothing."""
    held = turn.state.agents.get(agent)
    own = turn.version_of(held.record) if held is not None else None
    name = body.get("name", "") or (own.protocol.name if own is not None else "")
    wanted = body.get("version", "")
    version = own if own is not None and not wanted and name == own.protocol.name else turn.state.version(name, wanted)
    if version is None:
        turn.refused(request, agent, unknown_version(turn.state, name, wanted))
        return
    text = version.source
    if (other := body.get("diff")) is not None:
        before = turn.state.version(name, other)
        if before is None:
            turn.refused(request, agent, unknown_version(turn.state, name, other))
            return
        text = difference(before, version)
    elif (section := body.get("section")) is not None:
        text = section_of(text, section)
        if not text:
            found = [line[3:].strip() for line in version.source.splitlines() if line.startswith("## ")]
            message = f"{name} {version.protocol.version} has no section {section[:64]!r}"
            hints = (f"sections: {', '.join(found)[:1000]}",)
            turn.refused(request, agent, Problem("unknown", "unknown_section", message, {}, hints))
            return
    turn.answer_only(request, agent, {**described(turn.state, version), "text": text[:SHOWN_CHARS_MAX]})


def difference(before: Registered, after: Registered) -> str:
    """The lines that differ."""
    lines = difflib.unified_diff(
        before.source.splitlines(),
        after.source.splitlines(),
        before.protocol.version,
        after.protocol.version,
        lineterm="",
        n=1,
    )
    return "\n".join(lines)


def section_of(source: str, name: str) -> str:
    """The lines below a heading of level two; "" without it."""
    lines: list[str] = []
    is_in = False
    for line in source.splitlines():
        if line.startswith("## "):
            is_in = line[3:].strip().lower() == name.lower()
        if is_in:
            lines.append(line)
    return "\n".join(lines)


def set_stage(turn: Validation, request: AgentRequest, agent: str, body: Mapping[str, Json]) -> None:
    """A version becomes the current one, is drained, or is forgotten."""
    name, wanted = body["name"], body["version"]
    version = turn.state.version(name, wanted)
    if version is None:
        turn.refused(request, agent, unknown_version(turn.state, name, wanted))
        return
    if (problem := _set_stage(turn, request, version, body)) is not None:
        turn.refused(request, agent, problem)
        return
    turn.happen("protocol", "", ("op", request.op), ("name", name), ("version", wanted))
    left = turn.state.versions.get(version.digest)
    turn.done(request, agent, described(turn.state, left) if left is not None else {"name": name, "version": wanted})


def _set_stage(
    turn: Validation, request: AgentRequest, version: Registered, body: Mapping[str, Json]
) -> Problem | None:
    state, protocol = turn.state, version.protocol
    is_current = state.current.get(protocol.name) == version.digest
    followers = state.followers(version.digest)
    match request.op:
        case "protocol.approve":
            if (problem := migrating.rollout_problem(turn, version)) is not None:
                return problem
            make_current(turn, version)
            tell_version(turn, turn.state.versions[version.digest])
            migrating.begin_rollout(turn, version, version.policy)
        case "protocol.drain":
            if is_current:
                return Problem("validation", "is_current", "make another version the current one first")
            turn.change(versions=state.versions.set(version.digest, replace(version, is_draining=True)))
        case _:
            if is_current or followers:
                why = "it is the current one" if is_current else f"{len(followers)} agents follow it"
                message = f"{protocol.name} {protocol.version} is not forgotten: {why}"
                return Problem("validation", "in_use", message, {"agents": followers[:PAGE]})
            turn.change(versions=state.versions.without(version.digest))
    return None
