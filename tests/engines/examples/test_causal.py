"""The causal mailbox, by `step` alone."""

from __future__ import annotations

from example_world import World
from hypothesis import given
from hypothesis import strategies as st

from engines.examples.causal import CAUSAL, INBOX, READER, Post, Read, Reader
from engines.model import Ref


def board(posts: list[Post]) -> World:
    world = World()
    world.add("posts", CAUSAL, Reader(Ref("reader")))
    world.add("reader", READER)
    for post in posts:
        world.send("posts", post)
    world.run()
    return world


def read(world: World) -> tuple[str, ...]:
    state = world.state("reader")
    assert isinstance(state, Read)
    return state.names


def test_m2_waits_for_m3() -> None:
    """If false, the example fails: m1, then m2 which needs m3, then m3 are delivered m1, m3, m2."""
    world = board([Post("m1"), Post("m2", ("m3",)), Post("m3")])
    assert read(world) == ("m1", "m3", "m2")
    assert world.environments["posts"][INBOX].stored == ()


def test_one_post_releases_a_whole_chain() -> None:
    """If false, release is one round and no fixpoint: what is freed frees nothing more."""
    chain = [Post(f"m{n}", (f"m{n - 1}",)) for n in range(9, 0, -1)]
    world = board([*chain, Post("m0")])
    assert read(world) == tuple(f"m{n}" for n in range(10))


def test_a_post_that_needs_what_never_comes_stays_stored() -> None:
    """If false, a post is delivered without what it needs, or lost."""
    world = board([Post("m1", ("never",))])
    assert read(world) == ()
    assert [stored.message for stored in world.environments["posts"][INBOX].stored] == [Post("m1", ("never",))]


@st.composite
def histories(draw: st.DrawFn) -> list[Post]:
    """Posts of which each may need earlier ones, shuffled, some twice."""
    count = draw(st.integers(0, 12))
    names = [f"m{n}" for n in range(count)]
    posts = [Post(name, tuple(draw(st.sets(st.sampled_from(names[:n]))) if n else ())) for n, name in enumerate(names)]
    again = draw(st.lists(st.sampled_from(posts))) if posts else []
    return draw(st.permutations([*posts, *again]))


@given(histories())
def test_every_post_once_and_after_what_it_needs(posts: list[Post]) -> None:
    """If false, in some order of arrival a post is lost, doubled, or delivered too early."""
    world = board(posts)
    order = read(world)
    needs = {post.name: post.needs for post in posts}
    assert sorted(order) == sorted(needs)
    for place, name in enumerate(order):
        assert set(needs[name]) <= set(order[:place])
    assert world.environments["posts"][INBOX].stored == ()
