"""Protocols that others refer to: what `extends` adds to a protocol, and which states and messages `uses` brings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import msgspec

from engines.model import Value

from .findings import Finding, found
from .model import Import, Place, Protocol
from .versions import is_in_range, read_version

Library: TypeAlias = Mapping[str, "Protocol | tuple[Protocol, ...]"]
"""Protocols by name; of one name, one or several versions."""

DEPTH_MAX = 16
"""So many protocols may extend each other."""

EXTENDED = ("states", "roles", "messages", "context", "invariants", "limits", "measurements")


class Resolved(NamedTuple):
    """A protocol with what it extends, and the names that it may use beside its own.

    What comes from another protocol has the place of the `extends` that brings it.
    """

    protocol: Protocol
    states: Mapping[str, str]
    messages: Mapping[str, str]
    findings: tuple[Finding, ...]


def resolve(protocol: Protocol, library: Library) -> Resolved:
    """The protocol with everything that others contribute; findings about others that are missing, and circles."""
    findings: list[Finding] = []
    whole = _extended(protocol, library, (protocol.name,), findings)
    states: dict[str, str] = {}
    messages: dict[str, str] = {}
    for one in whole.uses:
        used = find(library, one)
        if used is None:
            findings.append(_missing(one, library))
            continue
        path = _circle(used, protocol.name, library, (protocol.name, used.name))
        if path:
            message = f"protocols use each other: {' → '.join(path)}"
            findings.append(found("E-CYCLE-USES", one.place, message, "move what both need to a third protocol"))
            continue
        used = _extended(used, library, (used.name,), [])
        for wanted, there, names in (
            (one.states, [state.id for state in used.states], states),
            (one.messages, [message.id for message in used.messages], messages),
        ):
            for name in wanted:
                if name not in there:
                    code = "E-UNDEF-STATE" if names is states else "E-UNDEF-MSG"
                    noun = "state" if names is states else "message"
                    text = f"{noun} '{name}' is not defined in {used.name} {used.version}"
                    findings.append(found(code, one.place, text, f"defined: {', '.join(there) or 'none'}"))
            taken = there if not one.states and not one.messages else [name for name in wanted if name in there]
            names.update(dict.fromkeys(taken, used.name))
    return Resolved(whole, states, messages, tuple(findings))


def find(library: Library, wanted: Import) -> Protocol | None:
    """The newest protocol of this name in this range."""
    held = library.get(wanted.name, ())
    versions = held if isinstance(held, tuple) else (held,)
    fitting = [one for one in versions if is_in_range(one.version, wanted.range)]
    return max(fitting, key=lambda one: read_version(one.version) or (), default=None)


def effective(protocol: Protocol, library: Library) -> Protocol:
    """The protocol with what it extends."""
    return resolve(protocol, library).protocol


def _missing(wanted: Import, library: Library) -> Finding:
    held = library.get(wanted.name, ())
    versions = [one.version for one in (held if isinstance(held, tuple) else (held,))]
    if versions:
        message = f"protocol '{wanted.name}' has no version in {wanted.range}; there is {', '.join(versions)}"
    else:
        message = f"protocol '{wanted.name}' is not found"
    known = ", ".join(sorted(library)[:8])
    return found("E-UNDEF-PROTOCOL", wanted.place, message, f"protocols here: {known}" if known else "")


def _extended(protocol: Protocol, library: Library, path: tuple[str, ...], findings: list[Finding]) -> Protocol:
    wanted = protocol.extends
    if wanted is None:
        return protocol
    if wanted.name in path or len(path) > DEPTH_MAX:
        message = f"protocols extend each other: {' → '.join((*path, wanted.name))}"
        findings.append(found("E-CYCLE-EXTENDS", wanted.place, message, "remove one 'extends'"))
        return protocol
    base = find(library, wanted)
    if base is None:
        findings.append(_missing(wanted, library))
        return protocol
    above: list[Finding] = []
    base = _extended(base, library, (*path, wanted.name), above)
    findings.extend(msgspec.structs.replace(one, line=wanted.place.line, column=wanted.place.column) for one in above)
    return _merged(protocol, moved(base, wanted.place))


def _merged(child: Protocol, base: Protocol) -> Protocol:
    parts: dict[str, Any] = {
        name: _joined(getattr(base, name), getattr(child, name), lambda one: one.id if hasattr(one, "id") else one.name)
        for name in EXTENDED
    }
    marked = any("initial" in one.flags for one in child.states)
    if marked:
        parts["states"] = tuple(_unmarked(one) if one not in child.states else one for one in parts["states"])
    transitions = _joined(base.transitions, child.transitions, lambda one: (one.sources, one.target, one.event))
    parts["transitions"] = tuple(msgspec.structs.replace(one, index=at) for at, one in enumerate(transitions))
    parts["uses"] = _joined(base.uses, child.uses, lambda one: one.name)
    return msgspec.structs.replace(child, **parts)


def _unmarked(state: Any) -> Any:
    """A state of the base, where the child begins in another one."""
    return msgspec.structs.replace(state, flags=tuple(one for one in state.flags if one != "initial"))


def _joined(base: Iterable[Any], child: Iterable[Any], key: Callable[[Any], Any]) -> tuple[Any, ...]:
    """Those of the base, each replaced by the child's of the same key, and then the child's others."""
    own: dict[Any, list[Any]] = {}
    for one in child:
        own.setdefault(key(one), []).append(one)
    result: list[Any] = []
    for one in base:
        result.extend(own.pop(key(one), [one]))
    return (*result, *(one for ones in own.values() for one in ones))


def moved(value: Any, place: Place) -> Any:
    """The same value, with all its places at one place."""
    if isinstance(value, Place):
        return place
    if isinstance(value, tuple):
        return tuple(moved(one, place) for one in value)
    if isinstance(value, Value):
        return type(value)(*(moved(getattr(value, name), place) for name in value.__struct_fields__))
    return value


def _circle(protocol: Protocol, end: str, library: Library, path: tuple[str, ...]) -> tuple[str, ...]:
    """The way from a protocol, over those it uses, to `end`; () if there is none."""
    if protocol.name == end:
        return path
    for one in protocol.uses:
        if one.name == end:
            return (*path, end)
        used = find(library, one)
        if used is not None and one.name not in path and len(path) < DEPTH_MAX:
            further = _circle(used, end, library, (*path, one.name))
            if further:
                return further
    return ()
