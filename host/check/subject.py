"""What is to be checked: a system by its import path, a family under a bounded environment, or a node file."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

from engines.model import Family, LoadError, load_family, use_roots
from engines.model.system import System
from host.check.local import CheckError


def load_named(path: str) -> Any:
    """What `package.module:NAME` names. Raises CheckError, saying which part of it there is not."""
    module, colon, name = path.partition(":")
    if not colon or not module or not name.isidentifier():
        raise CheckError(f"{path!r} is no import path: write package.module:NAME")
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        if module == missing or module.startswith(missing + "."):
            raise CheckError(f"no module {missing} to import {path} from; --root names the folder it lies in") from None
        raise CheckError(f"{path}: its module needs {missing}, which is not installed") from None
    except Exception as error:
        raise CheckError(
            f"{path}: importing its module raised {type(error).__name__}: {error}{_place(error)}"
        ) from None
    if not hasattr(found, name):
        there = sorted(
            key for key, value in vars(found).items() if isinstance(value, System | Family) or key == "SYSTEM"
        )
        offered = f"; there are {', '.join(there)}" if there else ""
        raise CheckError(f"module {module} has no {name}{offered}")
    return getattr(found, name)


def _place(error: BaseException) -> str:
    """Where an import raised, as ` (file:line)`."""
    if isinstance(error, SyntaxError):
        return f" ({error.filename}:{error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    return f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""


def load_system(path: str, params: Mapping[str, str], roots: Iterable[str] = ()) -> System | Family[Any, Any, Any, Any]:
    """The system or family that an import path names; a function of keyword parameters is called with `params`.

    Raises CheckError.
    """
    use_roots(roots)
    named = load_named(path)
    if isinstance(named, Family):
        if params:
            raise CheckError(f"{path} is a family; only a function that returns a System takes --param")
        try:
            return load_family(path)  # type: ignore[return-value]
        except LoadError as error:
            raise CheckError(str(error)) from None
    if isinstance(named, System):
        if params:
            raise CheckError(f"{path} is a System, not a function that returns one: it takes no --param")
        return named
    if not callable(named):
        raise CheckError(f"{path} is {type(named).__name__}; a System, a Family, or a function that returns a System")
    return _called(path, named, params)


def _called(path: str, make: Callable[..., Any], params: Mapping[str, str]) -> System:
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
        raise CheckError(f"{path} raised {type(error).__name__}: {error}{_place(error)}") from None
    if not isinstance(system, System):
        raise CheckError(f"{path} returned {type(system).__name__}, not a System")
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


def without_bytecode() -> None:
    """Imports of this process leave no cached files beside the sources that are checked."""
    sys.dont_write_bytecode = True
