"""The entry point: the list of commands, and the handling of their exceptions.

A command's module is imported only when the command runs or prints its own help. The list below contains the short
texts, so `enginehost --help` and completion import no command. This keeps `ps` within its 100 ms: Python, click,
msgspec and pyzmq take 75 of them.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Sequence
from textwrap import indent
from typing import TYPE_CHECKING, Final, NoReturn

import click

from host.chart.escapes import one_line
from host.cli.output import Unwritten, abandon_stdout, diagnose, envelope, take_any_encoding, write
from host.cli.problem import STDOUT_CLOSED, CommandProblem, exit_table, find_problem
from host.cli.settings import BEGUN, common
from host.live.control.protocol import EXIT_CODES

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from host.live.control.begin import Begun

COMMANDS: Final = {
    "validate": "Check a node file and the families it names; start nothing.",
    "lint": "Find what makes families depend on more than their input; rules that compete.",
    "up": "Start a node; returns (-d) or stays attached once every engine is ready.",
    "down": "Stop the node and all of its processes.",
    "ps": "List the engines of the running node.",
    "send": "Send a message to an engine, and optionally wait for an answer.",
    "state": "Show the state of an engine, or compare two states.",
    "timers": "List pending timers.",
    "mailbox": "Show the mailboxes of an engine.",
    "dead-letters": "List undelivered messages, with reasons.",
    "quarantine": "List, show, replay or discard messages in quarantine.",
    "kill": "Kill the process of an engine, as a crash would end it.",
    "restart": "Start an engine again that is degraded, finished or pausing.",
    "logs": "Show notes of engines and output of their processes.",
    "events": "Show starts, deaths, restarts, reloads and other events.",
    "reload": "Replace the code of an engine while it works.",
    "journal": "Verify, dump, repair, export or import the files of a journal.",
    "replay": "Run the transitions in a journal again, exactly.",
    "history": "Show the transitions of an engine, from its journal.",
    "check": "Explore every state of a system of engines; check its properties.",
    "chart": "Draw the sequence chart of a run, from its journal.",
    "conform": "Check that the run in a journal keeps to rules and properties.",
    "answer": "Answer the choice that an engine waits for.",
    "tx": "Submit signed transactions to a node, follow them, query the state.",
    "key": "Make, list and use keys of your own.",
    "storage": "Store files as encrypted chunks, and get them back.",
    "sim": "Run a node in virtual time, with faults by seed; replay what fails.",
    "bench": "Measure engines and other systems on this machine.",
    "doctor": "Check that this machine can run a node.",
    "version": "Show versions.",
}
"""Commands with their short help, in the order of `--help`."""

SHARED: Final = {"events": "lines", "logs": "lines"} | dict.fromkeys(
    ("kill", "restart", "answer", "timers", "mailbox"), "one_engine"
)
"""Commands that share a module, in which each has its name."""

ACTS: Final = frozenset(
    ["up", "down", "send", "kill", "restart", "reload", "answer", "key new", "tx submit"]
    + [f"quarantine {act}" for act in ("replay", "discard")]
    + [f"storage {act}" for act in ("put", "get", "pin", "unpin", "commit", "collect")]
)
"""Commands that change something; when they print their result, the change is made."""

MEANT: Final = {
    "check": "validate",
    "dlq": "dead-letters",
    "exec": "send",
    "get": "state get",
    "inspect": "state get",
    "list": "ps",
    "log": "logs",
    "ls": "ps",
    "run": "up",
    "show": "state get",
    "shutdown": "down",
    "start": "up",
    "stats": "ps",
    "status": "ps",
    "stop": "down",
    "tail": "logs -f",
    "top": "ps --watch",
    "watch": "ps --watch",
}
"""Names of these commands in other programs."""

COMPLETE: Final = "_ENGINEHOST_COMPLETE"
"""Set by the shell's completion; click then answers instead of a command."""


class LazyGroup(click.Group):
    """A group whose commands are modules: `ps` is `command` in `host.cli.commands.ps`; for others see `SHARED`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"host.cli.commands.{SHARED.get(cmd_name, cmd_name).replace('-', '_')}")
        command = getattr(module, cmd_name if cmd_name in SHARED else "command")
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does; suggests a similar name for an unknown one."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            from host.config.suggest import did_you_mean

            guess = f"did you mean `{MEANT[name]}`?" if name in MEANT else did_you_mean(name, COMMANDS)
            raise click.UsageError(f"no command `{name}`" + (f": {guess}" if guess else ""), ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names of commands and options, without importing the commands."""
        from click.shell_completion import CompletionItem

        commands = [CompletionItem(n, help=text) for n, text in COMMANDS.items() if n.startswith(incomplete)]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list, without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The exit codes."""
        formatter.write_paragraph()
        formatter.write("Exit codes:\n" + indent(exit_table(), "  ") + "\n")


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Run `version` in place of a command."""
    if wanted and not context.resilient_parsing:
        command = root.get_command(context, "version")
        assert command is not None
        context.invoke(command)
        context.exit()


@click.group(
    cls=LazyGroup, name="enginehost", context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=False
)
@common
@click.option(
    "--version", is_flag=True, expose_value=False, callback=_show_version, help="The same as the command version."
)
def root() -> None:
    """Run a node of engines described by a YAML file, and control it.

    A command acts on the node of --file CONFIG. Without --file it acts on the only
    running node whose file is at or below this folder, else in the nearest folder
    above, or below the project (.git, pyproject.toml) that contains this folder.
    """


GC_THRESHOLD: Final = 100_000
"""A command makes little cyclic garbage; collecting it during imports costs 5 %."""


def run(argv: Sequence[str], begun: Begun | None = None) -> int:
    """Run one command line, and return its exit code. Prints an error as text or JSON, as the options demand.

    `begun`: a supervisor started ahead, for `up`.
    """
    try:
        return _run(argv, begun)
    except Unwritten as error:
        abandon_stdout()
        return _report_unwritten(error)
    except BrokenPipeError:
        abandon_stdout()
        return STDOUT_CLOSED


def main(begun: Begun | None = None) -> NoReturn:
    """Run the command line of this process; `begun` as in `run`.

    Exits without finalizing the interpreter, which would take 13 ms of the 80 of `ps`: commands close what they open.
    """
    gc.set_threshold(GC_THRESHOLD)
    take_any_encoding()
    if COMPLETE in os.environ:
        root.main(prog_name="enginehost", complete_var=COMPLETE)
    code = run(sys.argv[1:], begun)
    try:
        sys.stdout.flush()
    except OSError as error:
        abandon_stdout()
        code = STDOUT_CLOSED if isinstance(error, BrokenPipeError) else code or EXIT_CODES["failed"]
    if sys.gettrace() or sys.getprofile():
        sys.exit(code)
    os._exit(code)


def _run(argv: Sequence[str], begun: Begun | None) -> int:
    try:
        for argument in argv:
            argument.encode()
        with root.make_context("enginehost", list(argv)) as context:
            context.meta[BEGUN] = begun
            if not argv:
                diagnose(root.get_help(context))
            root.invoke(context)
        return 0
    except click.exceptions.Exit as e:
        return e.exit_code
    except (BrokenPipeError, Unwritten):
        raise
    except (Exception, KeyboardInterrupt) as e:
        if "--debug" in argv:
            _show_traceback(e)
        return _report(find_problem(e), as_json="--json" in argv)


def _report(problem: CommandProblem, *, as_json: bool) -> int:
    if problem.text:
        diagnose(problem.text)
    diagnose(f"enginehost: {one_line(problem.message)}")
    if as_json and problem.error != "interrupted":
        try:
            write(envelope("error", problem.error_items()))
        except Unwritten as error:
            if error.is_closed_pipe:
                raise
            abandon_stdout()
    return problem.exit_code


def _report_unwritten(error: Unwritten) -> int:
    """A command of `ACTS` has succeeded even if its result cannot be printed; any other command has failed."""
    is_done = error.command in ACTS
    if not error.is_closed_pipe:
        diagnose(f"enginehost: {error}" + (f" ({error.command}: done)" if is_done else ""))
    if is_done:
        return EXIT_CODES["ok"]
    return STDOUT_CLOSED if error.is_closed_pipe else EXIT_CODES["failed"]


def _show_traceback(error: BaseException) -> None:
    import traceback

    diagnose("".join(traceback.format_exception(error)))
