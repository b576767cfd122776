"""The commands of `aism`: words, usage, where the function is, and one line about it.

`help --json` lists this table, so agents discover what they can do, and `aism init` writes the same into their
instructions. A command's function is imported only when it is called.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple


class Command(NamedTuple):
    """A command. `home` is "module:function", and the module is below `host.aism.commands`."""

    words: str
    usage: str
    home: str
    summary: str
    audience: Literal["agent", "operator", "all"]


HELP: Final = (
    Command("help", "[<topic>...]", "help:show", "Commands, and how one of them is called.", "all"),
    Command("explain", "<code>", "protocol:explain", "What a finding means, with an example before and after.", "all"),
)

STATE: Final[tuple[Command, ...]] = ()

MESSAGE: Final[tuple[Command, ...]] = ()

MEASURE: Final[tuple[Command, ...]] = ()

SESSION: Final[tuple[Command, ...]] = ()

PROTOCOL: Final = (
    Command("protocol lint", "<file>... [--strict]", "protocol:lint", "Findings about protocol files.", "operator"),
    Command("protocol fmt", "<file>... [--check]", "protocol:fmt", "Write protocol files in one form.", "operator"),
    Command("protocol graph", "<file> [--dot]", "protocol:graph", "The moves as a diagram (Mermaid, dot).", "operator"),
    Command("protocol explain", "<code>", "protocol:explain", "The same as `explain`.", "all"),
    Command(
        "protocol show", "[<name>] [--version-of VERSION] [--section NAME] [--diff VERSION] [--effective]", "protocol:show",
        "A protocol of the engine, or a file (name ends in .md), or a section of it.", "all",
    ),
    Command(
        "protocol list", "[<folder>] [--after NAME]", "protocol:listed",
        "The protocols of the engine, or those in a folder.", "all",
    ),
)  # fmt: skip

ROLLOUT: Final = (
    Command(
        "protocol check", "<old> <new>", "evolution:check",
        "What is different between two versions, and whether running agents can be moved.", "operator",
    ),
    Command(
        "simulate", "<file> --script FILE", "evolution:simulate",
        "Try a protocol with scripted agents and a clock that jumps.", "operator",
    ),
)  # fmt: skip

NODE: Final[tuple[Command, ...]] = ()

AGENT: Final[tuple[Command, ...]] = ()

MEASURING: Final[tuple[Command, ...]] = ()

COMMANDS: Final = (
    *STATE, *MESSAGE, *MEASURE, *SESSION, *PROTOCOL, *ROLLOUT, *NODE, *AGENT, *MEASURING, *HELP,
)  # fmt: skip


def nearest(words: str) -> str:
    """The command whose words are most like these, or "" if none is near."""
    from difflib import get_close_matches

    found = get_close_matches(words, [one.words for one in COMMANDS], n=1, cutoff=0.5)
    return found[0] if found else ""


def find(words: list[str]) -> tuple[Command | None, list[str]]:
    """The command with the most words that `words` begins with, and the rest of them."""
    for count in (3, 2, 1):
        head = " ".join(words[:count])
        for one in COMMANDS:
            if len(words) >= count and one.words == head:
                return one, words[count:]
    return None, words
