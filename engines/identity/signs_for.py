"""Signs-for: keeps evidence of who may sign for whom, and answers questions about it.

Its rules are those of `engines/identity/evidence.py`.
"""

from __future__ import annotations

from engines.identity.evidence import (
    AskDelegation,
    Delegation,
    EvidenceAccepted,
    EvidenceFound,
    EvidenceRefused,
    Known,
    QueryEvidence,
    Reach,
    SubmitEvidence,
    accept,
    answer,
    refuse,
    tell,
)
from engines.model import Family

SIGNS_FOR = Family(
    "signs-for",
    config=Reach,
    state=Known("signs-for"),
    accepts=AskDelegation | SubmitEvidence | QueryEvidence,
    emits=Delegation | EvidenceAccepted | EvidenceRefused | EvidenceFound,
).rules(refuse, accept, answer, tell)
