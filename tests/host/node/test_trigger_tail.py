"""The tail of a ring of triggers, and the engines that are made of it behind the process that runs them."""

from __future__ import annotations

from typing import Any

import pytest
from engines_for_tests import ASKER, COUNTER, FORWARDER, KEEPER, SLEEPER, Add, Ask, Fail, Keep, Pass, Throw, Wake
from inline_nodes import InlineNode
from msgspec.structs import replace
from test_trigger_ring import past, remembering

from engines.model import Arrived, Family, Message, Value, rule
from host.config.spec import MailboxSpec
from host.node.mailbox import Mail
from host.node.past import PastEnd, encode_past
from host.node.rehearsal import Differs, RehearsalEnd, rehearse
from host.node.snapshot import SnapshotError, read_snapshot, take_snapshot
from host.node.tail_following import Followed, TailFollower
from host.node.trigger_ring import MESSAGE_BYTES_MAX
from host.node.trigger_tail import Overrun, TriggerTail, encode_tail

AnyFamily = Family[Any, Any, Any, Any]


class Following:
    """A candidate of a node's engines, from now on."""

    def __init__(self, made: InlineNode, families: dict[str, AnyFamily] | None = None) -> None:
        def no_frames(_: memoryview) -> Mail:
            raise AssertionError("only the cycle in C keeps frames")

        cells, ring, ends = made.scheduler.cells, made.scheduler.turns.ring, dict[str, RehearsalEnd]()
        assert ring is not None
        self.families = {name: cell.family for name, cell in cells.items()} | (families or {})
        parts = map(encode_past, [*past(made), PastEnd()])
        results = rehearse(parts, lambda name, _: self.families[name], ends)
        self.made = made
        self.tail = TriggerTail(ring, cells.values())
        self.stood_at: list[str] = []
        commuting = {one.engine: ends[one.engine] for one in results if one.commutes}
        self.follower = TailFollower(commuting, no_frames)
        self.follower.run(encode_tail(self.tail.begin()), self.stood_at.append)

    def catch_up(self) -> int:
        return self.follower.run(encode_tail(self.tail.take()), self.stood_at.append)

    def check(self) -> None:
        """Every engine is what it is in the old process."""
        self.catch_up()
        for name, followed in self.follower.engines.items():
            assert self.families[name].dump(followed.env) == self.families[name].dump(self.made.env(name)), name

    def handed_over(self, *without: str) -> dict[str, Any]:
        """The engines that a snapshot makes, which has no states of those in `without`."""
        parts = take_snapshot(self.made.scheduler, followed=without)
        by_ref = {family.ref: family for family in self.families.values()}
        _, revived = read_snapshot(parts, "inline", by_ref.__getitem__, lambda name: None, self.follower.engines)
        return {one.image.name: one.env for one in revived}


def busy(count_max: int = 1_000) -> InlineNode:
    """Engines with a past."""
    made = remembering(count_max)
    families: dict[str, AnyFamily] = {"k": KEEPER, "s": SLEEPER, "a": ASKER, "f": FORWARDER, "n": COUNTER}
    for name, family in families.items():
        made.add(name, family)
    made.listen("k")
    made.send("k", Add(1), Keep(2))
    made.send("s", Wake(10), Add(1))
    made.send("f", Pass("n", 1, 3))  # type: ignore[arg-type]
    made.send("a", Add(1))
    made.run_until_idle()
    return made


@pytest.mark.parametrize("count_max", [20, 1_000])
def test_every_kind_of_trigger_is_followed(count_max: int) -> None:
    """False if a message, a timer, a failure, what is stored, a roll or an answer were lost, or run otherwise."""
    made = busy(count_max)
    following = Following(made)
    assert set(following.follower.engines) == {"k", "s", "a", "f", "n"}
    for round_number in range(5):
        for message in (Add(3), Fail("no"), Keep(4), Add(7)):
            made.send("k", message)
            made.run_until_idle()
            following.check()
        made.send("s", Wake(5), Add(1))
        made.send("f", Pass("n", 5, round_number))  # type: ignore[arg-type]
        made.advance(20)
        following.check()
        made.send("a", Throw(6), Ask(1_000), Add(1))
        made.run_until_idle()
        following.check()
        assert made.answer("a", "yes") == ""
        made.send("a", Ask(10))
        made.run_until_idle()
        following.check()
        made.advance(100)
        following.check()
    assert following.follower.engines["k"].failed == 5
    assert set(following.stood_at) == {"k", "s", "a", "f", "n"}


def test_a_tail_that_is_read_too_late_is_over() -> None:
    """False if triggers that the ring has dropped were left out silently."""
    made = busy(count_max=10)
    following = Following(made)
    for _ in range(9):
        made.send("n", Add(1))
        made.run_until_idle()
    following.check()
    for _ in range(25):
        made.send("n", Add(1))
        made.run_until_idle()
    with pytest.raises(Overrun):
        following.tail.take()


@pytest.mark.parametrize("later", [0, 6, 12])
def test_an_engine_with_a_large_message_is_lost_and_no_other(later: int) -> None:
    """False if a state were taken over that lacks a trigger, or a neighbour's had to cross for it."""
    made = busy(count_max=10)
    following = Following(made)
    made.send("k", Add(1), Fail("x" * (2 * MESSAGE_BYTES_MAX)))
    made.run_until_idle()
    for _ in range(later):
        made.send("k", Add(1))
        made.run_until_idle()
    made.send("n", Add(1))
    made.run_until_idle()
    following.check()
    cells = made.scheduler.cells
    assert set(following.follower.engines) == {"s", "a", "f", "n"}
    assert not following.tail.keeps(cells["k"])
    assert following.tail.keeps(cells["n"])
    assert following.handed_over("n")["k"].state == made.state("k")


def test_who_is_not_followed_from_the_beginning_never_is() -> None:
    """False if an engine were taken for one with the same name, or one whose bound the rehearsal does not know."""
    made = busy()
    made.add("b", KEEPER, mailboxes={0: MailboxSpec(stored_max=1)})
    made.send("b", Keep(1))
    made.run_until_idle()
    following = Following(made)
    made.add("late", COUNTER)
    made.send("late", Add(1))
    made.send("b", Keep(1))
    made.run_until_idle()
    following.check()
    cells = made.scheduler.cells
    assert not any(following.tail.keeps(cells.get(name)) for name in ("b", "late", "nobody"))
    ended = cells["n"]
    made.scheduler.end(ended)
    assert not following.tail.keeps(cells.get("n"))
    assert not following.tail.keeps(replace(ended))


def test_the_states_of_followed_engines_need_not_cross() -> None:
    """False if an engine had another state than the old one, or a device were made of it."""
    made = busy()
    following = Following(made)
    made.send("k", Add(1), Keep(2))
    made.send("s", Wake(10))
    made.run_until_idle()
    following.catch_up()
    names = made.scheduler.cells.keys()
    for without in (names, ["k"], []):
        envs = following.handed_over(*without)
        assert {name: env.state for name, env in envs.items()} == {name: made.state(name) for name in names}
    following.follower.engines.clear()
    with pytest.raises(SnapshotError, match="device"):
        following.handed_over("k")


def test_a_small_state_that_crosses_is_compared() -> None:
    """False if code that does otherwise after its rehearsal went into force unseen where that can be seen."""
    made = busy()
    following = Following(made)
    made.send("n", Add(1))
    made.run_until_idle()
    with pytest.raises(SnapshotError, match=r"n differs after its last triggers: state\.count"):
        following.handed_over()
    following.catch_up()
    assert following.handed_over()["n"].state == made.state("n")


class Tick(Message):
    n: int


class Ticks(Value):
    seen: int = 0


def ticking(fails_from: int) -> AnyFamily:
    @rule
    def tick(tick: Tick, t: Arrived[Tick, None, Ticks]) -> Ticks:
        if tick.n >= fails_from:
            raise ValueError("no")
        return Ticks(t.env.state.seen + 1)

    return Family("ticking", accepts=Tick, state=Ticks()).rules(tick)


def test_transitions_that_fail_only_now_are_a_refusal() -> None:
    """False if code that raises where the old one did not took over."""
    made = remembering()
    made.add("t", ticking(fails_from=5))
    made.send("t", Tick(1), Tick(9))
    made.run_until_idle()
    for fails_from, expected in ((3, "1 of its last transitions fail now, 0 did before"), (5, "")):
        following = Following(made, {"t": ticking(fails_from)})
        made.send("t", Tick(4))
        made.run_until_idle()
        following.catch_up()
        if expected:
            with pytest.raises(SnapshotError, match=expected):
                following.handed_over("t")
        else:
            assert following.handed_over("t")["t"].state.seen == 3


class Other(Message):
    n: int
    more: str


def test_a_message_that_is_unreadable_now_is_a_refusal() -> None:
    """False if new code that cannot read what comes took over."""

    @rule
    def tick(_tick: Other, t: Arrived[Other, None, Ticks]) -> Ticks:
        return Ticks(t.env.state.seen + 1)

    made = remembering()
    cell = made.add("t", ticking(100))
    made.send("t", Tick(1))
    made.run_until_idle()
    following = Following(made)
    other: AnyFamily = Family("ticking", accepts=Other, state=Ticks()).rules(tick)
    following.follower.engines["t"] = Followed(RehearsalEnd(0, other, cell.configuration, cell.env, 0), 0)
    made.send("t", Tick(2))
    made.run_until_idle()
    with pytest.raises(Differs, match="a message of outside is unreadable"):
        following.catch_up()
