"""Prompts of a life: one at a time, the next when the last had an effect, once more when it had none, then stuck."""

from __future__ import annotations

from msgspec.structs import replace

from engines.agents.orchestration.launching import GivePrompt

from .moves import possible_moves
from .prompts import framed, standard, wanted
from .record import RUNNING, Flight, Life, Reason
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
    flight = Flight(number, first.reason, first.text, turn.now_ns)
    due = life.due_ns if life.phase == "starting" else turn.now_ns + turn.terms.prompt_ns
    life = turn.change(agent, prompts=tuple(rest), prompt_count=number, flight=flight, due_ns=due)
    turn.happened("prompt.given", agent, reason=first.reason, prompt=number)
    turn.order(GivePrompt(agent, life.session, number, text_of_flight(turn, agent)))


def text_of_flight(turn: Turn, agent: str) -> str:
    """The prompt in flight as it goes into the pipe."""
    life = turn.roster.lives[agent]
    assert life.flight is not None, agent
    text = standard(agent, life, life.flight.reason, life.flight.text, moves_of(turn, life))
    return framed(life.mode, life.flight.number, text)


def keep_flight(turn: Turn, agent: str) -> None:
    """The session is over: its prompt waits for the next one, unless that begins with what it said."""
    life = turn.roster.lives[agent]
    flight = life.flight
    if flight is not None and flight.reason not in ("start", "state", "handover", "alarm"):
        life = turn.change(agent, prompts=wanted(life.prompts, flight.reason, flight.text))
    turn.change(agent, flight=None)


def moves_of(turn: Turn, life: Life) -> str:
    """The moves of the agent, if its protocol is known here."""
    known = turn.roster.protocols.get(life.where.digest) if life.where is not None else None
    return "" if known is None or life.where is None else possible_moves(known.source, life.where.state)


def given(turn: Turn, agent: str, session: int, prompt: int) -> None:
    """The prompt is in the pipe."""
    life = turn.of_session(agent, session)
    if life is not None and life.flight is not None and life.flight.number == prompt:
        turn.change(agent, flight=replace(life.flight, is_given=True))


def delivered(turn: Turn, agent: str, time_ns: int) -> None:
    """The agent has put a request: its prompt has had an effect, if that was after it."""
    life = turn.roster.lives[agent]
    if life.flight is not None and time_ns >= life.flight.sent_ns:
        turn.happened("prompt.delivered", agent, reason=life.flight.reason, prompt=life.flight.number)
        turn.change(agent, flight=None)


def overdue_prompt(turn: Turn, agent: str) -> bool:
    """The prompt in flight had no effect in time: give it once more. Returns whether that was done before."""
    life = turn.roster.lives[agent]
    flight = life.flight
    if flight is None or turn.now_ns - flight.sent_ns < turn.terms.prompt_ns:
        return False
    if flight.tries >= TRIES_MAX:
        return True
    life = turn.change(
        agent,
        flight=replace(flight, tries=flight.tries + 1, sent_ns=turn.now_ns, is_given=False),
        due_ns=turn.now_ns + turn.terms.prompt_ns,
    )
    turn.happened("prompt.repeated", agent, prompt=flight.number)
    turn.order(GivePrompt(agent, life.session, flight.number, text_of_flight(turn, agent)))
    return False
