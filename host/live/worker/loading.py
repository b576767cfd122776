"""Families for a worker: each imported once, always from source; and the report for one that cannot be.

The definition checks of a family ran in the child that inspected it, on the same sources; they are not repeated here.
A candidate of a reload runs code that was not inspected, so it checks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from engines.model import BirthError, Declaration, LoadError, load_family
from engines.model.blame import blame
from engines.model.prepare import prepare
from host.live.wire import EngineFailed
from host.node.births import BirthRefusedError

DETAIL_CHARS_MAX: Final = 8_000
"""Characters kept of a traceback; a packet stays far below its bound."""


_kept: Final[dict[str, Declaration[Any, Any, Any]]] = {}
"""Families loaded by the process this one was forked from, by reference."""


def keep_for_forks(families: Mapping[str, Declaration[Any, Any, Any]]) -> None:
    """Give these families, and those they spawn, to processes forked from this one, ready for their first messages."""
    todo = list(families.items())
    while todo:
        ref, family = todo.pop()
        if ref in _kept:
            continue
        _kept[ref] = family
        with suppress(Exception):  # an engine that needs it reports it
            prepare(family)
        children = (child for child in getattr(family, "spawns", ()) if isinstance(child, Declaration))
        todo += [(child.ref, child) for child in children if child.version]


def loader(
    roots: tuple[str, ...], *, check: bool, code: tuple[str, ...] = ()
) -> Callable[[str], Declaration[Any, Any, Any]]:
    """Finds a family by its reference; `code` as in `Boot`. Raises `LoadError`."""
    known = {} if check else dict(_kept)
    unread = list(code)

    def load(ref: str) -> Declaration[Any, Any, Any]:
        family = known.get(ref)
        if family is None:
            _use_versions(ref, unread, roots)
            family = known[ref] = load_family(ref, roots, check=check)
        return family

    return load


def _use_versions(ref: str, unread: list[str], roots: tuple[str, ...]) -> None:
    """Have the modules of kept versions imported from these, whatever is saved meanwhile. Raises `LoadError`."""
    if not unread:
        return
    from host.live.journal.versions import use_version  # for what runs kept versions only

    try:
        while unread:
            use_version(unread[-1], roots)
            unread.pop()
    except (OSError, ValueError) as error:
        raise LoadError(ref, str(error)) from error


def failure(engine: str, error: BaseException) -> EngineFailed:
    """Why an engine cannot start: a word, and the detail."""
    match error:
        case LoadError() if error.problems:
            problems = "\n".join(map(str, error.problems))
            return EngineFailed(engine, "definition", problems[:DETAIL_CHARS_MAX])
        case LoadError():
            return EngineFailed(engine, "import", str(error)[:DETAIL_CHARS_MAX])
        case BirthRefusedError() | BirthError():
            return EngineFailed(engine, "config", str(error)[:DETAIL_CHARS_MAX])
        case _:
            return EngineFailed(engine, "start", blame(error)[1][-DETAIL_CHARS_MAX:])
