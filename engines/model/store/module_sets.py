"""Several versions of the same modules in one process: `sys.modules` has those of one set at a time.

A reader of a log across reloads runs each turn by the version that made it. The modules of a version are imported once,
from the texts that were kept of it and from no root, and put aside while another version's are in use. What looks a
module up by its name (an import inside a function, annotations that are resolved at their first use) gets the one of
the set in use. So a set has to be in use whenever its code runs.

The awkward case: the package `engines` is the same for all, and its submodules are attributes of it. They are set anew
with each exchange.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any, Final

from ..declaration import Declaration
from .load import IMPLICIT, KeptText, LoadError, SourceOnly, finder, is_model, load_family, place_of
from .texts import ModuleText


class ModuleSet:
    """Mutable: the modules below the roots, or those of one version (`texts`); `place` as for `use_kept`."""

    def __init__(self, texts: Iterable[ModuleText] = (), place: str = "") -> None:
        self._kept = {text.name: KeptText(text, place_of(text, place)) for text in texts if text.name != IMPLICIT}
        self._places: tuple[str, ...] = (place,) if place else ()
        self._roots: tuple[str, ...] = ()
        self._aside: dict[str, ModuleType] = {}

    def use(self) -> None:
        """From now on these are the modules of the process."""
        global _in_use
        if _in_use is not self:
            _in_use._put_aside()
            _in_use = self
            finder.kept, finder.places, finder.roots = self._kept, self._places, self._roots
            sys.modules.update(self._aside)
            for name, module in self._aside.items():
                above, _, last = name.rpartition(".")
                if above in sys.modules:
                    setattr(sys.modules[above], last, module)

    def load(self, ref: str, version: str) -> Declaration[Any, Any, Any]:
        """Use the set, and load a family that it has in this version. Raises LoadError."""
        self.use()
        family = load_family(ref, check=False)
        if family.version != version:
            raise LoadError(ref, f"the code kept of version {version} is that of {family.version}")
        return family

    def _put_aside(self) -> None:
        self._kept, self._places, self._roots = finder.kept, finder.places, finder.roots
        self._aside = {name: module for name, module in sys.modules.items() if _is_exchanged(name, module)}
        for name in self._aside:
            del sys.modules[name]


def _is_exchanged(name: str, module: ModuleType) -> bool:
    return not is_model(name) and (
        name.startswith(f"{IMPLICIT}.") or isinstance(getattr(module, "__loader__", None), SourceOnly)
    )


SOURCES: Final = ModuleSet()
"""What is below the roots: the set in use from the start."""

_in_use = SOURCES
