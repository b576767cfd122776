"""A family's parameters and state: from a node file's builtins to the types the family declares.

Used where families are imported: in the child that inspects them, which reports every mistake, and in the worker, for
which they then hold. Besides what the types say:

* `bytes` and `Blob` take `0x…` text as hex digits, other text as its UTF-8;
* an integer takes `0x…` too, and under a name that ends in `_ns` or `_bytes` a text with a unit, also inside tuples and
  maps of that name;
* a `Map` takes a mapping (keys are read by their type), or a list of [key, value] pairs;
* nothing else is bent: no text for a number, no number for text, no unknown key, whatever the struct would allow.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Collection, Sequence
from enum import Enum
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from engines.model.map import Map
from engines.model.values import from_wire

from .finding import Finding, Path, describe
from .leaves import LEAVES, NAMES, LeafError
from .scalars import spelling
from .suggest import closest, did_you_mean
from .units import UnitError, unit_suffix


class ConversionError(ValueError):
    """All mistakes of a value, in no particular order; as text, one a line."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = tuple(findings)


def to_typed(value: Any, form: Any, path: Path = ()) -> Any:
    """`value`, made of builtins, as an instance of `form` (a class, a union, `Map[K, V]`, …).

    Raises `ConversionError`; the paths in it begin with `path`.
    """
    conversion = _Conversion()
    result = conversion.convert(value, form, path, "")
    if conversion.findings:
        raise ConversionError(conversion.findings)
    return result


class _Bad:
    """The result of a value that is wrong; a finding says why."""


_BAD: Final = _Bad()
_UNIONS: Final = (Union, types.UnionType)


class _Conversion:
    """One walk along a value and its type. `unit` is the suffix of the field around, `_ns`, `_bytes` or empty."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def convert(self, value: Any, form: Any, path: Path, unit: str) -> Any:
        """The value, or `_BAD` with a finding."""
        if _is_leaf(form):
            return self._leaf(value, form, path, unit)
        if form is Any or isinstance(form, TypeVar):
            return value
        origin = get_origin(form)
        if origin is Annotated:
            return self._annotated(value, form, path, unit)
        if origin in _UNIONS:
            return self._union(value, form, path, unit)
        if origin is Literal:
            return self._choice(value, get_args(form), path)
        if form is Map or origin is Map:
            return self._map(value, get_args(form) or (Any, Any), path, unit)
        if form is tuple or origin is tuple:
            return self._tuple(value, get_args(form) or (Any, ...), path, unit)
        return self._class(value, form, origin or form, path)

    def _class(self, value: Any, form: Any, kind: Any, path: Path) -> Any:
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self._struct(value, form, kind, path)
        if isinstance(kind, type) and issubclass(kind, Enum):
            return self._member(value, kind, path)
        return self._checked(value, form, path)

    def _leaf(self, value: Any, form: Any, path: Path, unit: str) -> Any:
        try:
            return LEAVES[form](value, unit)
        except (LeafError, UnitError) as error:
            return self._find(path, str(error), error.suggestion)

    def _annotated(self, value: Any, form: Any, path: Path, unit: str) -> Any:
        """What is marked; bounds among the marks are checked on the converted value."""
        kind, *marks = get_args(form)
        result = self.convert(value, kind, path, unit)
        if result is _BAD or not any(isinstance(mark, msgspec.Meta) for mark in marks):
            return result
        return self._checked(result, form, path)

    def _union(self, value: Any, form: Any, path: Path, unit: str) -> Any:
        """The first member that takes the value: the one of its very type, else in the order written."""
        members = get_args(form)
        if type(value) in members:
            return value
        choices = [member for member in members if member is not types.NoneType]
        tagged = {_tag(member): member for member in choices if _tag(member) is not None}
        if isinstance(value, dict) and len(tagged) > 1:
            return self._tagged(value, tagged, path)
        if len(choices) == 1:
            return self.convert(value, choices[0], path, unit)
        return self._first(value, choices, path, unit)

    def _first(self, value: Any, choices: list[Any], path: Path, unit: str) -> Any:
        trials = []
        for choice in choices:
            trial = _Conversion()
            result = trial.convert(value, choice, path, unit)
            if not trial.findings:
                return result
            trials.append(trial.findings)
        inside = [findings for findings in trials if all(len(f.path) > len(path) for f in findings)]
        if len(inside) == 1:
            self.findings += inside[0]
            return _BAD
        wanted = " or ".join(dict.fromkeys(_name(choice) for choice in choices))
        return self._find(path, f"expected {wanted}, found {describe(value)}")

    def _tagged(self, value: dict[str, Any], tagged: dict[Any, Any], path: Path) -> Any:
        field = _config(next(iter(tagged.values()))).tag_field or "type"
        tags = [tag for tag in tagged if isinstance(tag, str)]
        if field not in value:
            return self._find(path, f"`{field}` is missing: which of {_listed(tags)}?", at_key=True)
        kind = tagged.get(value[field])
        if kind is not None:
            return self._class(value, kind, get_origin(kind) or kind, path)
        text = f"expected one of {_listed(tags)} for `{field}`, found {describe(value[field])}"
        return self._find((*path, field), text, did_you_mean(str(value[field]), tags))

    def _choice(self, value: Any, choices: tuple[Any, ...], path: Path) -> Any:
        for choice in choices:
            if choice == value and type(choice) is type(value):
                return choice
        guess = did_you_mean(value, [c for c in choices if isinstance(c, str)]) if isinstance(value, str) else ""
        return self._find(path, f"expected one of {_listed(choices)}, found {describe(value)}", guess)

    def _member(self, value: Any, kind: type[Enum], path: Path) -> Any:
        """A member by its value, as it is encoded, or by its name."""
        for member in kind:
            if member is value or (member.value == value and type(member.value) is type(value)) or member.name == value:
                return member
        return self._choice(value, tuple(member.value for member in kind), path)

    def _tuple(self, value: Any, parts: tuple[Any, ...], path: Path, unit: str) -> Any:
        if not isinstance(value, list | tuple):
            return self._find(path, f"expected a list, found {describe(value)}")
        if parts[-1] is Ellipsis:
            parts = (parts[0],) * len(value)
        if parts == ((),):
            parts = ()
        if len(parts) != len(value):
            return self._find(path, f"expected a list of {len(parts)}, found {len(value)}")
        pairs = enumerate(zip(value, parts, strict=True))
        return self._all(tuple(self.convert(each, part, (*path, n), unit) for n, (each, part) in pairs))

    def _map(self, value: Any, parts: tuple[Any, ...], path: Path, unit: str) -> Any:
        key, item = parts
        if isinstance(value, dict | Map):
            pairs = [((*path, name), self._key(name, key, (*path, name)), each) for name, each in value.items()]
        elif isinstance(value, list | tuple) and all(isinstance(p, list | tuple) and len(p) == 2 for p in value):
            pairs = [((*path, n, 1), self.convert(p[0], key, (*path, n, 0), ""), p[1]) for n, p in enumerate(value)]
        else:
            return self._find(path, f"expected a mapping or a list of [key, value], found {describe(value)}")
        items = [(name, self.convert(each, item, below, unit)) for below, name, each in pairs]
        if self._all(tuple(part for pair in items for part in pair)) is _BAD:
            return _BAD
        return self._made(lambda: Map(items), path)

    def _key(self, name: Any, form: Any, path: Path) -> Any:
        """A key is text in a file; where the type wants a number, one that is written as such is it."""
        if isinstance(name, str) and form is int and name.removeprefix("-").isdecimal() and spelling(name, "integer"):
            return int(name)
        trial = _Conversion()
        result = trial.convert(name, form, path, "")
        self.findings += [msgspec.structs.replace(finding, at_key=True) for finding in trial.findings]
        return result

    def _struct(self, value: Any, form: Any, kind: type[msgspec.Struct], path: Path) -> Any:
        if isinstance(value, kind):
            return value
        if isinstance(value, list | tuple) and kind.__struct_config__.array_like:
            return self._checked(value, form, path)
        if not isinstance(value, dict):
            return self._find(path, f"expected a mapping for `{kind.__name__}`, found {describe(value)}")
        fields = {field.encode_name: field for field in msgspec.structs.fields(form)}
        meant = self._find_unknown(value, kind, fields, path)
        given: dict[str, Any] = {}
        for name, field in fields.items():
            if name in value:
                given[field.name] = self.convert(value[name], field.type, (*path, name), unit_suffix(name))
            elif name in meant:
                given[field.name] = _BAD
            elif field.required:
                given[field.name] = self._find(path, f"`{name}` is missing in `{kind.__name__}`", at_key=True)
        if self._all(tuple(given.values())) is _BAD:
            return _BAD
        return self._made(lambda: kind(**given), path)

    def _find_unknown(
        self, value: dict[Any, Any], kind: type[msgspec.Struct], known: Collection[str], path: Path
    ) -> set[str]:
        """Report keys that are no field; returns the fields that were probably meant by them."""
        meant = set()
        for name in value:
            if name == kind.__struct_config__.tag_field:
                self._check_tag(value[name], kind, (*path, name))
            elif name not in known:
                close = closest(str(name), known)
                meant.add(close)
                guess = f"did you mean `{close}`?" if close else f"known here: {', '.join(known) or 'none'}"
                self._find((*path, name), f"unknown key `{name}` in `{kind.__name__}`", guess, at_key=True)
        return meant

    def _check_tag(self, found: Any, kind: type[msgspec.Struct], path: Path) -> None:
        if found != kind.__struct_config__.tag:
            self._find(path, f"expected `{kind.__struct_config__.tag}`, found {describe(found)}")

    def _checked(self, value: Any, form: Any, path: Path) -> Any:
        """By the library, for bounds and for types that need no special care here."""
        try:
            return msgspec.convert(value, form, dec_hook=from_wire)
        except msgspec.ValidationError as error:
            found = "" if isinstance(value, msgspec.Struct) else f", found {describe(value)}"
            return self._find(path, str(error)[:1].lower() + str(error)[1:] + found)

    def _made(self, make: Callable[[], Any], path: Path) -> Any:
        """An instance whose own checks may still refuse."""
        try:
            return make()
        except Exception as error:
            return self._find(path, f"refused: {error}")

    def _all(self, parts: tuple[Any, ...]) -> Any:
        return _BAD if any(part is _BAD for part in parts) else parts

    def _find(self, path: Path, text: str, suggestion: str = "", *, at_key: bool = False) -> Any:
        self.findings.append(Finding(path, text, suggestion, at_key))
        return _BAD


def _is_leaf(form: Any) -> bool:
    return isinstance(form, type | types.NoneType) and form in LEAVES


def _config(form: Any) -> Any:
    return (get_origin(form) or form).__struct_config__


def _tag(form: Any) -> Any:
    """The tag of a struct that has one, else None."""
    kind = get_origin(form) or form
    return kind.__struct_config__.tag if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None


def _name(form: Any) -> str:
    if _is_leaf(form):
        return NAMES[form]
    kind = get_args(form)[0] if get_origin(form) is Annotated else form
    if kind is not form:
        return _name(kind)
    return "a list" if get_origin(form) is tuple else f"`{getattr(form, '__name__', form)}`"


def _listed(choices: Sequence[Any]) -> str:
    return ", ".join(f"`{choice}`" for choice in choices)
