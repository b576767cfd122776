"""The reading of a family's code: what its rules, guards and everything they call do that may differ between runs.

Nothing is run. The reading begins at the functions of the rules, the classes of their values, and `migrate`. From there
it follows names (`meaning`): functions, methods, classes, properties, globals and what computed them, functions held in
tables and handed to factories. It stays in the family's files, those below the code roots that its version covers;
of other code it knows the names in `impure`. Drivers of devices are not rules, so they are not read.

The awkward case is a method of a value whose class is unknown, as in `t.env.state.allows(post)`. Values are structs, so
the methods and properties of that name of all structs in the family's files are read, and those of each class that the
rules name. That may be more than what is called; a finding there is accepted by a comment (`text`).
"""

from __future__ import annotations

import functools
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from types import FunctionType, MethodType, ModuleType
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from ..family import Family
from ..rule import Rule
from .meaning import UNKNOWN, Meaning, Scope
from .text import Code, SourceText
from .uses import Offence, Use, body_of, offences, uses

AnyFamily: TypeAlias = Family[Any, Any, Any, Any]

UNITS_MAX: Final = 10_000
"""Pieces of code read for one family."""

TABLE_MAX: Final = 1000
"""Entries of a table in which functions are looked for."""

ONCE: Final = frozenset({"io", "thread", "process", "memory"})
"""Kinds that matter each time code runs; the value of a global is computed once, at the import."""

UNFOLLOWED: Final = frozenset({"__hash__", "__class_getitem__", "__init_subclass__"})
"""Special methods whose result a transition cannot show: hashes only place keys."""


class Reached(NamedTuple):
    """An object that a rule reaches, with the parameters that are known, and the label of the rule."""

    value: Any
    rule: str
    held: Mapping[str, Any]


class Placed(NamedTuple):
    """An offence, its file, the function that it stands in, and the rule through which that was reached."""

    file: str
    function: str
    rule: str
    offence: Offence


class CodeReading:
    """One reading of a family; `texts` gives the files that may be read, parsed."""

    def __init__(self, family: AnyFamily, texts: Mapping[str, SourceText]) -> None:
        self.texts = texts
        self.found: list[Placed] = []
        self._todo: deque[Reached] = deque()
        self._seen: dict[int, Any] = {}
        self._globals: set[tuple[str, str]] = set()
        self._classes: dict[type[Any], str] = dict.fromkeys(self._values(), "")
        self._attributes: dict[str, str] = {}
        self._begin(family)

    def run(self) -> list[Placed]:
        """Read everything that is reached; the offences in the order of their places, each once."""
        while self._todo and len(self._seen) < UNITS_MAX:
            while self._todo and len(self._seen) < UNITS_MAX:
                self._read(self._todo.popleft())
            self._follow_attributes()
        first: dict[tuple[str, Offence], Placed] = {}
        for one in self.found:
            first.setdefault((one.file, one.offence), one)
        return sorted(first.values(), key=lambda one: (one.file, one.offence))

    def _begin(self, family: AnyFamily) -> None:
        for rule in family.rule_list:
            self._reach(rule, rule.name)
        self._reach(family.migrate, "migrate")
        self._reach(family.downgrade, "downgrade")
        for invariant in family.invariants:
            self._reach(invariant, "invariants")
        states = [*family.state_types, *(type(box.start) for box in family.boxes.values())]
        for kind in [*family.accepts_types, *family.emits_types, family.config, *states]:
            self._reach(kind, "")

    def _values(self) -> Iterator[type[Any]]:
        """The classes of values in the files."""
        for module in [*sys.modules.values()]:
            if getattr(module, "__file__", None) in self.texts:
                for kind in [*vars(module).values()]:
                    if isinstance(kind, type) and issubclass(kind, msgspec.Struct | Enum):
                        yield kind

    def _reach(self, value: Any, rule: str, held: Mapping[str, Any] | None = None) -> None:
        """Note an object to be read, once; `held` are parameters that are known."""
        if value is None or value is UNKNOWN or isinstance(value, ModuleType) or id(value) in self._seen:
            return
        match value:
            case Rule():
                self._keep(value)
                self._reach(value.action, value.name)
                self._reach(value.guard, value.name)
            case MethodType():
                first = value.__func__.__code__.co_varnames[:1] if isinstance(value.__func__, FunctionType) else ()
                self._reach(value.__func__, rule, dict.fromkeys(first, value.__self__))
            case classmethod() | staticmethod():
                self._reach(value.__func__, rule)
            case property():
                self._reach(value.fget, rule)
            case functools.partial():
                self._reach(value.func, rule)
                self._reach_table([*value.args, *value.keywords.values()], rule)
            case FunctionType() | type():
                self._keep(value)
                self._todo.append(Reached(value, rule, held or {}))
            case functools.cached_property():
                self._reach(value.func, rule)
            case list() | tuple() | dict():
                self._keep(value)
                self._reach_table(value.values() if isinstance(value, dict) else value, rule)
            case _:
                self._keep(value)
                self._reach(_wrapped(value), rule)
                if callable(value) and self._is_ours(type(value)):
                    self._reach(type(value).__call__, rule, {"self": value})

    def _keep(self, value: Any) -> None:
        """Remember an object, and keep it, since another one could get its address."""
        self._seen[id(value)] = value

    def _reach_table(self, values: Any, rule: str) -> None:
        for value, _ in zip(values, range(TABLE_MAX), strict=False):
            if isinstance(value, FunctionType | MethodType | Rule | functools.partial):
                self._reach(value, rule)

    def _read(self, one: Reached) -> None:
        if isinstance(one.value, type):
            self._read_class(one.value, one.rule)
        else:
            self._read_function(one.value, one.rule, one.held)

    def _read_function(self, function: FunctionType, rule: str, known: Mapping[str, Any]) -> None:
        code = function.__code__
        closed = dict(_cells(function))
        text = self.texts.get(code.co_filename)
        if text is None:
            self._reach_table(closed.values(), rule)
            self._reach(_wrapped(function), rule)
            return
        held = {**closed, **_lasting_defaults(function), **known}
        for node in text.code(code.co_firstlineno, code.co_name):
            self._read_code(text, node, Scope(node, function.__globals__, held), function.__qualname__, rule)

    def _read_class(self, kind: type[Any], rule: str) -> None:
        module = sys.modules.get(kind.__module__)
        text = self.texts.get(getattr(module, "__file__", None) or "")
        if text is None or module is None:
            return
        self._classes.setdefault(kind, rule)
        for node in text.classes(kind.__name__):
            self._read_code(text, node, Scope(body_of(node), vars(module), {}), kind.__qualname__, rule)
        for name, method in vars(kind).items():
            if name.startswith("__") and name not in UNFOLLOWED and isinstance(method, FunctionType):
                self._reach(method, rule)
        for default in getattr(kind, "__struct_defaults__", ()):
            if type(default).__module__.startswith("msgspec"):
                self._reach_table([getattr(default, "factory", None)], rule)

    def _read_code(self, text: SourceText, code: Code | Any, scope: Scope, name: str, rule: str) -> None:
        body = body_of(code)
        found = [*uses(body, scope)]
        for offence in offences(body, scope, found):
            if offence.kind not in ONCE or isinstance(code, Code):
                self.found.append(Placed(text.path, name, rule, offence))
        for use in found:
            self._follow(use, scope, text, rule)

    def _follow(self, use: Use, scope: Scope, text: SourceText, rule: str) -> None:
        """Reach what a use refers to."""
        meaning = use.meaning
        if meaning.value is not UNKNOWN:
            self._reach(meaning.value, rule)
        elif hasattr(use.node, "attr") and not meaning.name:
            self._attributes.setdefault(use.node.attr, rule)
        if hasattr(use.node, "id") and not scope.is_own(use.node.id):
            self._read_global(scope.module, use.node.id, rule)
        elif hasattr(use.node, "attr"):
            self._read_global_of(scope.meaning(use.node.value), use.node.attr, rule)  # type: ignore[attr-defined]

    def _read_global_of(self, owner: Meaning, name: str, rule: str) -> None:
        if isinstance(owner.value, ModuleType):
            self._read_global(vars(owner.value), name, rule)

    def _read_global(self, module: Mapping[str, Any], name: str, rule: str) -> None:
        """Read the expression that computed a global; one that is imported, where it comes from."""
        text = self.texts.get(module.get("__file__") or "")
        if text is None or name not in text.globals or (text.path, name) in self._globals:
            return
        self._globals.add((text.path, name))
        bound = text.globals[name]
        if bound.value is not None:
            if not _is_declaration(module.get(name)):
                self._read_code(text, bound.value, Scope(bound.value, module, {}), name, rule)
            return
        source = sys.modules.get(_absolute(bound.module, str(module.get("__package__") or "")))
        if source is not None:
            self._read_global(vars(source), bound.name, rule)

    def _follow_attributes(self) -> None:
        """Reach the methods and properties whose owner's class is not known, by name."""
        for kind in [*self._classes]:
            for name, rule in self._attributes.items():
                found = vars(kind).get(name)
                if isinstance(found, FunctionType | property | classmethod | staticmethod | functools.cached_property):
                    self._reach(_plain(found), rule)

    def _is_ours(self, kind: type[Any]) -> bool:
        return getattr(sys.modules.get(kind.__module__), "__file__", None) in self.texts


def _plain(found: Any) -> Any:
    """The function of a method, property or cached property."""
    return getattr(found, "fget", None) or getattr(found, "__func__", None) or getattr(found, "func", None) or found


def _is_declaration(value: Any) -> bool:
    """Whether a global is a family or a rule, which is read by its rules."""
    return isinstance(value, Family | Rule)


def _cells(function: FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:
            continue


def _lasting_defaults(function: FunctionType) -> dict[str, Any]:
    """Parameters whose default is a list, dict or set: one object for all calls."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    defaults = function.__defaults__ or ()
    pairs = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True)) | (function.__kwdefaults__ or {})
    return {name: value for name, value in pairs.items() if isinstance(value, list | dict | set)}


def _wrapped(value: Any) -> Callable[..., Any] | None:
    """The function inside a wrapper, as `functools.wraps` keeps it. Runs no code of the value's author."""
    try:
        own = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None
    found = own.get("__wrapped__") if isinstance(own, dict) else None
    return found if isinstance(found, FunctionType | MethodType) else None


def _absolute(module: str, package: str) -> str:
    """The absolute name of a module named in an import of a package."""
    level = len(module) - len(module.lstrip("."))
    if level == 0:
        return module
    parents = package.split(".")
    return ".".join([*parents[: len(parents) - level + 1], *([module[level:]] if module[level:] else [])])
