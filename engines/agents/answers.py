"""Answers by request id, so that a request that comes again gets what it got, and is not done again.

Of each agent the newest `REMEMBERED` answers are kept, in two generations: at least that many, at most twice. A request
id that comes with other content is refused.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from engines.model import Map, Value

from .envelope import NO_FRAME, Frame, Problem, failed
from .messages import AgentAnswer, AgentRequest

REMEMBERED: Final = 1_000


class Given(Value):
    """An answer that was given. `digest` is over the operation and the body of its request."""

    digest: bytes
    text: str
    kind: str


class Answers(Value):
    """The answers given to one agent."""

    young: Map[str, Given] = Map()
    old: Map[str, Given] = Map()

    def given(self, request_id: str) -> Given | None:
        """The answer to this request, if it is known."""
        return self.young.get(request_id) or self.old.get(request_id)

    def repeated(self, request: AgentRequest, frame: Frame = NO_FRAME) -> AgentAnswer | None:
        """The answer to a request that came before, or that its id was used for another one; None for a new one."""
        known = self.given(request.request_id)
        if known is None:
            return None
        if known.digest != digest_of(request):
            return failed(request, OTHER_CONTENT, frame)
        return AgentAnswer(request.agent, request.request_id, known.text, known.kind)

    def remember(self, request: AgentRequest, answer: AgentAnswer) -> Answers:
        """With the answer to this request."""
        young = self.young.set(request.request_id, Given(digest_of(request), answer.text, answer.kind))
        return Answers(Map(), young) if len(young) >= REMEMBERED else Answers(young, self.old)


OTHER_CONTENT: Final = Problem(
    "conflict",
    "request_id_used",
    "this request id was used for a request of other content; nothing was done",
    hints=("use a new request id, or repeat the request as it was",),
)


def digest_of(request: AgentRequest) -> bytes:
    """What tells requests of one id apart."""
    return blake2b(f"{request.op}\0{request.body}".encode(), digest_size=16).digest()
