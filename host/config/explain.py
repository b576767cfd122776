"""Every mistake of shape in a node file: unknown keys, missing ones, wrong types and values.

Imported only once `msgspec.convert` has refused, because it stops at the first mistake; JSON Schema finds them all, and
this file turns what it finds into sentences. Each finding names the path it is about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.validators import extend

from .finding import Finding, Path, describe
from .scalars import spelling
from .schema import node_schema
from .suggest import closest, did_you_mean

_TYPES: Final = {
    "object": "a mapping (`key: value`)",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "boolean": "`true` or `false`",
}


def find_mistakes(node: Any) -> list[Finding]:
    """All mistakes of shape in a node file's builtins, in no particular order."""
    errors = _validator().iter_errors(node)
    return [finding for error in errors for finding in _EXPLAIN.get(error.validator, _other)(error)]


@cache
def _validator() -> Draft202012Validator:
    def is_integer(_: Any, value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool)

    checker = Draft202012Validator.TYPE_CHECKER.redefine("integer", is_integer)
    untyped: Any = extend  # typed in some versions of its stubs only
    kind = untyped(Draft202012Validator, type_checker=checker)
    validator: Draft202012Validator = kind(node_schema())
    return validator


def _path(error: Any) -> Path:
    return tuple(error.absolute_path)


def _unknown_keys(error: Any) -> Iterator[Finding]:
    path, known = _path(error), error.schema["properties"]
    for key in error.instance:
        if key not in known:
            guess = did_you_mean(key, known) or f"known here: {', '.join(known)}"
            yield Finding((*path, key), f"unknown key `{key}` in {_what(path)}", guess, at_key=True)


def _missing_key(error: Any) -> Iterator[Finding]:
    """A missing key; not when an unknown one beside it is reported as its misspelling."""
    path, known = _path(error), error.schema["properties"]
    missing = next(key for key in error.validator_value if f"'{key}'" in error.message.split(" is a required")[0])
    if not any(closest(key, known) == missing for key in error.instance if key not in known):
        yield Finding(path, f"`{missing}` is missing in {_what(path)}", at_key=True, removes=False)


def _wrong_type(error: Any) -> Iterator[Finding]:
    path, wanted = _path(error), error.validator_value
    text = f"expected {_TYPES[wanted]}{_subject(path)}, found {describe(error.instance)}"
    yield Finding(path, text, _type_suggestion(error.instance, wanted, path))


def _type_suggestion(found: Any, wanted: str, path: Path) -> str:
    if path == ("placement",) and isinstance(found, str):
        return f"write `{{default: {found}}}`"
    if isinstance(found, str) and (guess := spelling(found, wanted)):
        return f"did you mean `{guess}`?"
    if wanted == "array" and isinstance(found, str):
        return f"write `[{found}]`"
    if wanted == "string" and isinstance(found, int | float):
        return "in quotes it is text"
    return ""


def _wrong_choice(error: Any) -> Iterator[Finding]:
    path, choices = _path(error), error.validator_value
    text = f"expected one of {_listed(choices)}{_subject(path)}, found {describe(error.instance)}"
    guess = did_you_mean(error.instance, choices) if isinstance(error.instance, str) else ""
    yield Finding(path, text, guess)


def _wrong_text(error: Any) -> Iterator[Finding]:
    """A pattern or a length that a value does not have, or a key."""
    at_key = "propertyNames" in error.absolute_schema_path
    path = (*_path(error), error.instance) if at_key else _path(error)
    subject = "" if at_key or path[-1] in ("node", "family") else _subject(path)
    text = f"expected {_expected_text(error)}{subject}, found {describe(error.instance)}"
    yield Finding(path, text, _text_suggestion(error.instance, path), at_key)


def _expected_text(error: Any) -> str:
    if error.validator == "maxLength":
        return f"at most {error.validator_value} characters"
    return str(error.schema.get("description", "text that is not empty"))


def _text_suggestion(found: str, path: Path) -> str:
    if path[-1] in ("placement", "default"):
        return did_you_mean(found, ("process", "one")) or _spaced_placement(found)
    if path[-1] == "family":
        module, dot, name = found.rpartition(".")
        return f"did you mean `{module}:{name}`?" if dot and name.isidentifier() and ":" not in found else ""
    return ""


def _spaced_placement(found: str) -> str:
    """`group x` for `group: x` and the like."""
    kind, _, name = found.replace(":", " ").replace("=", " ").partition(" ")
    name = name.strip()
    if kind == "core":
        return f"did you mean `core {name if name.isdecimal() else 'N'}`?"
    if kind == "group":
        return f"did you mean `group {name if name.isalnum() else 'NAME'}`?"
    return ""


def _wrong_size(error: Any) -> Iterator[Finding]:
    word = "at least" if error.validator == "minimum" else "at most"
    path = _path(error)
    yield Finding(path, f"expected {word} {error.validator_value}{_subject(path)}, found {describe(error.instance)}")


def _wrong_alternative(error: Any) -> Iterator[Finding]:
    """A value that is neither of what a field takes; its description lists that."""
    path = _path(error)
    expected = error.schema.get("description") or "another value"
    yield Finding(path, f"expected {expected}{_subject(path)}, found {describe(error.instance)}")


def _too_few(error: Any) -> Iterator[Finding]:
    path = _path(error)
    yield Finding(path, f"expected at least one entry in {_what(path)}", at_key=True)


def _other(error: Any) -> Iterator[Finding]:
    yield Finding(_path(error), error.message)


_EXPLAIN: Final[dict[str, Callable[[Any], Iterator[Finding]]]] = {
    "additionalProperties": _unknown_keys,
    "required": _missing_key,
    "type": _wrong_type,
    "enum": _wrong_choice,
    "pattern": _wrong_text,
    "minLength": _wrong_text,
    "maxLength": _wrong_text,
    "minimum": _wrong_size,
    "maximum": _wrong_size,
    "minProperties": _too_few,
    "minItems": _too_few,
    "anyOf": _wrong_alternative,
}


def _what(path: Path) -> str:
    """The part of the file at `path`, for a sentence."""
    match path:
        case ():
            return "the node"
        case ("engines", name):
            return f"engine `{name}`"
        case ("engines", name, "mailboxes", number):
            return f"mailbox {number} of engine `{name}`"
        case _:
            return f"`{path[-1]}`"


def _subject(path: Path) -> str:
    """` for …`, unless the sentence is clear without."""
    match path:
        case ():
            return ""
        case ("engines", _) | ("engines", _, "mailboxes", _):
            return f" for {_what(path)}"
        case (*_, int()):
            return f" in `{path[-2]}`"
        case _:
            return f" for `{path[-1]}`"


def _listed(choices: Iterable[Any]) -> str:
    return ", ".join(f"`{choice}`" for choice in choices)
