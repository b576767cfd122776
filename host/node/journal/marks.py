"""Marks and epochs: which messages of a stream are new, and when a sender's numbers begin anew.

A message's id is (sender, epoch, n). Within an epoch a receiver takes each n once, in order. The epoch rises whenever
the sender's history may be lost, so that numbers it gives out again are not taken for repeats.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Verdict = Literal["next", "first", "repeat", "new_epoch", "old_epoch", "gap"]

LIFE_BITS: Final = 32
"""The low bits of an epoch: more epochs than the processes of one life of a node can need."""


class Taken(NamedTuple):
    """The new part of arriving mail: from `skip` on; `mark` is (epoch, next n) afterwards; `missing` never arrived.

    `gap` is an error within one life of both ends. After a new life the mail is taken all the same, or it would be
    lost.
    """

    verdict: Verdict
    skip: int
    mark: tuple[int, int]
    missing: int = 0


def take(mark: tuple[int, int] | None, epoch: int, first_n: int, count: int) -> Taken:
    """Which of `count` messages from `first_n` on are new to a receiver whose mark is (epoch, next n)."""
    after = (epoch, first_n + count)
    if mark is None:
        return Taken("first", 0, after)
    known, next_n = mark
    if epoch > known:
        return Taken("new_epoch", 0, after)
    if epoch < known:
        return Taken("old_epoch", count, mark)
    if first_n > next_n:
        return Taken("gap", 0, after, first_n - next_n)
    skip = min(count, next_n - first_n)
    verdict: Verdict = "repeat" if skip else "next"
    return Taken(verdict, skip, (epoch, max(next_n, first_n + count)))


def next_epoch(mode: str, epoch: int, *, same_boot: bool, was_closed: bool, is_lost: bool) -> int:
    """The epoch of an engine in the next life of its log.

    Args:
        mode: its durability.
        same_boot: the machine was not restarted since the last life.
        was_closed: that life ended with a CLOSED record.
        is_lost: the log was changed by hand: by a repair, or by the import of an old one.

    A torn end in the same boot is a write in which the process was killed. Nothing of that batch had left, and the mail
    in it comes again, so no history is lost; a new epoch would have outputs that are not acknowledged taken twice.
    """
    if is_lost or mode == "volatile":
        return epoch + 1
    if mode == "crash" and not was_closed and not same_boot:
        return epoch + 1
    return epoch


def epoch_before(life: int) -> int:
    """Below every epoch of this life of a node, above those of earlier lives."""
    return life << LIFE_BITS


def life_of(epoch: int) -> int:
    """The life of the node that an epoch belongs to."""
    return epoch >> LIFE_BITS
