"""Stored messages: a join fires once, whichever part arrives first; mailboxes hold state of their own."""

from __future__ import annotations

from typing import Any, Never

from hypothesis import given
from hypothesis import strategies as st
from stamping import INBOX, SERVER, Limit, Recent, SigningKey, TimeStampedHash, TimeStampRequest

from engines.model import (
    Arrived,
    Box,
    Committed,
    Configuration,
    Consume,
    Delivery,
    Effects,
    Failed,
    Family,
    Map,
    Message,
    Outgoing,
    Ref,
    Refused,
    Send,
    Stored,
    StoredMessage,
    birth,
    rule,
    step,
)


class Key(Message):
    order: int


class Lock(Message):
    order: int


class Opened(Message):
    order: int


Part = Key | Lock
PARTS = Box(0, accepts=Part)
Came = Arrived[Part, None, None]


def other_half(t: Came) -> StoredMessage[Part] | None:
    """The stored part of the other kind with the same number."""
    for stored in t.env[PARTS].stored:
        if stored.message.order == t.message.order and type(stored.message) is not type(t.message):
            return stored
    return None


@rule(when=other_half)
def join(half: StoredMessage[Part], t: Came) -> Effects[None, Opened]:
    """Messages: one, for the two of them; the stored one is consumed."""
    return [Consume(half), Send(Ref("door"), Opened(t.message.order))]


DOOR = Family("door", accepts=Part, emits=Opened, boxes=[PARTS]).rules(join)
ME = Configuration("node", "me")


@given(st.lists(st.tuples(st.sampled_from([Key, Lock]), st.integers(0, 2)), max_size=20))
def test_a_join_fires_once_for_each_pair_in_any_order(script: list[Any]) -> None:
    """If false, a join pattern depends on who comes first, or uses a message twice."""
    env, opened = birth(DOOR, ME, now_ns=0), []
    for kind, order in script:
        outcome = step(DOOR, ME, env, Delivery("x", 0, kind(order)), 0)
        assert isinstance(outcome, Committed | Stored)
        env = outcome.env
        if isinstance(outcome, Committed):
            opened += [output.message.order for output in outcome.outputs if isinstance(output, Outgoing)]
    for order in range(3):
        keys, locks = script.count((Key, order)), script.count((Lock, order))
        assert opened.count(order) == min(keys, locks)
        assert sum(one.message.order == order for one in env[PARTS].stored) == abs(keys - locks)


def test_a_message_in_another_mailbox_than_its_own_is_refused() -> None:
    """If false, the interface of a mailbox is a mere wish."""
    outcome = step(DOOR, ME, birth(DOOR, ME, now_ns=0), Delivery("x", 1, Key(1)), 0)
    assert outcome == Refused("mailbox 1 of door takes no Key")
    assert isinstance(step(DOOR, ME, birth(DOOR, ME, now_ns=0), Delivery("x", 0, Opened(1)), 0), Refused)


SERVER_ME = Configuration("node", "server", None, Limit(2, 10, SigningKey(b"key")))


@given(st.lists(st.integers(0, 30), max_size=12).map(sorted))
def test_the_time_stamping_server_keeps_to_its_limit(times_ns: list[int]) -> None:
    """If false, request n + 1 within a window is answered, or an allowed one is not; or Alice gets Bob's stamp."""
    env, stamped = birth(SERVER, SERVER_ME, now_ns=0), []
    for now_ns in times_ns:
        request = TimeStampRequest(b"\x13\x37", Ref("bob"))
        outcome = step(SERVER, SERVER_ME, env, Delivery("alice", 0, request), now_ns)
        assert isinstance(outcome, Committed)
        allowed = len([time_ns for time_ns in stamped if time_ns >= now_ns - 10]) < 2
        if allowed:
            stamped.append(now_ns)
            signature = SERVER_ME.params.key.sign(b"\x13\x37" + now_ns.to_bytes(8, "big"))
            assert outcome.outputs == (Outgoing("bob", 0, TimeStampedHash(b"\x13\x37", now_ns, signature)),)
        else:
            assert outcome.labels == ("refuse",)
            assert (outcome.outputs, outcome.env) == ((), env)
        env = outcome.env
        assert env[INBOX].state == Recent(tuple(time_ns for time_ns in stamped if time_ns >= stamped[-1] - 10))


def test_two_engines_of_one_family_never_see_each_other() -> None:
    """If false, instances share state through their family."""
    first = birth(SERVER, SERVER_ME, now_ns=0)
    request = Delivery("alice", 0, TimeStampRequest(b"", Ref("bob")))
    outcome = step(SERVER, SERVER_ME, first, request, 1)
    assert isinstance(outcome, Committed)
    assert birth(SERVER, SERVER_ME, now_ns=0) == first != outcome.env


class Put2(Message):
    pass


def test_an_undeclared_mailbox_cannot_be_read_or_put() -> None:
    """If false, a rule reads another family's mailbox."""
    from engines.model import Put

    def peek(message: Put2, t: Any) -> Any:
        return Put(Box(3, accepts=Put2, start=0), 1)

    from engines.model import Rule

    made = Family("peek", accepts=Put2, emits=Never).rules(Rule(peek, messages=(Put2,)))
    env = birth(made, ME, now_ns=0)
    outcome = step(made, ME, env, Delivery("x", 0, Put2()), 0)
    assert isinstance(outcome, Failed)
    assert "peek declares no mailbox 3" in outcome.error
    assert Map() == env.timers
