"""Entry point of `aism`. Reads the global options, finds the command, imports it, calls it, prints what it returns.

A command is a row in `host.aism.table`. Most rows name an operation of the engine, whose fields `request` makes of the
arguments; the others name a function below `host.aism.commands`:

    def transition(call: Call) -> Outcome: ...

`call.arguments` has what the row's usage line names (`call.arguments["target"]`, `"--wait" in call.arguments`), and
`call.options` the global options. The function returns `output.done(data, text)`, or an `Outcome` with an envelope that
the engine made, or raises `Failure`. A command that prints by itself (`events -f`) returns its exit status.

An agent's call has 40 ms, of which the start of Python takes 15: this file, the table, `usage` and `output` import only
the standard library, and of that neither `typing` nor `re` nor `json`, which take 25 ms together; what a command needs
beyond that is imported in its own module, or where it is used.
"""

from __future__ import annotations

import sys
from importlib import import_module

from engines.agents.bus import REQUEST_ID
from engines.agents.names import TYPE_CHECKING
from host.aism.call import TIMEOUT_S, Call, Options
from host.aism.output import Failure, Outcome, failed, put
from host.aism.table import family_of, find, nearest
from host.aism.usage import Misuse, parse, seconds

if TYPE_CHECKING:
    from typing import Final, NoReturn

INTERRUPTED: Final = 130
VALUED: Final = ("--timeout", "--request-id", "--expect-seq")
"""Global options with a value."""


def main() -> NoReturn:
    """Run the command line of this process."""
    as_json = "--json" in sys.argv or ("--text" not in sys.argv and not sys.stdout.isatty())
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        options, words = read_options(sys.argv[1:], as_json)
        outcome = run(options, words)
    except Misuse as misuse:
        outcome = failed(Failure("usage", "usage", misuse.message, suggestions=[misuse.hint] if misuse.hint else []))
        sys.exit(put(outcome, as_json=as_json))
    except KeyboardInterrupt:
        sys.stderr.write("aism: interrupted\n")
        sys.exit(INTERRUPTED)
    except Exception as error:
        import traceback

        traceback.print_exc()
        outcome = failed(Failure("internal", "internal", f"{type(error).__name__}: {error}"))
        sys.exit(put(outcome, as_json=as_json))
    if isinstance(outcome, int):
        sys.exit(outcome)
    sys.exit(put(outcome, as_json=options.is_json, is_quiet=options.is_quiet))


def run(options: Options, words: list[str]) -> Outcome | int:
    """What the call comes to. Raises Misuse."""
    if options.is_version:
        return _version()
    command, rest = find(words or ["help"])
    if command is None and options.is_help:
        command, rest = find(["help", *words])
    if command is None:
        raise Misuse(*_unknown(words))
    if options.is_help and command.words != "help":
        command, rest = find(["help", *command.words.split()])
        assert command is not None
    try:
        arguments = parse(command.usage, rest)
    except Misuse as misuse:
        raise Misuse(misuse.message, misuse.hint or f"usage: aism {command.words} {command.usage}") from None
    call = Call(command, arguments, options)
    module, _, name = command.home.partition(":")
    try:
        if not name:
            from host.aism.request import request

            return request(call, command.home)
        outcome: Outcome | int = getattr(import_module(f"host.aism.commands.{module}"), name)(call)
    except Failure as failure:
        return failed(failure)
    return outcome


def read_options(words: list[str], as_json: bool) -> tuple[Options, list[str]]:
    """The global options, from anywhere before `--`, and the other words. Raises Misuse."""
    found: dict[str, str] = {}
    rest: list[str] = []
    left = iter(words)
    for word in left:
        name, equals, text = word.partition("=")
        if word == "--":
            rest.extend([word, *left])
        elif word in ("--json", "--text", "--quiet", "--version", "--help", "-h"):
            found[word] = ""
        elif name in VALUED:
            value = text if equals else next(left, None)
            if value is None:
                raise Misuse(f"option {name} needs a value")
            found[name] = value
        else:
            rest.append(word)
    return (
        Options(
            as_json,
            seconds(found["--timeout"]) if "--timeout" in found else TIMEOUT_S,
            _request_id(found.get("--request-id")),
            _sequence(found.get("--expect-seq")),
            "--quiet" in found,
            "--version" in found,
            "--help" in found or "-h" in found,
        ),
        rest,
    )


def _request_id(text: str | None) -> str:
    if text is not None and not REQUEST_ID.fullmatch(text):
        raise Misuse(f"request id {text!r} is not allowed", "1 to 64 letters, digits, '_', '.', ':' or '-'")
    return text or ""


def _sequence(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise Misuse(f"--expect-seq {text!r} is no number")
    return int(text)


def _unknown(words: list[str]) -> tuple[str, str]:
    named = " ".join(word for word in words[:2] if not word.startswith("-"))
    if family := family_of(words[0]):
        which = f"commands of {words[0]!r}: {', '.join(family)}"
        return (f"{words[0]!r} needs another word" if named == words[0] else f"no command {named!r}"), which
    near = nearest(named)
    return f"no command {named!r}", f"did you mean 'aism {near}'?" if near else "'aism help' lists the commands"


def _version() -> Outcome:
    from importlib.metadata import version

    from host.aism.output import done

    found = version("enginehost")
    return done({"version": found}, f"aism {found}")
