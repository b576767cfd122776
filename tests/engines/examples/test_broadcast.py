"""The broadcast, by `step` alone."""

from __future__ import annotations

from example_world import World
from hypothesis import given
from hypothesis import strategies as st

from engines.examples.broadcast import PEER, Announce, Held, Peers
from engines.model import Ref


def network(peers: dict[str, tuple[str, ...]], holder: str) -> World:
    world = World()
    for name, others in peers.items():
        state = Held(42) if name == holder else Held()
        world.add(name, PEER, Peers(tuple(Ref(other) for other in others)), state=state)
    return world


def test_all_end_with_the_value_and_the_traffic_stops() -> None:
    """If false, the example of three engines does not run as told."""
    world = network({"1": ("2", "3"), "2": ("1", "3"), "3": ("1", "2")}, holder="1")
    world.send("1", Announce())
    assert world.run() == [
        "outside -> 1: Announce()",
        "1 -> 2: Tell(42)",
        "1 -> 3: Tell(42)",
        "2 -> 1: Tell(42)",
        "2 -> 3: Tell(42)",
        "3 -> 1: Tell(42)",
        "3 -> 2: Tell(42)",
    ]
    assert all(world.state(name) == Held(42) for name in "123")


@given(count=st.integers(2, 6), edges=st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5))), data=st.data())
def test_in_any_connected_network_and_order(count: int, edges: set[tuple[int, int]], data: st.DataObject) -> None:
    """If false, somebody does not learn the value, or passes it on twice, in some order of delivery."""
    ring = {(n, (n + 1) % count) for n in range(count)}
    links = ring | {(a, b) for a, b in edges if max(a, b) < count and a != b}
    peers = {str(n): tuple(str(b) for a, b in sorted(links) if a == n) for n in range(count)}
    world = network(peers, holder="0")
    world.send("0", Announce())
    trace = world.run(choose=lambda ready: data.draw(st.integers(0, ready - 1)))
    assert all(world.state(name) == Held(42) for name in peers)
    assert len(trace) == 1 + len(links)


def test_who_holds_nothing_has_nothing_to_announce() -> None:
    """If false, an engine without the value tells its peers about nothing."""
    world = network({"1": ("2",), "2": ()}, holder="2")
    world.send("1", Announce())
    assert world.run() == ["outside -> 1: Announce()"]
