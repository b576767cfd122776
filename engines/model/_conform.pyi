from typing import Any

from .conform import Conformer

def conformer(form: Any, /) -> Conformer:
    """The conformer of a type, in C."""
