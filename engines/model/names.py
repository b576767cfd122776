"""Names of engines: words joined by slashes, unique for ever below their parent.

A name reads `server`, `server/worker`, `server/worker.3` (the third child numbered under one word) or, once `server`
was restarted from its initial state, `server~2/worker`. The birth number goes into the names of its descendants, so
that a descendant of an earlier birth is never confused with one of a later birth; `server` itself always reaches the
living birth. An address is a name, or name#mailbox.
"""

from __future__ import annotations

import re
from typing import Final

WORD: Final = re.compile(r"[A-Za-z0-9_-]+")
"""A child word; no dot (numbers), slash (levels), tilde (births) or hash (mailboxes)."""

WORD_CHARS_MAX: Final = 200


def check_word(word: str) -> str:
    """`word` itself. Raises ValueError when it cannot be a child's name."""
    if not WORD.fullmatch(word) or len(word) > WORD_CHARS_MAX:
        raise ValueError(f"a child's name is a word of letters, digits, _ and -, at most {WORD_CHARS_MAX}: {word!r}")
    return word


def child_name(parent: str, birth: int, word: str) -> str:
    """The full name of a child of the given birth of `parent`."""
    return f"{parent}/{word}" if birth == 1 else f"{parent}~{birth}/{word}"


def parse_address(address: str) -> tuple[str, int]:
    """An address to (name, mailbox). Raises ValueError when what follows the hash is no number."""
    name, mark, mailbox = address.partition("#")
    if not mark:
        return name, 0
    if not (name and mailbox.isascii() and mailbox.isdigit()):
        raise ValueError(f"an address is a name or name#mailbox: {address!r}")
    return name, int(mailbox)


def parent_name(name: str) -> str | None:
    """The parent's name, without its birth; None for an engine without a parent."""
    above, slash, _ = name.rpartition("/")
    if not slash:
        return None
    head, level, last = above.rpartition("/")
    return head + level + last.partition("~")[0]


def is_descendant(name: str, ancestor: str) -> bool:
    """Whether `name` lies below `ancestor`, in any birth of it."""
    if not name.startswith(ancestor):
        return False
    rest = name[len(ancestor) :]
    return rest.startswith("/") or (rest.startswith("~") and "/" in rest)
