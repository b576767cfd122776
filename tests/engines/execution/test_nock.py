"""Nouns, jam and cue, and the interpreter of Nock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from written_nouns import DECREMENT, noun

from engines.execution.nock import NockError, OutOfGasError, edited, evaluate, slash
from engines.execution.nouns import JAM_BYTES_MAX, Noun, NounError, cue, is_equal, items_of, jam, list_of, text_atom

GAS = 100_000
ATOMS = st.one_of(st.integers(0, 3), st.integers(0, 1 << 200))
NOUNS = st.recursive(ATOMS, lambda parts: st.tuples(parts, parts), max_leaves=30)


def product(subject: str, formula: str, gas: int = GAS) -> Noun:
    return evaluate(noun(subject), noun(formula), gas)[0]


@pytest.mark.parametrize(
    ("axis", "part"),
    [(2, "[4 5]"), (3, "[[12 13] 7]"), (6, "[12 13]"), (7, "7"), (4, "4"), (5, "5"), (12, "12"), (13, "13")],
)
def test_nock_axes(axis: int, part: str) -> None:
    """False if an axis of [[4 5] [12 13] 7] led to another part (vector: Nock axes)."""
    assert product("[[4 5] [12 13] 7]", f"[0 {axis}]") == noun(part)


@pytest.mark.parametrize(("given", "less"), [(999, 998), (22, 21)])
def test_nock_arithmetic(given: int, less: int) -> None:
    """False if a loop of calls computed something else (vector: Nock arithmetic)."""
    assert product(str(given), DECREMENT) == less


@pytest.mark.parametrize(
    ("subject", "formula", "result", "gas"),
    [
        ("[1 2]", "[0 1]", "[1 2]", 1),
        ("7", "[1 3 4]", "[3 4]", 1),
        ("[[1 5] [4 0 1]]", "[2 [0 2] 0 3]", None, 0),
        ("[5 [4 0 1]]", "[2 [0 2] 0 3]", "6", 1 + 1 + 1 + 1 + 1),
        ("[1 2]", "[3 0 1]", "0", 2),
        ("1", "[3 0 1]", "1", 2),
        ("9", "[4 0 1]", "10", 2),
        ("[3 3]", "[5 [0 2] 0 3]", "0", 4),
        ("[3 4]", "[5 [0 2] 0 3]", "1", 4),
        ("[[1 2] [1 2]]", "[5 [0 2] 0 3]", "0", None),
        ("0", "[6 [0 1] [1 10] 1 20]", "10", 3 + 1 + 1),
        ("1", "[6 [0 1] [1 10] 1 20]", "20", 3 + 1 + 1),
        ("4", "[7 [4 0 1] 4 0 1]", "6", 2 + 2 + 2),
        ("4", "[8 [1 9] 0 1]", "[9 4]", 2 + 1 + 1),
        ("[[4 0 3] 7]", "[9 2 0 1]", "8", 3 + 1 + 1 + 1),
        ("[1 2]", "[10 [2 1 9] 0 1]", "[9 2]", 1 + 1 + 1),
        ("5", "[11 1 4 0 1]", "6", 1 + 2),
        ("5", "[11 [1 0 1] 4 0 1]", "6", 1 + 1 + 2),
        ("5", "[[0 1] 4 0 1]", "[5 6]", 1 + 1 + 2),
    ],
)
def test_each_opcode(subject: str, formula: str, result: str | None, gas: int | None) -> None:
    """False if an opcode had another product, or another price."""
    if result is None:
        with pytest.raises(NockError):
            product(subject, formula)
        return
    found, left = evaluate(noun(subject), noun(formula), GAS)
    assert found == noun(result)
    assert gas is None or GAS - left == gas
    if gas is not None:
        with pytest.raises(OutOfGasError):
            product(subject, formula, gas - 1)


@pytest.mark.parametrize(
    "formula",
    [
        "0",
        "[0 0]",
        "[0 [1 1]]",
        "[0 4]",
        "[4 1 [1 1]]",
        "[6 [1 2] [1 0] 1 0]",
        "[12 0 1]",
        "[[1 1] 3]",
        "[10 [0 1 1] 0 1]",
        "[5 0]",
    ],
)
def test_what_has_no_product(formula: str) -> None:
    """False if nonsense had a product, or raised another error than the one that fails a transaction."""
    with pytest.raises(NockError):
        product("[1 2]", formula)


def test_a_loop_without_end_runs_out_of_gas() -> None:
    """False if a program could run for ever, or needed more room the longer it runs."""
    with pytest.raises(OutOfGasError):
        product("0", "[8 [1 9 2 0 1] 9 2 0 1]", 1_000_000)


def test_a_formula_whose_parts_are_shared_runs_out_of_gas() -> None:
    """False if a short formula that stands for 2**200 steps ran them without paying."""
    formula: Noun = (0, 1)
    for _ in range(200):
        formula = (formula, formula)
    with pytest.raises(OutOfGasError):
        evaluate(1, formula, GAS)


def test_a_comparison_is_paid_for_by_its_size() -> None:
    """False if comparing large nouns cost the same as comparing small ones."""
    large = list_of(list(range(1000)))
    subject: Noun = (large, list_of(list(range(1000))))
    result, left = evaluate(subject, noun("[5 [0 2] 0 3]"), GAS)
    assert result == 0
    assert GAS - left > 2000
    with pytest.raises(OutOfGasError):
        evaluate(subject, noun("[5 [0 2] 0 3]"), 1000)


@given(NOUNS)
def test_cue_gives_what_jam_was_given(one: Noun) -> None:
    """False if a noun came back as another one."""
    assert is_equal(cue(jam(one)), one)


@given(NOUNS, NOUNS)
def test_equality_is_that_of_content(one: Noun, other: Noun) -> None:
    """False if equal nouns had different bytes, or different ones the same."""
    assert is_equal(one, other) == (one == other) == (jam(one) == jam(other))


@given(st.integers(0, 1 << 200))
def test_an_atom_has_the_same_bits_alone_and_in_a_cell(atom: int) -> None:
    """False if the short way of writing an atom differed from the one for any noun."""
    alone = int.from_bytes(jam(atom), "little")
    in_cell = 0b01 | alone << 2 | 0b10 << 2 + alone.bit_length()
    assert int.from_bytes(jam((atom, 0)), "little") == in_cell
    assert cue(jam((atom, 0))) == (cue(jam(atom)), 0)


@given(st.binary(max_size=40))
def test_bytes_are_a_jam_or_refused(data: bytes) -> None:
    """False if bytes that are no jam led to anything but a NounError."""
    try:
        one = cue(data)
    except NounError:
        return
    assert is_equal(cue(jam(one)), one)


@pytest.mark.parametrize(("text", "number"), [("0", 2), ("1", 12), ("2", 72), ("[0 0]", 41), ("[1 2]", 4657)])
def test_bytes_are_those_of_others(text: str, number: int) -> None:
    """False if a jam could not be read by another implementation: these are those of its definition."""
    assert int.from_bytes(jam(noun(text)), "little") == number


@pytest.mark.storm
def test_a_deep_noun_needs_no_stack() -> None:
    """False if a noun as deep as long could not be written, read, compared, edited or looked into."""
    deep: Noun = 0
    for number in range(100_000):
        deep = (number, deep)
    assert is_equal(cue(jam(deep)), deep)
    assert slash((1 << 50_001) - 1, deep) == slash(3, slash((1 << 50_000) - 1, deep))
    assert slash((1 << 50_001) - 1, edited((1 << 50_001) - 1, 7, deep)) == 7
    assert len(items_of(deep)) == 100_000
    wide: Noun = 0
    for _ in range(100_000):
        wide = (wide, 0)
    assert is_equal(cue(jam(wide)), wide)


def test_a_noun_with_shared_parts_is_as_long_as_its_parts() -> None:
    """False if writing or comparing a noun took as long as its tree is large, which is 2**200 here."""
    one: Noun = (1, 2)
    other: Noun = (1, 2)
    for _ in range(200):
        one, other = (one, one), (other, other)
    assert len(jam(one)) < 1000
    assert is_equal(one, other)
    assert is_equal(cue(jam(one)), other)


def test_too_long_is_refused() -> None:
    """False if a transaction could have a noun of any size read."""
    with pytest.raises(NounError, match="at most"):
        cue(bytes(JAM_BYTES_MAX + 1))


def test_a_cord_is_text() -> None:
    """False if text became another atom than elsewhere: its bytes, the first one the least."""
    assert text_atom("ab") == 0x6261
