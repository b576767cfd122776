"""The door: signed instructions are done once, and everything else is refused with a reason and changes nothing."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from small_node import User, last, number_at, small_node, status, watched

from engines.crypto.keys import Joint, Signed, Threshold, Weighted, identity_of, sign
from engines.execution.messages import (
    KeyWritten,
    KVSAcquireLock,
    KVSWrite,
    Lock,
    QueryAnswer,
    QueryRequest,
    UpdateSeenAll,
)
from engines.execution.nouns import jam
from engines.execution.programs import candidate
from engines.execution.shard import SHARD, Part
from engines.execution.transactions import Executable, Label, TransactionCandidate
from engines.interaction.course import Post, Session
from engines.interaction.messages import (
    BODY_BYTES_MAX,
    TXS_MAX,
    AskUser,
    Changes,
    Instruction,
    PendingRequest,
    Receipt,
    Refusal,
    Reply,
    StateQuery,
    Submission,
    UserChoice,
    Watch,
    signed_text,
)
from engines.interaction.orders import AskState
from engines.interaction.session import SESSION
from engines.mempool.messages import TransactionRequest
from engines.model import Map, Ref, encode
from host.sim import World

ALICE, BOB, CAROL = User(1), User(2), User(3)
INCREMENT = candidate("increment", b"a")


def again(nonce: int) -> TransactionCandidate:
    return replace(INCREMENT, nonce=str(nonce).encode())


def test_a_submission_is_run_and_the_outcome_comes_back() -> None:
    """False if a receipt did not say at which height the transaction took effect, and what it wrote."""
    node = small_node()
    node.send("door", ALICE.submission(7, INCREMENT))
    receipt = last(node)
    assert isinstance(receipt, Receipt)
    assert (receipt.number, receipt.is_done) == (7, True)
    (outcome,) = receipt.outcomes
    assert (outcome.error, outcome.height, outcome.timestamp) == ("", 1, 1)
    assert [(one.key, one.datum) for one in outcome.values_written] == [(b"a", jam(1))]
    assert number_at(node, b"a") == 1
    assert number_at(node, b"other") is None


def test_the_same_number_is_run_once() -> None:
    """False if a client that asks again, since its answer was lost, could have a transaction run twice."""
    node = small_node()
    for _ in range(3):
        node.send("door", ALICE.submission(1, INCREMENT))
    first = last(node)
    node.send("door", ALICE.submission(1, INCREMENT))
    assert last(node) == first == status(node, ALICE, 1)
    assert number_at(node, b"a") == 1
    assert len(node.received("me")) == 4


def test_a_number_stands_for_one_content() -> None:
    """False if another instruction under a used number were run, or answered with the outcome of the first."""
    node = small_node()
    node.send("door", ALICE.submission(1, INCREMENT))
    last(node)
    node.send("door", ALICE.submission(1, candidate("increment", b"b")))
    assert last(node).code == "other_content"
    assert number_at(node, b"b") is None


def test_users_have_numbers_of_their_own() -> None:
    """False if one user could take another's numbers."""
    node = small_node()
    node.send("door", ALICE.submission(1, again(1)))
    node.send("door", BOB.submission(1, again(2)))
    node.run()
    assert [one.is_done for one in node.received("me")] == [True, True]
    assert number_at(node, b"a") == 2


def test_a_receipt_of_acceptance_comes_before_the_outcome() -> None:
    """False if a client that does not want to wait got nothing, or got an outcome that is not there."""
    node = small_node()
    node.send("door", ALICE.submission(1, INCREMENT, waits=False))
    receipt = last(node)
    assert isinstance(receipt, Receipt)
    assert (receipt.outcomes, receipt.is_done) == ((), False)
    assert status(node, ALICE, 1).is_done


def test_bytes_are_a_transaction_or_have_an_outcome_that_says_no() -> None:
    """False if bytes that nobody reads before the dispatcher left a client without an answer or stopped what comes with
    them, or if a transaction by its fields were another one than by its bytes."""
    node = small_node()
    node.send("door", ALICE.submission(1, b"\xc1", encode(INCREMENT)))
    bad, good = last(node).outcomes
    assert (bad.error, bad.height) == ("the bytes are no transaction", 0)
    assert good.success
    node.send("door", ALICE.submission(2, INCREMENT))
    assert last(node).outcomes == (good,)


def _forged() -> Instruction:
    body = encode(Submission(1, (INCREMENT,)))
    return Instruction(body, Signed(ALICE.public, sign(BOB.secret, signed_text(body)).signature), Ref("me"))


def _tampered() -> Instruction:
    order = ALICE.submission(1, INCREMENT)
    return replace(order, body=encode(Submission(1, (candidate("increment", b"b"),))))


REFUSED = {
    "unsigned": (replace(ALICE.submission(1, INCREMENT), commitment=Signed(ALICE.public, b"")), "signature"),
    "signed by another": (_forged(), "signature"),
    "tampered": (_tampered(), "signature"),
    "no statement": (Instruction(b"\xc1", sign(ALICE.secret, signed_text(b"\xc1")), Ref("me")), "unreadable"),
    "nothing in it": (ALICE.submission(1), "size"),
    "too many": (ALICE.submission(1, *(again(n) for n in range(TXS_MAX + 1))), "size"),
    "too large": (ALICE.submission(1, candidate("write", b"a", bytes(BODY_BYTES_MAX))), "size"),
    "over the size of a transaction": (ALICE.submission(1, candidate("write", b"a", bytes(70_000))), "mempool"),
    "a negative number": (ALICE.submission(-1, INCREMENT), "number"),
    "twice in one": (ALICE.submission(1, INCREMENT, INCREMENT), "duplicate"),
}


@pytest.mark.parametrize(("order", "code"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_changes_nothing(order: Instruction, code: str) -> None:
    """False if an instruction that is not the user's, or not well made, had an effect, or no clear answer."""
    node = small_node()
    node.send("door", order)
    refusal = last(node)
    assert isinstance(refusal, Refusal)
    assert refusal.code == code
    assert refusal.reason
    assert number_at(node, b"a") is number_at(node, b"b") is None
    assert not node.dead_letters
    counted = node.state("door").refused
    assert code in ("mempool", "duplicate") or (counted.get(code), len(counted)) == (1, 1)


FAILING = {
    "out of label": TransactionCandidate(Label(), Executable("increment", (b"a",))),
    "out of gas": replace(INCREMENT, gas=0),
    "no such program": TransactionCandidate(Label(write=(b"a",)), Executable("nothing")),
    "an error of the program": candidate("inc", b"a"),
}


@pytest.mark.parametrize("tx", FAILING.values(), ids=FAILING.keys())
def test_a_failing_transaction_says_why_and_changes_nothing(tx: TransactionCandidate) -> None:
    """False if a fault of the program were no outcome, or stopped what comes after it."""
    node = small_node()
    node.send("door", ALICE.submission(1, tx))
    (outcome,) = last(node).outcomes
    assert outcome.error
    assert not outcome.values_written
    assert number_at(node, b"a") is None
    node.send("door", ALICE.submission(2, INCREMENT))
    assert last(node).outcomes[0].error == ""


def test_only_admitted_users_are_let_in() -> None:
    """False if the list of users of a door had no effect."""
    node = small_node(users=(ALICE.id.hex(),))
    node.send("door", BOB.submission(1, INCREMENT))
    assert last(node).code == "not_admitted"
    node.send("door", ALICE.submission(1, INCREMENT))
    assert last(node).is_done


def test_several_keys_can_be_one_user() -> None:
    """False if two of three could not submit together, or one of them could alone."""
    board = Threshold(2, tuple(Weighted(one.public) for one in (ALICE, BOB, CAROL)))
    body = encode(Submission(1, (INCREMENT,)))

    def signed_by(*users: User) -> Instruction:
        signatures = Map({one.id: sign(one.secret, signed_text(body)).signature for one in users})
        return Instruction(body, Joint(board, signatures), Ref("me"))

    node = small_node(users=(identity_of(board).hex(),))
    node.send("door", signed_by(ALICE))
    assert last(node).code == "signature"
    node.send("door", signed_by(ALICE, CAROL))
    assert last(node).is_done


def test_a_query_at_a_height_sees_that_height() -> None:
    """False if a query of the past saw the present."""
    node = small_node()
    for number in range(1, 4):
        node.send("door", ALICE.submission(number, again(number)))
        assert last(node).outcomes[0].height == number
    assert [number_at(node, b"a", height) for height in (1, 2, 3, 0)] == [1, 2, 3, 3]


def test_a_query_of_a_height_to_come_is_answered_at_once() -> None:
    """False if a client waited in vain for a height that may never come, or could not wait for one that does."""
    node = small_node()
    node.send("door", ALICE.submission(1, INCREMENT))
    node.run()
    node.send("door", StateQuery(b"a", Ref("asker"), 2))
    refused = last(node, "asker")
    assert (refused.height, refused.reason) == (2, "not yet: height 2 is to come; the newest is 1")
    node.send("door", StateQuery(b"a", Ref("asker"), 2, waits=True))
    assert last(node, "asker") == refused
    node.send("door", ALICE.submission(2, again(2)))
    assert last(node, "asker") == QueryAnswer(b"a", 2, jam(2))


def test_a_query_below_the_collection_height_is_refused() -> None:
    """False if a height that is not kept were answered wrongly, or not at all."""
    node = small_node(keep_heights=2)
    for number in range(1, 9):
        node.send("door", ALICE.submission(number, again(number)))
        last(node)
    node.send("door", StateQuery(b"a", Ref("me"), 1))
    assert "collection height" in last(node).reason
    assert number_at(node, b"a") == 8


def test_a_user_sees_what_was_answered() -> None:
    """False if a query after a receipt could miss the transaction, at a shard that has not heard of its height yet."""
    node = World()
    shard = Ref("s0")
    node.add("s0", SHARD, Part(Ref("dispatcher")))
    node.add("user", SESSION, Post(Ref("worker")), state=Session(height=2))
    for name in ("dispatcher", "old", "new"):
        node.received(name)
    for height in (1, 2):
        lock = Lock(height, Ref("dispatcher"), will_write_keys=(b"a",))
        node.send("s0", KVSAcquireLock(height, height, height, (lock,)))
        if height == 1:
            node.send("s0", UpdateSeenAll(1, 1))
        node.send("s0", KVSWrite((KeyWritten(height, b"a", jam(height)),)))
    node.run()
    node.send("s0", QueryRequest(b"a", Ref("old")))
    node.send("user", AskState(b"a", shard, Ref("new")))
    node.run()
    assert [one.datum for one in node.received("old")] == [jam(1)]
    assert node.received("new") == []
    node.send("s0", UpdateSeenAll(2, 2))
    node.run()
    assert [(one.datum, one.height) for one in node.received("new")] == [(jam(2), 2)]


def test_questions_of_engines_are_answered_or_time_out() -> None:
    """False if an engine that asks a user could wait for ever, or be answered by another user, or twice."""
    node = small_node()

    def ask(text: str) -> None:
        node.send("door", AskUser(ALICE.id, text, ("pay", "leave"), "leave", 10**9, Ref("till")))

    ask("pay 5?")
    node.send("door", PendingRequest(ALICE.id, Ref("me")))
    node.run("1ms")
    (question,) = node.received("me")[-1].questions
    assert (question.text, question.options) == ("pay 5?", ("pay", "leave"))
    node.send("door", BOB.instruction(Reply(question.question, "pay")))
    node.run("1ms")
    assert node.received("me")[-1].code == "unknown"
    node.send("door", ALICE.instruction(Reply(question.question, "steal")))
    node.run("1ms")
    assert node.received("me")[-1].code == "option"
    for _ in range(2):
        node.send("door", ALICE.instruction(Reply(question.question, "pay")))
    node.run("1ms")
    assert [type(one) for one in node.received("me")[-2:]] == [Receipt, Refusal]
    ask("pay 6?")
    node.run()
    assert node.received("till") == [UserChoice("pay 5?", "pay", False), UserChoice("pay 6?", "leave", True)]


def test_a_watcher_gets_each_change_once_in_order() -> None:
    """False if a watcher that goes on from its cursor missed a change, saw one twice, or saw another key's."""
    node = small_node()
    keys = [b"a", b"b", b"a", b"c", b"a"]
    for number, key in enumerate(keys, start=1):
        node.send("door", ALICE.submission(number, replace(candidate("increment", key), nonce=bytes([number]))))
    node.run()
    seen, cursor = [], 0
    while (found := watched(node, cursor, b"a", limit=1)).changes:
        seen += [one.writes[0].datum for one in found.changes]
        cursor = found.cursor
    assert seen == [jam(1), jam(2), jam(3)]
    assert [one.timestamp for one in watched(node).changes] == [1, 2, 3, 4, 5]


def test_a_transaction_past_the_door_is_in_the_feed() -> None:
    """False if a transaction that was sent to the worker itself were missing in the feed, or held back what follows."""
    node = small_node()
    node.send("worker", TransactionRequest((again(1),), Ref("till")))
    node.run()
    node.send("door", ALICE.submission(1, again(2)))
    node.run()
    assert [one.timestamp for one in watched(node).changes] == [1, 2]


def test_a_watcher_waits_for_what_comes() -> None:
    """False if a watcher had to poll, or waited beyond its patience."""
    node = small_node()
    node.send("door", Watch(Ref("watcher"), 0, (b"a",), patience_ns=10**9))
    node.run("10ms")
    assert node.received("watcher") == []
    node.send("door", ALICE.submission(1, INCREMENT))
    node.run("100ms")
    (changes,) = node.received("watcher")
    assert [one.writes[0].key for one in changes.changes] == [b"a"]
    node.send("door", Watch(Ref("watcher"), changes.cursor, (b"a",), patience_ns=10**9))
    node.run()
    assert node.received("watcher")[-1] == Changes((), 1)


def test_a_cursor_that_is_too_old_is_refused() -> None:
    """False if a watcher could miss changes without being told."""
    node = small_node(kept=2)
    for number in range(1, 6):
        node.send("door", ALICE.submission(number, again(number)))
    node.run()
    refusal = watched(node, 1)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "cursor"
    assert "go on after 3" in refusal.reason
    assert [one.timestamp for one in watched(node, 3).changes] == [4, 5]
