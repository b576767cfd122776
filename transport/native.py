"""Whether the native lanes are used, and why not.

`ENGINEHOST_NATIVE` is `auto` (used when they were built and work), `require` (their absence is an error) or `off`.
"""

from __future__ import annotations

import importlib
import os
from functools import cache
from typing import Final

MODES: Final = ("auto", "require", "off")


class NativeMissing(ImportError):
    """The native core is missing or switched off; the text says why."""


def native_mode() -> str:
    """The value of `ENGINEHOST_NATIVE`. Raises ValueError for a word it does not have."""
    mode = os.environ.get("ENGINEHOST_NATIVE", "") or "auto"
    if mode not in MODES:
        raise ValueError(f"ENGINEHOST_NATIVE is one of {', '.join(MODES)}, not {mode!r}")
    return mode


@cache
def _import_problem() -> str:
    """Why the extension cannot be imported; empty when it can. Tried once a process."""
    try:
        importlib.import_module("transport._lane")
    except ImportError as error:
        return f"the extension transport._lane cannot be imported ({error}); was there a C compiler at installation?"
    return ""


def native_reason() -> str:
    """Why the native core is not used; empty when it is."""
    return "ENGINEHOST_NATIVE=off" if native_mode() == "off" else _import_problem()


def native_available() -> bool:
    """Whether links may be lanes. Raises `NativeMissing` when they are required and not there."""
    reason = native_reason()
    if reason and native_mode() == "require":
        raise NativeMissing(f"ENGINEHOST_NATIVE=require, but {reason}")
    return not reason


def require_native() -> None:
    """Raises `NativeMissing` when the native core is not used."""
    if not native_available():
        raise NativeMissing(f"no native lanes: {native_reason()}")
