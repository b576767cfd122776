"""For programs in Python: the requests of the command `aism`, a fraction of a millisecond each.

    from host.aism.client import AgentClient

    with AgentClient() as client:
        answer = client.ask("state.transition", target="deep_work", context={"task": "write it"})
        if not answer["success"]:
            print(answer["error"]["message"])

Which operations there are, and their fields, is in `engines/agents/operations.py`. The identity is that of the process,
as for the command. A client is for one thread.
"""

from __future__ import annotations

import os
import time

from engines.agents.bridge.misfit import Misfit
from engines.agents.bridge.requests import check_operation, too_large
from engines.agents.bus import REQUEST_BYTES_MAX
from engines.agents.names import TYPE_CHECKING
from host.aism.bus_client import Bus, BusClient, find_bus
from host.aism.output import Failure

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

TIMEOUT_S: Final = 30.0
LIST_MAX: Final = 1_000
EMPTY: Final = "{}"


class AgentClient:
    """A connection to the bus. Raises Failure when there is no bus, or no identity."""

    def __init__(self, bus: Bus | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self._client = BusClient(bus or find_bus(os.environ, os.getcwd()))
        self._timeout_s = timeout_s
        self._encode: Callable[[dict[str, Any]], str] | None = None

    @property
    def agent(self) -> str:
        """Who asks."""
        return self._client.bus.agent

    def ask(self, op: str, *, request_id: str = "", timeout_s: float | None = None, **fields: Any) -> dict[str, Any]:
        """The answer: an object whose `success` says whether it was done. Fields that are None are left out.

        Raises Failure if nothing was sent, or if there is no answer; `Failure.kind` is the key of the exit status that
        the command has then. A call that timed out is repeated with its `request_id`.
        """
        import json

        if self._encode is None:
            self._encode = json.JSONEncoder(ensure_ascii=False).encode
        body = self._encode({name: one for name, one in fields.items() if one is not None})
        request_id, timeout_s = request_id or new_request_id(), timeout_s or self._timeout_s
        check(op, body, request_id, self.agent, is_sound=is_sound(body, fields))
        found: dict[str, Any] = json.loads(self._client.ask(op, body, request_id, timeout_s))
        return found

    def ask_text(self, op: str, body: str, request_id: str, timeout_s: float) -> dict[str, Any]:
        """As `ask`, with the body as text."""
        import json

        answer = json.loads(self.ask_as_text(op, body, request_id, timeout_s))
        assert isinstance(answer, dict)
        return answer

    def ask_as_text(self, op: str, body: str, request_id: str, timeout_s: float) -> str:
        """As `ask`, with the body and the answer as text."""
        check(op, body, request_id, self.agent)
        return self._client.ask(op, body, request_id, timeout_s)

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def __enter__(self) -> AgentClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_sound(body: str, fields: dict[str, Any]) -> bool:
    """Whether the bridge surely lets in the JSON of these fields. Reading it takes as long as writing it."""
    return body.isascii() and "\\u" not in body and all(map(_is_plain, fields.values()))


def _is_plain(value: object) -> bool:
    kind = type(value)
    if kind is int:
        return -(2**63) <= value < 2**63  # type: ignore[operator]
    if kind is list:
        return len(value) <= LIST_MAX and all(type(one) is str for one in value)  # type: ignore[arg-type, attr-defined]
    return value is None or kind is str or kind is bool


def check(op: str, body: str, request_id: str, agent: str, *, is_sound: bool = False) -> None:
    """What the bridge would refuse is not sent. Raises Failure. A body that is sound is not looked at."""
    try:
        check_operation(op, agent)
        size = len(request_id) + len(op) + len(body.encode("utf-8", "surrogatepass"))
        if size > REQUEST_BYTES_MAX:
            raise too_large(size)
        if body != EMPTY and not is_sound:
            from engines.agents.bridge.json_body import read_body

            read_body(body)
    except Misfit as misfit:
        kind = "identity" if misfit.kind == "identity" else "usage"
        hints = [misfit.hint] if misfit.hint else []
        raise Failure(kind, misfit.code, misfit.message, suggestions=hints) from None


def new_request_id() -> str:
    """An id that no other request has."""
    return f"{time.time_ns():x}.{os.getpid():x}.{os.urandom(5).hex()}"
