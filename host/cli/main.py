"""The entry point: which commands there are, and what becomes of their exceptions.

A command's module is imported when the command runs, or when its own help is asked for; the list below carries the
short texts, so that `enginehost --help` and completion import none. That keeps `ps` within its 100 ms: Python, click,
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

from host.cli.output import Unwritten, abandon_stdout, diagnose, envelope, one_line, take_any_encoding, write
from host.cli.problem import STDOUT_CLOSED, CommandProblem, exit_table, find_problem
from host.cli.settings import BEGUN, common
from host.live.control.protocol import EXIT_CODES

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from host.live.control.begin import Begun

COMMANDS: Final = {
    "validate": "Check a node file and the families it names; start nothing.",
    "up": "Start a node; returns (-d) or stays attached once every engine is ready.",
    "down": "Stop the node: none of its processes is left.",
    "ps": "List the engines of the running node.",
    "send": "Send a message to an engine, and wait for an answer if asked to.",
    "state": "Look at the state of an engine.",
    "timers": "List timers that are set.",
    "mailbox": "Show what waits in the mailboxes of an engine.",
    "dead-letters": "List messages that reached nobody, and why.",
    "quarantine": "List, look at, replay or discard messages that were set aside.",
    "kill": "Kill the process of an engine, as a crash would end it.",
    "restart": "Start an engine again that is degraded or finished.",
    "logs": "Show what engines noted.",
    "events": "Show what happened to engines and processes.",
    "reload": "Replace the code of an engine while it works.",
    "journal": "Verify, dump, repair, export or import the files of a journal.",
    "replay": "Run what a journal recorded once more, exactly.",
    "history": "Show the transitions of an engine, from its journal.",
    "answer": "Answer the choice that an engine waits for.",
    "bench": "Measure this machine: engines, and peers beside them.",
    "doctor": "Check what this machine offers, and say what is missing.",
    "version": "Show versions.",
}
"""Commands with their short help, in the order of `--help`."""

ACTS: Final = frozenset(
    {"up", "down", "send", "kill", "restart", "reload", "answer", "quarantine replay", "quarantine discard"}
)
"""Commands whose result tells of what they have done by then."""

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
"""What others call these commands."""

COMPLETE: Final = "_ENGINEHOST_COMPLETE"
"""Set by the shell's completion; then click answers instead of a command."""


class LazyGroup(click.Group):
    """A group whose commands are modules: `ps` is `command` in `host.cli.commands.ps`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"host.cli.commands.{cmd_name.replace('-', '_')}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, and suggest a name that is close to an unknown one."""
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
        """The list, without importing what is in it."""
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
    cls=LazyGroup,
    name="enginehost",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=False,
)
@common
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    callback=_show_version,
    help="The same as the command version.",
)
def root() -> None:
    """Run a node of engines described by a YAML file, and talk to it.

    A command speaks to the node of --file CONFIG, else to the only running node
    whose file lies at or below this folder, else in the nearest folder above it,
    or below the project (.git, pyproject.toml) that this folder belongs to.
    """


GC_THRESHOLD: Final = 100_000
"""A command makes little garbage with circles; looking for it while modules are imported costs 5 %."""


def run(argv: Sequence[str], begun: Begun | None = None) -> int:
    """Run one command line; the exit code. Prints the error, if there is one, in the way the user asked for.

    `begun`: a supervisor that `up` may use.
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

    Leaves without taking the interpreter apart, which takes 13 ms of the 80 of `ps`: commands close what they open.
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
    """What a command did is done, whether its result can be shown or not; one that only shows something has failed."""
    is_done = error.command in ACTS
    if not error.is_closed_pipe:
        diagnose(f"enginehost: {error}" + (f" ({error.command}: done)" if is_done else ""))
    if is_done:
        return EXIT_CODES["ok"]
    return STDOUT_CLOSED if error.is_closed_pipe else EXIT_CODES["failed"]


def _show_traceback(error: BaseException) -> None:
    import traceback

    diagnose("".join(traceback.format_exception(error)))
