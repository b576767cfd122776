"""What families and device engines have in common: a name, parameters, mailboxes with their message types, and emitted
messages."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Generic

from .box import Box
from .forms import members
from .place import Place
from .ref import Ref

if TYPE_CHECKING:
    from typing import Never

    from typing_extensions import TypeVar

    A_co = TypeVar("A_co", covariant=True)
    C = TypeVar("C", default=None)
    E = TypeVar("E", default=Never)
else:
    from typing import TypeVar

    A_co, C, E = TypeVar("A_co"), TypeVar("C"), TypeVar("E")

UNLOADED: Final = ""
"""The version of a declaration that `load_family` did not load."""


class Declaration(Generic[A_co, C, E]):
    """An engine's outside: accepted messages A by mailbox, emitted messages E, parameters C.

    Types in `accepts` that no declared box takes belong to the default mailbox 0, without a state.
    """

    name: str
    config: type[Any] | None
    accepts: Any
    emits: Any
    boxes: dict[int, Box[Any, Any]]
    accepts_types: frozenset[type[Any]]
    emits_types: frozenset[type[Any]]
    place: Place
    version: str
    files: tuple[str, ...]
    _interface: dict[str, Any] | None = None
    """The interface of this version; made at the first request."""

    def _declare(
        self, name: str, config: Any, accepts: Any, emits: Any, boxes: Sequence[Box[Any, Any]], place: Place
    ) -> None:
        self.name = name
        self.config = config
        self.accepts = accepts
        self.emits = emits
        self.declared_boxes = tuple(boxes)
        self.boxes = _boxes(accepts, boxes)
        self.accepts_types = frozenset(members(accepts))
        self.emits_types = frozenset(members(emits))
        self.place = place
        self.version = UNLOADED
        self.files = ()
        self._ref = ""
        self._module = sys._getframe(2).f_globals.get("__name__", "")

    @property
    def ref(self) -> str:
        """Its name in a node file, "package.module:NAME"; "" when its module does not hold it under a name."""
        if not self._ref:
            names = vars(sys.modules[self._module]).items() if self._module in sys.modules else ()
            found = next((name for name, value in names if value is self), None)
            self._ref = f"{self._module}:{found}" if found else ""
        return self._ref

    def at(self, name: str) -> Ref[A_co]:
        """The reference to the default mailbox of an engine of this family."""
        return Ref(name)

    def loaded(self, ref: str, version: str, files: tuple[str, ...]) -> None:
        """Called once by `load_family`: the reference, the digest of the sources, and the files these are in."""
        self._ref, self.version, self.files = ref, version, files
        self._interface = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


def _boxes(accepts: Any, boxes: Sequence[Box[Any, Any]]) -> dict[int, Box[Any, Any]]:
    """The boxes by number, with mailbox 0 made for the types left over."""
    found = {box.number: box for box in boxes}
    claimed = frozenset[Any]().union(*(box.accepts_types for box in boxes))
    rest = [kind for kind in members(accepts) if kind not in claimed]
    if rest and 0 not in found:
        form = rest[0]
        for kind in rest[1:]:
            form = form | kind
        found[0] = Box(0, accepts=form)
    return dict(sorted(found.items()))
