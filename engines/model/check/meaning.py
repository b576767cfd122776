"""What an expression in a function refers to, found without running anything.

Names are resolved as Python does, against the living objects: parameters known to be bound, names closed over, the
module's globals, builtins. So an alias, a re-export and a function handed to a factory are all seen through. Attributes
are looked up in modules, classes and instances without calling a property. Within a function, imports bind their dotted
text, and a name that is assigned once means its expression.

A function is read as one scope: names of its inner functions and comprehensions count as its own. An expression that
cannot be resolved has no meaning, and nothing is reported about it.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Iterator, Mapping
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any, Final, NamedTuple

import msgspec

UNKNOWN: Final = object()
"""The value of what is known by name only, or not at all."""

FOLLOWED_MAX: Final = 8
"""Local names followed to their expressions, one after the other."""

METHODS: Final = (
    FunctionType,
    BuiltinFunctionType,
    MethodDescriptorType,
    ClassMethodDescriptorType,
    classmethod,
    staticmethod,
)
"""What may be bound to its object without running code of its author."""

IMPORTING: Final = ("builtins.__import__", "importlib.import_module")
"""Functions that return the module they name."""

FUNCTIONS: Final = (FunctionType, BuiltinFunctionType, MethodType, MethodDescriptorType, ClassMethodDescriptorType)
"""What has a name of its own. Other objects may have any attribute, computed by their author's code."""

RENAMED: Final = {"posix": "os", "nt": "os", "posixpath": "os.path", "ntpath": "os.path", "genericpath": "os.path"}


class Meaning(NamedTuple):
    """The referent of an expression.

    Args:
        name: its dotted name; "" if unknown. Of an instance, the name of its class, or of the variable that holds it.
        value: the object itself, or `UNKNOWN`.
        outlives: the object exists before and after the function runs.
        kind: its class, where only that is known.
    """

    name: str = ""
    value: Any = UNKNOWN
    outlives: bool = False
    kind: type[Any] | None = None


NOTHING: Final = Meaning()


class Scope:
    """The names of a piece of code: its own, and those it sees.

    Args:
        node: the code: a function, a class, or an expression.
        module: the globals around it.
        held: objects by name: what it closes over, and parameters whose object is known.
    """

    def __init__(self, node: ast.AST, module: Mapping[str, Any], held: Mapping[str, Any]) -> None:
        self.module = module
        self.held = held
        self.assigned: dict[str, list[ast.expr | None]] = {}
        self.annotated: dict[str, ast.expr] = {}
        self.imported: dict[str, str] = {}
        self.outer: set[str] = set()
        for part in ast.walk(node):
            self._bind(part, node)
        for name in self.outer:
            self.assigned.pop(name, None)

    def meaning(self, node: ast.AST, depth: int = 0) -> Meaning:
        """What an expression refers to."""
        match node:
            case ast.Name(id=name):
                return self._of_name(name, depth)
            case ast.Attribute(value=base, attr=attr):
                return attribute(self.meaning(base, depth), attr)
            case ast.Call(func=function):
                called = self.meaning(function, depth)
                if called.name in IMPORTING and node.args and isinstance(node.args[0], ast.Constant):
                    return Meaning(str(node.args[0].value), _imported(str(node.args[0].value)))
                if isinstance(called.value, type):
                    return Meaning(called.name, UNKNOWN, False, called.value)
                return NOTHING
            case ast.NamedExpr(value=value):
                return self.meaning(value, depth)
        return NOTHING

    def is_own(self, name: str) -> bool:
        """Whether the code binds the name itself."""
        return name in self.assigned or name in self.imported

    def _of_name(self, name: str, depth: int) -> Meaning:
        if name in self.imported:
            dotted = self.imported[name]
            return Meaning(dotted, _imported(dotted))
        if name in self.held and name not in self.outer:
            return _of_object(self.held[name])
        if name in self.assigned:
            values = self.assigned[name]
            if len(values) == 1 and values[0] is not None and depth < FOLLOWED_MAX:
                return self.meaning(values[0], depth + 1)
            return NOTHING
        for there in (self.held, self.module, vars(builtins)):
            if name in there:
                return _of_object(there[name])
        return NOTHING

    def _bind(self, part: ast.AST, whole: ast.AST) -> None:
        """Note what a node binds."""
        match part:
            case ast.Global(names=names):
                self.outer |= set(names)
            case ast.Nonlocal(names=names):
                self.outer |= {name for name in names if name in self.held}
            case ast.Import(names=names):
                for alias in names:
                    self.imported[alias.asname or alias.name.partition(".")[0]] = (
                        alias.name if alias.asname else alias.name.partition(".")[0]
                    )
            case ast.ImportFrom(module=str(module), names=names, level=0):
                self.imported |= {alias.asname or alias.name: f"{module}.{alias.name}" for alias in names}
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.NamedExpr(target=ast.Name(id=name), value=value)
            ):
                self._assign(name, value)
            case ast.AnnAssign(target=ast.Name(id=name), annotation=form, value=given):
                self.annotated[name] = form
                self._assign(name, given)
            case ast.AugAssign(target=ast.Name(id=name)):
                pass
            case ast.arg(arg=name, annotation=form):
                if form is not None:
                    self.annotated[name] = form
                self._assign(name, None)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                if part is not whole:
                    self._assign(name, None)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                self._assign(name, None)
            case ast.For() | ast.AsyncFor() | ast.comprehension() | ast.Assign():
                targets = part.targets if isinstance(part, ast.Assign) else [part.target]
                for name in names_in(targets):
                    self._assign(name, None)
            case ast.withitem(optional_vars=ast.expr() as target):
                for name in names_in([target]):
                    self._assign(name, None)

    def _assign(self, name: str, value: ast.expr | None) -> None:
        self.assigned.setdefault(name, []).append(value)


def names_in(targets: list[ast.expr]) -> Iterator[str]:
    """The names that assignment targets bind."""
    for target in targets:
        for part in ast.walk(target):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                yield part.id


def attribute(base: Meaning, attr: str) -> Meaning:
    """What an attribute of a meaning refers to."""
    if base.kind is not None:
        found = _in_class(base.kind, attr)
        return Meaning(f"{base.name}.{attr}" if base.name else "", found)
    if base.value is UNKNOWN:
        return Meaning(f"{base.name}.{attr}" if base.name else "")
    found = _found(base.value, attr)
    is_own = not _has_name(found) or (isinstance(found, FUNCTIONS) and getattr(found, "__self__", None) is base.value)
    if is_own and not isinstance(base.value, ModuleType | type):
        return Meaning(f"{base.name}.{attr}", found, base.outlives)
    return Meaning(_name_of(found) if _has_name(found) else f"{base.name}.{attr}", found, base.outlives)


def canonical(name: str) -> str:
    """The public form of a dotted name: `os.getpid` for `posix.getpid`, `io.open` for `_io.open`."""
    first, dot, rest = name.partition(".")
    if first in RENAMED:
        first = RENAMED[first]
    elif first.startswith("_") and first.lstrip("_") in sys.stdlib_module_names and first != "_thread":
        first = first.lstrip("_")
    return (first + dot + rest).replace("pathlib._local.", "pathlib.").replace("pathlib.PosixPath", "pathlib.Path")


def _of_object(value: Any) -> Meaning:
    return Meaning(_name_of(value), value, True)


def _has_name(value: Any) -> bool:
    return isinstance(value, (ModuleType, type, *FUNCTIONS))


def _name_of(value: Any) -> str:
    """The dotted name of a module, class or function; of any other object, that of its class."""
    if isinstance(value, ModuleType):
        return canonical(value.__name__)
    if isinstance(value, type):
        return canonical(f"{value.__module__}.{value.__qualname__}")
    if not isinstance(value, FUNCTIONS):
        return _name_of(type(value))
    name, module = value.__qualname__, getattr(value, "__module__", None)
    owner = getattr(value, "__self__", None)
    if owner is None or isinstance(owner, ModuleType):
        return canonical(f"{module or 'builtins'}.{name}")
    last = name.rpartition(".")[2]
    home = sys.modules.get(type(owner).__module__)
    if getattr(home, last, None) == value:
        return canonical(f"{type(owner).__module__}.{last}")  # `random.randrange`, a method of a hidden object
    return f"{_name_of(owner if isinstance(owner, type) else type(owner))}.{last}"


def _imported(dotted: str) -> Any:
    """The object under a dotted name, if its modules are loaded."""
    if dotted in sys.modules:
        return sys.modules[dotted]
    module, _, name = dotted.rpartition(".")
    return vars(sys.modules[module]).get(name, UNKNOWN) if module in sys.modules else UNKNOWN


def _found(value: Any, attr: str) -> Any:
    """An attribute, without running code of its own; a property is found as such."""
    if isinstance(value, ModuleType):
        return vars(value).get(attr, UNKNOWN)
    if isinstance(value, type):
        return _bound(value, _in_class(value, attr), attr)
    own = getattr(value, "__dict__", {})
    if isinstance(own, dict) and attr in own:
        return own[attr]
    found = _in_class(type(value), attr)
    is_field = isinstance(value, msgspec.Struct) and attr in value.__struct_fields__
    if is_field or isinstance(found, MemberDescriptorType):
        return getattr(value, attr, UNKNOWN)
    return _bound(value, found, attr)


def _bound(owner: Any, found: Any, attr: str) -> Any:
    """A method with its object; anything else as it is."""
    return getattr(owner, attr, UNKNOWN) if isinstance(found, METHODS) else found


def _in_class(kind: type[Any], attr: str) -> Any:
    return next((vars(base)[attr] for base in kind.__mro__ if attr in vars(base)), UNKNOWN)
