"""The vectors of the public texts, each from a request to its outcome. A read at h is a query at height h."""

from __future__ import annotations

from ordering_world import OrderingWorld
from shard_steps import ShardAlone

from engines.execution.nouns import cue, items_of, jam, text_atom
from engines.execution.programs import candidate
from engines.execution.system import nock_increment, with_label
from engines.execution.transactions import NOCK, Executable, Label, TransactionCandidate
from engines.model import encode

A, B, ABC, DEF = b"a", b"b", b"abc", b"def"
V123 = jam(123)


def test_increment() -> None:
    """False if tx1, which reads a and writes a = 3, and tx2, which writes b = a + 1, did not reach a = 3 and b = 4."""
    node = OrderingWorld()
    first = with_label(Label(read=(A,), write=(A,)), "write", A, jam(3))
    assert [one.error for one in node.run(first, candidate("successor", A, B))] == ["", ""]
    assert node.contents() == {A: jam(3), B: jam(4)}
    assert node.locks() == 0


def test_write_then_read() -> None:
    """False if after abc = 123 at height 1 a query at 1 found something else, or anything under def."""
    node = OrderingWorld()
    node.run(candidate("write", ABC, V123))
    assert node.query(ABC, 1) == V123
    assert node.query(DEF, 1) is None


def test_read_before_write() -> None:
    """False if a read at (1, abc) that waits for the write of height 1 did not get 123."""
    shard = ShardAlone()
    shard.lock(1, write=[ABC])
    shard.see(1)
    assert shard.query(ABC, 1) == []
    assert shard.write(1, ABC, V123) == [V123]


def test_future_write() -> None:
    """False if a read at height 2 did not wait until height 1, which writes another key, is known."""
    shard = ShardAlone()
    shard.lock(2, write=[ABC])
    assert shard.write(2, ABC, V123) == []
    assert shard.query(ABC, 2) == []
    shard.lock(1, write=[b"other"])
    assert shard.see(2) == [V123]
    assert shard.write(1, b"other", jam(999)) == []


def test_append() -> None:
    """False if two members added to a set after height 1 did not make two, or the same one twice made two."""
    node = OrderingWorld()
    node.run(candidate("append", A, b"v1"))
    node.run(candidate("append", A, b"v2"))
    node.run(candidate("append", A, b"v2", nonce=b"again"))
    assert items_of(cue(node.contents()[A])) == [text_atom("v1"), text_atom("v2")]
    assert items_of(cue(node.query(A, 1))) == [text_atom("v1")]  # type: ignore[arg-type]


def test_counter_in_one_block() -> None:
    """False if zero and inc of one block did not run in order."""
    node = OrderingWorld()
    outcomes = node.run(candidate("zero", A), candidate("inc", A))
    assert {one.height for one in outcomes} == {1}
    assert [one.values_written[0].datum for one in outcomes] == [jam(0), jam(1)]
    assert node.query(A) == jam(1)


def test_counter_in_two_blocks() -> None:
    """False if the value between two blocks were not 0, or after them not 1."""
    node = OrderingWorld()
    node.run(candidate("zero", A))
    assert node.query(A) == jam(0)
    node.run(candidate("inc", A))
    assert (node.query(A, 1), node.query(A, 2)) == (jam(0), jam(1))


def test_failing_transaction() -> None:
    """False if the program [0 0] did not fail, or kept the counter behind it from running."""
    node = OrderingWorld()
    failing = TransactionCandidate(Label(write=(A,)), Executable(NOCK, (jam((0, 0)),)))
    node.run(candidate("zero", A))
    first, second = node.run(failing, candidate("inc", A))
    assert (first.error, first.values_written) == ("slash: an axis is an atom above 0", ())
    assert (second.error, node.query(A)) == ("", jam(1))


def test_a_nock_program_reads_and_writes_keys_that_are_cells() -> None:
    """False if a program of two steps did not halt, or could ask for atoms alone."""
    node = OrderingWorld()
    key = (text_atom("a"), 1)
    outcomes = node.run(*(nock_increment(key, b"%d" % number) for number in range(3)))
    assert [one.error for one in outcomes] == ["", "", ""]
    assert node.contents() == {jam(key): jam(3)}
    assert len({one.gas for one in outcomes[1:]}) == 1


def test_equal_transactions_are_one() -> None:
    """False if a transaction that is submitted twice ran twice, or the second client did not get its outcome."""
    node = OrderingWorld()
    tx = candidate("increment", A)
    node.submit(tx, tx, client="client")
    node.submit(tx, client="other")
    node.world.run()
    node.submit(tx, client="late")
    node.world.run()
    [outcome] = node.outcomes("client")
    assert node.outcomes("other") == node.outcomes("late") == [outcome]
    assert node.contents() == {A: jam(1)}
    assert node.world.state("worker").duplicates == 3
    assert len(encode(tx)) < 200
