"""Prompts of a life: one at a time, the next when the last had an effect, once more when it had none, then stuck.

| a prompt is | in | leaves by |
|---|---|---|
| waiting | `Life.prompts`, one for each reason; of people, each of theirs | the flight before it has ended |
| in flight | `Life.flight`: an order with a number | in the pipe *and* a request of the agent after the order |
| delivered | nowhere | |

The orchestrator owns both, the keeper the number of the last prompt that it has written into the pipe. Crash points:

* The device dies with an order that it has taken: the keeper's number is smaller than that of the flight, in
  `LaunchersKnown` after its start and in each report. The order is given again, with its number.
* The device dies with a `PromptGiven`: the number in `LaunchersKnown` and each report stands for it.
* An order is repeated that was under way: the keeper writes a number that it has no second time.
* The keeper dies between writing and noting the number: the agent gets the prompt twice.
* The session ends: a prompt in flight waits for the next one (`keep_flight`), unless it was in two pipes by then, since
  it may be what the agent died of, or one with its reason waits, which is later.

So no request of an agent at work ends a flight before the prompt is where the agent will read it. An agent that works
while its pipe is full is not stuck: its prompt stays in flight until there is room.
"""

from __future__ import annotations

from msgspec.structs import replace

from engines.agents.orchestration.launching import GivePrompt

from .moves import possible_moves
from .prompts import framed, standard, waits, wanted
from .record import RUNNING, Flight, Life, Reason, Waiting
from .turn import Turn

TRIES_MAX = 2


def want_prompt(turn: Turn, agent: str, reason: Reason, text: str) -> None:
    """Have the agent prompted: now, or when it can be."""
    life = turn.life(agent)
    if life is None:
        return
    turn.change(agent, prompts=wanted(life.prompts, reason, text))
    try_prompt(turn, agent)


def first_prompt(turn: Turn, agent: str) -> None:
    """The prompt of a session that has just been launched."""
    life = turn.roster.lives[agent]
    text = f"You were restarted after: {life.last_exit}." if life.is_resumed else ""
    rest = tuple(each for each in life.prompts if each.reason not in ("start", "state", "handover", "alarm"))
    turn.change(agent, prompts=())
    want_prompt(turn, agent, "start", text)
    turn.change(agent, prompts=rest)


def try_prompt(turn: Turn, agent: str) -> None:
    """Give the first prompt that waits, unless one is in flight or the agent is not to be prompted."""
    life = turn.roster.lives[agent]
    can = life.phase in RUNNING or (life.phase == "starting" and life.is_launched)
    if not can or life.is_taken or life.is_paused or life.flight is not None or not life.prompts:
        return
    first, *rest = life.prompts
    number = life.prompt_count + 1
    flight = Flight(number, first.reason, first.text, turn.now_ns, first.tries + 1, giving=number)
    due = life.due_ns if life.phase == "starting" else turn.now_ns + turn.terms.prompt_ns
    life = turn.change(agent, prompts=tuple(rest), prompt_count=number, flight=flight, due_ns=due)
    turn.happened("prompt.given", agent, reason=first.reason, prompt=number)
    order_flight(turn, agent)


def order_flight(turn: Turn, agent: str) -> None:
    """Have the prompt in flight written into the pipe, if it is not there."""
    life = turn.roster.lives[agent]
    flight = life.flight
    assert flight is not None, agent
    text = framed(life.mode, flight.number, standard(agent, life, flight.reason, flight.text, moves_of(turn, life)))
    turn.order(GivePrompt(agent, life.session, flight.giving, text))


def keep_flight(turn: Turn, agent: str) -> None:
    """The session is over: its prompt waits for the next one, unless that begins with what it said."""
    life = turn.roster.lives[agent]
    flight = life.flight
    if flight is not None and flight.reason not in ("start", "state", "handover", "alarm"):
        kept = Waiting(flight.reason, flight.text, flight.tries if flight.is_given else flight.tries - 1)
        if kept.tries >= TRIES_MAX:
            turn.happened("prompt.given_up", agent, reason=flight.reason, prompt=flight.number)
        elif not waits(life.prompts, flight.reason):
            turn.change(agent, prompts=(kept, *life.prompts))
    turn.change(agent, flight=None)


def moves_of(turn: Turn, life: Life) -> str:
    """The moves of the agent, if its protocol is known here."""
    known = turn.roster.protocols.get(life.where.digest) if life.where is not None else None
    return "" if known is None or life.where is None else possible_moves(known.source, life.where.state)


def given(turn: Turn, agent: str, prompt: int) -> None:
    """Prompts up to this number are in the pipe."""
    flight = turn.roster.lives[agent].flight
    if flight is not None and prompt >= flight.giving and not flight.is_given:
        turn.change(agent, flight=replace(flight, is_given=True))
        _land(turn, agent)


def delivered(turn: Turn, agent: str, time_ns: int) -> None:
    """The agent has put a request: its prompt has had an effect, if that was after it, and once it is in the pipe."""
    flight = turn.roster.lives[agent].flight
    if flight is not None and time_ns >= flight.sent_ns and not flight.is_answered:
        turn.change(agent, flight=replace(flight, is_answered=True))
        _land(turn, agent)


def _land(turn: Turn, agent: str) -> None:
    flight = turn.roster.lives[agent].flight
    if flight is not None and flight.is_given and flight.is_answered:
        turn.happened("prompt.delivered", agent, reason=flight.reason, prompt=flight.number)
        life = turn.change(agent, flight=None)
        if life.rotation is not None:
            turn.change(agent, rotation=replace(life.rotation, turns=life.rotation.turns + 1))


def awaits_request(life: Life) -> bool:
    """Whether a request is due: a prompt was ordered, and none has come since."""
    return life.flight is not None and not life.flight.is_answered


def overdue_prompt(turn: Turn, agent: str) -> bool:
    """The prompt in flight had no effect in time: give it once more. Returns whether that was done before."""
    life = turn.roster.lives[agent]
    flight = life.flight
    if flight is None or flight.is_answered or turn.now_ns - flight.sent_ns < turn.terms.prompt_ns:
        return False
    if flight.tries >= TRIES_MAX:
        return True
    giving = life.prompt_count + 1
    again = replace(flight, tries=flight.tries + 1, sent_ns=turn.now_ns, giving=giving, is_given=False)
    turn.change(agent, prompt_count=giving, flight=again, due_ns=turn.now_ns + turn.terms.prompt_ns)
    turn.happened("prompt.repeated", agent, prompt=flight.number)
    order_flight(turn, agent)
    return False
