"""What a client sees of execution: from requests to outcomes, and nothing left behind."""

from __future__ import annotations

import pytest
from ordering_world import OrderingWorld

from engines.execution.nouns import jam
from engines.execution.programs import PROGRAMS, candidate
from engines.execution.run import DATUM_BYTES_MAX, Done, Fault, run_program
from engines.execution.system import with_label
from engines.execution.transactions import NOCK, Access, Executable, Label, TransactionCandidate

A, B, C = b"a", b"b", b"c"


def test_write_only() -> None:
    """False if a transaction that reads nothing never started."""
    node = OrderingWorld()
    [outcome] = node.run(candidate("write", A, jam(1)))
    assert (outcome.success, outcome.values_read) == (True, ())
    assert node.contents() == {A: jam(1)}


def test_a_may_write_that_is_not_made_is_released() -> None:
    """False if a reader behind it waited for ever, or read something else than what was there before."""
    node = OrderingWorld()
    node.run(candidate("write", B, jam(5)))
    first, second = node.run(candidate("write_if", A, B, jam(7)), candidate("look", B))
    assert (first.success, first.values_written) == (True, ())
    assert second.values_read == (Access(B, jam(5)),)
    assert node.locks() == 0


def test_a_failing_program_releases_its_locks() -> None:
    """False if a key stayed locked after a failure, one written for certain or perhaps, or a lazy read stayed."""
    node = OrderingWorld()
    label = Label(read=(A,), write=(B,), may_write=(C,), lazy_read=(b"d",))
    failing = with_label(label, "inc", A)
    first, second, third = node.run(failing, candidate("increment", B), candidate("increment", C))
    assert first.error == "there is no such counter"
    assert (second.success, third.success) == (True, True)
    assert node.locks() == 0


def test_a_hundred_transactions_on_one_key() -> None:
    """False if transactions that all wait for one another lost one, or got stuck."""
    node = OrderingWorld(batch_max=40)
    outcomes = node.run(*(candidate("increment", A, nonce=b"%d" % number) for number in range(100)))
    assert [one.values_written for one in outcomes] == [(Access(A, jam(number)),) for number in range(1, 101)]
    assert node.contents() == {A: jam(100)}


def test_old_heights_are_collected() -> None:
    """False if versions piled up, if a key that no read needs were looked at again with each height, or if a query of a
    height that is kept got another answer than before."""
    node = OrderingWorld(keep_heights=3, shards=1)
    answers = []
    for number in range(10):
        node.run(candidate("increment", A, nonce=b"%d" % number))
        answers.append(node.query(A))
    assert [node.query(A, height) for height in (7, 8, 9, 10)] == answers[6:]
    assert node.query(A, 6) == "below the collection height 7"
    [keys] = node.keys()
    assert len(keys.records[A].versions) == 4
    assert (len(keys.ends), len(keys.written), keys.uncollected) == (4, 3, ())


def test_the_state_root_is_that_of_the_content() -> None:
    """False if the root depended on the number of shards, on the way to the state, or not on each value."""
    ways = {
        1: [[candidate("write", A, jam(1)), candidate("write", B, jam(2))]],
        2: [[candidate("write", B, jam(3))], [candidate("write", A, jam(1))], [candidate("write", B, jam(2))]],
        4: [[candidate("write", A, jam(0)), candidate("increment", A)], [candidate("write", B, jam(2))]],
    }
    roots = set()
    for shards, heights in ways.items():
        node = OrderingWorld(shards=shards)
        for height in heights:
            node.run(*height)
        roots.add(node.root())
        node.run(candidate("increment", A, nonce=b"last"))
        assert node.root() not in roots
        assert node.root(len(heights)) in roots
        assert node.root(99) == b""
    assert len(roots) == 1


@pytest.mark.parametrize(
    ("tx", "error"),
    [
        (with_label(Label(read=(A,)), "increment", A), "write of a key that is not in the label: 0x61"),
        (with_label(Label(write=(A,)), "increment", A), "read of a key that is not in the label: 0x61"),
        (with_label(Label(), "none", A), "there is no program 'none'"),
        (with_label(Label(write=(A,)), "increment"), "increment takes 1 to 1 arguments, not 0"),
        (with_label(Label(), NOCK), "nock takes the jam of a formula, not 0 arguments"),
        (with_label(Label(), NOCK, b"\xff"), "a back reference to bit 0"),
        (with_label(Label(), NOCK, jam((1, 5))), "a step gave an atom, not state and requests"),
        (with_label(Label(), NOCK, jam((1, (0, (7, 0))))), "a request is a cell"),
        (with_label(Label(), NOCK, jam((1, (0, ((2, 3), 0))))), "a request is [0 key] or [1 key value]"),
        (
            with_label(Label(write=(A,)), "write", A, bytes(DATUM_BYTES_MAX + 1)),
            "a value of 65537 bytes; it may have 65536",
        ),
        (with_label(Label(read=(A, B), write=(A, B)), "transfer", A, B, jam(1)), "the account holds 0, less than 1"),
        (with_label(Label(read=(A, B), write=(A, B)), "transfer", A, B, b"\xff"), "the value is no noun: "),
        (
            with_label(Label(read=(A, B), write=(A, B)), "transfer", A, B, jam((1, 2))),
            "the value is a cell, not a number",
        ),
        (TransactionCandidate(Label(read=(A,), write=(A,)), Executable("increment", (A,)), gas=2), "out of gas"),
        (TransactionCandidate(Label(), Executable(NOCK, (jam((1, (0, 0))),)), gas=0), "out of gas"),
        (TransactionCandidate(Label(), Executable(NOCK), gas=100_001), "it asks for 100001 gas; the most is 100000"),
    ],
    ids=str,
)
def test_what_fails_a_transaction(tx: TransactionCandidate, error: str) -> None:
    """False if a bad transaction succeeded, failed without saying why, or changed anything."""
    values = dict.fromkeys(tx.label.read)
    ran = run_program(tx, values)
    assert isinstance(ran, Fault)
    assert ran.error.startswith(error)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_touches_what_its_label_names(name: str) -> None:
    """False if a program failed by the label that the registry gives it."""
    args = {"write": (A, jam(1)), "append": (A, b"v"), "transfer": (A, B, jam(0)), "write_if": (A, B, jam(1))}
    args |= {"successor": (A, B), "follow": (A, B, C)}
    tx = candidate(name, *args.get(name, (A,)))
    values = dict.fromkeys((*tx.label.read, *tx.label.lazy_read), jam(0))
    assert isinstance(run_program(tx, values), Done)


def test_a_gap_in_the_gas_is_the_same_everywhere() -> None:
    """False if a transaction had other gas each time it runs: executors would not agree."""
    tx = candidate("follow", A, B, C)
    assert len({str(run_program(tx, {A: jam(0), C: jam(1)})) for _ in range(5)}) == 1
