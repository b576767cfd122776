"""Marks and epochs: which messages of a stream are new, and when a sender's numbers begin anew.

A message's id is (sender, epoch, n). Within an epoch a receiver takes each n once, in order. The epoch rises whenever
the sender's history may be lost, so that numbers it gives out again are not taken for repeats.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Verdict = Literal["next", "first", "repeat", "new_epoch", "old_epoch", "gap"]

LIFE_BITS: Final = 32
"""Epochs of one life of a node: more than its processes can have."""


class Taken(NamedTuple):
    """What is new of mail that came: from `skip` on; `mark` is (epoch, next n) afterwards; `missing` never came.

    `gap` is an error within one life of both ends; after one, what came is taken all the same, or it would be lost too.
    """

    verdict: Verdict
    skip: int
    mark: tuple[int, int]
    missing: int = 0


def take(mark: tuple[int, int] | None, epoch: int, first_n: int, count: int, *, was_lost: bool = False) -> Taken:
    """Which of `count` messages from `first_n` on are new to a receiver whose mark is (epoch, next n).

    `was_lost`: the receiver has no mark because it lost it; what it cannot know it took is counted as missing.
    """
    after = (epoch, first_n + count)
    if mark is None:
        return Taken("first", 0, after, first_n - 1 if was_lost else 0)
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


def next_epoch(mode: str, epoch: int, *, same_boot: bool, was_closed: bool, was_cut: bool, is_lost: bool) -> int:
    """The epoch of an engine in the next life of its process.

    Args:
        mode: its durability.
        same_boot: the machine was not started anew since its last life.
        was_closed: that life ended in peace.
        was_cut: the end of its log was torn and cut.
        is_lost: somebody changed the log: a repair, or the import of an old one.
    """
    if is_lost or mode == "volatile":
        return epoch + 1
    if mode == "crash" and not was_closed and (was_cut or not same_boot):
        return epoch + 1
    return epoch


def epoch_before(life: int) -> int:
    """Below every epoch of this life of a node, above those of earlier ones."""
    return life << LIFE_BITS


def life_of(epoch: int) -> int:
    """The life whose epoch this is."""
    return epoch >> LIFE_BITS
