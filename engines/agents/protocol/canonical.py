"""The canonical form of a protocol, over which its digest is: everything by which decisions are made, and no prose.

Texts for people, places, owner, language and status are not in it: they may change without a new version. It is JSON
with sorted keys, in Unicode normalization form C, in UTF-8.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from typing import Any, Final

from engines.model import Value

from .model import Place, Protocol
from .source import split_lines

SCHEMA: Final = 1
OMITTED: Final = frozenset({"place", "title", "text", "prompt", "owner", "language", "status", "has_version"})


def canonical(protocol: Protocol) -> bytes:
    """The canonical form."""
    form = {"schema": SCHEMA, **_plain(protocol)}
    text = json.dumps(form, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return unicodedata.normalize("NFC", text).encode()


def digest(protocol: Protocol) -> str:
    """What identifies the content of a version: SHA-256 of the canonical form, in hexadecimal."""
    return hashlib.sha256(canonical(protocol)).hexdigest()


def doc_digest(text: str) -> str:
    """SHA-256 of the whole text, also of its prose, however its lines end."""
    return hashlib.sha256(
        unicodedata.normalize("NFC", "\n".join(split_lines(text))).encode(errors="replace")
    ).hexdigest()


def placeless(value: Any) -> Any:
    """The same value without places in the file, to compare two that were written differently."""
    if isinstance(value, Place):
        return Place()
    if isinstance(value, tuple):
        return tuple(map(placeless, value))
    if isinstance(value, Value):
        return type(value)(*(placeless(getattr(value, name)) for name in value.__struct_fields__))
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Value):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__ if name not in OMITTED}
    return value
