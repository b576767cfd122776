"""Converts an engine's parameters and initial state from the node file to the types of its family.

Runs in processes that import families: in the inspecting child for every engine, in a worker for the engines it births.
"""

from __future__ import annotations

import types
from typing import Any

from engines.model.declaration import Declaration

from .convert import ConversionError, to_typed
from .finding import Finding, Path


def convert_engine(declared: Declaration[Any, Any, Any], params: Any, state: Any, path: Path = ()) -> tuple[Any, Any]:
    """Parameters (None when the family has none) and initial state (None: the family's own start).

    Raises `ConversionError` with all mistakes of both; their paths are below `path`, in `config` and `state`.
    """
    if params is None and state is None and declared.config is None:
        return None, None
    findings: list[Finding] = []
    converted = []
    for read, value, key in ((_params, params, "config"), (_state, state, "state")):
        try:
            converted.append(read(declared, value, (*path, key)))
        except ConversionError as error:
            findings += error.findings
    if findings:
        raise ConversionError(findings)
    return converted[0], converted[1]


def _params(declared: Declaration[Any, Any, Any], params: Any, path: Path) -> Any:
    if declared.config is None:
        if params:
            raise _unwanted(path, f"`{declared.name}` has no parameters")
        return None
    return to_typed({} if params is None else params, declared.config, path)


def _state(declared: Declaration[Any, Any, Any], state: Any, path: Path) -> Any:
    if state is None:
        return None
    form = getattr(declared, "states", None)
    if form in (None, types.NoneType):
        raise _unwanted(path, f"`{declared.name}` has no state")
    return to_typed(state, form, path)


def _unwanted(path: Path, text: str) -> ConversionError:
    return ConversionError([Finding(path, text, at_key=True)])
