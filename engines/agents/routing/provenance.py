"""Where a text comes from: text of peers is shown between markers with the sender's name, that of the engine between
others, and neither can be made by a peer.

The brackets of the markers are replaced in every text, so a marker in a body is no marker. Control characters, and
those that change the order of text on a screen, are removed. No text of a message is a command to the engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from ..envelope import Json

PEER_BEGIN: Final = "⟦"
PEER_END: Final = "⟧"
ENGINE_BEGIN: Final = "⟪"
ENGINE_END: Final = "⟫"

_MARKERS: Final = {PEER_BEGIN: "[[", PEER_END: "]]", ENGINE_BEGIN: "<<", ENGINE_END: ">>"}
_KEPT: Final = "\t\n"
_ORDERING: Final = (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C, 0xFEFF, 0x2028, 0x2029)
_CONTROLS: Final = [
    *(code for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in _KEPT),
    *_ORDERING,
    *range(0xE0000, 0xE0080),
]
_HARMLESS: Final = {**{ord(mark): text for mark, text in _MARKERS.items()}, **dict.fromkeys(_CONTROLS, "")}


class Cleaned(msgspec.Struct, frozen=True):
    """A text that can be shown; how many markers were replaced in it, and how many characters removed."""

    text: str
    forged: int = 0
    removed: int = 0


def cleaned(text: str) -> Cleaned:
    """A text of a peer, made harmless."""
    if text.isascii() and text.isprintable():
        return Cleaned(text)
    after = text.translate(_HARMLESS)
    forged = sum(text.count(mark) for mark in _MARKERS)
    return Cleaned(after, forged, len(text) + forged - len(after))


def cleaned_json(value: Json) -> Json:
    """A JSON value with every text in it made harmless."""
    if isinstance(value, str):
        return cleaned(value).text
    if isinstance(value, list | tuple):
        return [cleaned_json(one) for one in value]
    if isinstance(value, Mapping):
        return {cleaned(name).text: cleaned_json(one) for name, one in value.items()}
    return value


def shown_peer(sender: str, role: str, message_id: str, text: str) -> str:
    """What an agent sees of a message by a peer."""
    of = f" ({role})" if role else ""
    return (
        f"{PEER_BEGIN}message {message_id} from {sender}{of}{PEER_END}\n{text}\n{PEER_BEGIN}end {message_id}{PEER_END}"
    )


def shown_engine(message_id: str, text: str) -> str:
    """What an agent sees of a message by the engine."""
    return f"{ENGINE_BEGIN}engine {message_id}{ENGINE_END}\n{text}\n{ENGINE_BEGIN}end {message_id}{ENGINE_END}"
