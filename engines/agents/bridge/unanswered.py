"""Open requests that their family has not answered.

A request without an answer for `REPEAT_NS` is sent to its family again, by itself: the process of the family may have
died with it, or the family has failed on another request that came together with it. A family takes what it is sent in
order, so a probe follows, a request that is always answered. When that answer is there, and the one to the request is
not, the family has failed on the request: it is answered so (`answer` in `intake`), unless it may be answered later.

When there is no room on the disk, requests are answered after `STRANDED_NS`: whether they were recorded is not known.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from engines.model import Ref

from ..bus import OPERATOR
from ..envelope import Problem
from ..messages import AgentRequest
from ..operations import FAMILIES, Family, family_of
from .intake import (
    Admission,
    Deed,
    Forward,
    Intake,
    OpenRequest,
    Outcome,
    Probe,
    answer_all,
    forward,
    may_wait,
    with_open,
)

REPEAT_NS: Final = 5_000_000_000
STRANDED_NS: Final = 1_000_000_000


def overdue(state: Intake, terms: Admission, now_ns: int) -> Outcome:
    """Requests whose family has not answered are sent again, each by itself, and a probe behind them."""
    deeds: list[Deed] = []
    families: set[Family] = set()
    for agent, requests in state.open.items():
        for request_id, one in requests.items():
            if now_ns - one.sent_ns >= REPEAT_NS:
                again = replace(one, sent_ns=now_ns, is_alone=True)
                state = with_open(state, agent, request_id, again)
                deeds.append(forward(state, agent, request_id, again, terms))
                if not may_wait(one):
                    families.add(family_of(one.op))
    for family in sorted(families):
        probe = Probe(f"probe.{family}.{now_ns}", now_ns)
        state = replace(state, probes=state.probes.set(family, probe))
        deeds.append(Forward(family, _probe_request(family, probe, terms)))
    return state, deeds


def _probe_request(family: Family, probe: Probe, terms: Admission) -> AgentRequest:
    """A request for nothing, which each family refuses at once."""
    word = next(word for word, name in FAMILIES.items() if name == family)
    return AgentRequest(OPERATOR, 0, probe.request_id, f"{word}.probe", "{}", "admin", Ref(terms.me))


def stranded(state: Intake, terms: Admission, now_ns: int) -> Outcome:
    """There is no room on the disk: what its family has not answered by now may never have been recorded."""
    hints = ("make room on that disk", "repeat the call with the same --request-id: it is not done twice")
    text = f"{terms.full}; this request may be done later"

    def is_stranded(one: OpenRequest) -> bool:
        return now_ns - one.began_ns >= STRANDED_NS

    return answer_all(state, is_stranded, Problem("timeout", "storage_full", text, hints=hints), terms, now_ns)
