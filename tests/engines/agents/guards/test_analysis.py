"""Questions about guards are answered exactly: compared with brute force over a finite abstraction made here."""

from __future__ import annotations

from itertools import product
from random import Random

import pytest

from engines.agents.protocol.guards import (
    Expr,
    NotAnalysable,
    always,
    check_analysable,
    evaluate,
    example,
    gap,
    never,
    overlap,
    parse_guard,
)
from engines.agents.protocol.guards.regions import of_number
from engines.agents.protocol.model import Datum, Field, FieldType

KNOWN = {
    "inbox.unread": Field("unread", FieldType("int", low=0), is_optional=True),
    "measure.context_percent": Field("percent", FieldType("number", low=0, high=100)),
    "context.done": Field("done", FieldType("bool"), is_optional=True),
    "context.mood": Field("mood", FieldType("enum", choices=("good", "bad"))),
    "context.task": Field("task", FieldType("string"), is_optional=True),
    "context.items": Field("items", FieldType("list", high=3), is_optional=True),
    "state.since": Field("since", FieldType("time", low=0)),
}

DOMAIN: dict[str, tuple[Datum | None, ...]] = {
    "inbox.unread": (None, *range(6)),
    "measure.context_percent": (*(n / 2 for n in range(9)), 100),
    "context.done": (None, True, False),
    "context.mood": ("good", "bad"),
    "context.task": (None, "", "a", "b", "c"),
    "count(context.items)": (None, 0, 1, 2, 3),
    "elapsed(state.since)": tuple(n * 500_000_000 for n in range(-1, 11)),
}
"""Values that stand for all: constants below are whole and 0 to 4, with a value between, below and above."""


def atom(random: Random) -> str:
    """An atom over a name of the domain."""
    op, n, m = random.choice(("==", "!=", "<", "<=", ">", ">=")), random.randint(0, 4), random.randint(0, 4)
    equal = random.choice(("==", "!="))
    return random.choice(
        (
            f"inbox.unread {op} {n}",
            f"inbox.unread in {{{n}, {m}}}",
            f"measure.context_percent {op} {n}%",
            f"measure.context_percent between {n} and {m}",
            "context.done",
            f"context.done {equal} true",
            f'context.mood {equal} "good"',
            'context.mood in {"good", "bad"}',
            f'context.task {equal} "{random.choice(("", "a", "b"))}"',
            f"count(context.items) {op} {n}",
            f"elapsed(state.since) {op} {n}s",
            f"present({random.choice(('inbox.unread', 'context.done', 'context.task', 'context.items'))})",
            random.choice(("true", "false")),
        )
    )


def guard(random: Random, depth: int = 3) -> str:
    """A guard over the domain."""
    kind = random.random()
    if depth == 0 or kind < 0.3:
        return atom(random)
    if kind < 0.5:
        return f"not ({guard(random, depth - 1)})"
    word = random.choice((" and ", " or "))
    return "(" + word.join(guard(random, depth - 1) for _ in range(random.randint(2, 3))) + ")"


def pair(random: Random) -> tuple[Expr, Expr, list[str]]:
    """Two guards that have at most three names together, so that all values can be gone through; and their names."""
    while True:
        texts = guard(random), guard(random)
        keys = [key for key in DOMAIN if any(base(key) in text for text in texts)]
        if len(keys) <= 3 and all(len(text) < 400 for text in texts):
            return parse_guard(texts[0]), parse_guard(texts[1]), keys


@pytest.mark.parametrize(
    ("first_seed", "count"), [pytest.param(0, 300), pytest.param(300, 4700, marks=pytest.mark.storm)]
)
def test_p5_answers_agree_with_brute_force(first_seed: int, count: int) -> None:
    """False if overlap, never, always or gap differ from brute force, or a witness is none."""
    for seed in range(first_seed, first_seed + count):
        random = Random(seed)
        first, second, keys = pair(random)
        found = brute(first, second, keys)
        both = overlap(first, second, KNOWN)
        assert (both is not None) == ((True, True) in found), seed
        none = gap((first, second), KNOWN)
        assert (none is not None) == ((False, False) in found), seed
        assert never(first, KNOWN) == all(one is not True for one, _ in found), seed
        assert always(first, KNOWN) == all(one is not False for one, _ in found), seed
        if both is not None:
            assert evaluate(first, both.names) is evaluate(second, both.names) is True, (seed, str(both))
        if none is not None:
            assert evaluate(first, none.names) is evaluate(second, none.names) is False, (seed, str(none))


def base(key: str) -> str:
    """The name in a term."""
    return key.removeprefix("count(").removeprefix("elapsed(").rstrip(")")


def brute(first: Expr, second: Expr, keys: list[str]) -> set[tuple[bool | None, bool | None]]:
    """What the two guards are under all facts."""
    return {
        (evaluate(first, facts), evaluate(second, facts))
        for values in product(*(DOMAIN[key] for key in keys))
        for facts in ({key: value for key, value in zip(keys, values, strict=True) if value is not None},)
    }


@pytest.mark.parametrize(
    ("first", "second", "witness"),
    [
        ("measure.context_percent >= 70%", "measure.context_percent <= 70%", "measure.context_percent = 70%"),
        ("measure.context_percent > 70%", "measure.context_percent < 71%", "measure.context_percent = 70.5%"),
        ("inbox.unread > 1", "inbox.unread < 3", "inbox.unread = 2"),
        ('context.task != "a"', 'context.task != "other"', 'context.task = "other1"'),
        ("not present(context.task)", "true", "context.task unknown"),
        ("count(context.items) > 1", "present(context.items)", "count(context.items) = 3"),
        ("true", "true", "any facts"),
        ("elapsed(state.since) > 1h", "inbox.unread == 0", "elapsed(state.since) = 3600000000001ns, inbox.unread = 0"),
    ],
)
def test_a_witness_reads_well(first: str, second: str, witness: str) -> None:
    """False if the overlap is not found, or its example reads otherwise."""
    assert str(overlap(parse_guard(first), parse_guard(second), KNOWN)) == witness


def test_whole_numbers_and_bounds_count() -> None:
    """False if there were a whole number between two that follow each other, or a value beyond a type's bounds."""
    assert never(parse_guard("inbox.unread > 1 and inbox.unread < 2"), KNOWN)
    assert never(parse_guard("measure.context_percent > 100"), KNOWN)
    assert always(parse_guard("inbox.unread >= 0"), KNOWN)
    assert not always(parse_guard("present(inbox.unread)"), KNOWN)
    assert gap((parse_guard('context.mood == "good"'), parse_guard('context.mood == "bad"')), KNOWN) is None
    assert example(parse_guard("count(context.items) > 3"), KNOWN) is None


def test_regions_of_fractions() -> None:
    """False if a fraction between whole numbers hides one of them."""
    assert of_number([2.5], FieldType("int", low=2, high=3), False).values == (2, 3)
    assert of_number([0.5], FieldType("number", low=0, high=1), False).values == (0, 0.5, 1, 0.25, 0.75)


@pytest.mark.parametrize(
    ("text", "offset", "says"),
    [
        ("true and inbox.unread > measure.context_percent", 9, "another name"),
        ("context.items == context.items or count(context.items) == 1", 0, "another name"),
        (
            " or ".join(f"elapsed(state.since) > {n}s" for n in range(3)) + " or state.since == state.since",
            87,
            "another",
        ),
    ],
)
def test_other_guards_are_not_analysed(text: str, offset: int, says: str) -> None:
    """False if a guard that compares names gets an answer."""
    with pytest.raises(NotAnalysable) as refused:
        check_analysable(parse_guard(text), KNOWN)
    assert refused.value.offset == offset
    assert says in refused.value.message


def test_the_number_of_cases_is_bounded() -> None:
    """False if a guard with a normal form beyond the cap is gone through."""
    names = [f"context.x{n}" for n in range(27)]
    text = " and ".join(f"({' or '.join(names[n : n + 3])})" for n in range(0, 27, 3))
    with pytest.raises(NotAnalysable, match="more than 4096 cases"):
        overlap(parse_guard(text), parse_guard("true"), {})
