"""`aism protocol lint`, `fmt`, `show`, `graph`, `list` and `aism explain`: on files, without an engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

import msgspec

from engines.agents.protocol.canonical import digest, doc_digest, placeless
from engines.agents.protocol.explore import Explored
from engines.agents.protocol.findings import Finding
from engines.agents.protocol.format import format_protocol, render
from engines.agents.protocol.graph import dot, mermaid
from engines.agents.protocol.library import effective
from engines.agents.protocol.lint import lint as findings_of
from engines.agents.protocol.lint import strict
from engines.agents.protocol.model import Protocol
from engines.agents.protocol.parse import SECTIONS, Reading, parse
from host.aism.call import Call
from host.aism.output import Failure, Outcome, done, failed
from host.aism.protocol_files import is_protocol, library_for, paths_in, read_protocol
from host.aism.request import request


def lint(call: Call) -> Outcome:
    """The findings about each file; an error of one is exit status 1."""
    found: list[tuple[str, Finding]] = []
    explored: list[dict[str, Any]] = []
    files = call.arguments.all("file")
    for path in files:
        reading = read_protocol(path)
        library = library_for(path, reading)
        report = _explored(effective(reading.protocol, library)) if is_protocol(reading) else None
        findings = findings_of(reading, library, more=report.findings if report else ())
        if report is not None and report.configurations:
            explored.append({"file": path, **report._asdict(), "findings": len(report.findings)})
        found += [(path, one) for one in (strict(findings) if "--strict" in call.arguments else findings)]
    counts = {level: sum(one.severity == level for _, one in found) for level in ("error", "warning", "advice")}
    data = {
        "files": len(files),
        "errors": counts["error"],
        "warnings": counts["warning"],
        "advice": counts["advice"],
        "explored": explored,
        "findings": [as_json(path, one) for path, one in found],
    }
    text = "\n".join(as_text(path, one) for path, one in found)
    if counts["error"]:
        message = f"{_count(counts['error'], 'error')}, {_count(counts['warning'], 'warning')}"
        return failed(Failure("validation", "lint", message, suggestions=_codes(found)), data, text)
    return done(data, text or f"{_count(len(files), 'file')}: no findings")


def _explored(protocol: Protocol) -> Explored:
    """The roles explored together; the checker is loaded only where there are roles that talk."""
    if len(protocol.roles) < 2 and not protocol.messages:
        return Explored()
    explore: Callable[[Protocol], Explored] = import_module("host.aism.exploration").explore
    return explore(protocol)


def as_json(path: str, finding: Finding) -> dict[str, Any]:
    """A finding for programs."""
    return {
        "file": path,
        "severity": finding.severity,
        "code": finding.code,
        "line": finding.line,
        "column": finding.column,
        "message": finding.message,
        "hint": finding.hint,
        "span": {"line": finding.line, "column": finding.column, "length": finding.length},
        "related": [msgspec.to_builtins(one) for one in finding.related],
        "fix": msgspec.to_builtins(finding.fix),
    }


def as_text(path: str, finding: Finding) -> str:
    """A finding for people, as compilers write them."""
    line = f"{path}:{finding.line}:{finding.column}: {finding.severity} {finding.code} {finding.message}"
    return line + (f"\n    hint: {finding.hint}" if finding.hint else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _codes(found: Iterable[tuple[str, Finding]]) -> list[str]:
    codes = sorted({one.code for _, one in found if one.is_error})
    return [f"aism explain {code}" for code in codes[:3]]


def fmt(call: Call) -> Outcome:
    """Each file in the one form; with `--check`, only which ones are not."""
    changed: list[str] = []
    for path in call.arguments.all("file"):
        reading = read_protocol(path)
        if reading.is_broken:
            raise Failure("validation", "lint", as_text(path, reading.findings[0]))
        text = format_protocol(reading)
        if placeless(parse(text, path).protocol) != placeless(reading.protocol):
            raise Failure("internal", "fmt", f"{path}: its one form would be another protocol; it is unchanged")
        if text != reading.text:
            changed.append(path)
            if "--check" not in call.arguments:
                _replace(path, text)
    data = {"files": len(call.arguments.all("file")), "changed": changed}
    if changed and "--check" in call.arguments:
        message = f"{_count(len(changed), 'file')} not in the one form"
        hint = "aism protocol fmt FILE writes it"
        return failed(Failure("validation", "fmt", message, suggestions=[hint]), data, "\n".join(changed))
    return done(data, "\n".join(changed) or "nothing to change")


def _replace(path: str, text: str) -> None:
    """Write a file so that a crash leaves the old or the new one; links stay links, and the mode stays."""
    target = os.path.realpath(path)
    temporary = f"{target}.{os.getpid()}.tmp"
    try:
        with open(temporary, "x", encoding="utf-8", newline="") as file:
            os.fchmod(file.fileno(), os.stat(target).st_mode & 0o7777)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise Failure("usage", "unwritten", f"{path}: {error.strerror}") from None


def graph(call: Call) -> Outcome:
    """The diagram of a file, with what it extends."""
    path = call.arguments["file"]
    reading = _readable(path)
    whole = effective(reading.protocol, library_for(path, reading))
    text = dot(whole) if "--dot" in call.arguments else mermaid(whole)
    return done({"format": "dot" if "--dot" in call.arguments else "mermaid", "graph": text}, text)


def show(call: Call) -> Outcome:
    """A file, or one section of it; with `--effective`, joined with what it extends. Other names are the engine's."""
    path = call.arguments.get("name")
    if not is_path(path):
        return request(call, "protocol.show")
    reading = _readable(path)
    text = reading.text
    if "--effective" in call.arguments:
        text = render(effective(reading.protocol, library_for(path, reading)))
    if "--section" in call.arguments:
        text = _section(text, call.arguments["--section"])
    protocol = reading.protocol
    data = {
        "name": protocol.name,
        "version": protocol.version,
        "digest": digest(protocol),
        "doc_digest": doc_digest(reading.text),
        "text": text,
    }
    return done(data, text)


def is_path(text: str) -> bool:
    """Whether an argument is a file or folder rather than the name of a protocol."""
    return text.endswith(".md") or "/" in text or text in (".", "..")


def _section(text: str, name: str) -> str:
    reading = parse(text)
    places = [one.place.line - 1 for one in reading.document.sections]
    for at, section in enumerate(reading.document.sections):
        if section.name.casefold() == name.casefold():
            end = places[at + 1] if at + 1 < len(places) else len(reading.document.lines)
            return "\n".join(reading.document.lines[places[at] : end]).rstrip() + "\n"
    names = [one.name for one in reading.document.sections]
    raise Failure("unknown", "no_such_section", f"no section {name!r}", suggestions=[f"sections: {', '.join(names)}"])


def listed(call: Call) -> Outcome:
    """The protocols in a folder; without one, those of the engine."""
    folder = call.arguments.get("folder")
    if not folder:
        return request(call, "protocol.list")
    protocols = []
    for path in paths_in(folder):
        reading = read_protocol(path)
        if is_protocol(reading):
            one = reading.protocol
            errors = sum(finding.is_error for finding in findings_of(reading, library_for(path, reading)))
            protocols.append(
                {
                    "file": path,
                    "name": one.name,
                    "version": one.version,
                    "status": one.status,
                    "digest": digest(one),
                    "errors": errors,
                }
            )
    lines = [
        f"{one['name']} {one['version']} {one['status']}" + ("  (errors)" if one["errors"] else "") for one in protocols
    ]
    return done({"protocols": protocols}, "\n".join(lines) or "no protocols")


def explain(call: Call) -> Outcome:
    """What a code means, with an example before and after."""
    from engines.agents.protocol.explain import EXPLANATIONS, explained

    code = call.arguments["code"].upper()
    found = EXPLANATIONS.get(code)
    if found is None:
        near = [one for one in sorted(EXPLANATIONS) if code.strip("EW-") in one][:3]
        raise Failure("unknown", "no_such_code", f"no code {code!r}", suggestions=near or sorted(EXPLANATIONS))
    data = {
        "code": code,
        "severity": found.severity,
        "meaning": found.meaning,
        "before": found.before,
        "after": found.after,
    }
    return done(data, explained(found))


def _readable(path: str) -> Reading:
    reading = read_protocol(path)
    if reading.is_broken or (
        not is_protocol(reading) and not any(name.name in SECTIONS for name in reading.document.sections)
    ):
        why = as_text(path, reading.findings[0]) if reading.findings else f"{path} is no protocol"
        raise Failure("validation", "lint", why)
    return reading
