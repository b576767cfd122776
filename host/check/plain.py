"""The states of a plain transition system, explored as those of engines are.

A state is the value itself; its fingerprint is 64 bits of a digest of its bytes, so it is the same in every process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias

import msgspec

from engines.model import encode
from engines.model.blame import blame, without_frames
from engines.model.transition_system import AnyTransitionSystem, PlainStep
from engines.model.values import Decoder
from host.check.local import CheckError, Reaction
from host.check.network import fingerprint
from host.check.space import Space, Successor
from host.check.visited import Add

SHOWN_MAX: Final = 200
"""Characters of a state in a message."""


class PlainSpace:
    """The states of one plain transition system. Raises CheckError for a first state that is no value."""

    def __init__(self, system: AnyTransitionSystem) -> None:
        self.system = system
        self.initial = system.initial
        self.dropped: dict[str, int] = {}
        self.failures: dict[str, Reaction] = {}
        """Both empty: there are no messages and no rules."""
        self.canonical: Callable[[Any], Any] | None = None
        """As that of `Space`."""
        self._decode = Decoder[Any](type(system.initial)).decode
        self.print_of(self.initial)

    def print_of(self, state: Any) -> int:
        """The fingerprint of a state. Raises CheckError for one that is no value."""
        try:
            return fingerprint(encode(state))
        except (TypeError, NotImplementedError) as error:
            raise CheckError(f"a state of {self.system.name} is no value: {error}: {_shortened(state)}") from None

    def canonical_print(self, state: Any) -> int:
        """The fingerprint under which a state is kept: its own, or that of the state that stands for it."""
        return self.print_of(state if self.canonical is None else self.canonical(state))

    def expand(self, state: Any, print_: int, add: Add, found: list[tuple[Any, int]]) -> int:
        """As `Space.expand`."""
        count, canonical = 0, self.canonical
        for step in self._steps(state):
            after = step.state
            if after == state:
                continue
            count += 1
            if canonical is not None:
                after = canonical(after)
            print_after = self.print_of(after)
            if add(print_after, print_):
                found.append((after, print_after))
        return count

    def successors(self, state: Any) -> Iterator[Successor]:
        """All successors of a state, with how each comes about; those that change nothing too."""
        for step in self._steps(state):
            owed = step.label if step.is_owed else None
            yield Successor(step.state, self.print_of(step.state), "step", "", step.label, owed=owed)

    def view(self, state: Any) -> Any:
        """A state as properties see it: itself."""
        return state

    def batch(self, states: Iterable[tuple[Any, int]]) -> bytes:
        """States, each with its fingerprint, as bytes for another process."""
        return msgspec.msgpack.encode([(encode(state), print_) for state, print_ in states])

    def states(self, data: bytes) -> Iterator[tuple[Any, int]]:
        """The states of a batch."""
        for state, print_ in _BATCH.decode(data):
            yield self._decode(state), print_

    def _steps(self, state: Any) -> tuple[PlainStep[Any], ...]:
        """The steps of a state. Raises CheckError when they raise, or are none."""
        name = self.system.name
        try:
            found = tuple(self.system.steps(state))
        except Exception as error:
            line, text = blame(without_frames(error, 1))
            raise CheckError(f"steps of {name} raised {line}, in {_shortened(state)}\n{text}") from None
        wrong = next((one for one in found if type(one) is not PlainStep), None)
        if wrong is not None:
            raise CheckError(f"steps of {name} gave {_shortened(wrong)}, which is no PlainStep, in {_shortened(state)}")
        return found


AnySpace: TypeAlias = Space | PlainSpace


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 1] + "…"


_BATCH: Final = msgspec.msgpack.Decoder(list[tuple[bytes, int]])
