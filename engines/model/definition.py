"""What is wrong with a family, found when it is defined: everything at once, each with file and line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .device import Device
    from .family import Family


class Problem(NamedTuple):
    """One mistake: where, and what to do about it."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


class DefinitionError(TypeError):
    """A family that is not well defined; `problems` are all of its mistakes."""

    def __init__(self, name: str, problems: tuple[Problem, ...]) -> None:
        super().__init__(f"{name}:\n" + "\n".join(map(str, problems)))
        self.problems = problems


def check_family(family: Family[Any, Any, Any, Any]) -> None:
    """Raise DefinitionError with everything that is wrong."""


def check_device(device: Device[Any, Any, Any]) -> None:
    """Raise DefinitionError with everything that is wrong."""
