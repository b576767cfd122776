"""The British greeting protocol, by `step` alone."""

from __future__ import annotations

from example_world import World

from engines.examples.greeting import GREETEE, GREETER, Awaiting, Greet, Greeting, GreetingResponse
from engines.model import Map, Ref


def greeters() -> World:
    world = World()
    world.add("john", GREETER)
    world.add("alice", GREETEE)
    return world


def test_john_greets_alice_and_alice_greets_back() -> None:
    """If false, the protocol's chart is not what happens."""
    world = greeters()
    world.send("john", Greet(Ref("alice")))
    assert world.run() == [
        "outside -> john: Greet(alice)",
        "john -> alice: Greeting(john)",
        "alice -> john: GreetingResponse(alice)",
    ]
    assert world.state("john") == Awaiting()


def test_the_greeter_holds_what_awaits_a_response() -> None:
    """If false, the greeter forgets whom it greeted, or never sees who responded."""
    world = greeters()
    world.send("john", Greet(Ref("alice")))
    world.send("john", Greet(Ref("nobody")))
    world.run()
    nobody: Ref[Greeting] = Ref("nobody")
    assert world.state("john") == Awaiting(Map({nobody: Greeting(Ref("john"))}))
    assert [mail.outgoing.target for mail in world.dead] == ["nobody"]


def test_a_response_nobody_awaits_stays_in_the_mailbox() -> None:
    """If false, an engine never greeted is taken for one that responded."""
    world = greeters()
    world.send("john", GreetingResponse(Ref("alice")), sender="mallory")
    world.run()
    [mailbox] = world.environments["john"].mailboxes
    assert mailbox is not None
    assert [stored.sender for stored in mailbox.stored] == ["mallory"]
