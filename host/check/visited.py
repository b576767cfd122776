"""Which states were met, as fingerprints, each with that of the state it was first reached from.

The extension `_visited` has them in memory that workers share, at 16 bytes a slot; without it they are in a dict of
one process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Add = Callable[[int, int], bool]
"""Given a state and the one it was reached from: whether it is new. It is not any more then."""


class Visited(Protocol):
    """The states met so far."""

    def add(self, print: int, parent: int, /) -> bool:
        """Whether the state was not there; then it is now. Raises MemoryError when there is no room."""

    def parent(self, print: int, /) -> int:
        """The state it was first reached from; 0: none. Raises KeyError."""

    def __contains__(self, print: int, /) -> bool: ...

    def __len__(self) -> int: ...


class OwnVisited(dict[int, int]):
    """The states that one process met, in order."""

    def add(self, print: int, parent: int, /) -> bool:
        """As `Visited.add`."""
        if print in self:
            return False
        self[print] = parent
        return True

    def parent(self, print: int, /) -> int:
        """As `Visited.parent`."""
        return self[print]


try:
    from host.check._visited import SharedVisited
except ImportError:
    IS_SHARED = False
else:
    IS_SHARED = True


def new_visited() -> Visited:
    """No states; shared with processes that are forked later if `IS_SHARED`."""
    return SharedVisited() if IS_SHARED else OwnVisited()
