"""The seam to a journal: each step of an engine is recorded through it before the step has any effect.

A cell whose `recorder` is None is volatile, and nothing of it is written. `host.node.journaled` defines what a journal
keeps; nothing here depends on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from engines.model import Handle, Outcome

Record = Callable[[Outcome[Any], int], Outcome[Any]]
"""Records an outcome with the number of answers it took; returns it with its messages as `NumberedMessage`."""


class NumberedMessage(msgspec.Struct, frozen=True):
    """A message of a journaled engine on its way out, numbered when it was committed."""

    n: int
    message: Any
    size: int


class Recorder(Protocol):
    """Records one engine's steps, in the order in which they happen. `epoch` is that of its streams."""

    epoch: int

    def mail(self, sender: str, mailbox: int, epoch: int, first_n: int, payloads: list[Any], /) -> None:
        """New mail, before it waits anywhere: marks follow from what was written and from nothing else."""

    def handled(
        self, sender: str, mailbox: int, epoch: int, n: int, now_ns: int, outcome: Outcome[Any], answers: int = 0, /
    ) -> Outcome[Any]:
        """A transition over a message; as `Record`."""

    def skipped(self, sender: str, mailbox: int, epoch: int, n: int, now_ns: int, /) -> None:
        """A message left its mailbox without a transition."""

    def elapsed(
        self, handles: tuple[Handle, ...], now_ns: int, outcome: Outcome[Any], answers: int = 0, /
    ) -> Outcome[Any]:
        """A transition over timers; as `Record`."""

    def asked(self, deadline_ns: int | None, /) -> None:
        """The transition just recorded waits for a choice, until this deadline."""

    def answered(self, at_ns: int, index: int, answer: Any, /) -> None:
        """The `index`-th answer in the transition that began at `at_ns`, before it is used."""

    def resumed(self, now_ns: int, outcome: Outcome[Any], answers: int, /) -> Outcome[Any]:
        """The transition that waited for a choice went on; as `Record`."""

    def left(self, target: str, mailbox: int, n: int, peer: int | None, /) -> None:
        """A message left over the link to slot `peer`, or (None) for a journaled neighbour."""

    def settled(self, target: str, mailbox: int, n: int, /) -> None:
        """A message is never sent again: a volatile neighbour has it, or it is a dead letter."""

    def ended(self) -> None:
        """The engine ended. What it sent still leaves."""
