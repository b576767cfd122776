"""Programs by name: pure functions of their arguments and of the values they read, each with the label it needs.

A program reads by calling `read(key)`, which returns the value or None for absent, and returns what it writes. Its run
may be cut off at any `read` and begun again when the value is here, so it must be a function of these alone: no clock,
no chance, no input or output. A `ProgramError` fails the transaction, everywhere in the same way.

Keys and values are bytes. Numbers are nouns, so they are written as the jam of an atom and have no bound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

from .nouns import Noun, NounError, cue, items_of, jam, list_of
from .transactions import Executable, Label, TransactionCandidate

Read: TypeAlias = Callable[[bytes], bytes | None]
Writes: TypeAlias = Mapping[bytes, bytes]


class ProgramError(Exception):
    """The program has no result; the text says why."""


class Program(NamedTuple):
    """A program of the registry: its number of arguments, the label that these need, the function itself.

    `args_min` counts the arguments it cannot do without.
    """

    name: str
    label: Callable[..., Label]
    run: Callable[..., Writes]
    args_min: int
    args_max: int


PROGRAMS: Final[dict[str, Program]] = {}
"""All programs, by name."""

ARGS_MAX: Final = 16
"""Arguments of a program that takes any number of them."""


def program(label: Callable[..., Label], args_max: int = 0) -> Callable[[Callable[..., Writes]], Callable[..., Writes]]:
    """Enter a function in the registry, with the label for the same arguments."""

    def enter(run: Callable[..., Writes]) -> Callable[..., Writes]:
        args_min = run.__code__.co_argcount - 1
        PROGRAMS[run.__name__] = Program(run.__name__, label, run, args_min, args_max or args_min)
        return run

    return enter


def found(executable: Executable) -> Program:
    """The program of this name, for so many arguments. Raises ProgramError."""
    one = PROGRAMS.get(executable.program)
    if one is None:
        raise ProgramError(f"there is no program {executable.program!r}")
    if not one.args_min <= len(executable.args) <= one.args_max:
        raise ProgramError(f"{one.name} takes {one.args_min} to {one.args_max} arguments, not {len(executable.args)}")
    return one


def candidate(name: str, *args: bytes, nonce: bytes = b"") -> TransactionCandidate:
    """A transaction of a program, with the label that its arguments need. Raises ProgramError."""
    executable = Executable(name, args)
    return TransactionCandidate(found(executable).label(*args), executable, nonce)


def number(datum: bytes | None, absent: int = 0) -> int:
    """The number that a value is the jam of. Raises ProgramError for any other value."""
    if datum is None:
        return absent
    try:
        noun = cue(datum)
    except NounError as error:
        raise ProgramError(f"the value is no noun: {error}") from None
    if not isinstance(noun, int):
        raise ProgramError("the value is a cell, not a number")
    return noun


@program(lambda key, datum: Label(write=(key,)))
def write(read: Read, key: bytes, datum: bytes) -> Writes:
    """A value under a key."""
    return {key: datum}


@program(lambda *keys: Label(read=keys), args_max=ARGS_MAX)
def look(read: Read, key: bytes, *more: bytes) -> Writes:
    """Keys, read and left as they are: the summary has their values."""
    for one in (key, *more):
        read(one)
    return {}


@program(lambda key: Label(write=(key,)))
def zero(read: Read, key: bytes) -> Writes:
    """A counter, set to 0."""
    return {key: jam(0)}


@program(lambda key: Label(read=(key,), write=(key,)))
def inc(read: Read, key: bytes) -> Writes:
    """A counter that is there already, one more."""
    count = read(key)
    if count is None:
        raise ProgramError("there is no such counter")
    return {key: jam(number(count) + 1)}


@program(lambda key: Label(read=(key,), write=(key,)))
def increment(read: Read, key: bytes) -> Writes:
    """A counter, one more; one that is absent begins at 0."""
    return {key: jam(number(read(key)) + 1)}


@program(lambda source, target: Label(read=(source,), write=(target,)))
def successor(read: Read, source: bytes, target: bytes) -> Writes:
    """The number under `source`, and one more, under `target`."""
    return {target: jam(number(read(source)) + 1)}


@program(lambda key, member: Label(read=(key,), write=(key,)))
def append(read: Read, key: bytes, member: bytes) -> Writes:
    """A set of byte strings, with one member more; a set is written as the jam of its sorted list."""
    before = read(key)
    members = {*(_members(before) if before is not None else ()), int.from_bytes(member, "little")}
    return {key: jam(list_of(sorted(members)))}


def _members(datum: bytes) -> list[int]:
    try:
        items: list[Noun] = items_of(cue(datum))
    except NounError as error:
        raise ProgramError(f"the value is no set: {error}") from None
    if not all(isinstance(item, int) for item in items):
        raise ProgramError("the value is no set: a member is a cell")
    return [item for item in items if isinstance(item, int)]


@program(lambda source, target, amount: Label(read=(source, target), write=(source, target)))
def transfer(read: Read, source: bytes, target: bytes, amount: bytes) -> Writes:
    """An amount, from one account to another; one that is absent holds 0."""
    moved, held, there = number(amount), number(read(source)), number(read(target))
    if moved > held:
        raise ProgramError(f"the account holds {held}, less than {moved}")
    if source == target:
        return {source: jam(held)}
    return {source: jam(held - moved), target: jam(there + moved)}


@program(lambda condition, target, datum: Label(read=(condition,), may_write=(target,)))
def write_if(read: Read, condition: bytes, target: bytes, datum: bytes) -> Writes:
    """A value under `target`, if there is one under `condition`; else the target stays as it is."""
    return {} if read(condition) is None else {target: datum}


@program(lambda pointer, target, *keys: Label(read=(pointer,), write=(target,), lazy_read=keys), args_max=ARGS_MAX)
def follow(read: Read, pointer: bytes, target: bytes, *keys: bytes) -> Writes:
    """The value of the key whose place among `keys` stands under `pointer`, under `target`."""
    place = number(read(pointer))
    if place >= len(keys):
        raise ProgramError(f"the pointer is {place}; there are {len(keys)} keys")
    datum = read(keys[place])
    if datum is None:
        raise ProgramError(f"nothing is at key {place}")
    return {target: datum}
