"""Prompts under check: none is lost and none is given twice, whichever process is killed between the two ends.

The orchestrator is durable. The device between it and the keeper holds what it has taken and not yet passed on, an
order or a report, and loses it with its process; then it says hello anew. The keeper lives on, with what it has written
into the agent's standard input. The agent puts a request at any time, whether it has read anything or not.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from engines.agents.messages import AgentSeen, PromptWanted
from engines.model import Arrived, Config, Effects, Family, Map, Message, Ref, Send, Sent, Value, rule
from engines.model.effects import Become
from engines.model.system import Envelope, Member, System
from engines.model.system_view import SystemView

from .launching import AgentPlan, GivePrompt, LaunchersKnown, PromptGiven, Running
from .orchestrator import ORCHESTRATOR
from .record import Life, Roster
from .terms import Terms

AGENT: Final = "ann"
WANTS: Final = (PromptWanted(AGENT, "person", "look"), PromptWanted(AGENT, "reminder", "go on"))


class PassOn(Message):
    """From outside: the device goes on with what it holds, or connects."""


Passed: TypeAlias = GivePrompt | PromptGiven | LaunchersKnown


class Hello(Message):
    """To the keeper: which sessions run, and what was given to them?"""


class Ends(Config):
    """The two ends of the device."""

    orchestrator: Ref[Any] = Ref("orchestrator")
    keeper: Ref[Any] = Ref("keeper")


class Pipe(Value):
    """State of the device: whether it has said hello, and what it holds."""

    is_connected: bool = False
    held: tuple[Passed, ...] = ()


class Written(Value):
    """State of the keeper: the numbers of the prompts that it has written, in order."""

    prompts: tuple[int, ...] = ()


@rule
def hold(message: Passed, t: Arrived[Passed, Ends, Pipe]) -> Effects[Pipe, Passed | Hello]:
    """State: one more is held, unless it is an order without a connection. Messages, timers, engines: none."""
    pipe = t.env.state
    if not pipe.is_connected and isinstance(message, GivePrompt):
        return []
    return Pipe(pipe.is_connected, (*pipe.held, message))


@rule
def pass_on(_go: PassOn, t: Arrived[PassOn, Ends, Pipe]) -> Effects[Pipe, Passed | Hello]:
    """State: connected, or one less is held. Messages: hello, or the one. Timers, engines: none."""
    pipe = t.env.state
    if not pipe.is_connected:
        return [Become(Pipe(True)), Send(t.config.keeper, Hello())]
    if not pipe.held:
        return []
    first, *rest = pipe.held
    end = t.config.keeper if isinstance(first, GivePrompt) else t.config.orchestrator
    sends: list[Sent[Passed | Hello]] = [Send(end, first)]
    return [Become(Pipe(True, tuple(rest))), *sends]


@rule
def write(order: GivePrompt, t: Arrived[GivePrompt, None, Written]) -> Effects[Written, PromptGiven | LaunchersKnown]:
    """State: the prompt is written, if it was not. Messages: that it is. Timers, engines: none."""
    written = t.env.state.prompts
    after = written if order.prompt in written else (*written, order.prompt)
    return [Become(Written(after)), Send(Ref("launcher"), PromptGiven(order.agent, order.session, order.prompt))]


@rule
def tell(_hello: Hello, t: Arrived[Hello, None, Written]) -> Effects[Written, PromptGiven | LaunchersKnown]:
    """State: none. Messages: what runs, and the last prompt that was written. Timers, engines: none."""
    last = max(t.env.state.prompts, default=0)
    return Send(Ref("launcher"), LaunchersKnown((Running(AGENT, 1, 7, last),)))


DEVICE: Final = Family("launcher", config=Ends, state=Pipe(), accepts=Passed | PassOn, emits=Passed | Hello).rules(
    hold, pass_on
)
KEEPER: Final = Family("keeper", state=Written(), accepts=GivePrompt | Hello, emits=PromptGiven | LaunchersKnown).rules(
    write, tell
)


def life(view: SystemView) -> Life:
    """The agent, as the orchestrator knows it."""
    roster: Roster = view.engine("orchestrator").state
    return roster.lives[AGENT]


def written(view: SystemView) -> tuple[int, ...]:
    """What the keeper has written."""
    state: Written = view.engine("keeper").state
    return state.prompts


def none_is_lost(view: SystemView) -> bool:
    """A prompt that is no longer in flight was written."""
    found = life(view)
    flying = 0 if found.flight is None else found.flight.giving
    return all(number in written(view) for number in range(1, found.prompt_count + 1) if number != flying)


def quiet_is_given(view: SystemView) -> bool:
    """When nothing is under way, the prompt in flight was written, and the orchestrator knows it."""
    device: Pipe = view.engine("launcher").state
    if not device.is_connected or device.held or view.in_transit:
        return True
    flight = life(view).flight
    return flight is None or (flight.is_given and flight.giving in written(view))


def each_is_written_once(view: SystemView) -> bool:
    """As many prompts were written as were wanted, at most."""
    return len(written(view)) <= len(WANTS)


def all_had_an_effect(view: SystemView) -> bool:
    """Both prompts were given, and a request followed each."""
    found = life(view)
    return found.flight is None and not found.prompts and len(written(view)) == len(WANTS)


def SYSTEM() -> System:
    """One agent that runs, and two prompts for it."""
    terms = Terms(Ref("validator"), Ref("bridge"), Ref("launcher"))
    runs = Life("worker", "inbox", AgentPlan(("agent",)), phase="busy", session=1, pid=7, is_launched=True)
    return System(
        name="prompts",
        members=[
            Member("orchestrator", ORCHESTRATOR, terms, Roster(Map({AGENT: runs})), is_durable=True),
            Member("launcher", DEVICE, Ends()),
            Member("keeper", KEEPER, is_durable=True),
        ],
        messages=[Envelope("orchestrator", want) for want in WANTS],
        standing=[Envelope("orchestrator", AgentSeen(AGENT, 1), "bridge"), Envelope("launcher", PassOn())],
        network="ordered",
        outsiders=["outside", "bridge", "validator"],
        always=[none_is_lost, quiet_is_given, each_is_written_once],
        sometimes=[all_had_an_effect],
    )
