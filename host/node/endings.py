"""Why a process ended, as far as can be known, and whether such an end asks for a restart.

The kernel reports an exit code or a signal and nothing else. The rest is inferred and named accordingly: a SIGKILL is
`killed` only when we sent one, `out_of_memory` only with evidence (a counter of the kernel rose, or the process itself
ran into its limit and reported it), else just `signal`. The sender of such a signal is not known and not guessed.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from host.node.supervision import Ending

Kind = Literal["permanent", "transient", "temporary"]
"""Kind of child, as in OTP: restarted always, only after an end that was not normal, or never."""

Reason = Literal[
    "normal",
    "exception",
    "exit",
    "signal",
    "out_of_memory",
    "cpu_limit",
    "killed",
    "hung",
    "start_timeout",
    "never_ran",
]

Ours = Literal["", "hung", "start_timeout", "shutdown", "start_failed", "raised"]
"""Why we killed a process, if we did. `raised`: it reported that its driver had started and then raised."""

SIGKILL: Final = 9
SIGXCPU: Final = 24
"""Numbers of Linux; the second differs on MIPS."""

CODE_MEMORY: Final = 86
"""Exit code of a process of ours that ended with an uncaught MemoryError."""

_STRENGTH: Final[tuple[Kind, ...]] = ("temporary", "transient", "permanent")


class Ended(msgspec.Struct, frozen=True):
    """A reason, and the evidence for it where it was inferred."""

    reason: Reason
    detail: str = ""


def classify(ending: Ending, *, ours: Ours, memory_evidence: str, ran: bool) -> Ended:
    """Why a process ended. `ran` False: it never identified itself. `memory_evidence`: of an OOM kill, or ""."""
    if ending.signal is not None:
        return _killed(ending.signal, ours, memory_evidence)
    match ending.code:
        case None:
            return Ended("exit", "how is not known") if ran else _unborn(ours)
        case 0:
            return Ended("normal")
        case 1:
            return Ended("exception")
        case code if code == CODE_MEMORY:
            return Ended("out_of_memory", "its own limit")
        case _:
            return Ended("exit", f"code {ending.code}")


def wants_restart(kind: Kind, reason: Reason) -> bool:
    """Whether a child of this kind is started again (`supervisor.erl`, `do_restart`)."""
    return kind == "permanent" or (kind == "transient" and reason != "normal")


def strongest(kinds: frozenset[Kind]) -> Kind:
    """The kind of a process whose engines have these kinds: it is restarted if one of them would be."""
    return max(kinds, key=_STRENGTH.index, default="permanent")


def shown(ended: Ended) -> str:
    """A reason for people to read."""
    return f"{ended.reason} ({ended.detail})" if ended.detail else ended.reason


def _killed(number: int, ours: Ours, memory_evidence: str) -> Ended:
    if number == SIGXCPU:
        return Ended("cpu_limit", "its own limit")
    if number != SIGKILL:
        return Ended("signal")
    match ours:
        case "":
            return Ended("out_of_memory", memory_evidence) if memory_evidence else Ended("signal")
        case "hung" | "start_timeout":
            return Ended(ours)
        case "raised":
            return Ended("exception", "its driver")
        case _:
            return Ended("killed", ours)


def _unborn(ours: Ours) -> Ended:
    """The process has no pid that we know: the fork failed, or it was given up before it identified itself."""
    return (
        Ended("start_timeout") if ours == "start_timeout" else Ended("never_ran", "the fork failed, or its parent died")
    )
