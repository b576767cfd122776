"""Answers by request id, so that a request that comes again gets what it got, and is not done again.

Of each agent the newest are kept, in generations, of which the oldest is given up as a whole. A generation is full with
`GENERATION_MAX` answers, or from `GENERATION_LEAST` on with `GENERATION_BYTES` of text. So 1,000 answers are kept of an
agent whose answers are short; of any agent 200 are, which is twice what it may have open at the bridge; and a hundred
agents take some 40 MB. A request id that comes with other content is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from engines.model import Map, Value

from .envelope import NO_FRAME, Frame, Problem, failed
from .messages import AgentAnswer, AgentRequest

GENERATION_MAX: Final = 250
GENERATION_LEAST: Final = 50
GENERATION_BYTES: Final = 64 << 10
OLDER_MAX: Final = 4
"""Full generations."""


class Given(Value):
    """An answer that was given. `digest` is over the operation and the body of its request."""

    digest: bytes
    text: str
    kind: str


class Answers(Value):
    """The answers given to one agent; `size` is that of the texts in `young`."""

    young: Map[str, Given] = Map()
    size: int = 0
    older: tuple[Map[str, Given], ...] = ()

    def given(self, request_id: str) -> Given | None:
        """The answer to this request, if it is known."""
        return next((one[request_id] for one in (self.young, *self.older) if request_id in one), None)

    def repeated(self, request: AgentRequest, frame: Callable[[], Frame] = lambda: NO_FRAME) -> AgentAnswer | None:
        """The answer to a request that came before, or that its id was used for another one; None for a new one."""
        known = self.given(request.request_id)
        if known is None:
            return None
        if known.digest != digest_of(request):
            return failed(request, OTHER_CONTENT, frame())
        return AgentAnswer(request.agent, request.request_id, known.text, known.kind)

    def remember(self, request: AgentRequest, answer: AgentAnswer) -> Answers:
        """With the answer to this request."""
        young = self.young.set(request.request_id, Given(digest_of(request), answer.text, answer.kind))
        size = self.size + len(answer.text)
        if len(young) < GENERATION_MAX and (len(young) < GENERATION_LEAST or size < GENERATION_BYTES):
            return Answers(young, size, self.older)
        return Answers(older=(young, *self.older)[:OLDER_MAX])


NO_ANSWERS: Final = Answers()
OTHER_CONTENT: Final = Problem(
    "conflict",
    "request_id_used",
    "this request id was used for a request of other content; nothing was done",
    hints=("use a new request id, or repeat the request as it was",),
)


def digest_of(request: AgentRequest) -> bytes:
    """What tells requests of one id apart."""
    return blake2b(f"{request.op}\0{request.body}".encode(), digest_size=16).digest()
