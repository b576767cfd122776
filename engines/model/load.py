"""Loading families by name, always from source."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .declaration import Declaration


class LoadError(Exception):
    """A family that cannot be loaded: what, where, and what to do."""


def load_family(ref: str, roots: tuple[str, ...] = ()) -> Declaration[Any, Any, Any]:
    """The family or device "package.module:NAME"."""
    module, _, name = ref.partition(":")
    found: Declaration[Any, Any, Any] = getattr(import_module(module), name)
    found.loaded(ref, "0", ())
    return found
