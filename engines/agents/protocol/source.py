"""A protocol file as text with places: title, sections, and the items of the lists in them.

markdown-it says which lines are headings, lists, and paragraphs of list items; so text in fenced code, HTML comments,
quotes and tables is never taken for an item. The items themselves are read from the raw lines, so emphasis and escapes
never change a name. A `Head` is the text of an item (its first paragraph, lines joined), and knows the place of each of
its characters.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, NamedTuple

from .model import Place

MARKERS: Final = re.compile(r"[ \t]*(?:(?:[-*+]|\d{1,9}[.)])(?:[ \t]+|$))*")
TICKS_OR_COMMENT: Final = re.compile(r"`+|<!--")
IGNORE: Final = re.compile(r"<!--\s*lint:\s*ignore\s+([EW]-[A-Z-]+)\s+(?!-->)\S.{0,500}?-->", re.DOTALL)
QUOTED: Final = re.compile(r'`[^`]*`|"(?:[^"\\]|\\.)*"', re.DOTALL)
OPENING: Final = re.compile(r"[`\"(\[<{]")
PAIRS: Final = {"(": ")", "[": "]", "<": ">", "{": "}"}


class Head:
    """A piece of the text of an item. Pieces of it know their places too."""

    __slots__ = ("_end", "_full", "_marks", "_start")

    def __init__(self, full: str, marks: tuple[tuple[int, int, int], ...], start: int = 0, end: int = -1) -> None:
        """`marks` has, for each line of the file in `full`, the offset at which it begins, and its place."""
        self._full = full
        self._marks = marks
        self._start = start
        self._end = len(full) if end < 0 else end

    @property
    def text(self) -> str:
        """The characters."""
        return self._full[self._start : self._end]

    def place(self, offset: int = 0) -> Place:
        """The place of a character."""
        at = self._start + offset
        begin, line, column = self._marks[max(bisect_right(self._marks, (at, 1 << 60, 0)) - 1, 0)]
        return Place(line, column + at - begin)

    def cut(self, start: int, end: int | None = None) -> Head:
        """The characters from `start` to before `end`, without white space around."""
        first = self._start + start
        last = self._end if end is None else self._start + end
        while first < last and self._full[first].isspace():
            first += 1
        while first < last and self._full[last - 1].isspace():
            last -= 1
        return Head(self._full, self._marks, first, last)

    def partition(self, separator: str) -> tuple[Head, Head | None]:
        """What is before and after the first separator outside brackets and quotes; None if there is none."""
        text = self.text
        at = text.find(separator)
        if at >= 0 and OPENING.search(text, 0, at):
            at = next((at for at in outside(text) if text.startswith(separator, at)), -1)
        if at < 0:
            return self.cut(0), None
        return self.cut(0, at), self.cut(at + len(separator))

    def split(self, separator: str = ",") -> list[Head]:
        """The pieces between separators outside brackets and quotes; none of an empty text."""
        text = self.text
        free = outside(text) if OPENING.search(text) else range(len(text))
        ends = [*(at for at in free if text[at] == separator), len(text)]
        starts = [0, *(at + 1 for at in ends[:-1])]
        return [self.cut(a, b) for a, b in zip(starts, ends, strict=True)] if text.strip() else []

    def prose(self) -> str:
        """The text for people: white space collapsed."""
        return " ".join(self.text.split())


def outside(text: str) -> Iterator[int]:
    """The offsets outside brackets, backticks and double quotes. A bracket that is never closed does not count."""
    ends = _closings(text)
    at = 0
    while at < len(text):
        if at in ends:
            at = ends[at]
        else:
            yield at
            at += 1


def _closings(text: str) -> dict[int, int]:
    """For each bracket or quote that is closed, where it opens and where it has ended; in one pass."""
    ends: dict[int, int] = {}
    opened: list[tuple[str, int]] = []
    waiting = dict.fromkeys(PAIRS.values(), 0)
    at = 0
    while at < len(text):
        char = text[at]
        if char in '`"':
            match = QUOTED.match(text, at)
            if match is not None:
                ends[at] = match.end()
                at = match.end() - 1
        elif char in PAIRS and (char != "<" or text[at - 1 : at].isalnum()):
            opened.append((PAIRS[char], at))
            waiting[PAIRS[char]] += 1
        elif waiting.get(char):
            while True:
                closing, start = opened.pop()
                waiting[closing] -= 1
                if closing == char:
                    break
            ends[start] = at + 1
        at += 1
    return ends


def without_comments(text: str) -> str:
    """The text with spaces in place of HTML comments; what is in code is no comment. In linear time."""
    parts = []
    at = 0
    for start, end in comments(text):
        parts += [text[at:start], " " * (end - start)]
        at = end
    return "".join((*parts, text[at:]))


def comments(text: str) -> list[tuple[int, int]]:
    """Where HTML comments begin and end."""
    if "<!--" not in text:
        return []
    closing: dict[int, int] = {}
    last: dict[int, int] = {}
    for run in reversed([one for one in TICKS_OR_COMMENT.finditer(text) if one[0] != "<!--"]):
        if len(run[0]) in last:
            closing[run.start()] = last[len(run[0])]
        last[len(run[0])] = run.end()
    found = []
    at = 0
    while match := TICKS_OR_COMMENT.search(text, at):
        if match[0] == "<!--":
            end = text.find("-->", match.end())
            at = end + 3 if end >= 0 else len(text)
            found.append((match.start(), at))
        else:
            at = closing.get(match.start(), match.end())
    return found


class Item(NamedTuple):
    """An item of a list. `lines` are those of its head (from 0, end excluded), `end` the line after the whole item."""

    head: Head
    lines: tuple[int, int]
    end: int
    depth: int
    children: tuple[Item, ...]


class Section(NamedTuple):
    """A part of the file below a heading of the second level."""

    name: str
    place: Place
    items: tuple[Item, ...]


class Heading(NamedTuple):
    """A heading of the first level."""

    text: str
    place: Place


class Document(NamedTuple):
    """A file: its lines, the line after the front matter (0 without), and what the rest consists of.

    `ignored` has the codes that comments silence, with the lines (from 1, both included) for which they do.
    """

    lines: tuple[str, ...]
    body: int
    titles: tuple[Heading, ...]
    sections: tuple[Section, ...]
    ignored: tuple[tuple[str, int, int], ...]


def split_lines(text: str) -> list[str]:
    """The lines, ended by LF, CR LF, or CR; without a byte order mark."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")


def read_document(text: str) -> Document:
    """The structure of a file."""
    lines = split_lines(text)
    body = _front_end(lines)
    tokens = _markdown().parse("\n".join([""] * body + lines[body:]))
    titles: list[Heading] = []
    sections: list[Section] = []
    items: list[Item] = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if token.type == "heading_open" and token.level == 0 and token.tag in ("h1", "h2"):
            line = token.map[0]
            column = re.match(r"\s*#*\s*", lines[line]).end() + 1  # type: ignore[union-attr]
            place = Place(line + 1, column if token.markup.startswith("#") else 1)
            content = without_comments(tokens[at + 1].content).strip()
            if token.tag == "h1":
                titles.append(Heading(content, place))
            else:
                items = []
                sections.append(Section(content, place, ()))
        elif token.type in ("bullet_list_open", "ordered_list_open") and token.level == 0:
            found, at = _list(tokens, at, lines, 0)
            items.extend(found)
            if sections:
                sections[-1] = sections[-1]._replace(items=tuple(items))
            continue
        at += 1
    return Document(tuple(lines), body, tuple(titles), tuple(sections), _ignored(lines, tokens, sections))


@cache
def _markdown() -> Any:
    """Blocks only: what is inside a paragraph is read here."""
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark").enable("table")
    reader.core.ruler.enableOnly(["normalize", "block"])
    return reader


def _front_end(lines: list[str]) -> int:
    """The line after the front matter, or 0."""
    if lines[0].rstrip() != "---":
        return 0
    return next((at + 1 for at in range(1, len(lines)) if lines[at].rstrip() == "---"), 0)


def _list(tokens: list[Any], at: int, lines: list[str], depth: int) -> tuple[list[Item], int]:
    """The items of the list that opens at `at`, and the place after its end."""
    level = tokens[at].level
    items: list[Item] = []
    at += 1
    while tokens[at].level > level:
        item, at = _item(tokens, at, lines, depth)
        items.append(item)
    return items, at + 1


def _item(tokens: list[Any], at: int, lines: list[str], depth: int) -> tuple[Item, int]:
    first, end = tokens[at].map
    level = tokens[at].level
    head, span, children = None, (first, first + 1), list[Item]()
    at += 1
    is_first = True
    while tokens[at].level > level:
        token = tokens[at]
        if token.level == level + 1 and token.type in ("bullet_list_open", "ordered_list_open"):
            below, at = _list(tokens, at, lines, depth + 1)
            children.extend(below)
            is_first = False
            continue
        if token.level == level + 1 and token.nesting >= 0 and token.type != "html_block":
            if is_first and token.type == "paragraph_open":
                span = (token.map[0], token.map[1])
                head = _head(lines, *span)
            is_first = False
        at += 1
    if head is None:
        begin = MARKERS.match(lines[first]).end()  # type: ignore[union-attr]
        head = Head("", ((0, first + 1, begin + 1),))
    return Item(head, span, end, depth, tuple(children)), at + 1


def _head(lines: list[str], first: int, end: int) -> Head:
    """The text of the lines of a paragraph of an item, without markers, indentation and comments."""
    marks, parts, offset = [], [], 0
    for number in range(first, end):
        line = lines[number]
        indent = MARKERS.match(line).end() if number == first else len(line) - len(line.lstrip())  # type: ignore[union-attr]
        marks.append((offset, number + 1, indent + 1))
        parts.append(line[indent:].rstrip())
        offset += len(parts[-1]) + 1
    full = without_comments(" ".join(parts))
    return Head(full, tuple(marks)).cut(0)


def _ignored(lines: list[str], tokens: list[Any], sections: list[Section]) -> tuple[tuple[str, int, int], ...]:
    """What comments of the form `lint: ignore CODE reason` silence: the next item or heading after each."""
    silencers = []
    for token in tokens:
        if token.type in ("html_block", "inline") and "lint:" in token.content:
            for match in IGNORE.finditer(token.content):
                ends = token.map[0] + token.content.count("\n", 0, match.end())
                silencers.append((match[1], ends + 1))
    if not silencers:
        return ()
    targets = sorted(_targets(tokens))
    ignored = []
    for code, line in silencers:
        target = next((one for one in targets if one[0] > line), None)
        if target is not None:
            ignored.append((code, *target))
    return tuple(ignored)


def _targets(tokens: list[Any]) -> Iterator[tuple[int, int]]:
    for token in tokens:
        if token.type in ("heading_open", "list_item_open"):
            yield token.map[0] + 1, token.map[1]
