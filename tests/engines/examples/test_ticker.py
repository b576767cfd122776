"""The ticker, and the one that carries on under a new name, by `step` alone."""

from __future__ import annotations

from example_world import World
from hypothesis import given
from hypothesis import strategies as st

from engines.examples import ticker_continuation
from engines.examples.ticker import TICKER, Count, Increment, Ticks
from engines.examples.ticker_continuation import DRUMMER, Beat, Continued, Terms
from engines.model import Ref


def test_increment_increment_count() -> None:
    """If false, the specification's example fails: the asker receives 2, and asking changes nothing."""
    world = World(outside=["c"])
    world.add("ticker", TICKER)
    for message in (Increment(), Increment(), Count(Ref("c"))):
        world.send("ticker", message)
    assert world.run() == [
        "outside -> ticker: Increment()",
        "outside -> ticker: Increment()",
        "outside -> ticker: Count(c)",
        "ticker -> c: Counted(2)",
    ]
    assert world.state("ticker") == Ticks(2)


def test_at_a_hundred_a_continuation_carries_on() -> None:
    """If false, the count is lost, the old engine lives, or its later mail is not a dead letter."""
    world = World(outside=["me"])
    world.add("ticker", ticker_continuation.TICKER, Terms(100, Ref("me")))
    world.add("drummer", DRUMMER)
    world.send("drummer", Beat(103, Ref("ticker")))
    world.run()
    assert world.outside["me"] == [Continued(100, Ref("ticker/next"))]
    assert "ticker" not in world.environments
    assert world.state("ticker/next") == Ticks(100)
    assert [str(mail) for mail in world.dead] == ["drummer -> ticker: Increment()"] * 3


@given(every=st.integers(1, 5), count=st.integers(0, 24))
def test_every_multiple_has_a_continuation(every: int, count: int) -> None:
    """If false, following the continuations loses or repeats an increment."""
    world = World(outside=["me"])
    world.add("ticker", ticker_continuation.TICKER, Terms(every, Ref("me")))
    name = "ticker"
    for _ in range(count):
        world.send(name, Increment())
        world.run()
        name = world.outside["me"][-1].ticker if world.outside["me"] else name
    assert name == "ticker" + "/next" * (count // every)
    assert world.state(name) == Ticks(count)
    assert list(world.environments) == [name]
    assert not world.dead
