"""Nock: a deterministic interpreter of twelve opcodes, metered by gas. Pure.

`evaluate(subject, formula, gas)` is Nock's `*[subject formula]`. Every step costs gas, so every run ends.

How it works. Work to do is a list of tasks, results a list of nouns; a task pops results, pushes results and tasks.
Nothing recurs, and a tail call leaves no task behind: a loop needs no more room than one turn of it.

The awkward case: gas must bound time as well. Each opcode costs at least one, since formulas may share parts (see
`nouns`), and a formula of n cells may stand for 2**n steps. An equality is charged for the cells that it compares, as
the cost of 2 alone would let a short program compare large nouns all day.

Opcodes are those of Nock 4K. Costs named by the public texts: slash 1, cell test 1, increment 1, equality 2, if 3,
compose 2, extend 2, call 3, edit 1. The texts name no costs for the others: constant 1, evaluate 1, hint 1, pair 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from .nouns import Noun, numbered


class NockError(Exception):
    """The run has no product; the text says why."""


class OutOfGasError(NockError):
    """The run needs more gas than it was given."""


Task: TypeAlias = "tuple[Callable[[_Machine, Any, Any], None], Any, Any]"


def evaluate(subject: Noun, formula: Noun, gas: int) -> tuple[Noun, int]:
    """The product, and the gas that is left.

    Raises:
        OutOfGasError: `gas` does not suffice.
        NockError: Nock has no product for this (it would crash, or run for ever).
    """
    machine = _Machine(gas)
    machine.tasks.append((_begin, subject, formula))
    tasks = machine.tasks
    while tasks:
        task, first, second = tasks.pop()
        task(machine, first, second)
    return machine.results.pop(), machine.gas


class _Machine:
    """Work to do, results so far, gas left."""

    __slots__ = ("gas", "results", "tasks")

    def __init__(self, gas: int) -> None:
        self.gas = gas
        self.tasks: list[Task] = []
        self.results: list[Noun] = []

    def spend(self, gas: int) -> None:
        self.gas -= gas
        if self.gas < 0:
            raise OutOfGasError("out of gas")


def slash(axis: Noun, noun: Noun) -> Noun:
    """The part of a noun at an axis: 1 is all of it, 2n and 2n + 1 are head and tail of the part at n."""
    if not isinstance(axis, int) or axis == 0:
        raise NockError("slash: an axis is an atom above 0")
    for side in bin(axis)[3:]:
        if isinstance(noun, int):
            raise NockError(f"slash: an atom has no axis {axis}")
        noun = noun[side == "1"]
    return noun


def edited(axis: Noun, value: Noun, noun: Noun) -> Noun:
    """A noun with `value` at an axis."""
    if not isinstance(axis, int) or axis == 0:
        raise NockError("edit: an axis is an atom above 0")
    path: list[tuple[bool, Noun]] = []
    for side in bin(axis)[3:]:
        if isinstance(noun, int):
            raise NockError(f"edit: an atom has no axis {axis}")
        head, tail = noun
        path.append((side == "1", head if side == "1" else tail))
        noun = tail if side == "1" else head
    for is_tail, other in reversed(path):
        value = (other, value) if is_tail else (value, other)
    return value


def _pair(noun: Noun, what: str) -> tuple[Noun, Noun]:
    if isinstance(noun, int):
        raise NockError(f"{what} is an atom")
    return noun


def _begin(machine: _Machine, subject: Noun, formula: Noun) -> None:
    head, tail = _pair(formula, "a formula")
    if not isinstance(head, int):
        machine.spend(PAIR_GAS)
        machine.tasks += ((_join, None, None), (_begin, subject, tail), (_begin, subject, head))
        return
    if head >= len(OPCODES):
        raise NockError(f"there is no opcode {head}")
    gas, operation = OPCODES[head]
    machine.spend(gas)
    operation(machine, subject, tail)


def _join(machine: _Machine, _first: None, _second: None) -> None:
    tail, head = machine.results.pop(), machine.results.pop()
    machine.results.append((head, tail))


def _slash(machine: _Machine, subject: Noun, axis: Noun) -> None:
    machine.results.append(slash(axis, subject))


def _constant(machine: _Machine, _subject: Noun, value: Noun) -> None:
    machine.results.append(value)


def _evaluate(machine: _Machine, subject: Noun, parts: Noun) -> None:
    first, second = _pair(parts, "evaluate")
    machine.tasks += ((_apply, None, None), (_begin, subject, second), (_begin, subject, first))


def _apply(machine: _Machine, _first: None, _second: None) -> None:
    formula, subject = machine.results.pop(), machine.results.pop()
    machine.tasks.append((_begin, subject, formula))


def _cell_test(machine: _Machine, subject: Noun, formula: Noun) -> None:
    machine.tasks += ((_tested, None, None), (_begin, subject, formula))


def _tested(machine: _Machine, _first: None, _second: None) -> None:
    machine.results.append(1 if type(machine.results.pop()) is int else 0)


def _increment(machine: _Machine, subject: Noun, formula: Noun) -> None:
    machine.tasks += ((_incremented, None, None), (_begin, subject, formula))


def _incremented(machine: _Machine, _first: None, _second: None) -> None:
    atom = machine.results.pop()
    if not isinstance(atom, int):
        raise NockError("increment of a cell")
    machine.results.append(atom + 1)


def _equality(machine: _Machine, subject: Noun, parts: Noun) -> None:
    first, second = _pair(parts, "equality")
    machine.tasks += ((_compared, None, None), (_begin, subject, second), (_begin, subject, first))


def _compared(machine: _Machine, _first: None, _second: None) -> None:
    one, other = machine.results.pop(), machine.results.pop()
    if one is other:
        machine.results.append(0)
    elif isinstance(one, int) or isinstance(other, int):
        machine.results.append(0 if type(one) is type(other) and one == other else 1)
    else:
        numbers: dict[Any, int] = {}
        seen: dict[int, int] = {}
        is_same = numbered(one, numbers, seen) == numbered(other, numbers, seen)
        machine.spend(len(seen))
        machine.results.append(0 if is_same else 1)


def _if(machine: _Machine, subject: Noun, parts: Noun) -> None:
    test, branches = _pair(parts, "if")
    machine.tasks += ((_branch, subject, branches), (_begin, subject, test))


def _branch(machine: _Machine, subject: Noun, branches: Noun) -> None:
    yes, no = _pair(branches, "branches")
    test = machine.results.pop()
    if not isinstance(test, int) or test > 1:
        raise NockError("if: the test is neither 0 nor 1")
    machine.tasks.append((_begin, subject, no if test else yes))


def _compose(machine: _Machine, subject: Noun, parts: Noun) -> None:
    first, second = _pair(parts, "compose")
    machine.tasks += ((_composed, second, None), (_begin, subject, first))


def _composed(machine: _Machine, formula: Noun, _second: None) -> None:
    machine.tasks.append((_begin, machine.results.pop(), formula))


def _extend(machine: _Machine, subject: Noun, parts: Noun) -> None:
    first, second = _pair(parts, "extend")
    machine.tasks += ((_extended, subject, second), (_begin, subject, first))


def _extended(machine: _Machine, subject: Noun, formula: Noun) -> None:
    machine.tasks.append((_begin, (machine.results.pop(), subject), formula))


def _call(machine: _Machine, subject: Noun, parts: Noun) -> None:
    axis, formula = _pair(parts, "call")
    machine.tasks += ((_called, axis, None), (_begin, subject, formula))


def _called(machine: _Machine, axis: Noun, _second: None) -> None:
    core = machine.results.pop()
    machine.tasks.append((_begin, core, slash(axis, core)))


def _edit(machine: _Machine, subject: Noun, parts: Noun) -> None:
    place, target = _pair(parts, "edit")
    axis, value = _pair(place, "edit")
    machine.tasks += ((_put, axis, None), (_begin, subject, target), (_begin, subject, value))


def _put(machine: _Machine, axis: Noun, _second: None) -> None:
    noun, value = machine.results.pop(), machine.results.pop()
    machine.results.append(edited(axis, value, noun))


def _hint(machine: _Machine, subject: Noun, parts: Noun) -> None:
    """A hint changes no product; the formula of a dynamic one is evaluated, as it may have none."""
    hint, formula = _pair(parts, "hint")
    machine.tasks.append((_begin, subject, formula))
    if not isinstance(hint, int):
        _tag, clue = hint
        machine.tasks += ((_forget, None, None), (_begin, subject, clue))


def _forget(machine: _Machine, _first: None, _second: None) -> None:
    machine.results.pop()


PAIR_GAS: Final = 1
"""Of a formula that is a pair of formulas."""

OPCODES: Final = (
    (1, _slash),
    (1, _constant),
    (1, _evaluate),
    (1, _cell_test),
    (1, _increment),
    (2, _equality),
    (3, _if),
    (2, _compose),
    (2, _extend),
    (3, _call),
    (1, _edit),
    (1, _hint),
)
"""Gas and operation of each opcode, by its number."""
