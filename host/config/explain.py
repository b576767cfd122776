"""Every mistake of shape in a node file: unknown keys, missing ones, wrong types and values.

Imported only once `msgspec.convert` has refused, because it stops at the first mistake. `convert` finds them all; this
file has the words for them, which name the part of the file by its path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec import Meta

from .convert import Conversion, Wording
from .finding import Finding, Path, describe
from .leaves import LEAVES, read_whole_number
from .names import UNREADABLE, UNREADABLE_FAMILY
from .schema import NodeEntry
from .suggest import did_you_mean

_SELF_EVIDENT: Final = (("node",), ("family",))
"""Last keys of paths whose values are described by what was expected of them."""


def explain(node: Any) -> tuple[NodeEntry | None, list[Finding]]:
    """What is valid of a node file's builtins (None: no node), and all mistakes of shape, in no particular order."""
    conversion = Conversion(_NodeWording())
    entry = conversion.convert(node, NodeEntry, (), "")
    return entry if isinstance(entry, NodeEntry) else None, conversion.findings


class _NodeWording(Wording):
    """How findings name the values of a node file: by their paths. Units have been read."""

    leaves = LEAVES | {int: read_whole_number}
    stand_ins = {"node": UNREADABLE, "family": UNREADABLE_FAMILY}

    def part(self, _kind: type, path: Path) -> str:
        match path:
            case ():
                return "the node"
            case ("engines", name):
                return f"engine `{name}`"
            case ("engines", name, "mailboxes", number):
                return f"mailbox {number} of engine `{name}`"
            case _:
                return f"`{path[-1]}`"

    def mapping(self, _kind: type) -> str:
        return "a mapping (`key: value`)"

    def subject(self, path: Path) -> str:
        match path:
            case ():
                return ""
            case (*_, int()):
                return f" in `{path[-2]}`"
            case _:
                return f" for {self.part(dict, path)}"

    def guess(self, value: Any, path: Path) -> str:
        match path, value:
            case ("placement",), str():
                return f"write `{{default: {value}}}`"
            case ("placement", "default") | ("engines", _, "placement"), str():
                return did_you_mean(value, ("process", "one")) or _spaced_placement(value)
            case ("engines", _, "family"), str():
                module, dot, name = value.rpartition(".")
                return f"did you mean `{module}:{name}`?" if dot and name.isidentifier() and ":" not in value else ""
            case _:
                return ""

    def refused(self, value: Any, _refusal: str, bounds: Sequence[Meta], path: Path) -> Iterator[Finding]:
        """The only bound of a list or mapping is that it is not empty."""
        if isinstance(value, tuple | dict):
            yield Finding(path, f"expected at least one entry in {self.part(dict, path)}", at_key=True)
            return
        subject = "" if path[-1:] in _SELF_EVIDENT else self.subject(path)
        for expected in (expected for bound in bounds for expected in _broken(value, bound)):
            yield Finding(path, f"expected {expected}{subject}, found {describe(value)}", self.guess(value, path))


def _broken(value: Any, bound: Meta) -> Iterator[str]:
    """What is expected of `value`, where it is not so."""
    if bound.ge is not None and value < bound.ge:
        yield f"at least {bound.ge}"
    if bound.le is not None and value > bound.le:
        yield f"at most {bound.le}"
    if bound.max_length is not None and len(value) > bound.max_length:
        yield f"at most {bound.max_length} characters"
    if bound.min_length is not None and len(value) < bound.min_length:
        yield "text that is not empty"
    if bound.pattern is not None and not re.search(bound.pattern, value):
        yield bound.description or "another text"


def _spaced_placement(found: str) -> str:
    """`group x` for `group: x` and the like."""
    kind, _, name = found.replace(":", " ").replace("=", " ").partition(" ")
    name = name.strip()
    if kind == "core":
        return f"did you mean `core {name if name.isdecimal() else 'N'}`?"
    if kind == "group":
        return f"did you mean `group {name if name.isalnum() else 'NAME'}`?"
    return ""
