"""The records between `inspect` and its child: the inquiry, and the reports.

Separate from both, because the asking side imports nothing of the model.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, Final

import msgspec

from host.config.finding import Finding

PIECE_BYTES_MAX: Final = 32 * 1024
"""One write: below what a packet socket takes."""

LENGTH_BYTES: Final = 4


class EngineValues(msgspec.Struct, frozen=True, array_like=True):
    """The arguments that a node file gives the engines of one entry."""

    entry: str
    family: str
    params: Any = None
    state: Any = None


class Inquiry(msgspec.Struct, frozen=True, array_like=True):
    """What to look at: families, and engines with their values, each within `deadline_ns`; 0: no bound."""

    families: tuple[str, ...]
    roots: tuple[str, ...]
    engines: tuple[EngineValues, ...] = ()
    deadline_ns: int = 0


class SourceProblem(msgspec.Struct, frozen=True, array_like=True):
    """Something wrong in a family's source; `line` is 0 where it is not known."""

    text: str
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        """`file:line: text`, as far as known."""
        where = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        return where + self.text


class FamilyReport(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A family as plain data, or why there is none. `interface` is that of `engines.model.store.interface`."""

    ref: str
    name: str = ""
    version: str = ""
    device: bool = False
    interface: dict[str, Any] = {}
    problems: tuple[SourceProblem, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the family can be used."""
        return not self.problems


class Begin(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """This family or target is looked at next."""

    ref: str


class ValueFindings(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Findings about parameters and states, by path in the node file."""

    findings: tuple[Finding, ...]


class Done(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Everything was inspected. `stays`: workers can be forked from the process that did it
    (`host.live.spawn.template`).

    `sources` are digests (`digest_of`) of the files whose code it then runs, and of the folders it searched for them.
    """

    stays: bool = False
    sources: dict[str, bytes] = {}


def take_records(data: bytearray) -> Iterator[bytes]:
    """Take the whole records out of the bytes received so far."""
    while len(data) >= LENGTH_BYTES:
        end = LENGTH_BYTES + int.from_bytes(data[:LENGTH_BYTES], "little")
        if len(data) < end:
            return
        yield bytes(data[LENGTH_BYTES:end])
        del data[:end]


def digest_of(path: str) -> bytes:
    """A digest of a file's text, or of the names of the modules in a folder. Empty for neither."""
    try:
        if os.path.isdir(path):
            return digest(" ".join(filter(_may_be_module, sorted(os.listdir(path)))).encode())
        if os.path.isfile(path):
            with open(path, "rb") as file:
                return digest(file.read())
    except OSError:
        pass
    return b""


def digest(text: bytes) -> bytes:
    """As `digest_of`, of a text already read."""
    return blake2b(text, digest_size=16).digest()


def _may_be_module(name: str) -> bool:
    """Whether a name may be that of a module or package. Folders have no dot; the interpreter's cache is excluded."""
    return name.endswith((".py", ".so")) or ("." not in name and name != "__pycache__")


Record = Begin | FamilyReport | ValueFindings | Done
