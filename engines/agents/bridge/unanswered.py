"""Open requests that their family has not answered.

A request without an answer for `REPEAT_NS` is sent to its family again, by itself: the process of the family may have
died with it, or the family has failed on another request that came together with it. A family takes what it is sent in
order, so a probe follows, a request that is always answered. When that answer is there, and the one to the request is
not, the family has failed on the request: it is answered so (`answer` in `intake`), unless it may be answered later.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from engines.model import Ref

from ..bus import OPERATOR
from ..messages import AgentRequest
from ..operations import FAMILIES, Family, family_of
from .intake import (
    Admission,
    Deed,
    Forward,
    Intake,
    Outcome,
    Probe,
    forward,
    may_wait,
    with_open,
)

REPEAT_NS: Final = 5_000_000_000


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
