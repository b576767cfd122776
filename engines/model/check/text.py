"""A source file as the reading needs it: functions and classes by line, global assignments by name, and comments.

A comment `# lint: accept KIND: reason` accepts the findings of that kind on its line; alone on a line, those on the
next line of code. Several kinds are separated by commas.
"""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from io import BytesIO
from typing import Final, NamedTuple

from .impure import KINDS

COMMENT: Final = re.compile(r"#+\s*lint:(.*)")
ACCEPT: Final = re.compile(r"\s*accept\s+([\w-]+(?:\s*,\s*[\w-]+)*)\s*:\s*\S")

Code = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef


class Global(NamedTuple):
    """Where a module binds a name: to the value of an expression, or to a name of another module."""

    value: ast.expr | None
    module: str = ""
    name: str = ""


class SourceText:
    """One file. Raises SyntaxError for a text that is no Python."""

    def __init__(self, path: str, source: bytes) -> None:
        self.path = path
        self.tree = ast.parse(source, path)
        self.globals: dict[str, Global] = {}
        self.accepted: dict[int, frozenset[str]] = {}
        self.faulty: list[tuple[int, str]] = []
        self._code: dict[tuple[int, str], list[Code]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, Code):
                self._code.setdefault((_first_line(node), getattr(node, "name", "<lambda>")), []).append(node)
        self._read_globals(self.tree)
        self._read_comments(source)

    def code(self, line: int, name: str) -> list[Code]:
        """The functions or classes of a name that begin on a line, decorators included; several lambdas may."""
        return self._code.get((line, name), [])

    def classes(self, name: str) -> list[Code]:
        """The classes of a name."""
        return [one for (_, known), found in self._code.items() for one in found if known == name and _is_class(one)]

    def accepts(self, line: int, kind: str) -> bool:
        """Whether a comment accepts findings of a kind on a line."""
        return kind in self.accepted.get(line, ())

    def _read_globals(self, node: ast.AST) -> None:
        for part in ast.iter_child_nodes(node):
            match part:
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.Lambda():
                    continue
                case ast.Assign(targets=targets, value=value):
                    for target in targets:
                        for name in ast.walk(target):
                            if isinstance(name, ast.Name):
                                self.globals[name.id] = Global(value)
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    self.globals[name] = Global(value)
                case ast.ImportFrom(names=names, level=level):
                    source = "." * level + (part.module or "")
                    for alias in names:
                        self.globals[alias.asname or alias.name] = Global(None, source, alias.name)
            self._read_globals(part)

    def _read_comments(self, source: bytes) -> None:
        pending: frozenset[str] = frozenset()
        for line, text, is_alone in _lines(source):
            found = COMMENT.match(text) if text else None
            kinds = self._kinds(line, found[1]) if found else frozenset[str]()
            if is_alone:
                pending |= kinds
                continue
            if kinds | pending:
                self.accepted[line] = kinds | pending
            pending = frozenset()

    def _kinds(self, line: int, comment: str) -> frozenset[str]:
        """The kinds that a comment accepts; a comment that cannot be read is faulty."""
        found = ACCEPT.match(comment)
        if found is None:
            self.faulty.append((line, "a comment without a kind, or without a reason"))
            return frozenset()
        kinds = frozenset(re.split(r"\s*,\s*", found[1]))
        for kind in sorted(kinds - KINDS.keys()):
            known = ", ".join(kind for kind in KINDS if kind not in ("accept", "definition"))
            self.faulty.append((line, f"there is no kind {kind}; there are {known}"))
        return kinds & KINDS.keys()


def _lines(source: bytes) -> Iterator[tuple[int, str, bool]]:
    """Each line with code or a comment: its number, the comment, and whether that is all."""
    lines: dict[int, tuple[str, bool]] = {}
    blank = (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER)
    for token in tokenize.tokenize(BytesIO(source).readline):
        if token.type == tokenize.COMMENT:
            lines[token.start[0]] = (token.string, token.start[0] not in lines)
        elif token.type not in blank:
            for line in range(token.start[0], token.end[0] + 1):
                lines.setdefault(line, ("", False))
    for line, (text, is_alone) in sorted(lines.items()):
        yield line, text, is_alone


def _first_line(node: Code) -> int:
    """The line that Python gives the code object: that of its first decorator."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(one.lineno for one in decorators)])


def _is_class(node: Code) -> bool:
    return isinstance(node, ast.ClassDef)
