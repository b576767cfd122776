"""From the text of a guard to its tree: by recursive descent, within bounds of bytes, nodes and depth.

    guard   = both { "or" both }
    both    = single { "and" single }
    single  = "not" single | "(" guard ")" | "present" "(" name ")" | term [ test ]
    test    = ("==" | "!=" | "<" | "<=" | ">" | ">=") term | "in" "{" literal { "," literal } "}"
            | "between" term "and" term
    term    = literal | name | ("count" | "elapsed") "(" name ")"
    name    = word "." word [ "(" word { "," word } ")" ]
    literal = number [ unit | "%" | "k" ] | '"' text '"' | "true" | "false"

Names have a dot, so a word without one is a keyword or a mistake. Nothing of a text is ever evaluated by Python.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple, get_args

from .syntax import (
    DURATIONS,
    FLIPPED,
    SIZES,
    Among,
    And,
    Between,
    Compare,
    Comparison,
    Constant,
    Expr,
    GuardError,
    Name,
    Not,
    Or,
    Present,
    Term,
    Truth,
    size,
)

BYTES_MAX: Final = 1 << 10
NODES_MAX: Final = 64
DEPTH_MAX: Final = 32
"""Parentheses and `not` within each other; a bound for the stack of Python."""

NUMBER_MAX: Final = (1 << 63) - 1
COMPARISONS: Final[tuple[str, ...]] = get_args(Comparison)
WORD: Final = r"[A-Za-z][A-Za-z0-9_-]*"
TOKEN: Final = re.compile(
    rf"""(?P<space>[ \t\r\n]+)
       | (?P<number>-?[0-9]+(?:\.[0-9]+)?(?:%|[A-Za-z]+)?)
       | (?P<text>"(?:[^"\\\x00-\x1f]|\\["\\])*")
       | (?P<word>{WORD}(?:\.{WORD})*)
       | (?P<sign>==|!=|<=|>=|[<>(){{}},])""",
    re.VERBOSE | re.ASCII,
)
KEYWORDS: Final = ("and", "or", "not", "in", "between", "present", "count", "elapsed", "true", "false")


class Token(NamedTuple):
    """A piece of a guard; `kind` is `number`, `text`, `word`, `sign`, or `end`."""

    kind: str
    text: str
    offset: int


@lru_cache(4096)
def parse_guard(text: str) -> Expr:
    """The guard. Raises GuardError with E-GUARD-SYNTAX, -TYPE (two constants compared) or -SIZE."""
    reader = _Reader(text)
    expr = reader.guard()
    reader.end()
    if size(expr) > NODES_MAX:
        raise GuardError("E-GUARD-SIZE", f"guard has {size(expr)} nodes, limit {NODES_MAX}")
    return expr


@lru_cache(4096)
def parse_value(text: str) -> Term:
    """A value for a field: a name, a literal, or `count` or `elapsed` of a name. Raises GuardError."""
    reader = _Reader(text)
    term = reader.term()
    reader.end()
    return term


class _Reader:
    def __init__(self, text: str) -> None:
        length = len(text.encode(errors="replace"))
        if length > BYTES_MAX:
            raise GuardError("E-GUARD-SIZE", f"guard is {length} bytes, limit {BYTES_MAX}", BYTES_MAX)
        self.tokens = list(_tokens(text))
        self.at = 0
        self.depth = 0

    @property
    def next(self) -> Token:
        return self.tokens[self.at]

    def takes(self, *texts: str) -> bool:
        """Whether the next token is one of these signs or keywords; it is taken then."""
        is_one = self.next.kind in ("sign", "word") and self.next.text in texts
        self.at += is_one
        return is_one

    def expect(self, text: str) -> None:
        if not self.takes(text):
            raise self.refusal(f"expected '{text}'")

    def refusal(self, expected: str) -> GuardError:
        found = "the end" if self.next.kind == "end" else f"'{self.next.text}'"
        return GuardError("E-GUARD-SYNTAX", f"{expected}, found {found}", self.next.offset)

    def end(self) -> None:
        if self.next.kind != "end":
            raise self.refusal("expected 'and', 'or' or the end")

    def guard(self) -> Expr:
        return self.joined("or")

    def joined(self, word: str) -> Expr:
        offset = self.next.offset
        kind: type[And | Or] = Or if word == "or" else And
        items: list[Expr] = []
        while not items or self.takes(word):
            item = self.joined("and") if word == "or" else self.single()
            items += item.items if isinstance(item, kind) else (item,)
        return items[0] if len(items) == 1 else kind(tuple(items), offset)

    def single(self) -> Expr:
        offset = self.next.offset
        if self.takes("not"):
            return Not(self.deeper(self.single), offset)
        if self.takes("("):
            expr = self.deeper(self.guard)
            self.expect(")")
            return expr
        if self.takes("present"):
            return Present(self.name_in_parentheses(), offset)
        return self.test(self.term(), offset)

    def deeper(self, read: Callable[[], Expr]) -> Expr:
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise GuardError("E-GUARD-SIZE", f"guard is deeper than {DEPTH_MAX} levels", self.next.offset)
        expr = read()
        self.depth -= 1
        return expr

    def test(self, left: Term, offset: int) -> Expr:
        sign = self.next.text
        if self.takes(*COMPARISONS):
            return _comparison(sign, left, self.term(), offset)  # type: ignore[arg-type]
        if self.takes("in"):
            return Among(_name(left, "'in'"), self.choices(), offset)
        if self.takes("between"):
            low = self.term()
            self.expect("and")
            return Between(_name(left, "'between'"), low, self.term(), offset)
        if isinstance(left, Constant) and left.kind != "bool":
            raise self.refusal("expected a comparison")
        return Truth(left, offset)

    def choices(self) -> tuple[Constant, ...]:
        self.expect("{")
        found: dict[tuple[str, object], Constant] = {}
        while not found or self.takes(","):
            term = self.term()
            if not isinstance(term, Constant):
                raise GuardError("E-GUARD-SYNTAX", "a set has literals only", term.offset)
            found.setdefault((term.kind, term.value), term)
        self.expect("}")
        return tuple(found.values())

    def term(self) -> Term:
        kind, text, offset = token = self.next
        if kind == "number":
            self.at += 1
            return _number(token)
        if kind == "text":
            self.at += 1
            return Constant(re.sub(r"\\(.)", r"\1", text[1:-1]), "text", offset)
        if self.takes("true", "false"):
            return Constant(text == "true", "bool", offset)
        if self.takes("count", "elapsed"):
            name = self.name_in_parentheses()
            return Name(name.id, name.arguments, text, offset)  # type: ignore[arg-type]
        return self.name()

    def name_in_parentheses(self) -> Name:
        self.expect("(")
        name = self.name()
        self.expect(")")
        return name

    def name(self) -> Name:
        kind, text, offset = self.next
        if kind != "word" or text in KEYWORDS:
            raise self.refusal("expected a name or a literal")
        if "." not in text:
            hint = f'text is written in quotes: "{text}"'
            raise GuardError("E-GUARD-SYNTAX", f"'{text}' is no name: names have a dot", offset, hint)
        self.at += 1
        return Name(text, self.arguments(), "", offset)

    def arguments(self) -> tuple[str, ...]:
        if not self.takes("("):
            return ()
        found: list[str] = []
        while not found or self.takes(","):
            if self.next.kind != "word" or "." in self.next.text:
                raise self.refusal("expected an identifier")
            found.append(self.next.text)
            self.at += 1
        self.expect(")")
        return tuple(found)


def _tokens(text: str) -> Iterator[Token]:
    at = 0
    while at < len(text):
        found = TOKEN.match(text, at)
        if found is None:
            raise GuardError("E-GUARD-SYNTAX", f"cannot read {text[at]!r}", at)
        if (kind := found.lastgroup or "") != "space":
            yield Token(kind, found.group(), at)
        at = found.end()
    yield Token("end", "", len(text))


def _comparison(sign: Comparison, left: Term, right: Term, offset: int) -> Compare:
    if isinstance(left, Name):
        return Compare(sign, left, right, offset)
    if isinstance(right, Name):
        return Compare(FLIPPED[sign], right, left, offset)
    raise GuardError("E-GUARD-TYPE", "a comparison of two constants says nothing", offset)


def _name(term: Term, what: str) -> Name:
    if isinstance(term, Name):
        return term
    raise GuardError("E-GUARD-TYPE", f"{what} needs a name on its left", term.offset)


def _number(token: Token) -> Constant:
    digits = re.match(r"-?[0-9]+(?:\.[0-9]+)?", token.text)
    assert digits is not None  # by TOKEN
    number, unit = digits.group(), token.text[digits.end() :]
    if len(number) > 20 or abs(float(number)) > NUMBER_MAX / 2:
        raise GuardError("E-GUARD-SYNTAX", f"number {number[:20]} is too large or too long", token.offset)
    value: int | float = float(number) if "." in number else int(number)
    if unit == "%":
        return Constant(value, "percent", token.offset)
    if not unit:
        return Constant(value, "number", token.offset)
    if unit == "k":
        return Constant(_times(number, 1000, token), "number", token.offset)
    if unit in DURATIONS:
        return Constant(_times(number, DURATIONS[unit], token), "duration", token.offset)
    if unit in SIZES:
        return Constant(_times(number, SIZES[unit], token), "size", token.offset)
    known = ", ".join((*reversed(DURATIONS), *reversed(SIZES), "k", "%"))
    raise GuardError("E-GUARD-SYNTAX", f"unknown unit '{unit}'; known: {known}", token.offset)


def _times(number: str, each: int, token: Token) -> int:
    """The number in the smallest unit, which is whole. Without floats, which would round."""
    whole, _, part = number.lstrip("-").partition(".")
    scale: int = 10 ** len(part)
    value, rest = divmod(int(whole + part) * each, scale)
    if rest or value > NUMBER_MAX:
        raise GuardError("E-GUARD-SYNTAX", f"'{token.text}' is too large, or not a whole number", token.offset)
    return -value if number.startswith("-") else value
