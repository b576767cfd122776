"""Builtins of a node file as instances of declared types, or every mistake in them.

The types are those of a family for its parameters and state, where families are imported: in the child that inspects
them, which reports the mistakes, and in the worker, for which they then hold. For a node file with mistakes of shape
they are those of `schema`, and `explain` has the words. Besides what the types of a family say:

* `bytes` and `Blob` take `0x…` text as hex digits, other text as its UTF-8;
* an integer takes `0x…` too, and under a name that ends in `_ns` or `_bytes` a text with a unit, also inside tuples and
  maps of that name;
* a `Map` takes a mapping (keys are read by their type), or a list of [key, value] pairs;
* nothing else is bent: no text for a number, no number for text, no unknown key, whatever the struct would allow.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from engines.model.blame import blame
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
    conversion = Conversion(Wording())
    result = conversion.convert(value, form, path, "")
    if conversion.findings:
        raise ConversionError(conversion.findings)
    return result


class Wording:
    """How findings name the values of a family: by their types.

    `leaves`: the readers of scalars. `stand_ins`: the values of required fields that are wrong or missing, by name, if
    the valid rest is wanted; None: it is not.
    """

    leaves: Mapping[Any, Callable[[Any, str], Any]] = LEAVES
    stand_ins: Mapping[str, Any] | None = None

    def part(self, kind: type, _path: Path) -> str:
        """The mapping at a path, as in "unknown key `x` in …"."""
        return f"`{kind.__name__}`"

    def mapping(self, kind: type) -> str:
        """As in "expected …, found `5`"."""
        return f"a mapping for `{kind.__name__}`"

    def subject(self, _path: Path) -> str:
        """What follows "expected text", as in "expected text for `data`"; may be empty."""
        return ""

    def guess(self, _value: Any, _path: Path) -> str:
        """A suggestion for a value that is not what was expected; may be empty."""
        return ""

    def refused(self, value: Any, refusal: str, _bounds: Sequence[msgspec.Meta], path: Path) -> Iterable[Finding]:
        """A value that is refused by the library, perhaps for one of the bounds."""
        found = "" if isinstance(value, msgspec.Struct) else f", found {describe(value)}"
        return [Finding(path, refusal[:1].lower() + refusal[1:] + found)]


class _Bad:
    """The result of a value that is wrong; a finding says why."""


_BAD: Final = _Bad()
_Mapping = dict[Any, Any] | Map[Any, Any]
_UNIONS: Final = (Union, types.UnionType)
_NOTHING: Final = (types.NoneType, msgspec.UnsetType)


class Conversion:
    """One walk along a value and its type. `unit` is the suffix of the field around, `_ns`, `_bytes` or empty."""

    def __init__(self, wording: Wording) -> None:
        self.findings: list[Finding] = []
        self._wording = wording

    def convert(self, value: Any, form: Any, path: Path, unit: str) -> Any:
        """The value, or what is valid of it, or `_BAD`; with a finding for each mistake."""
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
        if origin is dict:
            return self._dict(value, get_args(form), path, unit)
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
            return self._wording.leaves[form](value, unit)
        except LeafError as error:
            return self._expected(path, str(error), value, error.suggestion)
        except UnitError as error:
            return self._find(path, str(error), error.suggestion)

    def _annotated(self, value: Any, form: Any, path: Path, unit: str) -> Any:
        """What is marked; bounds among the marks are checked on the converted value."""
        kind, *marks = get_args(form)
        metas = [mark for mark in marks if isinstance(mark, msgspec.Meta)]
        before = len(self.findings)
        result = self.convert(value, kind, path, unit)
        if len(self.findings) == before:
            return self._checked(result, form, path, metas) if metas else result
        if get_origin(kind) in _UNIONS and metas and metas[0].description:
            self.findings[before:] = []
            return self._expected(path, metas[0].description, value)
        return result

    def _union(self, value: Any, form: Any, path: Path, unit: str) -> Any:
        """The first member that takes the value: the one of its very type, else in the order written."""
        members = get_args(form)
        if type(value) in members:
            return value
        choices = [member for member in members if member not in _NOTHING]
        tagged = {tag: member for member in choices if (tag := _tag(member)) is not None}
        if isinstance(value, dict) and len(tagged) > 1:
            return self._tagged(value, tagged, path)
        if len(choices) == 1:
            return self.convert(value, choices[0], path, unit)
        return self._first(value, choices, path, unit)

    def _first(self, value: Any, choices: list[Any], path: Path, unit: str) -> Any:
        trials = []
        for choice in choices:
            trial = Conversion(self._wording)
            result = trial.convert(value, choice, path, unit)
            if not trial.findings:
                return result
            trials.append(trial.findings)
        inside = [findings for findings in trials if all(len(f.path) > len(path) for f in findings)]
        if len(inside) == 1:
            self.findings += inside[0]
            return _BAD
        wanted = " or ".join(dict.fromkeys(_name(choice) for choice in choices))
        return self._expected(path, wanted, value)

    def _tagged(self, value: dict[str, Any], tagged: dict[Any, Any], path: Path) -> Any:
        first = next(iter(tagged.values()))
        field = (get_origin(first) or first).__struct_config__.tag_field
        tags = [tag for tag in tagged if isinstance(tag, str)]
        if field not in value:
            return self._find(path, f"`{field}` is missing: which of {_listed(tags)}?", at_key=True)
        kind = tagged.get(value[field])
        if kind is not None:
            return self._class(value, kind, get_origin(kind) or kind, path)
        expected, guess = f"one of {_listed(tags)} for `{field}`", did_you_mean(str(value[field]), tags)
        return self._expected((*path, field), expected, value[field], guess)

    def _choice(self, value: Any, choices: tuple[Any, ...], path: Path) -> Any:
        for choice in choices:
            if choice == value and type(choice) is type(value):
                return choice
        guess = did_you_mean(value, [c for c in choices if isinstance(c, str)]) if isinstance(value, str) else ""
        return self._expected(path, f"one of {_listed(choices)}", value, guess)

    def _member(self, value: Any, kind: type[Enum], path: Path) -> Any:
        """A member by its value, as it is encoded, or by its name."""
        for member in kind:
            if member is value or (member.value == value and type(member.value) is type(value)) or member.name == value:
                return member
        return self._choice(value, tuple(member.value for member in kind), path)

    def _tuple(self, value: Any, parts: tuple[Any, ...], path: Path, unit: str) -> Any:
        """In what is valid of a list, "" stands for a wrong item, so that the others keep their numbers."""
        if not isinstance(value, list | tuple):
            return self._expected(path, "a list", value, f"write `[{value}]`" if isinstance(value, str) else "")
        if parts[-1] is Ellipsis:
            parts = (parts[0],) * len(value)
        if parts == ((),):
            parts = ()
        if len(parts) != len(value):
            return self._find(path, f"expected a list of {len(parts)}, found {len(value)}")
        pairs = enumerate(zip(value, parts, strict=True))
        converted = [self.convert(each, part, (*path, n), unit) for n, (each, part) in pairs]
        return tuple("" if each is _BAD else each for each in converted)

    def _map(self, value: Any, parts: tuple[Any, ...], path: Path, unit: str) -> Any:
        key, item = parts
        if isinstance(value, dict | Map):
            items = list(self._items(value, key, item, path, unit))
        elif isinstance(value, list | tuple) and all(isinstance(p, list | tuple) and len(p) == 2 for p in value):
            names = [self.convert(pair[0], key, (*path, n, 0), "") for n, pair in enumerate(value)]
            found = [self.convert(pair[1], item, (*path, n, 1), unit) for n, pair in enumerate(value)]
            items = list(zip(names, found, strict=True))
        else:
            return self._expected(path, "a mapping or a list of [key, value]", value)
        return self._made(Map, path, [pair for pair in items if _BAD not in pair])

    def _dict(self, value: Any, parts: tuple[Any, ...], path: Path, unit: str) -> Any:
        if not isinstance(value, dict):
            return self._expected(path, self._wording.mapping(dict), value)
        key, item = parts
        return {name: each for name, each in self._items(value, key, item, path, unit) if _BAD not in (name, each)}

    def _items(self, value: _Mapping, key: Any, item: Any, path: Path, unit: str) -> Iterator[tuple[Any, Any]]:
        for name, each in value.items():
            below = (*path, name)
            yield self._key(name, key, below), self.convert(each, item, below, unit)

    def _key(self, name: Any, form: Any, path: Path) -> Any:
        """A key is text in a file; where the type wants a number, one that is written as such is it."""
        if isinstance(name, str) and form is int and name.removeprefix("-").isdecimal() and spelling(name, "integer"):
            return int(name)
        trial = Conversion(self._wording)
        result = trial.convert(name, form, (), "")
        for found in trial.findings:
            self._find((*path, *found.path), found.text, found.suggestion, at_key=True)
        return result

    def _struct(self, value: Any, form: Any, kind: type[msgspec.Struct], path: Path) -> Any:
        if isinstance(value, kind):
            return value
        if isinstance(value, list | tuple) and kind.__struct_config__.array_like:
            return self._checked(value, form, path)
        if not isinstance(value, dict):
            return self._expected(path, self._wording.mapping(kind), value)
        before = len(self.findings)
        fields = {field.encode_name: field for field in msgspec.structs.fields(form)}
        given = {
            fields[name].name: self.convert(value[name], fields[name].type, (*path, name), unit_suffix(name))
            for name in value
            if name in fields
        }
        self._check_keys(value, kind, fields, path)
        if len(self.findings) == before:
            return self._made(kind, path, **given)
        return self._rest(kind, fields, given)

    def _rest(self, kind: type[msgspec.Struct], fields: Mapping[str, Any], given: dict[str, Any]) -> Any:
        """A struct of what is valid in `given`, if that is wanted, and each required field is or has a stand-in."""
        if self._wording.stand_ins is None:
            return _BAD
        needed = {name: self._wording.stand_ins.get(name, _BAD) for name, field in fields.items() if field.required}
        valid = needed | {name: value for name, value in given.items() if value is not _BAD}
        return _BAD if _BAD in valid.values() else kind(**valid)

    def _check_keys(
        self, value: dict[Any, Any], kind: type[msgspec.Struct], known: Mapping[str, Any], path: Path
    ) -> None:
        """Report keys that are no field, and required fields without one; not those that an unknown key stands for."""
        meant = set()
        part, config = self._wording.part(kind, path), kind.__struct_config__
        for name in value:
            if name == config.tag_field:
                if value[name] != config.tag:
                    self._expected((*path, name), f"`{config.tag}`", value[name])
            elif name not in known:
                close = closest(str(name), known)
                meant.add(close)
                guess = f"did you mean `{close}`?" if close else f"known here: {', '.join(known) or 'none'}"
                self._find((*path, name), f"unknown key `{name}` in {part}", guess, at_key=True)
        for name, field in known.items():
            if field.required and name not in value and name not in meant:
                self._find(path, f"`{name}` is missing in {part}", at_key=True)

    def _checked(self, value: Any, form: Any, path: Path, bounds: Sequence[msgspec.Meta] = ()) -> Any:
        """By the library, for bounds and for types that need no special care here."""
        try:
            return msgspec.convert(value, form, dec_hook=from_wire)
        except msgspec.ValidationError as error:
            self.findings += self._wording.refused(value, str(error), bounds, path)
            return _BAD

    def _made(self, make: Callable[..., Any], path: Path, /, *parts: Any, **fields: Any) -> Any:
        """An instance whose own checks may still refuse."""
        try:
            return make(*parts, **fields)
        except BaseException as error:  # of the author's class, of any kind
            return self._find(path, f"refused: {blame(error)[0].removeprefix('ValueError: ')}")

    def _expected(self, path: Path, expected: str, value: Any, suggestion: str = "") -> Any:
        text = f"expected {expected}{self._wording.subject(path)}, found {describe(value)}"
        return self._find(path, text, suggestion or self._wording.guess(value, path))

    def _find(self, path: Path, text: str, suggestion: str = "", *, at_key: bool = False) -> Any:
        self.findings.append(Finding(path, text, suggestion, at_key))
        return _BAD


def _is_leaf(form: Any) -> bool:
    return isinstance(form, type | types.NoneType) and form in LEAVES


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
