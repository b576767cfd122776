"""`enginehost send`: a message to an engine, as if another engine had sent it."""

from __future__ import annotations

import sys

import click

from host.cli.fields import FieldError, parse_fields, parse_message, parse_target
from host.cli.output import Items
from host.cli.problem import CliError
from host.cli.session import MARGIN_NS, ask, complete_engine, show
from host.cli.settings import common
from host.cli.table import render_tree
from host.cli.units import duration
from host.live.control.protocol import ControlError, TypedField

TIMEOUT_NS = 10_000_000_000
"""Default time for an answer; most engines answer within milliseconds."""


class SendCommand(click.Command):
    """Reads `--json -` as "the message comes from standard input"; a plain `--json` keeps its meaning."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Replaces the pair by `--stdin`: a click option with an optional value would swallow the next argument."""
        before = ["", *args]
        return super().parse_args(
            ctx, ["--stdin" if (b, a) == ("--json", "-") else a for b, a in zip(before, args, strict=False)]
        )


@click.command("send", cls=SendCommand)
@click.argument("target", metavar="ENGINE[#MAILBOX]", shell_complete=complete_engine)
@click.argument("tag", metavar="TAG", required=False)
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option(
    "--wait",
    metavar="TAG",
    multiple=True,
    help="Wait for an answer of this type and print it; repeat, or write A|B, for several types.",
)
@click.option(
    "--timeout", type=duration, default=TIMEOUT_NS, metavar="DURATION", help="Time limit for the answer (10s)."
)
@click.option(
    "--id",
    "message_id",
    metavar="TEXT",
    help="Deliver only once under this id, however often sent; to a journaled engine, also across node restarts.",
)
@click.option("--stdin", is_flag=True, hidden=True)
@common
def command(
    target: str,
    tag: str | None,
    fields: tuple[str, ...],
    wait: tuple[str, ...],
    timeout: int,
    message_id: str | None,
    stdin: bool,
) -> None:
    """Send message TAG to an engine. Returns when it has arrived, or with --wait when the answer has.

    \b
    hash=0x1337         bytes in hex, or an integer
    key=b64:AAEC        bytes in base 64
    body=@page.html     the content of a file, as bytes
    at={"x":1} a=[1,2]  JSON, also "quoted text"
    count=7 ok=true     by the type of the field; an enumeration by value or name
    x=inf x=nan         floats; in JSON they are written "inf", "-inf", "nan"
    after_ns=10s        with a unit if the field's name ends in `_ns` or `_bytes`
    to=text:@home       literal text

    An omitted reference stands for this command, so --wait receives an answer sent to it. An answer of any other type
    is shown, with exit code 1.

    `--json -` reads the fields from standard input as one JSON object; its "type" can replace TAG.
    """
    engine, mailbox = parse_target(target)
    found, message = _message(tag, fields, stdin)
    args = {"engine": engine, "mailbox": mailbox, "tag": found, "fields": message, "id": message_id}
    args |= {"wait": "|".join(wait) or None, "timeout_ns": timeout}
    try:
        response = ask("send", args, timeout_ns=timeout + MARGIN_NS)
    except ControlError as e:
        raise CliError(
            e.error, e.message, tuple(e.items), render_answer([i["answer"] for i in e.items if "answer" in i])
        ) from e
    show(response, render_answer)


def _message(tag: str | None, arguments: tuple[str, ...], stdin: bool) -> tuple[str, dict[str, TypedField]]:
    if tag is not None and "=" in tag:
        raise FieldError(f"the message type is missing before {tag!r}")
    fields = parse_fields(arguments)
    if stdin:
        given, read = parse_message(sys.stdin.buffer.read())
        if tag and given and tag != given:
            raise FieldError(f"standard input has a {given}, the command line a {tag}")
        if twice := fields.keys() & read.keys():
            raise FieldError(f"field {min(twice)} is given twice")
        tag, fields = tag or given, {**read, **fields}
    if tag is None:
        raise FieldError("the message type is missing: ENGINE TAG field=value")
    return tag, fields


def render_answer(items: Items) -> str:
    """Answers as their types and fields; nothing for a message without --wait."""
    fields = [{k: v for k, v in i.items() if k != "type"} for i in items]
    shown = (f"\n{render_tree(field, '  ')}" if field else "" for field in fields)
    return "\n".join(f"{i['type']}{text}" for i, text in zip(items, shown, strict=True) if "type" in i)
