"""Properties: plain functions of a view of the system, found by name (`module:NAME`), and checked."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from engines.model.blame import blame
from engines.model.store.load import use_roots
from host.config.suggest import did_you_mean
from host.sim.families import SimError
from host.sim.view import SeenSystem

Property = Callable[[SeenSystem], object]
"""Holds if it returns something true."""


class PropertyFailed(AssertionError):
    """A property does not hold, or raised."""

    def __init__(self, name: str, now_ns: int, detail: str = "") -> None:
        super().__init__(f"{name} does not hold" + (f": {detail}" if detail else ""))
        self.name = name
        self.now_ns = now_ns
        self.detail = detail


def load_property(ref: str, roots: tuple[str, ...]) -> Property:
    """The function that `module:NAME` names, looked for below the roots of the node file. Raises `SimError`."""
    module_name, colon, name = ref.partition(":")
    if not colon or not all(part.isidentifier() for part in (*module_name.split("."), name)):
        raise SimError(f"`{ref}` names no property: write module:FUNCTION")
    use_roots(roots)
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        advice = f"; its folder belongs to `roots` of the node file, which has {', '.join(roots) or 'none'}"
        raise SimError(f"{ref}: {module_name} cannot be imported: {error}{advice}") from error
    except BaseException as error:
        raise SimError(f"{ref}: {module_name} cannot be imported: {blame(error)[0]}") from error
    found = getattr(module, name, None)
    if not callable(found):
        functions = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        advice = did_you_mean(name, functions) or "a property is a function of a view"
        raise SimError(f"{ref}: {module_name} has no function {name}: {advice}")
    property_: Property = found
    return property_


def check_property(holds: Property, name: str, view: SeenSystem) -> None:
    """Raise `PropertyFailed` if a property does not hold, or raises."""
    try:
        result = holds(view)
    except Exception as error:
        raise PropertyFailed(name, view.now_ns, f"{type(error).__name__}: {error}") from error
    if not result:
        raise PropertyFailed(name, view.now_ns)
