"""What is to be checked: a system by its import path, a family under a bounded environment, or a node file."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from engines.model import Family, LoadError
from engines.model.blame import blame
from engines.model.store.load import load_object
from engines.model.system import System
from engines.model.transition_system import AnyTransitionSystem, TransitionSystem
from host.check.local import AnyFamily, CheckError
from host.check.properties import Predicate

AnySystem: TypeAlias = System | AnyTransitionSystem
"""What is explored."""

SUBJECTS: Final = (System, TransitionSystem, Family)


def load_predicate(path: str, roots: Sequence[str] = ()) -> Predicate:
    """The property that an import path names. Raises CheckError."""
    found = _load(path, roots)
    if found is None or not callable(found):
        what = "is nothing there" if found is None else f"is {type(found).__name__}, not a function of a SystemView"
        raise CheckError(f"{path}: {what}")
    predicate: Predicate = found
    return predicate


def load_subject(path: str, params: Mapping[str, str], roots: Sequence[str] = ()) -> AnySystem | AnyFamily:
    """The system or family that an import path names; a function of keyword parameters is called with `params`.

    Raises CheckError.
    """
    found = _load(path, roots)
    if isinstance(found, SUBJECTS):
        if params:
            raise CheckError(f"{path} takes no --param: it is no function that returns a System")
        return found
    if found is None:
        module, _, name = path.partition(":")
        known = [
            key
            for key, value in vars(sys.modules[module]).items()
            if isinstance(value, System | TransitionSystem | Family)
        ]
        offered = f"; it has {', '.join(known)}" if known else ""
        raise CheckError(f"{module} has no {name}{offered}")
    if not callable(found):
        raise CheckError(
            f"{path} is {type(found).__name__}; wanted: a System, TransitionSystem, Family, or a function of one"
        )
    return _called(path, found, params)


def _load(path: str, roots: Sequence[str]) -> Any:
    try:
        return load_object(path, roots)
    except LoadError as error:
        raise CheckError(str(error)) from None


def _called(path: str, make: Callable[..., Any], params: Mapping[str, str]) -> AnySystem:
    accepted = inspect.signature(make, eval_str=True).parameters
    values = {}
    for name, text in params.items():
        if name not in accepted:
            raise CheckError(f"{path} has no parameter {name!r}; it takes {', '.join(accepted) or 'none'}")
        values[name] = _converted(path, accepted[name], text)
    missing = [name for name, one in accepted.items() if one.default is one.empty and name not in values]
    if missing:
        raise CheckError(f"{path} needs --param {missing[0]}=…")
    try:
        system = make(**values)
    except Exception as error:
        raise CheckError(f"{path} raised {blame(error)[0]}") from None
    if not isinstance(system, System | TransitionSystem):
        raise CheckError(f"{path} returned {type(system).__name__}, not a System or TransitionSystem")
    return system


def _converted(path: str, parameter: inspect.Parameter, text: str) -> Any:
    """A parameter from its text, by its annotation: int, float, bool or str."""
    kind = parameter.annotation if parameter.annotation in (int, float, bool, str) else str
    if kind is bool:
        if text not in ("true", "false"):
            raise CheckError(f"--param {parameter.name}: true or false, not {text!r}")
        return text == "true"
    try:
        return kind(text)
    except ValueError:
        raise CheckError(f"--param {parameter.name} of {path} is of type {kind.__name__}: not {text!r}") from None
