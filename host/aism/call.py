"""One call of the command: what each function of a command gets."""

from __future__ import annotations

from engines.agents.names import TYPE_CHECKING, NamedTuple
from host.aism.table import Command
from host.aism.usage import Arguments

if TYPE_CHECKING:
    from typing import Final

TIMEOUT_S: Final = 30.0


class Options(NamedTuple):
    """The global options. `is_json` says whether to print the object, `is_help` whether to describe the command."""

    is_json: bool
    timeout_s: float = TIMEOUT_S
    request_id: str = ""
    expect_seq: int | None = None
    is_quiet: bool = False
    is_version: bool = False
    is_help: bool = False


class Call(NamedTuple):
    """One call of a command."""

    command: Command
    arguments: Arguments
    options: Options
