"""What a request must be like, before any family looks at it. The command checks the same before it sends anything.

| rule | kind of the error |
|---|---|
| the id has 1 to 64 letters, digits, `_`, `.`, `:` or `-` | usage |
| the operation is known; those of operators are for operators only | usage, identity |
| the body has at most 64 KiB, is UTF-8 and one JSON object | usage, limit for the size |
| of at most 32 levels and 10,000 values; no key twice; no NaN, no infinity; whole numbers of 64 bits; no NUL | usage |

Standard library only, and no more of it than needed: an agent's call has 40 ms, and most calls have no body, so what
reads bodies is in `json_body`.
"""

from __future__ import annotations

from ..bus import OPERATOR, REQUEST_BYTES_MAX, REQUEST_ID
from ..names import TYPE_CHECKING, NamedTuple
from ..operations import OPERATIONS
from .misfit import Misfit

if TYPE_CHECKING:
    from typing import Any


class Request(NamedTuple):
    """A request that is let in: its body is as it came, and `object` what the body says."""

    request_id: str
    op: str
    body: str
    object: dict[str, Any]


def read_request(fields: dict[bytes, bytes], agent: str) -> Request:
    """The request in the fields of a stream's entry. Raises Misfit."""
    from .json_body import read_body

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
