"""Errors as data: the only place that turns exceptions into a line on stderr and an exit code."""

from __future__ import annotations

import os
from typing import Any, Final

import click
import msgspec

from host.live.control.protocol import EXIT_CODES, ControlError

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as in a shell: 128 + SIGINT."""

STDOUT_CLOSED: Final = 141
"""Exit code when the reader of our output is gone (`| head`): 128 + SIGPIPE, without a message."""

EXIT_TEXTS: Final = {
    "ok": "done",
    "failed": "failed; the message gives the reason",
    "usage": "the command line is wrong",
    "configuration": "the node file is wrong",
    "not_found": "no such engine, mailbox, message type or file",
    "not_running": "no running node",
    "timeout": "timed out",
    "not_ready": "an engine did not become ready",
    "violated": "a property is violated, a mistake is found, or a gate is missed",
    "conflict": "several nodes match, or another configuration runs",
    "refused": "the node refused, and nothing changed",
}


class CommandProblem(msgspec.Struct, frozen=True):
    """An error by name, its sentence, and the items that `--json` prints (filled in when empty)."""

    error: str
    message: str
    items: tuple[dict[str, Any], ...] = ()
    text: str = ""

    @property
    def exit_code(self) -> int:
        """The code of the process. Names outside the table come from newer supervisors, and count as `failed`."""
        if self.error == "interrupted":
            return INTERRUPTED
        return EXIT_CODES.get(self.error, EXIT_CODES["failed"])

    def error_items(self) -> list[dict[str, Any]]:
        """One item for each error, each with `error`, `message`, `exit_code`."""
        base = {"error": self.error, "message": self.message, "exit_code": self.exit_code}
        return [{**base, **item} for item in self.items] or [base]


class CliError(Exception):
    """Raised by commands: a `CommandProblem` on its way up."""

    def __init__(self, error: str, message: str, items: tuple[dict[str, Any], ...] = (), text: str = "") -> None:
        super().__init__(message)
        self.problem = CommandProblem(error, message, items, text)


def find_problem(error: BaseException) -> CommandProblem:
    """The problem behind any exception that leaves a command."""
    match error:
        case CliError():
            return error.problem
        case ControlError():
            return CommandProblem(error.error, error.message, tuple(i for i in error.items if isinstance(i, dict)))
        case click.UsageError():
            return CommandProblem("usage", _usage(error))
        case click.ClickException():
            return CommandProblem("failed", error.format_message())
        case KeyboardInterrupt() | click.Abort():
            return CommandProblem("interrupted", "interrupted")
        case UnicodeEncodeError() if "surrogates" in error.reason:
            return CommandProblem("usage", f"{_raw(error.object)} is not UTF-8; names and texts must be")
        case OSError():
            return CommandProblem("failed", _os_error(error))
        case _:
            return CommandProblem("failed", f"internal error: {type(error).__name__}: {error} (--debug shows where)")


def exit_table() -> str:
    """The exit codes, one a line, for `enginehost --help`."""
    codes = {code: EXIT_TEXTS[name] for name, code in EXIT_CODES.items()}
    codes |= {INTERRUPTED: "interrupted by Ctrl-C", STDOUT_CLOSED: "the reader of the output closed it"}
    return "\n".join(f"{code:>3}  {text}" for code, text in codes.items())


def _usage(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx else "enginehost"
    return f"{error.format_message().rstrip('.')} (see: {path} --help)"


def _raw(text: str) -> str:
    """Text from bytes of another encoding: `'caf\\xe9'`."""
    return repr(os.fsencode(text))[1:]


def _os_error(error: OSError) -> str:
    if isinstance(error, FileNotFoundError) and not error.filename and _is_folder_gone():
        return "the current folder is gone: change to another one"
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def _is_folder_gone() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False
