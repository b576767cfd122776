"""How a command is called: read from its usage line, by which help describes it and its arguments are parsed.

    state transition <target> [--context JSON] [--reason TEXT]
    message send <to> <text> [--field NAME=VALUE]... [--wait]

`<name>` is a positional argument and `[<name>]` an optional one; `...` takes one or more (in brackets: or none).
`--name VALUE` takes a value, `[--name]` is a switch, and `...` after the bracket lets an option be repeated. Standard
library only: an agent's call has 40 ms.
"""

from __future__ import annotations

from collections.abc import Iterator

from engines.agents.names import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Final

UNITS_S: Final = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Misuse(Exception):
    """The command line is wrong: `message` says how, `hint` what would be right."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Parameter(NamedTuple):
    """An argument (its name) or option (with its dashes). `value` describes an option's value; a switch has none."""

    name: str
    value: str
    is_required: bool
    is_repeated: bool

    @property
    def is_option(self) -> bool:
        """Whether it is called by its name."""
        return self.name.startswith("-")


def parameters(usage: str) -> tuple[Parameter, ...]:
    """The parameters that a usage line describes, in its order."""
    found = []
    words = iter(usage.split())
    for word in words:
        first, value = word, ""
        if word.lstrip("[").startswith("-") and not word.endswith(("]", "...")):
            word = next(words, "")
            value = word.rstrip(".]")
        is_repeated = "..." in first + word
        found.append(Parameter(first.strip("[<>.]"), value, not first.startswith("["), is_repeated))
    return tuple(found)


class Arguments:
    """The arguments of one call: a text by name, all texts of a repeated one, and whether a switch is on."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}

    def add(self, name: str, text: str) -> None:
        """One more text under this name."""
        self._texts.setdefault(name, []).append(text)

    def __contains__(self, name: str) -> bool:
        """Whether the argument, option or switch was given."""
        return name in self._texts

    def __getitem__(self, name: str) -> str:
        """The text of an argument or option that was given. Raises KeyError."""
        return self._texts[name][-1]

    def get(self, name: str, default: str = "") -> str:
        """The text of an argument or option, or `default`."""
        return self._texts.get(name, (default,))[-1]

    def all(self, name: str) -> list[str]:
        """Each text of a repeated argument or option, in order."""
        return list(self._texts.get(name, ()))


def parse(usage: str, words: list[str]) -> Arguments:
    """The arguments in `words`; `--` ends options. Raises Misuse."""
    known = parameters(usage)
    options = {one.name: one for one in known if one.is_option}
    found = Arguments()
    positional: list[str] = []
    left = iter(words)
    for word in left:
        if word == "--":
            positional.extend(left)
        elif word.startswith("-") and word != "-":
            _take_option(word, left, options, found)
        else:
            positional.append(word)
    _place(positional, [one for one in known if not one.is_option], found)
    for name, option in options.items():
        if option.is_required and name not in found:
            raise Misuse(f"option {name} is missing")
    return found


def _take_option(word: str, left: Iterator[str], options: dict[str, Parameter], found: Arguments) -> None:
    name, equals, text = word.partition("=") if word.startswith("--") else (word, "", "")
    option = options.get(name)
    if option is None:
        known = f"options: {', '.join(options)}" if options else "this command takes no options"
        raise Misuse(f"no option {name}", f"{known}; text that begins with '-' goes after '--'")
    if not option.value:
        if equals:
            raise Misuse(f"option {name} takes no value")
        found.add(name, "")
        return
    if not equals:
        following = next(left, None)
        if following is None:
            raise Misuse(f"option {name} needs a value: {name} {option.value}")
        text = following
    if name in found and not option.is_repeated:
        raise Misuse(f"option {name} is given twice")
    found.add(name, text)


def _place(words: list[str], known: list[Parameter], found: Arguments) -> None:
    needed = sum(one.is_required for one in known)
    spare = len(words) - needed
    at = 0
    for one in known:
        if not one.is_required and spare <= 0:
            continue
        count = 1
        if one.is_repeated:
            count = max(spare, 0) + one.is_required
        elif not one.is_required:
            spare -= 1
        if one.is_repeated:
            spare = 0
        for word in words[at : at + count]:
            found.add(one.name, word)
        at += count
    missing = [one.name for one in known if one.is_required and one.name not in found]
    if missing:
        raise Misuse(f"argument <{missing[0]}> is missing")
    if at < len(words):
        raise Misuse(f"one argument too many: {words[at]!r}")


def seconds(text: str) -> float:
    """A duration such as `250ms` or `30s`. Raises Misuse."""
    import re

    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h|d)", text, re.ASCII)
    if match is None:
        raise Misuse(f"{text!r} is no duration", "write for example 250ms, 30s, 5m")
    return float(match[1]) * UNITS_S[match[2]]
