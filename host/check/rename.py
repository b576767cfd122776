"""Names exchanged everywhere in a value: in texts that are an engine's name, the name of a descendant, or an address.

A text counts as a name when it is one, or begins with one before `/`, `#` or `~`. So a text that only happens to read
like an engine's name is renamed too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import msgspec

from engines.model import Blob, Choose, Map, Question, encode
from host.check.local import LocalState


def renamer(names: Mapping[str, str]) -> Callable[[str], str]:
    """A function that renames a text."""
    some = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    pattern = re.compile(rf"({some})(?=[/#~]|\Z)")

    def rename(text: str) -> str:
        found = pattern.match(text)
        return text if found is None else names[found[1]] + text[found.end() :]

    return rename


def renamed(value: Any, rename: Callable[[str], str]) -> Any:
    """A value with the names in it exchanged; `rename` maps different names to different ones."""
    if isinstance(value, Enum) or value is None:
        return value
    if isinstance(value, str):
        return rename(value)
    if isinstance(value, tuple):
        return tuple(renamed(part, rename) for part in value)
    if isinstance(value, Map):
        return Map((renamed(key, rename), renamed(part, rename)) for key, part in value.items())
    if isinstance(value, msgspec.Struct):
        fields = {name: renamed(getattr(value, name), rename) for name in value.__struct_fields__}
        return type(value)(**fields)
    return value


def renamed_local(local: LocalState, rename: Callable[[str], str]) -> LocalState:
    """An engine under its other name."""
    return msgspec.structs.replace(
        local,
        configuration=renamed(local.configuration, rename),
        env=renamed(local.env, rename),
        cause=renamed(local.cause, rename),
        answers=renamed(local.answers, rename),
        question=_renamed_question(local.question, rename),
        first=renamed(local.first, rename),
    )


def _renamed_question(question: Question | None, rename: Callable[[str], str]) -> Question | None:
    if not isinstance(question, Choose):
        return question
    return Choose([rename(option) for option in question.options], question.timeout_ns)  # type: ignore[arg-type]


def masked(value: Any, rename: Callable[[str], str]) -> Any:
    """A value as plain data with the names in it replaced; here different names may become one.

    Maps are lists in the order of their pairs' bytes, which is the same whatever the names were.
    """
    if isinstance(value, Enum):
        return [type(value).__qualname__, masked(value.value, rename)]
    if isinstance(value, str):
        return rename(value)
    if isinstance(value, tuple):
        return [masked(part, rename) for part in value]
    if isinstance(value, Map):
        return sorted(encode([masked(key, rename), masked(part, rename)]) for key, part in value.items())
    if isinstance(value, msgspec.Struct):
        parts = [masked(getattr(value, name), rename) for name in value.__struct_fields__]
        return [type(value).__module__, type(value).__qualname__, *parts]
    return bytes(value) if isinstance(value, Blob) else value


def typed(value: Any) -> Any:
    """A value as plain data with the types in it, so that values of different types differ."""
    return masked(value, str)
