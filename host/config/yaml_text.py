"""Reads YAML text into a tree whose nodes have their places in the text.

Only reading and refusing belong here; `schema` and `convert` give the values their meaning.

This module composes the parser's events itself, because the library's composer resolves tags, keeps the last of two
equal keys, follows aliases without a bound and recurses without a bound. This one refuses tags, merge keys, a second
document, and keys that are not text or not unique. It bounds the size, the depth and the number of values; an alias
counts with everything below it at each use, so the same bound stops an alias bomb. Reading continues after a refusal,
as long as the text can be parsed, and all refusals are reported.

The awkward case is deep nesting. The library's scanner takes quadratic time over open brackets, so the depth is checked
after each event, before the next one is fetched. The scanner also reads ahead, and newer versions may give up at their
own depth before they return the event that is too deep for us. The text before that place is then checked separately.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import msgspec
import yaml

from .finding import Finding, Path
from .problems import ConfigProblem, SourcePlace
from .scalars import Plain, ScalarError, read_plain

TEXT_BYTES_MAX: Final = 1024 * 1024
DEPTH_MAX: Final = 32
VALUES_MAX: Final = 100_000
"""Values in a file; those behind an alias count at each use."""
REFUSALS_MAX: Final = 100
"""Reading stops after this many refusals, which are enough for one round of fixes."""

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LINE_END: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_CONTROL: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MERGE: Final = "<<"
_TOO_DEEP: Final = f"nested deeper than {DEPTH_MAX} levels"


class Scalar(msgspec.Struct, frozen=True):
    """A value without parts."""

    place: SourcePlace
    value: Plain
    size: int = 1


class Sequence(msgspec.Struct, frozen=True):
    """A list. `size` counts it with everything below."""

    place: SourcePlace
    items: tuple[Node, ...]
    size: int = 1


class Mapping(msgspec.Struct, frozen=True):
    """A mapping; keys are text as written, each with its own place."""

    place: SourcePlace
    keys: dict[str, SourcePlace]
    items: dict[str, Node]
    size: int = 1


Node = Scalar | Sequence | Mapping


class Document(msgspec.Struct, frozen=True):
    """A file that was read: its name as given, its lines, its tree (None: not parsable), and its refusals."""

    file: str
    lines: tuple[str, ...]
    root: Node | None
    refused: tuple[ConfigProblem, ...]

    def place(self, path: Path, *, at_key: bool = False) -> SourcePlace:
        """The place of the value at `path`, or of its key; if there is none, of the nearest value above.

        The key of an item of a list is the item.
        """
        return self._find(path)[at_key]

    def problem(self, finding: Finding) -> ConfigProblem:
        """The problem at the place of a finding."""
        place = self.place(finding.path, at_key=finding.at_key)
        return _problem(self.file, self.lines, place, finding.text, finding.suggestion)

    def _find(self, path: Path) -> tuple[SourcePlace, SourcePlace]:
        """The places of the value and of its key."""
        value = key = self.root.place if self.root else SourcePlace(1, 1)
        node = self.root
        for step in path:
            match node:
                case Mapping() if isinstance(step, str) and step in node.items:
                    key, node = node.keys[step], node.items[step]
                case Sequence() if isinstance(step, int) and step < len(node.items):
                    node = node.items[step]
                    key = node.place
                case _:
                    return key if node is not self.root else value, key
            value = node.place
        return value, key


def read_document(data: bytes, file: str) -> Document:
    """Read a file's bytes. No content raises; problems are in `refused`, in the order found."""
    if len(data) > TEXT_BYTES_MAX:
        found = f"the file has {len(data)} bytes, at most {TEXT_BYTES_MAX} are read"
        return Document(file, (), None, (ConfigProblem(file, 1, 1, found),))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return _undecodable(data, file, error)
    lines = tuple(_LINE_END.split(text))
    refused = [_control_character(file, lines, text, match) for match in _CONTROL.finditer(text)]
    if refused:
        return Document(file, lines, None, tuple(refused[:REFUSALS_MAX]))
    composer = _Composer(file, lines)
    root = composer.compose(text)
    return Document(file, lines, root, tuple(composer.refused))


def to_builtins(node: Node) -> Any:
    """The tree as dict, list and scalars."""
    match node:
        case Scalar():
            return node.value
        case Sequence():
            return [to_builtins(item) for item in node.items]
        case Mapping():
            return {key: to_builtins(item) for key, item in node.items.items()}


class _Stop(Exception):
    """Raised to stop reading."""


class _Composer:
    """Composes events into a tree. `refused` grows; `_left` is the number of further values allowed."""

    def __init__(self, file: str, lines: tuple[str, ...]) -> None:
        self.refused: list[ConfigProblem] = []
        self._file = file
        self._lines = lines
        self._anchors: dict[str, Node | None] = {}
        self._left = VALUES_MAX
        self._events: Iterator[Any] = iter(())

    def compose(self, text: str) -> Node | None:
        """The tree of the only document, or None."""
        self._events = iter(yaml.parse(text, Loader=_LOADER))
        try:
            return self._document()
        except _Stop:
            return None
        except yaml.MarkedYAMLError as error:
            if deep := _too_deep(text[: error.problem_mark.index] if error.problem_mark else ""):
                self._refuse(deep, _TOO_DEEP)
            else:
                self._refuse_syntax(error)
            return None

    def _document(self) -> Node | None:
        next(self._events)
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            self._refuse(SourcePlace(1, 1), "the file is empty")
            return None
        root = self._node(next(self._events), 0)
        next(self._events)
        event = next(self._events)
        if isinstance(event, yaml.DocumentStartEvent):
            self._refuse(_place(event), "a second document begins here; a file holds one")
        return root

    def _node(self, event: Any, depth: int) -> Node:
        place = _place(event)
        self._count(place, 1)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, place)
        if depth > DEPTH_MAX:
            self._refuse(place, _TOO_DEEP)
            raise _Stop
        if event.tag is not None:
            self._refuse(place, f"a tag (`{event.tag}`) is not read here; types come from the field")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        node = self._untagged(event, place, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _untagged(self, event: Any, place: SourcePlace, depth: int) -> Node:
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(place, depth)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(place, depth)
        if event.style:
            return Scalar(self._extent(event, place), event.value)
        place = self._extent(event, place)
        try:
            return Scalar(place, read_plain(event.value))
        except ScalarError as error:
            self._refuse(place, str(error))
            return Scalar(place, None)

    def _sequence(self, place: SourcePlace, depth: int) -> Sequence:
        items: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return Sequence(place, tuple(items), 1 + sum(item.size for item in items))

    def _mapping(self, place: SourcePlace, depth: int) -> Mapping:
        keys: dict[str, SourcePlace] = {}
        items: dict[str, Node] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, depth)
            value = self._node(next(self._events), depth + 1)
            if key is not None and self._is_new(key, self._extent(event, _place(event)), keys):
                keys[key] = self._extent(event, _place(event))
                items[key] = value
        return Mapping(place, keys, items, 1 + sum(item.size for item in items.values()))

    def _key(self, event: Any, depth: int) -> str | None:
        """The key as text, or None when it was refused."""
        place = _place(event)
        if not isinstance(event, yaml.ScalarEvent):
            self._node(event, depth + 1)
            self._refuse(place, "a key is text or a number, not a list, mapping or alias")
            return None
        self._count(place, 1)
        if event.tag is not None or event.anchor is not None:
            self._refuse(place, "a key has no tag and no anchor")
        if event.value == "":
            self._refuse(place, "a key is missing before the colon")
            return None
        if event.value == _MERGE and not event.style:
            self._refuse(self._extent(event, place), "merge keys are not read; write the values out, or use an alias")
            return None
        return str(event.value)

    def _is_new(self, key: str, place: SourcePlace, keys: dict[str, SourcePlace]) -> bool:
        if (first := keys.get(key)) is None:
            return True
        self._refuse(place, f"key `{key}` a second time; the first is at {first.line}:{first.column}")
        return False

    def _alias(self, event: Any, place: SourcePlace) -> Node:
        place = self._extent(event, place)
        node = self._anchors.get(event.anchor)
        if node is not None:
            self._count(place, node.size)
            return node
        what = "is inside the value that it names" if event.anchor in self._anchors else "names nothing above it"
        self._refuse(place, f"alias `*{event.anchor}` {what}; a text that begins with `*` needs quotes")
        return Scalar(place, None)

    def _count(self, place: SourcePlace, values: int) -> None:
        self._left -= values
        if self._left < 0:
            self._refuse(place, f"more than {VALUES_MAX} values, those behind aliases counted at each use")
            raise _Stop

    def _extent(self, event: Any, place: SourcePlace) -> SourcePlace:
        """The place with the length of its text, up to the end of the first line."""
        end = event.end_mark
        same = end.line + 1 == place.line
        stop = end.column if same else len(self._line(place.line).rstrip())
        return place._replace(length=max(1, stop - place.column + 1))

    def _line(self, number: int) -> str:
        return self._lines[number - 1] if number <= len(self._lines) else ""

    def _refuse(self, place: SourcePlace, text: str, suggestion: str = "") -> None:
        self.refused.append(_problem(self._file, self._lines, place, text, suggestion))
        if len(self.refused) >= REFUSALS_MAX:
            raise _Stop

    def _refuse_syntax(self, error: yaml.MarkedYAMLError) -> None:
        from .yaml_syntax import explain_syntax

        self.refused.append(_problem(self._file, self._lines, *explain_syntax(error, self._lines)))


def _too_deep(text: str) -> SourcePlace | None:
    """The place of the first value that is nested too deep."""
    depth = 0
    with suppress(yaml.MarkedYAMLError):
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.NodeEvent) and depth > DEPTH_MAX:
                return _place(event)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
    return None


def _place(event: Any) -> SourcePlace:
    return SourcePlace(event.start_mark.line + 1, event.start_mark.column + 1)


def _problem(file: str, lines: tuple[str, ...], place: SourcePlace, text: str, suggestion: str = "") -> ConfigProblem:
    source = lines[place.line - 1] if place.line <= len(lines) else ""
    return ConfigProblem(file, place.line, place.column, text, suggestion, source, place.length)


def _undecodable(data: bytes, file: str, error: UnicodeDecodeError) -> Document:
    before = data[: error.start].decode("utf-8-sig", "replace")
    lines = _LINE_END.split(before)
    text = f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8"
    return Document(file, (), None, (ConfigProblem(file, len(lines), len(lines[-1]) + 1, text),))


def _control_character(file: str, lines: tuple[str, ...], text: str, match: re.Match[str]) -> ConfigProblem:
    before = _LINE_END.split(text[: match.start()])
    found = f"character U+{ord(match.group()):04X} does not belong in a text file"
    return _problem(file, lines, SourcePlace(len(before), len(before[-1]) + 1), found)
