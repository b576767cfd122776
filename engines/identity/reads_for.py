"""Reads-for: keeps evidence of who may read what is encrypted for whom, and answers questions about it.

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

READS_FOR = Family(
    "reads-for",
    config=Reach,
    state=Known("reads-for"),
    accepts=AskDelegation | SubmitEvidence | QueryEvidence,
    emits=Delegation | EvidenceAccepted | EvidenceRefused | EvidenceFound,
).rules(refuse, accept, answer, tell)
