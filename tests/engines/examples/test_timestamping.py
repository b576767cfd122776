"""The time-stamping server, its rate limit, and its clients, by `step` alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from example_world import NINE_NS, World
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey

from engines.examples import timestamping, timestamping_v2
from engines.examples.timestamping import (
    CLIENT,
    HELD_MAX,
    INBOX,
    SECOND_NS,
    SERVER,
    Held,
    Issued,
    Limit,
    Pace,
    Submit,
    TimeStampedHash,
    TimeStampRequest,
    signed_text,
)
from engines.examples.timestamping_v2 import Report, ReportRequest, Served
from engines.model import Committed, Configuration, Delivery, Outgoing, Ref, birth, step

KEY = bytes(range(32))
LEET = bytes.fromhex("1337")


def office(requests: int = 100, window_ns: int = SECOND_NS, pace: Pace | None = None) -> World:
    """A server, Alice and Bob."""
    world = World()
    world.add("server", SERVER, Limit(requests, window_ns, KEY))
    world.add("alice", CLIENT, pace or Pace(requests, window_ns), acquaintances=["server", "bob"])
    world.add("bob", CLIENT, Pace(requests, window_ns))
    return world


def hashes(count: int) -> tuple[bytes, ...]:
    return tuple(n.to_bytes(2, "big") for n in range(count))


def stamps(world: World, name: str = "bob") -> tuple[TimeStampedHash, ...]:
    held = world.state(name)
    assert isinstance(held, Held)
    return held.stamps


def test_bob_gets_what_alice_had_stamped() -> None:
    """If false, the seed's example does not run: hash 0x1337 at nine, to Bob and not to Alice."""
    world = office()
    world.send("alice", Submit((LEET,), Ref("server"), Ref("bob")))
    *chart, attestation = world.run()[:3]
    assert chart == [
        "outside -> alice: Submit(['0x1337'], server, bob)",
        "alice -> server: TimeStampRequest(0x1337, bob)",
    ]
    assert attestation.startswith(f"server -> bob: TimeStampedHash(0x1337, {NINE_NS}, 0x")
    assert stamps(world, "alice") == ()
    [stamped] = stamps(world)
    assert (stamped.hash, stamped.time_ns) == (LEET, NINE_NS)


@given(hash=st.binary(max_size=64), now_ns=st.integers(0, 2**63 - 1))
def test_the_signature_is_over_hash_and_time(hash: bytes, now_ns: int) -> None:
    """If false, an attestation does not verify, or verifies for another hash or time."""
    configuration = Configuration("n", "server", None, Limit(1, SECOND_NS, KEY))
    env = birth(SERVER, configuration, now_ns=now_ns)
    request = TimeStampRequest(hash, Ref("bob"))
    outcome = step(SERVER, configuration, env, Delivery("alice", 0, request), now_ns)
    assert isinstance(outcome, Committed)
    [sent] = outcome.outputs
    assert isinstance(sent, Outgoing)
    verify = SigningKey(KEY).verify_key.verify
    verify(signed_text(sent.message.hash, sent.message.time_ns), sent.message.signature)
    for wrong in (signed_text(hash + b"x", now_ns), signed_text(hash, now_ns ^ 1)):
        with pytest.raises(BadSignatureError):
            verify(wrong, sent.message.signature)


@given(
    requests=st.integers(1, 5),
    window_ns=st.integers(1, 50),
    gaps_ns=st.lists(st.integers(0, 30), max_size=60),
)
def test_no_window_holds_more_than_the_limit(requests: int, window_ns: int, gaps_ns: list[int]) -> None:
    """If false, the server answers request n+1 of some window, or refuses one that had room."""
    configuration = Configuration("n", "server", None, Limit(requests, window_ns, KEY))
    env = birth(SERVER, configuration, now_ns=0)
    now_ns, answered = 0, [-1_000_000]
    for gap_ns in gaps_ns:
        now_ns += gap_ns
        outcome = step(SERVER, configuration, env, Delivery("a", 0, TimeStampRequest(b"", Ref("b"))), now_ns)
        assert isinstance(outcome, Committed)
        has_room = sum(at_ns > now_ns - window_ns for at_ns in answered) < requests
        assert outcome.labels == (("stamp",) if has_room else ("refuse",))
        if has_room:
            answered.append(now_ns)
        else:
            assert (outcome.env, outcome.outputs) == (env, ())
        env = outcome.env
    assert env.state == Issued(len(answered) - 1)
    assert len(env[INBOX].state.times_ns) <= requests


def test_request_n_plus_one_is_taken_without_effects() -> None:
    """If false, a request over the limit is answered, or left in the mailbox."""
    world = office(requests=3)
    for hash in hashes(4):
        world.send("server", TimeStampRequest(hash, Ref("bob")))
    world.run()
    assert [stamped.hash for stamped in stamps(world)] == list(hashes(3))
    assert world.environments["server"][INBOX].stored == ()


@settings(max_examples=50)
@given(requests=st.integers(1, 7), window_ns=st.integers(1, 1000), count=st.integers(0, 30))
def test_a_client_stays_within_the_limit(requests: int, window_ns: int, count: int) -> None:
    """If false, a client loses a hash to the limit although nothing delays its requests."""
    world = office(requests, window_ns)
    world.send("alice", Submit(hashes(count), Ref("server"), Ref("bob")))
    world.run()
    assert [stamped.hash for stamped in stamps(world)] == list(hashes(count))
    assert world.state("alice") == Held()


@given(requests=st.integers(1, 5), window_ns=st.integers(1, 100), pauses_ns=st.lists(st.integers(0, 150), max_size=8))
def test_later_orders_keep_the_pace_too(requests: int, window_ns: int, pauses_ns: list[int]) -> None:
    """If false, a second order starts at once although the first one has just sent."""
    world = office(requests, window_ns)
    for pause_ns in pauses_ns:
        world.pass_time(pause_ns)
        world.send("alice", Submit(hashes(2), Ref("server"), Ref("bob")))
    world.run()
    assert len(stamps(world)) == 2 * len(pauses_ns)


def test_under_delay_a_client_cannot_stay_within_the_limit() -> None:
    """If false, the client knew the future: requests sent apart that arrive together are too many."""
    world = office(requests=1, window_ns=100)
    start_ns = world.now_ns
    world.delay = lambda out: 100 - (world.now_ns - start_ns) if isinstance(out.message, TimeStampRequest) else 0
    world.send("alice", Submit(hashes(2), Ref("server"), Ref("bob")))
    world.run()
    assert len(stamps(world)) == 1


def test_a_client_turns_down_more_than_it_can_hold() -> None:
    """If false, a client's state grows without bound."""
    world = office()
    world.send("alice", Submit(hashes(HELD_MAX + 1), Ref("server"), Ref("bob")))
    world.run()
    assert world.notes == ["too many hashes at once"]
    assert world.state("alice") == Held()


def test_the_second_version_takes_over() -> None:
    """If false, a reload to the second version loses the count, or the limit of the mailbox."""
    world = office(requests=2)
    for hash in hashes(2):
        world.send("server", TimeStampRequest(hash, Ref("bob")))
    world.run()
    before = world.environments["server"]
    after = timestamping_v2.SERVER.adopt(SERVER.dump(before), SERVER.interface())
    assert after.state == Served(issued=2, refused=0)
    assert after.mailboxes == before.mailboxes

    world.families["server"], world.environments["server"] = timestamping_v2.SERVER, after
    world.outside["me"] = []
    world.send("server", TimeStampRequest(LEET, Ref("bob")))
    world.send("server", ReportRequest(Ref("me")))
    world.run()
    assert world.outside["me"] == [Report(issued=2, refused=1)]


def test_the_server_fits_on_a_page() -> None:
    """If false, the server does not read like its specification any more: under 60 lines, messages and all."""
    source = Path(timestamping.__file__).read_text(encoding="utf-8")
    body = ast.parse(source).body
    first = next(node for node in body if isinstance(node, ast.ClassDef))
    server = next(node for node in body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "SERVER")
    assert server.end_lineno is not None
    lines = source.splitlines()[first.lineno - 1 : server.end_lineno]
    assert sum(bool(line.strip()) for line in lines) < 60
