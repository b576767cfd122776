"""The British greeting protocol: an engine that is asked how it does asks back.

John  -- How do you do? -->  Alice
John  <-- How do you do? --  Alice
"""

from __future__ import annotations

from engines.model import Arrived, Become, Effects, Family, Map, Message, Ref, Send, Value, rule


class Greet(Message):
    """From outside, to a greeter: greet `whom`."""

    whom: Ref[Greeting]


class Greeting(Message):
    """How do you do? The response goes to `yours_truly`."""

    yours_truly: Ref[GreetingResponse]


class GreetingResponse(Message):
    """How do you do? From `yours_truly`, the engine that was greeted."""

    yours_truly: Ref[Greeting]


class Awaiting(Value):
    """State of a greeter: the greetings that still await a response, by the engine they went to."""

    greetings: Map[Ref[Greeting], Greeting] = Map()


@rule
def greet(order: Greet, t: Arrived[Greet, None, Awaiting]) -> Effects[Awaiting, Greeting]:
    """State: the greeting awaits a response. Messages: the greeting. Timers, engines: none."""
    greeting = Greeting(Ref(t.me.name))
    return [Become(Awaiting(t.env.state.greetings.set(order.whom, greeting))), Send(order.whom, greeting)]


def awaited(t: Arrived[GreetingResponse, None, Awaiting]) -> Ref[Greeting] | None:
    """The sender, if it was greeted; any other response is left in the mailbox."""
    return Ref(t.sender) if t.sender in t.env.state.greetings else None


@rule(when=awaited)
def greeted(by: Ref[Greeting], t: Arrived[GreetingResponse, None, Awaiting]) -> Effects[Awaiting, Greeting]:
    """State: no response awaited from the sender any more. Messages, timers, engines: none."""
    return Awaiting(t.env.state.greetings.without(by))


@rule
def greet_back(greeting: Greeting, t: Arrived[Greeting, None, None]) -> Effects[None, GreetingResponse]:
    """State: none. Messages: the response. Timers, engines: none."""
    return Send(greeting.yours_truly, GreetingResponse(Ref(t.me.name)))


GREETER = Family("greeter", state=Awaiting(), accepts=Greet | GreetingResponse, emits=Greeting).rules(greet, greeted)
GREETEE = Family("greetee", accepts=Greeting, emits=GreetingResponse).rules(greet_back)
