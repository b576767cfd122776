"""Bodies of requests, by the table of operations: every field is one of the operation's, and of its kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .envelope import BodyError, Json, Problem, read_body
from .messages import AgentRequest
from .operations import OPERATIONS

COUNT_MAX: Final = 2**63 - 1
ADDRESSEE: Final = "agent"
"""The field by which operators say for which agent they ask."""


def _is_count(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= COUNT_MAX


KINDS: Final[dict[str, tuple[str, Callable[[Json], bool]]]] = {
    "text": ("text", lambda value: isinstance(value, str)),
    "count": ("a whole number from 0", _is_count),
    "bool": ("true or false", lambda value: isinstance(value, bool)),
    "duration": ("a number of nanoseconds", _is_count),
    "texts": ("a list of texts", lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value)),
    "object": ("an object", lambda value: isinstance(value, dict)),
    "value": ("a number, a text, true or false", lambda value: isinstance(value, bool | int | float | str)),
}


_DECLARED: Final[dict[str, dict[str, tuple[str, bool]]]] = {
    op: {name.removesuffix("?"): (kind, name.endswith("?")) for name, kind in operation.fields.items()}
    for op, operation in OPERATIONS.items()
}
"""The fields of each operation: the kind, and whether it may be left out."""


class Unusable(Exception):
    """A body that is not what its operation takes."""

    def __init__(self, message: str, **details: Json) -> None:
        super().__init__(message)
        self.problem = Problem("usage", "bad_body", message, details, ("see `aism help --json`",))


def body_of(request: AgentRequest, *ignored: str) -> dict[str, Json]:
    """The fields of a request, without null ones and those `ignored`. Raises Unusable."""
    if request.op not in OPERATIONS:
        raise Unusable(f"there is no operation '{request.op[:64]}'")
    try:
        body = read_body(request.body)
    except BodyError as error:
        raise Unusable(str(error)) from None
    declared = _DECLARED[request.op]
    if request.actor == "admin":
        declared = {ADDRESSEE: ("text", True), **declared}
    given = {name: value for name, value in body.items() if value is not None and name not in ignored}
    for name, value in given.items():
        if name not in declared:
            raise Unusable(f"'{request.op}' has no field '{name[:64]}'", field=name[:64], fields=sorted(declared))
        expected, is_one = KINDS[declared[name][0]]
        if not is_one(value):
            raise Unusable(f"'{name}' of '{request.op}' is {expected}", field=name)
    for name, (_, is_optional) in declared.items():
        if not is_optional and name not in given:
            raise Unusable(f"'{request.op}' needs a field '{name}'", field=name)
    return given
