"""The fate of a message that makes its engine fail: the policy, with the engine's durability as an argument.

                      volatile                journaled (`crash`, `durable`)
    the action raises dead letter `failed`    quarantine at once: a second try would fail the same way
    the process dies  dead letter `crashed`   tried once more; the same failure again: quarantine

Not every death is the message's fault. For a journaled engine a process that we killed to make way, that was never
born, or that died of a SIGKILL of unknown origin is no attempt. The caller keeps the counts, where they outlive any
process.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from host.node.endings import SIGKILL, Ended, Reason
from host.node.supervision import Ending

Durability = Literal["volatile", "crash", "durable"]
Policy = Literal["skip", "stop", "park"]
"""What an engine with a trigger in quarantine does: goes on, ends, or takes no trigger until that is dealt with."""

ATTEMPTS_MAX: Final = 3
"""Deaths of any kind on one trigger; a message that kills in a new way each time is poison all the same."""

_NOT_ITS_FAULT: Final[frozenset[Reason]] = frozenset({"killed", "start_timeout", "never_ran"})


class AfterDeath(msgspec.Struct, frozen=True):
    """`crashed`: a dead letter; `again`: try once more; `quarantine`. `failure`, if not "", counts for the trigger."""

    fate: Literal["crashed", "again", "quarantine"]
    failure: str = ""


def after_death(durability: Durability, ending: Ending, ended: Ended, failures: tuple[str, ...]) -> AfterDeath:
    """The fate of a trigger in whose transition the process died. `failures`: those counted for it before."""
    if durability == "volatile":
        return AfterDeath("crashed")
    if ended.reason in _NOT_ITS_FAULT or (ended.reason == "signal" and ending.signal == SIGKILL):
        return AfterDeath("again")
    failure = f"{ended.reason} {ending.code if ending.signal is None else -ending.signal}"
    is_poison = failure in failures or len(failures) + 1 >= ATTEMPTS_MAX
    return AfterDeath("quarantine" if is_poison else "again", failure)
