"""The language of guards: what is read, what is refused, and what is true."""

from __future__ import annotations

import builtins
import string
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.agents.protocol.guards import (
    NOW,
    GuardError,
    canonical_text,
    evaluate,
    known_names,
    parse_guard,
    parse_value,
    problems,
    unknown_names,
    value_of,
    value_problems,
)
from engines.agents.protocol.model import Datum, Field, FieldType, Protocol, Role, State

KNOWN = known_names(
    Protocol(
        "p",
        states=(State("work"),),
        roles=(Role("worker"),),
        context=(
            Field("task", FieldType("string"), default=""),
            Field("mood", FieldType("enum", choices=("good", "bad")), default="good"),
            Field("done", FieldType("bool"), default=False),
            Field("items", FieldType("list", item=FieldType("string")), default=()),
        ),
    )
)

PROTOCOL = Protocol("p", states=(State("work"),), roles=(Role("worker"),))


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("inbox.unread==0", "inbox.unread == 0"),
        ("0 < inbox.unread", "inbox.unread > 0"),
        ("( inbox.unread > 0 )", "inbox.unread > 0"),
        ("not (inbox.unread > 0 or context.done)", "not (inbox.unread > 0 or context.done)"),
        ("(context.done and true) and false", "context.done and true and false"),
        ("context.done and (true or false)", "context.done and (true or false)"),
        ("elapsed( state.since ) >= 60s", "elapsed(state.since) >= 1m"),
        ("measure.rss < 1024KiB", "measure.rss < 1MiB"),
        ("measure.context_tokens > 1.5k", "measure.context_tokens > 1500"),
        ("measure.context_percent >= 70.50%", "measure.context_percent >= 70.5%"),
        ('context.mood in {"good","bad", "good"}', 'context.mood in {"good", "bad"}'),
        ('context.task == "a \\"b\\" \\\\"', 'context.task == "a \\"b\\" \\\\"'),
        ("peers.count(worker,work) between 1 and 3", "peers.count(worker, work) between 1 and 3"),
        ("present(measure.cost) and not not context.done", "present(measure.cost) and not not context.done"),
    ],
)
def test_a_guard_has_one_text(text: str, canonical: str) -> None:
    """False if the canonical text differs, is another guard, or has another canonical text itself."""
    expr = parse_guard(text)
    assert canonical_text(expr) == canonical
    assert canonical_text(parse_guard(canonical)) == canonical
    assert not problems(expr, KNOWN, PROTOCOL)


@pytest.mark.parametrize(
    ("text", "code", "offset", "says"),
    [
        ("", "E-GUARD-SYNTAX", 0, "found the end"),
        ("inbox.unread ==", "E-GUARD-SYNTAX", 15, "expected a name or a literal, found the end"),
        ("inbox.unread = 0", "E-GUARD-SYNTAX", 13, "cannot read '='"),
        ("inbox.unread == 0 0", "E-GUARD-SYNTAX", 18, "expected 'and', 'or' or the end, found '0'"),
        ("unread == 0", "E-GUARD-SYNTAX", 0, "'unread' is no name"),
        ("inbox.unread == 3x", "E-GUARD-SYNTAX", 16, "unknown unit 'x'"),
        ("inbox.unread == 99999999999999999999", "E-GUARD-SYNTAX", 16, "too large"),
        ("inbox.unread in {}", "E-GUARD-SYNTAX", 17, "expected a name or a literal"),
        ("inbox.unread in {inbox.unread}", "E-GUARD-SYNTAX", 17, "literals only"),
        ("(inbox.unread == 0", "E-GUARD-SYNTAX", 18, "expected ')'"),
        ("not" * 3, "E-GUARD-SYNTAX", 0, "is no name"),
        ("1 == 2", "E-GUARD-TYPE", 0, "two constants"),
        ("1 in {2}", "E-GUARD-TYPE", 0, "needs a name"),
        ("3", "E-GUARD-SYNTAX", 1, "expected a comparison"),
        ("not " * 40 + "true", "E-GUARD-SIZE", 132, "deeper than 32"),
        ("(" * 400 + "true", "E-GUARD-SIZE", 33, "deeper than 32"),
        (" or ".join(["true"] * 40), "E-GUARD-SIZE", 0, "81 nodes, limit 64"),
        ("true or " * 200, "E-GUARD-SIZE", 1024, "1600 bytes, limit 1024"),
    ],
)
def test_what_cannot_be_read(text: str, code: str, offset: int, says: str) -> None:
    """False if a broken guard is read, or the refusal names another reason or place."""
    with pytest.raises(GuardError) as refused:
        parse_guard(text)
    assert (refused.value.code, refused.value.offset) == (code, offset)
    assert says in refused.value.message


@pytest.mark.parametrize(
    ("text", "code", "offset", "says", "hint"),
    [
        ("measure.contxt_percent > 1", "E-GUARD-NAME", 0, "unknown name 'measure.contxt_percent'", "context_percent"),
        ("foo.bar == 1", "E-GUARD-NAME", 0, "known: agent.*, context.*, inbox.*", ""),
        ("true and context.taks == 1", "E-GUARD-NAME", 9, "known: context.done", "context.task"),
        ("peers.count(workr, work) > 1", "E-GUARD-NAME", 0, "role 'workr' is not defined", "worker"),
        ("peers.count(worker) > 1", "E-GUARD-TYPE", 0, "takes (role, state)", ""),
        ("inbox.unread(work) > 1", "E-GUARD-TYPE", 0, "takes no arguments", ""),
        ("inbox.unread == 5m", "E-GUARD-TYPE", 16, "compare a number with a duration", ""),
        ("context.task < context.task", "E-GUARD-TYPE", 15, "a text has no order", ""),
        ("context.items == 1", "E-GUARD-TYPE", 17, "compare a list", "count()"),
        ("count(inbox.unread) == 1", "E-GUARD-TYPE", 0, "count() is of a list", ""),
        ("elapsed(inbox.unread) > 1s", "E-GUARD-TYPE", 0, "elapsed() is since a time", ""),
        ("inbox.unread", "E-GUARD-TYPE", 0, "true or false, and this is a number", ""),
        ('context.mood == "god"', "E-GUARD-TYPE", 16, "is never", "good"),
    ],
)
def test_wrong_names_and_types(text: str, code: str, offset: int, says: str, hint: str) -> None:
    """False if a name or type is accepted that does not fit, or the finding lacks place or hint."""
    [problem, *more] = problems(parse_guard(text), KNOWN, PROTOCOL)
    assert not more
    assert (problem.code, problem.offset) == (code, offset)
    assert says in problem.message
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("text", "facts", "expected", "unknown"),
    [
        ("inbox.unread == 0", {"inbox.unread": 0}, True, ()),
        ("inbox.unread == 0", {}, None, ("inbox.unread",)),
        ("inbox.unread == 0 or context.done", {"context.done": True}, True, ()),
        ("inbox.unread == 0 and context.done", {"context.done": False}, False, ()),
        ("inbox.unread == 0 and context.done", {"context.done": True}, None, ("inbox.unread",)),
        ("not inbox.unread == 0", {}, None, ("inbox.unread",)),
        ("present(inbox.unread)", {}, False, ()),
        ("not present(inbox.unread)", {}, True, ()),
        ("count(context.items) == 2", {"context.items": ("a", "b")}, True, ()),
        ("elapsed(state.since) > 5m", {"state.since": 0, NOW: 301 * 10**9}, True, ()),
        ("elapsed(state.since) > 5m", {"state.since": 0}, None, ("elapsed(state.since)",)),
        ("inbox.unread == 0", {"inbox.unread": "none"}, None, ("inbox.unread",)),
        ("inbox.unread == 1", {"inbox.unread": True}, None, ("inbox.unread",)),
        ("inbox.unread < 1", {"inbox.unread": float("nan")}, None, ("inbox.unread",)),
        ("context.done", {"context.done": 1}, None, ("context.done",)),
        ("inbox.unread between 1 and measure.cost", {"inbox.unread": 0}, False, ()),
        ('context.mood != "bad"', {"context.mood": "good"}, True, ()),
        ("context.done == true", {"context.done": True}, True, ()),
        ("peers.count(worker, work) >= 1", {"peers.count(worker,work)": 1}, True, ()),
    ],
)
def test_three_values(text: str, facts: dict[str, Datum], expected: bool | None, unknown: tuple[str, ...]) -> None:
    """False if a missing or unfit fact decides, or one that does not matter keeps the guard unknown."""
    expr = parse_guard(text)
    assert evaluate(expr, facts) is expected
    assert unknown_names(expr, facts) == unknown


def test_values_for_fields() -> None:
    """False if a term has another value or class than the field."""
    assert value_of(parse_value("request.task"), {"request.task": "t"}) == "t"
    assert value_of(parse_value("count(context.items)"), {}) is None
    assert value_of(parse_value("5m"), {}) == 300 * 10**9
    assert not value_problems(parse_value('""'), FieldType("string"), KNOWN)
    assert value_problems(parse_value("5m"), FieldType("string"), KNOWN)[0].code == "E-GUARD-TYPE"
    assert value_problems(parse_value("request.x"), FieldType("string"), KNOWN)[0].code == "E-GUARD-NAME"


HOSTILE = (
    "__import__('os').system('id')", "().__class__.__bases__", "lambda: 1", "exec('1')", "open('/etc/passwd')", "{}[0]",
    "request.__class__ == 1", "f'{1}'", "1 if 2 else 3", "[x for x in y]", "a.b ; c.d", "9**9**9", "\x00", "\ud800",
    "context.a == \"\\x41\"", "and and", "((((((", "not not", "1e999", "-0", "`id`", "$(id)",
    "\U0001d7d9 == 1", "inbox.unread == \u0661",
)  # fmt: skip


def hostile(random: Random) -> str:
    """Pieces of Python, of guards and of noise, joined."""
    pieces = (*HOSTILE, "inbox.unread", "==", "(", ")", " and ", " or ", "not ", "7", '"', "in {", "}", "present(")
    noise = [*string.printable, "\u202e", "\u0301", "\uffff", "\U0001f600"]
    parts = (
        random.choice(pieces) if random.random() < 0.7 else random.choice(noise) for _ in range(random.randint(1, 9))
    )
    return "".join(parts)


def is_read(text: str) -> bool:
    """Whether a text is a guard; it goes through everything that guards go through."""
    try:
        expr = parse_guard(text)
    except GuardError:
        return False
    assert evaluate(expr, {}) in (True, False, None)
    assert canonical_text(parse_guard(canonical_text(expr))) == canonical_text(expr)
    assert isinstance(problems(expr, KNOWN, PROTOCOL), tuple)
    return True


def test_p10_hostile_text_reaches_no_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    """False if one of 10,000 hostile texts reaches an evaluator of the host, or raises anything but GuardError."""

    reached: list[str] = []
    random = Random(4)
    texts = [hostile(random) for _ in range(10_000)]
    with monkeypatch.context() as patch:
        for name in ("eval", "exec", "compile"):
            patch.setattr(builtins, name, lambda *_arguments, _name=name, **_named: reached.append(_name))
        read = sum(map(is_read, texts))
    assert not reached
    assert read > 10


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    """False if a text raises anything but GuardError."""
    for read in (parse_guard, parse_value):
        with suppress(GuardError):
            read(text)
