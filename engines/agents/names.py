"""What annotations need, for programs that run for some milliseconds: importing `typing` takes a third of their time.

A module that such a program imports has `from __future__ import annotations`, so no annotation is evaluated. It imports
the names that only annotations use under `TYPE_CHECKING`, and `NamedTuple` from here: it makes the same classes.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from collections import namedtuple

    class _Fields(type):
        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, object]) -> type:
            """The class that `class name(NamedTuple)` describes: fields are its annotations, defaults its values."""
            if not bases:
                return super().__new__(cls, name, bases, body)
            fields = body.pop("__annotations__")
            defaults = [body.pop(one) for one in fields if one in body]
            return type(name, (namedtuple(name, fields, defaults=defaults),), {"__slots__": (), **body})

    class NamedTuple(metaclass=_Fields):
        """See `typing.NamedTuple`."""


__all__ = ("NamedTuple",)
