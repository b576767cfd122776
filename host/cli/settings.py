"""Options of every command, before or after its name: `--json`, `--debug`, and `--file` for commands about a node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec

BEGUN = "host.begun"
"""Key in a click context for a supervisor started before the command line was parsed, or None."""

F = TypeVar("F", bound=Callable[..., Any])


class Settings(msgspec.Struct, frozen=True):
    """The common options of one invocation."""

    file: str | None = None
    json: bool = False
    debug: bool = False


def common(command: F) -> F:
    """Add the common options to a command that takes no `-f` of its own."""
    return _options(command, "--file", "-f")


def common_following(command: F) -> F:
    """The same for commands where `-f` means follow, as it does in `tail`."""
    return _options(command, "--file")


def common_without_node(command: F) -> F:
    """The same for commands that do not concern a node."""
    return _options(command)


def settings() -> Settings:
    """The common options of the command that runs."""
    found = click.get_current_context().find_object(Settings)
    return found or Settings()


def _options(command: F, *file: str) -> F:
    offered = [
        (file, "The node file; default: the running node of this folder.", False),
        (("--json",), 'Print {"v":1,"kind":…,"items":[…]} with machine units.', True),
        (("--debug",), "Show the traceback of an error.", True),
    ]
    for names, help_text, is_flag in reversed(offered if file else offered[1:]):
        command = click.option(
            *names,
            help=help_text,
            is_flag=is_flag,
            type=bool if is_flag else click.Path(),
            metavar=None if is_flag else "CONFIG",
            expose_value=False,
            is_eager=True,
            default=False if is_flag else None,
            callback=_note,
        )(command)
    return command


def _note(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Options of an inner command override those of outer ones; omitted options are inherited."""
    assert parameter.name
    if value:
        given = context.find_object(Settings) or Settings()
        context.obj = msgspec.structs.replace(given, **{parameter.name: value})
    return value
