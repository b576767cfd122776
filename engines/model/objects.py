"""Objects to compare histories with (`Reference`): a register and a queue."""

from __future__ import annotations

from typing import Any

from .history import Operation, Reference


class Write(Operation):
    """To a register: hold this value. Result: None."""

    value: Any


class Read(Operation):
    """To a register. Result: the value written last, at first the one it began with."""


class Enqueue(Operation):
    """To a queue: add this value at the end. Result: None."""

    value: Any


class Dequeue(Operation):
    """To a queue. Result: the value at the front, which leaves it; None when it is empty."""


def register(start: Any = None) -> Reference:
    """A register that holds `start` at first; takes `Write` and `Read`."""
    return Reference(start, _register)


def queue(*start: Any) -> Reference:
    """A queue, first in first out, with these values at first; takes `Enqueue` and `Dequeue`."""
    return Reference(start, _queue)


def _register(value: Any, operation: Write | Read) -> tuple[Any, Any]:
    return (operation.value, None) if isinstance(operation, Write) else (value, value)


def _queue(values: tuple[Any, ...], operation: Enqueue | Dequeue) -> tuple[tuple[Any, ...], Any]:
    if isinstance(operation, Enqueue):
        return (*values, operation.value), None
    return (values[1:], values[0]) if values else (values, None)
