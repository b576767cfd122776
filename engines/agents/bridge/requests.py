"""What a request must be like, before any family looks at it. The command checks the same before it sends anything.

| rule | kind of the error |
|---|---|
| the id has 1 to 64 letters, digits, `_`, `.`, `:` or `-` | usage |
| the operation is known; those of operators are for operators only | usage, identity |
| the body has at most 64 KiB, is UTF-8 and one JSON object | usage, limit for the size |
| of at most 32 levels and 10,000 values; no key twice; no NaN, no infinity; whole numbers of 64 bits; no NUL | usage |

Standard library only: an agent's call has 40 ms.
"""

from __future__ import annotations

import json
import re

from ..bus import DEPTH_MAX, OPERATOR, REQUEST_BYTES_MAX, REQUEST_ID, VALUES_MAX
from ..names import TYPE_CHECKING, NamedTuple
from ..operations import OPERATIONS

if TYPE_CHECKING:
    from typing import Any, Final, NoReturn

_STRUCTURE: Final = re.compile(r'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])|(,)', re.DOTALL)
_NUMBER_CHARS_MAX: Final = 64
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class Misfit(Exception):
    """A request is not let in. `kind` is a key of `bus.EXITS`, `code` a word for programs."""

    def __init__(self, kind: str, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.kind, self.code, self.message, self.hint = kind, code, message, hint


class Request(NamedTuple):
    """A request that is let in: its body is as it came, and `object` what the body says."""

    request_id: str
    op: str
    body: str
    object: dict[str, Any]


def read_request(fields: dict[bytes, bytes], agent: str) -> Request:
    """The request in the fields of a stream's entry. Raises Misfit."""
    size = sum(map(len, fields.values()))
    if size > REQUEST_BYTES_MAX:
        raise too_large(size)
    texts = {}
    for name in (b"id", b"op", b"body"):
        try:
            texts[name] = fields.get(name, b"").decode()
        except UnicodeDecodeError:
            raise Misfit("usage", "not_utf8", f"the field {name.decode()} is not UTF-8") from None
    request_id, op, body = texts[b"id"], texts[b"op"], texts[b"body"]
    if not REQUEST_ID.fullmatch(request_id):
        raise Misfit("usage", "request_id", "the request id is not allowed", "1 to 64 letters, digits or _ . : -")
    check_operation(op, agent)
    return Request(request_id, op, body, read_body(body))


def too_large(size: int) -> Misfit:
    """The refusal of a request of so many bytes."""
    hint = "put the text into a file in the shared area, and send its digest"
    return Misfit("limit", "too_large", f"the request has {size:,} bytes; {REQUEST_BYTES_MAX:,} are allowed", hint)


def check_operation(op: str, agent: str) -> None:
    """Raises Misfit for an operation that there is not, or that this agent may not ask for."""
    known = OPERATIONS.get(op)
    if known is None:
        raise Misfit("usage", "no_such_operation", f"there is no operation {op[:64]!r}", "aism help")
    if known.is_for_operators and agent != OPERATOR:
        raise Misfit("identity", "operators_only", f"{op} is for operators, not for the agent {agent}")


def read_body(text: str) -> dict[str, Any]:
    """The JSON object; an empty text stands for {}. Raises Misfit."""
    if not text:
        return {}
    _check_structure(text)
    try:
        found = json.loads(
            text, object_pairs_hook=_pairs, parse_constant=_no_constant, parse_int=_whole, parse_float=_real
        )
    except json.JSONDecodeError as error:
        raise Misfit("usage", "not_json", f"the body is no JSON: {error}") from None
    except RecursionError:
        raise _too_deep() from None
    if not isinstance(found, dict):
        raise Misfit("usage", "not_an_object", "the body is JSON, but no object")
    return found


def _check_structure(text: str) -> None:
    depth, values = 0, 1
    for match in _STRUCTURE.finditer(text):
        kind = match.lastindex
        if kind == 1:
            depth += 1
            values += 1
            if depth > DEPTH_MAX:
                raise _too_deep()
        elif kind == 2:
            depth -= 1
        elif kind == 3:
            values += 1
    if values > VALUES_MAX:
        raise Misfit("usage", "too_many_values", f"the body has more than {VALUES_MAX:,} values")
    if _SURROGATE.search(text):
        raise _no_text()


def _too_deep() -> Misfit:
    return Misfit("usage", "too_deep", f"the body has more than {DEPTH_MAX} levels")


def _no_text() -> Misfit:
    return Misfit("usage", "not_text", "the body has NUL or half of a surrogate pair in a text")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Misfit("usage", "duplicate_key", f"the key {twice[:64]!r} is there twice")
    for name, value in pairs:
        _check_text(name)
        _check_value(value)
    return found


def _check_value(value: Any) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, list):
        for item in value:
            _check_value(item)


def _check_text(text: str) -> None:
    if "\0" in text or _SURROGATE.search(text):
        raise _no_text()


def _no_constant(word: str) -> NoReturn:
    raise Misfit("usage", "not_a_number", f"{word} is no number of JSON")


def _whole(digits: str) -> int:
    if len(digits) > _NUMBER_CHARS_MAX or not -(2**63) <= int(digits) < 2**63:
        raise Misfit("usage", "too_large_a_number", f"{digits[:24]}... is no whole number of 64 bits")
    return int(digits)


def _real(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise Misfit("usage", "too_large_a_number", f"{digits[:24]} is beyond what a number can be")
    return number
