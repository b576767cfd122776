"""Preparation: what engines of a family make at their birth and first messages, made before a process is forked."""

from __future__ import annotations

from typing import Any

from .acquaintance import references_of
from .birth import mailboxes
from .conform import checker, is_struct
from .declaration import Declaration
from .family import Family
from .outline import fields_of


def prepare(declared: Declaration[Any, Any, Any]) -> None:
    """Make readers of mailboxes and checks of values. Raises whatever their making raises."""
    kinds = declared.accepts_types | declared.emits_types
    for box in declared.boxes.values():
        _ = box.decode
    if isinstance(declared, Family):
        params: Any = declared.config or type(None)
        mailboxes(declared)
        references_of(params)
        checker(declared.config)
        kinds |= declared.state_types
    for kind in filter(is_struct, kinds):
        fields_of(kind)
