"""Properties: plain functions of a view of the system, found by name (`module:NAME`), and checked."""

from __future__ import annotations

from collections.abc import Callable
from inspect import isfunction
from sys import modules

from engines.model import LoadError
from engines.model.blame import blame
from engines.model.store.load import load_object
from engines.model.system_view import SystemView
from host.config.suggest import did_you_mean
from host.sim.families import SimError

Property = Callable[[SystemView], object]
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
    try:
        found = load_object(ref, roots)
    except LoadError as error:
        raise SimError(str(error)) from error
    if not callable(found):
        module_name, _, name = ref.partition(":")
        functions = [key for key, value in vars(modules[module_name]).items() if isfunction(value) and key[0] != "_"]
        advice = did_you_mean(name, functions) or "a property is a function of a view"
        raise SimError(f"{ref}: {module_name} has no function {name}: {advice}")
    property_: Property = found
    return property_


def check_property(holds: Property, name: str, view: SystemView) -> None:
    """Raise `PropertyFailed` if a property does not hold, or raises."""
    try:
        result = holds(view)
    except (Exception, SystemExit) as error:  # an interrupt is the user's
        raise PropertyFailed(name, view.now_ns or 0, blame(error)[0]) from error
    if not result:
        raise PropertyFailed(name, view.now_ns or 0)
